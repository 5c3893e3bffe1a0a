package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
)

// A Host starts processes. Its methods are safe for concurrent use. Close it when all of them have ended.
type Host struct {
	requests chan startRequest
	quit     chan struct{}
	close    sync.Once
}

type startRequest struct {
	cmd    *exec.Cmd
	result chan error
}

// NewHost returns a host.
func NewHost() *Host {
	h := &Host{requests: make(chan startRequest), quit: make(chan struct{})}
	go h.serve()
	return h
}

// serve starts all processes from one thread that lives as long as the host: the kernel's signal for the death of a
// parent comes when the parent's thread ends, and Go ends threads as it likes.
func (h *Host) serve() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		select {
		case r := <-h.requests:
			r.result <- r.cmd.Start()
		case <-h.quit:
			return
		}
	}
}

// Close ends the host, which may kill processes that are still running.
func (h *Host) Close() {
	h.close.Do(func() { close(h.quit) })
}

// A Spec says what to start.
type Spec struct {
	// Name is how errors name the process.
	Name string
	// Args are the program, a path or a name on PATH, and its arguments.
	Args []string
	// Env is added to this program's environment.
	Env []string
	// Dir is the working directory, by default this program's.
	Dir string
	// Output is the file that standard output and error are appended to. It is made with its directory.
	Output string
	// Errors is the file that standard error is appended to instead.
	Errors string
	// Log is the file whose end tells why the process has ended, by default Output.
	Log string
	// Group has Kill, Pause and Resume mean the process's group, which are the processes that it starts too: for a program
	// that is run by a launcher. Linux only.
	Group bool
	// Unprivileged is for a program that refuses to run as root: for root it is run in a user namespace, in which it is
	// another user to itself, with root's files. Linux only.
	Unprivileged bool
}

// Start starts a process.
func (h *Host) Start(s Spec) (*Process, error) {
	p, err := h.start(s)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	return p, nil
}

func (h *Host) start(s Spec) (*Process, error) {
	output, err := openLog(s.Output)
	if err != nil {
		return nil, err
	}
	defer output.Close() // the child has its own
	errorOutput := output
	if s.Errors != "" {
		if errorOutput, err = openLog(s.Errors); err != nil {
			return nil, err
		}
		defer errorOutput.Close()
	}
	cmd := exec.Command(s.Args[0], s.Args[1:]...)
	cmd.Env = append(os.Environ(), s.Env...)
	cmd.Dir = s.Dir
	cmd.Stdout, cmd.Stderr = output, errorOutput
	cmd.SysProcAttr = attributes(s)

	r := startRequest{cmd: cmd, result: make(chan error, 1)}
	select {
	case h.requests <- r:
	case <-h.quit:
		return nil, errors.New("the host is closed")
	}
	if err := <-r.result; err != nil {
		return nil, err
	}
	if s.Log == "" {
		s.Log = s.Output
	}
	p := &Process{spec: s, cmd: cmd, done: make(chan struct{})}
	go p.wait()
	return p, nil
}

func openLog(file string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, err
	}
	return os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
}
