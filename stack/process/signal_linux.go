package process

import (
	"fmt"
	"os"
	"syscall"
)

// Pause halts the process by SIGSTOP, until Resume: for others it hangs, with its connections open.
func (p *Process) Pause() error { return p.send(syscall.SIGSTOP) }

// Resume lets the process go on after Pause.
func (p *Process) Resume() error { return p.send(syscall.SIGCONT) }

func (p *Process) send(s syscall.Signal) error {
	if err := p.signal(s); err != nil {
		return fmt.Errorf("signal %v to %s: %w", s, p.spec.Name, err)
	}
	return nil
}

// signal sends a signal to the process, or to its group.
func (p *Process) signal(s syscall.Signal) error {
	if !p.spec.Group {
		return p.cmd.Process.Signal(s) // by handle, or not at all after the end: never to another process with this id
	}
	select {
	case <-p.done: // and the id may be another group's one day
		return os.ErrProcessDone
	default:
	}
	return syscall.Kill(-p.cmd.Process.Pid, s)
}
