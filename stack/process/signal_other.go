//go:build !linux

package process

import (
	"errors"
	"syscall"
)

// Pause is for Linux.
func (p *Process) Pause() error { return errors.ErrUnsupported }

// Resume is for Linux.
func (p *Process) Resume() error { return errors.ErrUnsupported }

// signal sends a signal to the process.
func (p *Process) signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }
