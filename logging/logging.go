// Package logging makes the job's log: structured records of log/slog, one line
// for each event that matters, as text or as JSON.
//
// A record passes through here so: context.go adds what the context says of
// where it happened (stage, slot), redact.go takes out what looks like a
// credential, limit.go holds back an event that repeats itself, and the sink
// writes what is left: standard error, or Beam's log on a cluster.
package logging

import (
	"context"
	"fmt"
	"io"
	"log/slog"
)

// Keys of attributes that have one meaning wherever they are used.
const (
	// Job is the job's name, Stage one of its steps, Slot a reader's number.
	Job, Stage, Slot = "job", "stage", "slot"
	// Stream and Shard, or Topic and Partition, are where a record lies.
	Stream, Shard, Topic, Partition = "stream", "shard", "topic", "partition"
	// Lane is a Kafka sink's, by number.
	Lane = "lane"
	// Property is the property that names what the event is about.
	Property = "property"
	// Op is the call that was made, Attempt how often, Wait how long until the next.
	Op, Attempt, Wait = "op", "attempt", "wait"
	// Error is why, Reason the same in one word, Next what to do about it.
	Error, Reason, Next = "error", "reason", "next"
	// Suppressed counts lines that were left out; see Options.Burst.
	Suppressed = "suppressed"
)

// Formats of a line.
const (
	// Text is the message and then key=value, quoted where needed. It is the default.
	Text = "text"
	// JSON is one object.
	JSON = "json"
)

// Options say what is logged and how. The zero value is text, from Info on,
// limited by the defaults.
type Options struct {
	// Format is Text or JSON; empty is Text.
	Format string
	// Level is the least that is logged, by default Info.
	Level slog.Level
	// Burst is how many lines of one event are written in a minute, by default
	// DefaultBurst. An event is what one place in the source logs, for each
	// property, reason and operation. What is more is counted, and the last of
	// it is written at the minute's end with the count. Less than 0 is no limit.
	Burst int
}

// DefaultBurst is the default of Options.Burst.
const DefaultBurst = 10

// Levels lists the names that ParseLevel knows.
func Levels() []string { return []string{"debug", "info", "warn", "error"} }

// ParseLevel reads the name of a level.
func ParseLevel(name string) (slog.Level, error) {
	switch name {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("%q is no level of a log: %v", name, Levels())
}

// New returns a handler that adds, redacts and limits, and hands what is left
// to sink. It is safe for concurrent use if sink is.
func New(sink slog.Handler, o Options) slog.Handler {
	if o.Burst == 0 {
		o.Burst = DefaultBurst
	}
	if o.Burst > 0 {
		sink = limited{next: sink, limiter: newLimiter(o.Burst)}
	}
	return handler{next: sink, level: o.Level}
}

// NewWriter is New with lines that are written to w, each with its time.
func NewWriter(w io.Writer, o Options) slog.Handler {
	all := &slog.HandlerOptions{Level: slog.LevelDebug} // New chooses
	if o.Format == JSON {
		return New(slog.NewJSONHandler(w, all), o)
	}
	return New(slog.NewTextHandler(w, all), o)
}

// handler is the first that sees a record.
type handler struct {
	next  slog.Handler
	level slog.Level
}

func (h handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, redact(r.Message), r.PC)
	out.AddAttrs(attributes(ctx)...)
	r.Attrs(func(a slog.Attr) bool { out.AddAttrs(redactAttr(a)); return true })
	return h.next.Handle(ctx, out)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = redactAttr(a)
	}
	return handler{h.next.WithAttrs(clean), h.level}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.next.WithGroup(name), h.level} }
