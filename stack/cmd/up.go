//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/streaming-etl/streaming-etl/stack"
)

const (
	startTimeout = 5 * time.Minute
	stopTimeout  = time.Minute
	pollInterval = 50 * time.Millisecond
)

// Files in the stack's directory.
const (
	pidFile = "pid" // held locked by the process whose id it holds, for as long as that runs
	envFile = "env" // there when all is ready
	logFile = "stack.log"
)

// up starts a process in the background that runs the stack, and waits until all is ready.
func up(ctx context.Context, s settings, args []string, stderr io.Writer) error {
	if pid, err := runningPID(s.dir); err != nil {
		return err
	} else if pid != 0 {
		fmt.Fprintf(stderr, "the stack is running already (process %d)\n", pid)
		return nil
	}
	kinesis := stack.Kinesalite
	if s.ferrokinesis {
		kinesis = stack.Ferrokinesis
	}
	if err := install(ctx, needed(kinesis), stderr); err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(s.dir, envFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // of a stack that was killed
	}
	log, err := os.Create(filepath.Join(s.dir, logFile))
	if err != nil {
		return err
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	server := exec.Command(self, append([]string{"serve"}, args...)...)
	server.Stdout, server.Stderr = log, log
	server.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it stays when the terminal is closed
	if err := server.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()

	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if _, err := os.Stat(filepath.Join(s.dir, envFile)); err == nil {
			return nil
		}
		select {
		case err := <-ended:
			said, _ := os.ReadFile(log.Name())
			return fmt.Errorf("the stack did not start: %v\n%s", err, strings.TrimSpace(string(said)))
		case <-ctx.Done():
			_ = server.Process.Signal(syscall.SIGTERM)
			<-ended
			return fmt.Errorf("the stack is not ready: %w; its logs are in %s", context.Cause(ctx), s.dir)
		case <-time.After(pollInterval):
		}
	}
}

// printEnv prints the environment of the running stack.
func printEnv(dir string, stdout io.Writer) error {
	env, err := os.ReadFile(filepath.Join(dir, envFile))
	if errors.Is(err, os.ErrNotExist) {
		return errors.New("the stack is not running: go run ./stack/cmd up")
	}
	if err != nil {
		return err
	}
	_, err = stdout.Write(env)
	return err
}

// down stops the running stack and waits for its end.
func down(ctx context.Context, dir string, stderr io.Writer) error {
	pid, err := runningPID(dir)
	if err != nil {
		return err
	}
	if pid == 0 {
		fmt.Fprintln(stderr, "the stack is not running")
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop process %d: %w", pid, err)
	}
	deadline := time.After(stopTimeout)
	for {
		left, err := runningPID(dir)
		if err != nil || left != pid {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline:
			// What it has started ends with it.
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill process %d: %w", pid, err)
			}
			deadline = nil
		case <-time.After(pollInterval):
		}
	}
}

// runningPID returns the id of the process that runs the stack, or 0. That it runs is told by the lock, not by the id,
// which may be another process's by now.
func runningPID(dir string) (int, error) {
	f, err := os.OpenFile(filepath.Join(dir, pidFile), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close() // which unlocks it
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return 0, nil
	}
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return 0, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	content, err := io.ReadAll(f)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0, fmt.Errorf("%s holds no process id: %w", f.Name(), err)
	}
	return pid, nil
}
