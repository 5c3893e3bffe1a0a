//go:build linux

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// awaitFile waits until a file is there and holds a line, and returns that.
func awaitFile(t *testing.T, file string) string {
	t.Helper()
	var content []byte
	err := Await(t.Context(), file, func(context.Context) (err error) {
		if content, err = os.ReadFile(file); err == nil && !strings.HasSuffix(string(content), "\n") {
			err = errors.New("no line")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

// state is the kernel's letter for the state of a process: T is stopped; "" if there is none.
func state(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return after[:1]
}

func awaitState(t *testing.T, pid int, ok func(string) bool) {
	t.Helper()
	err := Await(t.Context(), "the state", func(context.Context) error {
		if s := state(pid); !ok(s) {
			return fmt.Errorf("process %d is in state %q", pid, s)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestPauseHaltsUntilResume(t *testing.T) {
	p := shell(t, newHost(t), "exec sleep 600")
	stopped := func(s string) bool { return s == "T" }
	for range 2 {
		if err := p.Pause(); err != nil {
			t.Fatal(err)
		}
		awaitState(t, p.PID(), stopped)
		if err := p.Resume(); err != nil {
			t.Fatal(err)
		}
		awaitState(t, p.PID(), func(s string) bool { return !stopped(s) })
	}
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	p.Stop(time.Minute)
	if err := p.Ended(); err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("error %v after Stop of a paused process", err)
	}
	if err := p.Pause(); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("error %v for a process that has ended", err)
	}
}

func TestKillOfAGroupEndsItsChildren(t *testing.T) {
	dir := t.TempDir()
	pid := filepath.Join(dir, "pid")
	p, err := newHost(t).Start(Spec{
		Name: "launcher", Args: []string{"sh", "-c", "sleep 600 & echo $! > pid; wait"}, Dir: dir,
		Output: filepath.Join(dir, "out"), Group: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	child, err := strconv.Atoi(awaitFile(t, pid))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	awaitState(t, child, func(s string) bool { return s == "T" })
	p.Kill()
	awaitState(t, child, func(s string) bool { return s == "" || s == "Z" })
	if err := p.Resume(); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("error %v for a group that has ended", err)
	}
}

func TestUnprivilegedProcessIsNotRoot(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("read"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := newHost(t).Start(Spec{
		Name: "script", Args: []string{"sh", "-c", "id -u; cat secret; test -r secret && echo; echo bad >&2"}, Dir: dir,
		Output: filepath.Join(dir, "out"), Errors: filepath.Join(dir, "err"), Unprivileged: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	out, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	if uid, read, _ := strings.Cut(string(out), "\n"); uid == "0" || uid == "" || read != "read\n" {
		t.Errorf("user %q, what it reads of our file is %q", uid, read)
	}
	if said, err := os.ReadFile(filepath.Join(dir, "err")); err != nil || string(said) != "bad\n" {
		t.Errorf("standard error %q, error %v", said, err)
	}
}
