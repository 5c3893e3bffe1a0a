package rest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
)

// The tests of this file run against a real cluster:
//
//	TEST_FLINK_REST=http://localhost:8081 go test ./runners/flink/rest
//
// and, with a jar of an endless job, also what needs a job. Its arguments are parted by spaces.
//
//	TEST_FLINK_JAR=etl.jar TEST_FLINK_ARGS="--Name=value …" TEST_FLINK_COUNTER=namespace/name
const (
	restVariable    = "TEST_FLINK_REST"
	jarVariable     = "TEST_FLINK_JAR"
	argsVariable    = "TEST_FLINK_ARGS"
	counterVariable = "TEST_FLINK_COUNTER"
)

func liveClient(t *testing.T) *rest.Client {
	t.Helper()
	address := os.Getenv(restVariable)
	if address == "" {
		t.Skipf("needs a cluster: %s is not set", restVariable)
	}
	c, err := rest.New(address, restVariable)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLiveClusterWithoutAJob(t *testing.T) {
	c := liveClient(t)
	if o, err := c.Overview(t.Context()); err != nil || o.FlinkVersion == "" {
		t.Errorf("overview %+v, error %v", o, err)
	}
	if _, err := c.Jobs(t.Context()); err != nil {
		t.Error(err)
	}
	const unknown = "00000000000000000000000000000000"
	for name, call := range map[string]func() error{
		"job":         func() error { _, err := c.Job(t.Context(), unknown); return err },
		"checkpoints": func() error { _, err := c.Checkpoints(t.Context(), unknown); return err },
		"failures":    func() error { _, err := c.Failures(t.Context(), unknown); return err },
		"counters":    func() error { _, err := c.Counters(t.Context(), unknown, "a/b"); return err },
		"cancel":      func() error { return c.Cancel(t.Context(), unknown) },
		"stop":        func() error { _, err := c.Stop(t.Context(), unknown, ""); return err },
		"savepoint":   func() error { _, err := c.Savepoint(t.Context(), unknown, ""); return err },
	} {
		if err := call(); !errors.Is(err, rest.ErrNotFound) {
			t.Errorf("%s of an unknown job: error %v is no ErrNotFound", name, err)
		}
	}

	jar := filepath.Join(t.TempDir(), "broken.jar")
	if err := os.WriteFile(jar, []byte("no jar"), 0o644); err != nil {
		t.Fatal(err)
	}
	id, err := c.UploadJar(t.Context(), jar)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.UploadJar(t.Context(), jar); err != nil || again != id {
		t.Errorf("uploaded again as %s after %s, error %v", again, id, err)
	}
	if _, err := c.RunJar(t.Context(), id, rest.RunOptions{EntryClass: "No"}); err == nil || strings.Contains(err.Error(), "\tat ") {
		t.Errorf("error %v for a broken jar", err)
	}
	if _, err := c.RunJar(t.Context(), "no.jar", rest.RunOptions{}); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("error %v for a jar that is not there", err)
	}
}

func TestLiveJob(t *testing.T) {
	c := liveClient(t)
	jar := os.Getenv(jarVariable)
	if jar == "" {
		t.Skipf("needs the jar of a job: %s is not set", jarVariable)
	}
	jarID, err := c.UploadJar(t.Context(), jar)
	if err != nil {
		t.Fatal(err)
	}
	run := rest.RunOptions{Args: strings.Fields(os.Getenv(argsVariable)), Parallelism: 2}
	job, err := c.RunJar(t.Context(), jarID, run)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Cancel(context.Background(), job) })
	if _, err := c.WaitRunning(t.Context(), job, rest.WaitOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "a checkpoint", func() bool {
		cs, err := c.Checkpoints(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		return cs.Last != nil && cs.Last.Path != "" && cs.Last.Size > 0
	})
	if counter := os.Getenv(counterVariable); counter != "" {
		await(t, counter, func() bool {
			counters, err := c.Counters(t.Context(), job, counter)
			if err != nil {
				t.Fatal(err)
			}
			return counters[counter] > 0
		})
	}
	if n, err := c.Restarts(t.Context(), job); err != nil || n != 0 {
		t.Errorf("%d restarts, error %v", n, err)
	}
	if path, err := c.Savepoint(t.Context(), job, ""); err != nil || path == "" {
		t.Errorf("savepoint %q, error %v", path, err)
	}
	savepoint, err := c.Stop(t.Context(), job, "")
	if err != nil {
		t.Fatal(err)
	}
	if j, err := c.WaitEnd(t.Context(), job, rest.WaitOptions{}); err != nil || j.State != rest.Finished {
		t.Errorf("job %s after stop, error %v", j.State, err)
	}
	var ended *rest.JobEndedError
	if _, err := c.Stop(t.Context(), job, ""); !errors.As(err, &ended) {
		t.Errorf("stop of a stopped job: error %v", err)
	}

	// More slots than any test cluster has.
	run.SavepointPath = savepoint
	run.Parallelism = 100
	if job, err = c.RunJar(t.Context(), jarID, run); err != nil {
		t.Fatal(err)
	}
	_, err = c.WaitRunning(t.Context(), job, rest.WaitOptions{SlotPatience: time.Second})
	var slots *rest.NotEnoughSlotsError
	if !errors.As(err, &slots) || slots.Needed != 100 {
		t.Errorf("error %v without enough slots", err)
	}
	if err := c.Cancel(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if j, err := c.WaitEnd(t.Context(), job, rest.WaitOptions{}); err != nil || j.State != rest.Canceled {
		t.Fatalf("the job is %s, %v", j.State, err)
	}

	run.Parallelism = 1
	if job, err = c.RunJar(t.Context(), jarID, run); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WaitRunning(t.Context(), job, rest.WaitOptions{}); err != nil {
		t.Fatal(err)
	}
	if cs, err := c.Checkpoints(t.Context(), job); err != nil || cs.From == nil || !cs.From.Savepoint {
		t.Errorf("checkpoints %+v after a start from a savepoint, error %v", cs, err)
	}
}

// await polls until something has happened.
func await(t *testing.T, what string, happened func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for !happened() {
		select {
		case <-deadline.C:
			t.Fatalf("no %s in a minute", what)
		case <-time.After(250 * time.Millisecond):
		}
	}
}
