//go:build linux

package faults

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	flinkrest "github.com/streaming-etl/streaming-etl/runners/flink/rest"
)

// A command is the program, running.
type command struct {
	cmd    *exec.Cmd
	stdout output
	stderr output
	done   chan struct{}
	err    error // of Wait, when done is closed
}

// An output is what a process has said so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// startCommand starts the program; it is killed if the test ends before.
func startCommand(t *testing.T, l *lab, args ...string) *command {
	t.Helper()
	c := &command{cmd: exec.CommandContext(t.Context(), l.program, args...), done: make(chan struct{})}
	c.cmd.Dir = l.dir
	c.cmd.Env = append(os.Environ(), awsEnvironment()...)
	c.cmd.Stdout, c.cmd.Stderr = &c.stdout, &c.stderr
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	return c
}

// says waits until standard error holds a text.
func (c *command) says(t *testing.T, text string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !strings.Contains(c.stderr.String(), text) {
		select {
		case <-c.done:
			if !strings.Contains(c.stderr.String(), text) {
				t.Fatalf("the command ended without %q: %v\n%s", text, c.err, c.stderr.String())
			}
		case <-time.After(lookInterval / 10):
			if time.Now().After(deadline) {
				t.Fatalf("the command has not said %q:\n%s", text, c.stderr.String())
			}
		}
	}
}

// answerTime is how long a command may take to end after a signal, and to tell what is wrong.
const answerTime = time.Minute

// ends waits for the end of the command and returns its exit code.
func (c *command) ends(t *testing.T) int {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(answerTime):
		t.Fatalf("the command has not ended in %s:\n%s", answerTime, c.stderr.String())
	}
	return c.cmd.ProcessState.ExitCode()
}

// Exit codes that docs/operations.md has.
const (
	exitOK      = 0
	exitFailure = 1
)

// codes checks the exit code of a command that ends, and that it has said why.
func (c *command) codes(t *testing.T, want int, words string) {
	t.Helper()
	if code := c.ends(t); code != want || !strings.Contains(c.stderr.String(), words) {
		t.Errorf("exit code %d, want %d and %q; the command said\n%s", code, want, words, c.stderr.String())
	}
}

func (c *command) terminate(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// submission is the command line that submits the run's job.
func (r *run) submission(parallelism int, more ...string) []string {
	args := append([]string{"--runner=flink", "--flink-rest=" + r.lab.cluster.URL(), "--jar=" + r.lab.jar}, r.flags(parallelism)...)
	return append(args, more...)
}

var submitted = regexp.MustCompile(`job ([0-9a-f]{32}) is submitted`)

func (c *command) jobID(t *testing.T) string {
	t.Helper()
	c.says(t, "is submitted")
	m := submitted.FindStringSubmatch(c.stderr.String())
	if m == nil {
		t.Fatalf("no job id in\n%s", c.stderr.String())
	}
	return m[1]
}

// checkState checks that a job is in a state.
func checkState(t *testing.T, l *lab, jobID string, want flinkrest.State) {
	t.Helper()
	if j, err := l.cluster.REST().Job(t.Context(), jobID); err != nil || j.State != want {
		t.Errorf("job %s is %s, want %s; error %v", jobID, j.State, want, err)
	}
}

func TestTerminatedCommandCancelsItsJobUnlessDetached(t *testing.T) {
	random := randomness(t)
	r := newRun(t)
	c := startCommand(t, r.lab, r.submission(taskManagers)...)
	r.jobID = c.jobID(t)
	r.steady(t)
	time.Sleep(within(random, spread))
	r.damaged = time.Now()
	next := r.feed.sent.Load()
	c.terminate(t)
	c.codes(t, exitOK, "cancelling job")
	t.Logf("SIGTERM to the following command: ended after %s", seconds(time.Since(r.damaged)))
	checkState(t, r.lab, r.jobID, flinkrest.Canceled)
	r.await(t, "the end of the workers", func() bool { return len(r.lab.cluster.WorkerPIDs()) == 0 })

	// What the cancelled job has read and not delivered is in its last checkpoint.
	checkpoint := newestCheckpoint(t, r.lab, r.jobID)
	c = startCommand(t, r.lab, r.submission(taskManagers, "--savepoint-path="+checkpoint, "--detached")...)
	r.jobID = c.jobID(t)
	c.terminate(t)
	c.codes(t, exitFailure, "goes on starting") // whether the job runs was asked and not found out
	r.recovered(t, "SIGTERM and a start from the retained checkpoint", next)
	checkState(t, r.lab, r.jobID, flinkrest.Running)
	r.finish(t)
}

func TestCommandTerminatedWhileItSubmitsLeavesNoJob(t *testing.T) {
	r := newIdleRun(t)
	c := startCommand(t, r.lab, r.submission(1)...)
	c.says(t, "is on the cluster")
	c.terminate(t)
	c.codes(t, exitOK, "cancelling job") // as one that is followed
	// The JobManager goes on building a job though nobody waits for its answer any more.
	for began := time.Now(); time.Since(began) < submissionTime; time.Sleep(lookInterval) {
		for _, id := range runningJobs(t, r.lab) {
			t.Errorf("job %s runs %s after the command ended", id, seconds(time.Since(began)))
			r.jobID = id
			r.cancel(t)
			return
		}
	}
}

// submissionTime is longer than a JobManager takes from a request to a job.
const submissionTime = 15 * time.Second

func runningJobs(t *testing.T, l *lab) []string {
	t.Helper()
	jobs, err := l.cluster.REST().Jobs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, j := range jobs {
		if !j.State.Ended() {
			ids = append(ids, j.ID)
		}
	}
	return ids
}

// runCommand runs the program to its end and returns what it has said.
func runCommand(ctx context.Context, l *lab, args ...string) (stdout, stderr string, err error) {
	cmd := exec.CommandContext(ctx, l.program, args...)
	cmd.Dir = l.dir
	cmd.Env = append(os.Environ(), awsEnvironment()...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}
