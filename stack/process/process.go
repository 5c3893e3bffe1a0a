package process

import (
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// A Process is a process that a [Host] started. Its methods are safe for concurrent use.
type Process struct {
	spec  Spec
	cmd   *exec.Cmd
	done  chan struct{} // closed after state is set
	state error
}

func (p *Process) wait() {
	p.state = p.cmd.Wait()
	close(p.done)
}

// Name is the process's name in errors.
func (p *Process) Name() string { return p.spec.Name }

// PID is the process's id. It may belong to another process once this one has ended.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log is the path of the file that tells what the process does.
func (p *Process) Log() string { return p.spec.Log }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Ended returns nil while the process runs. After that it says how it ended, and how its log ends.
func (p *Process) Ended() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	how := "exit status 0"
	if p.state != nil {
		how = p.state.Error()
	}
	return fmt.Errorf("%s has ended (%s); %s", p.spec.Name, how, p.logEnds())
}

func (p *Process) logEnds() string { return logEnds(p.spec.Log, p.spec.Output) }

// Failed says whether the process has ended in another way than by exit status 0.
func (p *Process) Failed() bool {
	select {
	case <-p.done:
		return p.state != nil
	default:
		return false
	}
}

// Kill ends the process by SIGKILL and waits for its end. To kill one that has ended is no error.
func (p *Process) Kill() {
	_ = p.signal(syscall.SIGKILL)
	<-p.done
}

// Stop ends the process by SIGTERM and waits for its end; after the grace it kills it. A paused one goes on for that.
func (p *Process) Stop(grace time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.Resume()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.Kill()
	}
}

// StopAll stops processes, all at once. Nil ones are passed over.
func StopAll(grace time.Duration, processes ...*Process) {
	done := make(chan struct{}, len(processes))
	for _, p := range processes {
		go func() {
			if p != nil {
				p.Stop(grace)
			}
			done <- struct{}{}
		}()
	}
	for range processes {
		<-done
	}
}
