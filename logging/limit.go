package logging

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// window is the time for which lines of an event are counted.
const window = time.Minute

// maxEvents bounds the events that are counted apart; others are counted
// together, so that values which somebody else makes up cost no memory.
const maxEvents = 1000

// event is what is the same: a place in the source, and what makes two lines
// of it different things to know.
type event struct {
	pc       uintptr
	property string
	reason   string
	op       string
}

// limiter counts the lines of events. It is safe for concurrent use.
type limiter struct {
	burst int

	mu     sync.Mutex
	events map[event]*counted
}

// counted is an event in its window.
type counted struct {
	lines int
	// suppressed counts what was held back; last is the newest of it, and next its way on.
	suppressed int
	last       slog.Record
	next       slog.Handler
}

func newLimiter(burst int) *limiter { return &limiter{burst: burst, events: map[event]*counted{}} }

// limited passes on what the limiter lets through.
type limited struct {
	next    slog.Handler
	limiter *limiter
}

func (h limited) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h limited) Handle(ctx context.Context, r slog.Record) error {
	if !h.limiter.take(h.next, r) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

func (h limited) WithAttrs(attrs []slog.Attr) slog.Handler {
	return limited{h.next.WithAttrs(attrs), h.limiter}
}

func (h limited) WithGroup(name string) slog.Handler {
	return limited{h.next.WithGroup(name), h.limiter}
}

// take counts a line and reports whether it is to be written now.
func (l *limiter) take(next slog.Handler, r slog.Record) bool {
	e := eventOf(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.events[e]
	if c == nil && len(l.events) >= maxEvents {
		e = event{}
		c = l.events[e]
	}
	if c == nil {
		c = &counted{}
		l.events[e] = c
		time.AfterFunc(window, func() { l.end(e) })
	}
	if c.lines < l.burst {
		c.lines++
		return true
	}
	c.suppressed++
	c.last, c.next = r.Clone(), next
	return false
}

// end closes an event's window and writes the last of what it held back.
func (l *limiter) end(e event) {
	l.mu.Lock()
	c := l.events[e]
	delete(l.events, e)
	l.mu.Unlock()
	if c.suppressed == 0 {
		return
	}
	if others := c.suppressed - 1; others > 0 {
		c.last.Add(Suppressed, others)
	}
	// There is nobody to tell that a log cannot be written.
	_ = c.next.Handle(context.Background(), c.last)
}

func eventOf(r slog.Record) event {
	e := event{pc: r.PC}
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case Property:
			e.property = a.Value.String()
		case Reason:
			e.reason = a.Value.String()
		case Op:
			e.op = a.Value.String()
		}
		return true
	})
	return e
}
