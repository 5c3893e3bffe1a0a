//go:build !linux

package process

import "syscall"

// attributes are none: a child outlives a program that is killed by force.
func attributes() *syscall.SysProcAttr { return nil }
