package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/streaming-etl/streaming-etl/pipeline"
)

// shownShards is how many shards a screen names, those furthest behind.
const shownShards = 3

// shownFailures is how many causes of restarts a screen tells.
const shownFailures = 3

// text is the view as a screen.
func (v *statusView) text() string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		text := strings.ReplaceAll(strings.TrimSpace(fmt.Sprintf(format, args...)), "\n", "\n"+strings.Repeat(" ", labelWidth))
		fmt.Fprintf(&b, "%-*s%s\n", labelWidth, label, text)
	}
	line("job", "%s %s on %s, %s", v.Job.Name, v.Job.ID, v.Cluster, v.Time.Format(time.DateTime))
	line("health", "%s: %s", v.Health.State, v.Health.Text)
	v.lagText(line)
	if !v.silent {
		v.countersText(line)
	}
	v.checkpointText(line)
	v.restartText(line)
	for _, u := range v.Unknown {
		line("not known", "%s", u)
	}
	return b.String()
}

const labelWidth = 14

func (v *statusView) countersText(line func(label, format string, args ...any)) {
	line("read", "%s records%s", pipeline.Number(v.Read.Records), v.Read.rate())
	if v.Doubles > 0 {
		line("", "%s duplicates dropped", pipeline.Number(v.Doubles))
	}
	if v.Missing.text != "" {
		line("missing", "%s", v.Missing.text)
	}
	for _, s := range v.Sinks {
		line("delivered", "%s records to %s%s", pipeline.Number(s.Records), s.Name, s.rate())
	}
	if len(v.Sinks) == 0 {
		line("delivered", "nothing yet")
	}
	line("files", "%s", pipeline.Number(v.Files))
	v.deadText(line)
	if !v.CountersSince.IsZero() {
		line("", "(counted since the tasks were started, %s ago)", ago(v.Time.Sub(v.CountersSince)))
	}
}

func (v *statusView) lagText(line func(label, format string, args ...any)) {
	if v.Lag == nil {
		line("lag", "not reported yet")
		return
	}
	line("lag", "%s behind the newest record", v.Lag.amount(v.Lag.Max))
	for _, s := range v.Lag.Shards[:min(shownShards, len(v.Lag.Shards))] {
		if s.Lag > 0 {
			line("", "%s: %s", s.Name, v.Lag.amount(s.Lag))
		}
	}
}

// amount is a lag with its unit.
func (l *lagView) amount(n int64) string {
	if l.Unit == "milliseconds" {
		return ago(time.Duration(n) * time.Millisecond)
	}
	return pipeline.Number(n) + " records"
}

func (v *statusView) deadText(line func(label, format string, args ...any)) {
	line("dead letters", "%s written%s", pipeline.Number(v.DeadLetters.Written), reasonsText(v.DeadLetters.ByReason))
	for i := range v.DeadLetters.Samples {
		s := &v.DeadLetters.Samples[i]
		line("", "%s: %s", s.Reason, s.text())
	}
}

// shownPayload is how much of a sample's event a screen shows, in characters.
const shownPayload = 100

// text is the sample in one line; its id is what deadletters show takes.
func (s *sampleView) text() string {
	var b strings.Builder
	b.WriteString(s.ID)
	if s.Output != "" {
		b.WriteString(", refused by " + s.Output)
	}
	if s.Field != "" {
		b.WriteString(", " + s.Field)
	}
	event := oneLine(s.Payload)
	if s.PayloadBase64 != nil {
		event = oneLine(strconv.QuoteToASCII(string(s.PayloadBase64)))
	}
	if r := []rune(event); len(r) > shownPayload {
		event = string(r[:shownPayload-1]) + "…"
	} else if s.Cut {
		event += "…"
	}
	fmt.Fprintf(&b, ": %s: %s", oneLine(s.Detail), event)
	return b.String()
}

func reasonsText(by map[string]int64) string {
	reasons := slices.Sorted(maps.Keys(by))
	slices.SortStableFunc(reasons, func(a, b string) int { return int(by[b] - by[a]) })
	for i, r := range reasons {
		reasons[i] = r + " " + pipeline.Number(by[r])
	}
	if len(reasons) == 0 {
		return ""
	}
	return "; found: " + strings.Join(reasons, ", ")
}

func (v *statusView) checkpointText(line func(label, format string, args ...any)) {
	c := v.Checkpoints
	if last := c.Last; last != nil {
		line("checkpoint", "%d, %s ago, took %s, %s", last.ID, ago(time.Duration(last.AgeMs)*time.Millisecond),
			ago(time.Duration(last.DurationMs)*time.Millisecond), pipeline.Bytes(last.Bytes))
	} else {
		line("checkpoint", "none yet")
	}
	if c.Failed > 0 {
		text := fmt.Sprintf("%d completed, %d failed", c.Completed, c.Failed)
		if c.LastFailure != "" {
			text += ", the last: " + c.LastFailure
		}
		line("", "%s", text)
	}
}

func (v *statusView) restartText(line func(label, format string, args ...any)) {
	line("restarts", "%d", v.Restarts.Count)
	for _, f := range v.Restarts.Failures[:min(shownFailures, len(v.Restarts.Failures))] {
		where := ""
		if f.Task != "" {
			where = " (in " + f.Task + ")"
		}
		line("", "%s, %s ago: %s%s", f.Time.Format(time.TimeOnly), ago(v.Time.Sub(f.Time)), f.Words, where)
	}
}

func (c counted) rate() string {
	if c.PerSecond != nil {
		return fmt.Sprintf(", %s/s", pipeline.Number(int64(math.Round(*c.PerSecond))))
	}
	if c.Mean > 0 {
		return fmt.Sprintf(", %s/s on average", pipeline.Number(int64(math.Round(c.Mean))))
	}
	return ""
}

// ago writes a time's length as people say it.
func ago(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}

// onScreen has each line clear what was there before.
func onScreen(text string) string {
	return strings.ReplaceAll(text, "\n", clearRight+"\n") + clearBelow
}
