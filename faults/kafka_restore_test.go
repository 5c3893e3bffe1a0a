//go:build linux

package faults

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTopicsStopAndResume starts a job from a savepoint with another parallelism, and from the checkpoint that a lost
// JobManager has left.
func TestTopicsStopAndResume(t *testing.T) {
	random := randomness(t)
	r := newTopicRun(t)
	r.submit(t, r.lab.jar, 1, "")
	r.steady(t)
	parallelism := []int{3, 2}
	for i := range rounds(t) {
		r.resume(t, r.lab.jar, parallelism[i%len(parallelism)], within(random, spread))
	}
	for range max(1, rounds(t)-1) {
		time.Sleep(within(random, spread))
		r.killJobManager(t)
	}
	r.finish(t)
}

// TestTopicsFromAnOldSavepoint starts a job from a savepoint older than what it wrote afterwards.
func TestTopicsFromAnOldSavepoint(t *testing.T) {
	r := newTopicRun(t)
	r.submit(t, r.lab.jar, taskManagers, "")
	r.steady(t)
	first := r.topics.complete()
	old, err := r.lab.cluster.REST().Savepoint(t.Context(), r.jobID, "")
	if err != nil {
		t.Fatal(err)
	}
	r.flows(t)
	r.cancel(t)

	r.submit(t, r.lab.jar, taskManagers, old)
	refusal := r.refusal(t)
	for _, words := range []string{"OutputKafkaTopic: ", "savepoint", "ACCEPT"} {
		if !strings.Contains(refusal, words) {
			t.Errorf("%q is not in the refusal", words)
		}
	}
	t.Logf("from a savepoint older than what was written: %s", refusal)
	r.cancel(t)

	r.sinks = append(r.sinks, "--OutputKafkaMarkerPolicy=ACCEPT")
	next := r.damage()
	r.submit(t, r.lab.jar, taskManagers, old)
	r.recovered(t, "a start from "+filepath.Base(old)+" with another policy", next)
	// What came between the savepoint and the cancellation comes again.
	r.topics.repeats(first, next)
	r.finish(t)
}

// refusal waits until a lane has refused to go on, and returns what it said.
func (r *run) refusal(t *testing.T) (said string) {
	t.Helper()
	r.await(t, "a lane's refusal", func() bool {
		said = r.laneFailure(t)
		return said != ""
	})
	return said
}

// laneFailure returns the line of a failure of the job that is a lane's refusal, if there is one.
func (r *run) laneFailure(t *testing.T) string {
	t.Helper()
	failures, err := r.lab.cluster.REST().Failures(t.Context(), r.jobID)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range failures {
		for line := range strings.Lines(f.String()) {
			if strings.Contains(line, "write to Kafka: lane ") && strings.Contains(line, ": block ") {
				return strings.TrimSpace(line)
			}
		}
	}
	return ""
}
