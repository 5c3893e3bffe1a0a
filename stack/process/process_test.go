//go:build unix

package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// parentVariable makes the test program the parent that dies: see TestChildrenDieWithTheirParent.
const parentVariable = "PROCESS_TEST_PARENT"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentVariable); dir != "" {
		parent(dir)
	}
	os.Exit(m.Run())
}

// parent starts a child, prints its id, and waits to be killed.
func parent(dir string) {
	p, err := NewHost().Start(Spec{Name: "child", Args: []string{"sleep", "600"}, Output: filepath.Join(dir, "child.log")})
	if err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	// Threads come and go; the child must not mind.
	for range 50 {
		done := make(chan struct{})
		go func() {
			runtime.LockOSThread() // and so the thread ends with the goroutine
			close(done)
		}()
		<-done
	}
	if err := p.Ended(); err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	os.Stdout.WriteString(strconv.Itoa(p.PID()) + "\n")
	select {}
}

func TestChildrenDieWithTheirParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells children of their parent's death")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), parentVariable+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(child, 0); err != nil {
		t.Fatalf("the child does not run: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // "signal: killed"
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err = Await(ctx, "the child's end", func(context.Context) error {
		if stat, err := os.ReadFile("/proc/" + strconv.Itoa(child) + "/stat"); err == nil && !strings.Contains(string(stat), ") Z ") {
			return errors.New("it is alive")
		}
		return nil
	})
	if err != nil {
		_ = syscall.Kill(child, syscall.SIGKILL)
		t.Error(err)
	}
}

// shell returns a process that runs a shell script.
func shell(t *testing.T, h *Host, script string, env ...string) *Process {
	t.Helper()
	p, err := h.Start(Spec{Name: "script", Args: []string{"sh", "-c", script}, Env: env, Output: filepath.Join(t.TempDir(), "log", "out")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func newHost(t *testing.T) *Host {
	h := NewHost()
	t.Cleanup(h.Close)
	return h
}

func TestEndedTellsHowAndWhatTheLogSays(t *testing.T) {
	p := shell(t, newHost(t), `echo "no disk in $PLACE"; exit 3`, "PLACE=here")
	<-p.Done()
	err := p.Ended()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{"script has ended", "exit status 3", p.Log(), "no disk in here"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not tell %q", err, part)
		}
	}
	p.Kill() // does nothing
}

func TestEndedIsNilWhileTheProcessRuns(t *testing.T) {
	p := shell(t, newHost(t), "exec sleep 600")
	if err := p.Ended(); err != nil {
		t.Error(err)
	}
	p.Kill()
	if err := p.Ended(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("error %v after Kill", err)
	}
}

func TestStopKillsWhatIgnoresIt(t *testing.T) {
	dir := t.TempDir()
	ready := filepath.Join(dir, "ready")
	p := shell(t, newHost(t), "trap '' TERM; touch "+ready+"; while :; do sleep 0.1; done")
	err := Await(t.Context(), "the trap", func(context.Context) error {
		_, err := os.Stat(ready)
		return err
	}, p)
	if err != nil {
		t.Fatal(err)
	}
	StopAll(50*time.Millisecond, nil, p)
	if err := p.Ended(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("error %v after Stop", err)
	}
}

func TestStopLetsAProcessEndByItself(t *testing.T) {
	dir := t.TempDir()
	ready := filepath.Join(dir, "ready")
	p := shell(t, newHost(t), "trap 'exit 7' TERM; touch "+ready+"; while :; do sleep 0.01; done")
	if err := Await(t.Context(), "the trap", func(context.Context) error { _, err := os.Stat(ready); return err }, p); err != nil {
		t.Fatal(err)
	}
	p.Stop(time.Minute)
	if err := p.Ended(); err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("error %v after Stop", err)
	}
}

func TestStartFailsWithoutTheProgram(t *testing.T) {
	_, err := newHost(t).Start(Spec{Name: "x", Args: []string{"no-such-program"}, Output: filepath.Join(t.TempDir(), "out")})
	if err == nil || !strings.HasPrefix(err.Error(), "start x: ") {
		t.Errorf("error %v", err)
	}
}

func TestAwaitGivesUpWhenTheProcessEnds(t *testing.T) {
	p := shell(t, newHost(t), "echo port in use; exit 1")
	err := Await(t.Context(), "the port", func(context.Context) error { return errors.New("refused") }, p)
	if err == nil || !strings.Contains(err.Error(), "wait for the port: script has ended") || !strings.Contains(err.Error(), "port in use") {
		t.Errorf("error %v", err)
	}
}

func TestAwaitGivesUpWithTheContext(t *testing.T) {
	p := shell(t, newHost(t), "echo reads its indices; exec sleep 600")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := Await(ctx, "the port", func(context.Context) error {
		if tail(p.Log()) != "" {
			cancel()
		}
		return errors.New("refused")
	}, p)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	for _, want := range []string{"refused", p.Log(), "reads its indices"} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("error %v, without %q", err, want)
		}
	}
}

func TestTailIsTheEndOfALongLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte(strings.Repeat("line\n", 10000)+"the end\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := tail(file)
	if !strings.HasSuffix(got, "line\nthe end") || strings.Count(got, "\n") != tailLines-1 {
		t.Errorf("tail %q", got)
	}
}

func TestFreePortsDiffer(t *testing.T) {
	ports, err := FreePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[int]bool)
	for _, p := range ports {
		if p < firstPort || p > lastPort || seen[p] {
			t.Errorf("port %d twice in %v, or out of the range", p, ports)
		}
		seen[p] = true
	}
}
