//go:build linux

package faults

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestStopAndResume starts a job from savepoints with another parallelism, another schema, and another build.
func TestStopAndResume(t *testing.T) {
	random := randomness(t)
	r := newRun(t)

	// The same program with another build id: another worker, another jar.
	type built struct {
		jar string
		err error
	}
	rebuilt := make(chan built, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
		defer cancel()
		jar, err := r.lab.build(ctx, filepath.Join(r.lab.dir, "rebuilt"), "rebuilt")
		rebuilt <- built{jar, err}
	}()

	r.submit(t, r.lab.jar, 1, "")
	r.steady(t)
	parallelisms := []int{3, 2}
	for range rounds(t) - defaultRounds {
		parallelisms = append(parallelisms, 1+random.IntN(taskManagers*slotsEach))
	}
	for i, parallelism := range parallelisms {
		if i == len(parallelisms)-1 {
			// What waits for its file is of the schema of before.
			r.sinks = append(r.sinks, "--EventSchema="+surchargedSchema())
		}
		r.resume(t, r.lab.jar, parallelism, within(random, spread))
	}
	r.lab.trips.surcharge(t)
	b := <-rebuilt
	if b.err != nil {
		t.Fatal(b.err)
	}
	before := r.lab.workersOf(t)
	r.resume(t, b.jar, 2, within(random, spread))
	if after := r.lab.workersOf(t); len(after) != len(before)+1 {
		t.Errorf("workers %q unpacked with the rebuilt program, %q before: it is the same", after, before)
	}
	r.finish(t)
	old, surcharged := r.watch.columns[tripColumns], r.watch.columns[moreColumns]
	t.Logf("%d trips are in files of the first schema, %d in those of the other", old, surcharged)
	if old == 0 || surcharged == 0 {
		t.Error("a schema has no files")
	}
}

// workersOf returns the directories of the workers that were unpacked.
func (l *lab) workersOf(t *testing.T) []string {
	t.Helper()
	return glob(t, filepath.Join(l.cluster.TempDir(), "streaming-etl-*"))
}

// resume stops the job with a savepoint after a while and starts it from there.
func (r *run) resume(t *testing.T, jar string, parallelism int, after time.Duration) {
	t.Helper()
	time.Sleep(after)
	r.damaged = time.Now()
	savepoint := r.stop(t)
	// What was sent before may be in the savepoint, to be delivered at the start, before the job has a checkpoint.
	next := r.feed.sent.Load()
	stopped := time.Since(r.damaged)
	r.submit(t, jar, parallelism, savepoint)
	r.recovered(t, "a stop with savepoint of "+seconds(stopped)+" and a start of "+filepath.Base(jar), next)
}

// stop stops the job by the command and returns the savepoint's path.
func (r *run) stop(t *testing.T) string {
	t.Helper()
	out, errs, err := runCommand(t.Context(), r.lab, "stop", "--flink-rest="+r.lab.cluster.URL(), "--job="+r.jobID)
	if err != nil {
		t.Fatalf("stop: %v\n%s", err, errs)
	}
	return strings.TrimSpace(out)
}
