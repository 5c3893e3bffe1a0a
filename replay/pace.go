package replay

import (
	"context"
	"math"
	"time"

	"golang.org/x/time/rate"

	"github.com/streaming-etl/streaming-etl/internal/pause"
)

// Clock is the time that the schedule goes by.
type Clock interface {
	Now() time.Time
	// Sleep waits for d, or returns why ctx has ended.
	Sleep(ctx context.Context, d time.Duration) error
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) Sleep(ctx context.Context, d time.Duration) error {
	return pause.Sleep(ctx, d)
}

// pace says when a record is due.
type pace struct {
	clock   Clock
	speedup float64
	limit   *rate.Limiter // nil: none

	started bool
	start   time.Time // when the first event was due
	first   int64     // its event time
}

// newLimiter allows bursts of 50 ms: a sleep is never exact, and what it takes
// too long must not lower the rate.
func newLimiter(perSecond float64) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(1, int(math.Min(perSecond/20, math.MaxInt32))))
}

// restart makes the next event the first of a new schedule.
func (p *pace) restart() { p.started = false }

// due returns when an event of time at is to be sent by its schedule; without
// a speed-up that is now.
func (p *pace) due(at int64) time.Time {
	if p.speedup == 0 {
		return p.clock.Now()
	}
	if !p.started {
		p.started, p.start, p.first = true, p.clock.Now(), at
		return p.start
	}
	after := (float64(at) - float64(p.first)) * float64(time.Microsecond) / p.speedup
	// A Duration holds 292 years; an event further on is not due in this life.
	const most = float64(math.MaxInt64 / 2)
	return p.start.Add(time.Duration(max(-most, min(most, after))))
}

// limited returns due, or when the rate allows the next record if that is
// later; each call takes one record of the rate.
func (p *pace) limited(due time.Time) time.Time {
	if p.limit == nil {
		return due
	}
	now := p.clock.Now()
	if due.Before(now) {
		due = now
	}
	// Reserved for the time when it is due: the allowance grows until then.
	r := p.limit.ReserveN(due, 1)
	return due.Add(r.DelayFrom(due))
}
