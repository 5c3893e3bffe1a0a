//go:build unix

package main

import (
	"time"

	"github.com/streaming-etl/streaming-etl/chaos/history"
	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
)

// Sightings are what looks at a job's checkpoints have shown, over all of its submissions. Restarts are told by what was
// restored, which comes in one answer with what was completed: the metric of restarts comes from elsewhere, and later
// than checkpoints that were completed after the restart, by ten seconds and more while the cluster waits for a
// TaskManager that is gone.
type sightings struct {
	restores int   // of the present submission, as far as they were seen; its own start from a point is one
	last     int64 // the last completed checkpoint of the present submission
	known    []history.Snapshot
}

// submitted begins anew with a submission, which may start from a savepoint or checkpoint.
func (s *sightings) submitted(restored bool) {
	s.restores, s.last = 0, 0
	if restored {
		s.restores = 1
	}
}

// take returns what is new: that tasks were restored, and the last checkpoint. A job that is restarted before its first
// checkpoint restores nothing; no damage is done so early, as records arrive with checkpoints only.
func (s *sightings) take(now rest.Checkpoints) (restored *history.Restored, completed *history.Snapshot) {
	if n := now.Restored - s.restores; n > 0 {
		s.restores = now.Restored
		// The tasks went back to the last checkpoint that was seen or to one after it: no earlier than this.
		restored = &history.Restored{Times: n}
		if len(s.known) > 0 {
			restored.Since = s.known[len(s.known)-1].Triggered
		}
	}
	if c := now.Last; c != nil && c.ID != s.last {
		s.last = c.ID
		completed = &history.Snapshot{ID: c.ID, Triggered: c.Triggered, Millis: c.Duration.Milliseconds(), Bytes: c.Size}
		s.known = append(s.known, *completed)
	}
	return restored, completed
}

// triggered returns when a checkpoint was begun, or the last one before it that was seen. Their numbers go on over submissions.
func (s *sightings) triggered(number int64) (at time.Time) {
	for _, k := range s.known {
		if k.ID <= number {
			at = k.Triggered
		}
	}
	return at
}
