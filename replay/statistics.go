package replay

import (
	"fmt"
	"strings"
	"time"
)

// Statistics count what a replay has done so far.
type Statistics struct {
	// Records were given to the sender, with Bytes of payload; when Run
	// returns without error they are delivered, but for the Refused of them:
	// these are larger than the stream takes.
	Records, Bytes, Refused int64
	// Before counts records left out because they are older than Options.Seek,
	// Broken lines that are not a JSON object or have no time.
	Before, Broken int64
	// Late counts records sent out of order because they came later in the
	// data than the buffer can sort.
	Late int64
	// Pass is the repetition, from 1.
	Pass int
	// Rate is records a second: since the last report, of all in the end.
	Rate float64
	// First is the lowest and EventTime the highest time of a record sent.
	First, EventTime time.Time
	// Lag is how much later than its schedule the last record was sent.
	Lag time.Duration
	// Elapsed is the time since Run was called.
	Elapsed time.Duration
	// Sender is what delivery has cost.
	Sender SenderStats
	// Stopped says that the replay ended because its context did.
	Stopped bool

	started time.Time
}

// String is the line of a report.
func (s Statistics) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d records (%.0f/s), event time %s, lag %s, %d retries",
		s.Records, s.Rate, formatTime(s.EventTime), s.Lag.Round(100*time.Millisecond), s.Sender.Retries)
	s.appendOddities(&b)
	return b.String()
}

// Summary is the line of the end.
func (s Statistics) Summary() string {
	var b strings.Builder
	verb := "replayed"
	if s.Stopped {
		verb = "stopped after"
	}
	fmt.Fprintf(&b, "%s %d records (%.1f MiB) in %s (%.0f/s), event time %s to %s, %d requests, %d retries",
		verb, s.Records, float64(s.Bytes)/(1<<20), s.Elapsed.Round(100*time.Millisecond), s.Rate,
		formatTime(s.First), formatTime(s.EventTime), s.Sender.Requests, s.Sender.Retries)
	s.appendOddities(&b)
	return b.String()
}

// appendOddities names the counts that are usually zero where they are not.
func (s Statistics) appendOddities(b *strings.Builder) {
	for _, odd := range []struct {
		n    int64
		what string
	}{
		{s.Before, "before the start"},
		{s.Broken, "lines skipped"},
		{s.Refused, "refused as too large"},
		{s.Late, "late"},
	} {
		if odd.n > 0 {
			fmt.Fprintf(b, ", %d %s", odd.n, odd.what)
		}
	}
	if s.Pass > 1 {
		fmt.Fprintf(b, ", pass %d", s.Pass)
	}
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

func (r *replay) begin(now time.Time) {
	r.stats.started, r.reported = now, now
}

// account adds what the reader left out.
func (r *replay) account(b readBatch) {
	r.stats.Pass = b.pass
	r.stats.Broken += b.broken
	r.stats.Before += b.before
	if r.o.OnSkip != nil {
		for _, skip := range b.skips {
			r.o.OnSkip(skip)
		}
	}
}

// sent counts a record.
func (r *replay) sent(rec *record, lag time.Duration) {
	s := &r.stats
	s.Records++
	s.Bytes += int64(len(rec.data))
	s.Lag = lag
	if rec.late {
		s.Late++
	}
	t := rec.time()
	if s.Records == 1 || t.Before(s.First) {
		s.First = t
	}
	if s.Records == 1 || t.After(s.EventTime) {
		s.EventTime = t
	}
}

func (r *replay) untilReport(now time.Time) time.Duration {
	return r.reported.Add(r.o.StatisticsInterval).Sub(now)
}

// reportIfDue tells the statistics once an interval.
func (r *replay) reportIfDue(now time.Time) {
	if r.untilReport(now) > 0 {
		return
	}
	r.tellRefused()
	s := &r.stats
	s.Rate = float64(s.Records-r.recordsThen) / now.Sub(r.reported).Seconds()
	s.Elapsed = now.Sub(s.started)
	s.Sender = r.to.Stats()
	r.reported, r.recordsThen = now, s.Records
	if r.o.OnStatistics != nil {
		r.o.OnStatistics(*s)
	}
}

// end returns the final statistics.
func (r *replay) end(now time.Time) Statistics {
	s := r.stats
	s.Elapsed = now.Sub(s.started)
	s.Rate = 0
	if s.Elapsed > 0 {
		s.Rate = float64(s.Records) / s.Elapsed.Seconds()
	}
	s.Sender = r.to.Stats()
	return s
}
