//go:build unix

package main

import (
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
)

func TestRestartGoesBackToWhatWasCompletedBeforeIt(t *testing.T) {
	at := func(id int64) time.Time { return time.Unix(3*id, 0) }
	// answer is what Flink says: how often the tasks were restored, and the last checkpoint.
	answer := func(restored int, last int64) rest.Checkpoints {
		c := rest.Checkpoints{Restored: restored}
		if last > 0 {
			c.Last = &rest.Checkpoint{ID: last, Triggered: at(last)}
		}
		return c
	}
	type look struct {
		answer    rest.Checkpoints
		times     int   // how many restarts are told
		since     int64 // the checkpoint whose beginning is told with them
		completed int64 // the checkpoint that is told
	}
	for name, looks := range map[string][]look{
		"nothing yet":           {{answer: answer(0, 0)}},
		"checkpoints alone":     {{answer: answer(0, 1), completed: 1}, {answer: answer(0, 1)}, {answer: answer(0, 3), completed: 3}},
		"a restart":             {{answer: answer(0, 4), completed: 4}, {answer: answer(1, 4), times: 1, since: 4}, {answer: answer(1, 4)}},
		"a restart, told late":  {{answer: answer(0, 4), completed: 4}, {answer: answer(1, 7), times: 1, since: 4, completed: 7}},
		"restarts between":      {{answer: answer(0, 4), completed: 4}, {answer: answer(3, 9), times: 3, since: 4, completed: 9}},
		"before any checkpoint": {{answer: answer(1, 2), times: 1, completed: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			var s sightings
			s.submitted(false)
			for i, l := range looks {
				restored, completed := s.take(l.answer)
				if (restored != nil) != (l.times > 0) || restored != nil && restored.Times != l.times {
					t.Errorf("look %d: restored %+v, want %d restarts", i, restored, l.times)
				}
				if restored != nil && l.since > 0 && !restored.Since.Equal(at(l.since)) || restored != nil && l.since == 0 && !restored.Since.IsZero() {
					t.Errorf("look %d: restored since %v, want checkpoint %d", i, restored.Since, l.since)
				}
				if (completed != nil) != (l.completed > 0) || completed != nil && completed.ID != l.completed {
					t.Errorf("look %d: completed %+v, want %d", i, completed, l.completed)
				}
			}
		})
	}
}

func TestStartFromAPointIsNoRestart(t *testing.T) {
	var s sightings
	s.submitted(false)
	s.take(rest.Checkpoints{Last: &rest.Checkpoint{ID: 5, Triggered: time.Unix(50, 0)}})
	s.submitted(true)
	for _, c := range []rest.Checkpoints{{}, {Restored: 1}, {Restored: 1, Last: &rest.Checkpoint{ID: 7, Triggered: time.Unix(70, 0)}}} {
		if restored, _ := s.take(c); restored != nil {
			t.Errorf("%+v tells a restart: %+v", c, restored)
		}
	}
	if restored, _ := s.take(rest.Checkpoints{Restored: 2}); restored == nil || !restored.Since.Equal(time.Unix(70, 0)) {
		t.Errorf("a restart after it: %+v", restored)
	}
	for number, want := range map[int64]int64{5: 50, 6: 50, 7: 70, 9: 70} {
		if got := s.triggered(number); got.Unix() != want {
			t.Errorf("checkpoint %d began at %v, want %v", number, got.Unix(), want)
		}
	}
}
