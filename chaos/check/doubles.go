package check

import (
	"time"

	"github.com/streaming-etl/streaming-etl/chaos/history"
	"github.com/streaming-etl/streaming-etl/chaos/plan"
)

// A span are records by number, each of which may be in Kinesis so many times more.
type span struct {
	from, to int64
	times    int
}

// mayRepeat tells how many times more than once a record may be in the stream that a job writes to. A restart does
// again what was done since the checkpoint that it goes back to: records that had not all come when that checkpoint
// began, up to those that were sent when the restart was seen, or when a TaskManager went on that had been halted and given
// up: its tasks read and write until it hears that it was. A broken connection leaves its writer not knowing what has
// arrived, and it writes again what was under way meanwhile: also what a restart of the same step of damage does again.
func mayRepeat(events []history.Event, job string) func(number int64) int {
	spans := repeats(events, job)
	return func(number int64) (n int) {
		for _, s := range spans {
			if number >= s.from && number < s.to {
				n += s.times
			}
		}
		return n
	}
}

func repeats(events []history.Event, job string) []span {
	w := way{job: job}
	for _, e := range events {
		if e.Kind == history.Progress {
			w.looks = append(w.looks, e)
		}
	}
	var spans []span
	damages := damagesIn(events)
	for i, e := range events {
		if e.Kind != history.Restart || e.Job != job {
			continue
		}
		until := e.Time
		if e.Restored.Submitted {
			until = submittedAfter(events[i:], job, until)
		}
		until = continuedAfter(damages, e.Time, until)
		spans = append(spans, span{w.frontAt(e.Restored.Since), w.sentAt(until), max(1, e.Restored.Times)})
	}
	again := restoredIn(events, job)
	for _, d := range damages {
		if !d.Doubles {
			continue
		}
		from := w.frontAt(d.from)
		if since, restarted := again[d.step]; restarted {
			from = min(from, w.frontAt(since))
		}
		spans = append(spans, span{from, w.sentAt(d.to), max(1, int(d.Cuts[job]))})
	}
	return spans
}

// A damage is one that was repaired.
type damage struct {
	*history.Damage
	step     int
	from, to time.Time
}

func damagesIn(events []history.Event) []damage {
	var damages []damage
	begun := make(map[int]time.Time)
	for _, e := range events {
		switch e.Kind {
		case history.Damaged:
			begun[e.Damage.ID] = e.Time
		case history.Repaired:
			damages = append(damages, damage{e.Damage, e.Step, begun[e.Damage.ID], e.Time})
		}
	}
	return damages
}

// continuedAfter returns when the last TaskManager that was halted when a restart was seen was among the cluster's again,
// if that is later than otherwise, which is not before the restart.
func continuedAfter(damages []damage, seen, otherwise time.Time) time.Time {
	for _, d := range damages {
		if plan.Kind(d.Kind) == plan.StopTaskManager && !seen.Before(d.from) && d.to.After(otherwise) {
			otherwise = d.to
		}
	}
	return otherwise
}

// restoredIn tells of each step with restarts of a job when the earliest checkpoint began that they went back to. A step
// is over when all that was sent before the end of its damage has come, what a restart does again included.
func restoredIn(events []history.Event, job string) map[int]time.Time {
	since := make(map[int]time.Time)
	step := 0
	for _, e := range events {
		switch {
		case e.Kind == history.Damaged:
			step = e.Step
		case e.Kind == history.Recovered:
			step = 0
		case e.Kind == history.Restart && e.Job == job && step > 0:
			if earlier, ok := since[step]; !ok || e.Restored.Since.Before(earlier) {
				since[step] = e.Restored.Since
			}
		}
	}
	return since
}

// submittedAfter returns when a job that was about to be submitted anew was: tasks of a lost JobManager go on meanwhile,
// until they miss it.
func submittedAfter(events []history.Event, job string, otherwise time.Time) time.Time {
	for _, e := range events {
		if e.Kind == history.Submitted && e.Job == job {
			return e.Time
		}
	}
	return otherwise
}

// A way is how far a job's writing to Kinesis has come, by time.
type way struct {
	job   string
	looks []history.Event
}

// frontAt returns a number below which all had come at a time.
func (w *way) frontAt(t time.Time) (front int64) {
	for _, e := range w.looks {
		if e.Time.After(t) {
			break
		}
		front = e.Reached[w.job+"/"+Kinesis].Front
	}
	return front
}

// sentAt returns a number that nothing sent by a time has reached.
func (w *way) sentAt(t time.Time) (sent int64) {
	for _, e := range w.looks {
		sent = e.Sent[w.job]
		if e.Time.After(t) {
			break
		}
	}
	return sent
}
