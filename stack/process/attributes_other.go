//go:build !linux

package process

import "syscall"

// attributes are none: a child outlives a program that is killed by force, and is as privileged as that.
func attributes(Spec) *syscall.SysProcAttr { return nil }
