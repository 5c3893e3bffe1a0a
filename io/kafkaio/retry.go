package kafkaio

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
	"github.com/streaming-etl/streaming-etl/logging"
)

// failing counts failures in a row, of a partition or of the cluster.
type failing struct {
	since    time.Time
	attempts int
}

// failed counts one failure. It returns how long to wait before the next
// attempt; over says that the deadline does not leave time for it.
func (f *failing) failed(o *Options, now time.Time) (wait time.Duration, over bool) {
	if f.attempts == 0 {
		f.since = now
	}
	f.attempts++
	wait = backoff(f.attempts, o.RetryBackoff, o.RetryBackoffMax)
	return wait, now.Add(wait).Sub(f.since) > o.RetryDeadline
}

// succeeded ends the failures.
func (f *failing) succeeded() { *f = failing{} }

// passing reports whether an error may be gone at the next attempt. A login
// that is refused after others were taken may be one too: a password or token
// that is being replaced, a broker that is starting.
func (r *Reader) passing(err error) bool {
	return passing(err) || security.Refused(err) && r.client.answered.Load()
}

// backoff returns how long to wait after the given failed attempt (1 for the
// first): half of a bound that doubles from least to most, and a random part of
// the other half. Callers that failed together spread, and none comes at once.
func backoff(attempt int, least, most time.Duration) time.Duration {
	bound := most
	if attempt < 32 {
		bound = max(0, min(most, least<<(attempt-1)))
	}
	return bound/2 + rand.N(bound/2+1)
}

// retry calls once until it succeeds. Faults that pass by themselves are
// waited out for up to the retry deadline; any other error is returned at once.
func (r *Reader) retry(ctx context.Context, once func() error) error {
	var f failing
	for {
		err := once()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		wait, over := f.failed(&r.opts, time.Now())
		if over || !r.passing(err) {
			return err
		}
		r.counts.retries.Add(1)
		logging.Retry(ctx, "kafka: a request is made again", f.attempts, wait, err)
		if err := pause.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}
