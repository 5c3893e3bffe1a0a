//go:build linux

package faults

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/streaming-etl/streaming-etl/io/kafkaio/transact"
)

// TestTopicsStopAndResume starts a job from a savepoint with another parallelism, and from the checkpoint that a lost
// JobManager has left.
func TestTopicsStopAndResume(t *testing.T) {
	random := randomness(t)
	r := newTopicRun(t, poison{})
	r.toBucket(t)
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

// TestTopicsFromAnOldSavepoint starts a job from a savepoint older than what it wrote afterwards, and again when the
// markers have been deleted as retention deletes, should somebody give their topic one.
func TestTopicsFromAnOldSavepoint(t *testing.T) {
	r := newTopicRun(t, poison{})
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
	r.refuses(t, "savepoint", "were written in attempt")
	r.cancel(t)

	strict := r.sinks
	r.sinks = append(r.sinks, "--OutputKafkaMarkerPolicy=ACCEPT")
	next := r.damage()
	r.submit(t, r.lab.jar, taskManagers, old)
	r.recovered(t, "a start from "+filepath.Base(old)+" with another policy", next)
	// What came between the savepoint and the cancellation comes again.
	r.topics.repeats(first, next)
	r.finish(t)

	// The savepoint proves that there were blocks.
	r.sinks = strict
	r.expireMarkers(t)
	r.submit(t, r.lab.jar, taskManagers, old)
	r.refuses(t, transact.ErrGap.Error(), "there is no marker")
}

// refuses waits for a lane's refusal and checks that it has some words, and says what can be done.
func (r *run) refuses(t *testing.T, words ...string) {
	t.Helper()
	refusal := r.refusal(t)
	for _, words := range append(words, "OutputKafkaTopic: ", "ACCEPT") {
		if !strings.Contains(refusal, words) {
			t.Errorf("%q is not in the refusal", words)
		}
	}
	t.Logf("refused: %s", refusal)
}

// expireMarkers deletes all markers of the job from their topic, which is as the job has made it afterwards.
func (r *run) expireMarkers(t *testing.T) {
	t.Helper()
	admin, topic := r.kafkaAdmin(t), markerTopic(t)
	policy := func(value string) {
		t.Helper()
		answers, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "cleanup.policy", Value: &value}}, topic)
		if err == nil {
			_, err = answers.On(topic, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ends, err := admin.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	policy("delete") // of a compacted topic no records can be deleted
	r.await(t, "the end of the markers", func() bool {
		deleted, err := admin.DeleteRecords(t.Context(), ends.Offsets())
		return err == nil && deleted.Error() == nil // a broker may not know of the policy yet
	})
	policy("compact")
	if left, err := r.lab.theKafka(t).Consume(t.Context(), topic); err != nil || len(left) > 0 {
		t.Fatalf("%d markers are left, error %v", len(left), err)
	}
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
