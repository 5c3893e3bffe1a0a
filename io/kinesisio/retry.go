package kinesisio

import (
	"context"
	"math/rand/v2"
	"time"
)

// retry calls once until it succeeds. Faults that pass by themselves are
// waited out for up to RetryDeadline; any other error is returned at once, as
// an *Error.
func (r *Reader) retry(ctx context.Context, op, shard string, once func() error) error {
	var first time.Time
	for attempt := 1; ; attempt++ {
		r.counts.calls.Add(1)
		err := once()
		if err == nil {
			return nil
		}
		c := classify(ctx, err)
		if first.IsZero() {
			first = time.Now()
		}
		switch {
		case c == canceled:
			return ctx.Err()
		case c == throttled:
			r.counts.throttles.Add(1)
		case c != transient:
			return r.opts.errorOf(r.client, op, shard, attempt, err)
		}
		wait := backoff(attempt, r.opts.RetryBackoff, r.opts.RetryBackoffMax)
		if time.Since(first)+wait > r.opts.RetryDeadline {
			return r.opts.errorOf(r.client, op, shard, attempt, err)
		}
		r.counts.retries.Add(1)
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// backoff returns how long to wait after the given failed attempt (1 for the
// first): a random part of a bound that doubles from least to most. With the
// whole of the wait left to chance, callers that failed together spread best.
func backoff(attempt int, least, most time.Duration) time.Duration {
	bound := most
	if attempt < 32 {
		bound = min(most, least<<(attempt-1))
	}
	return rand.N(max(bound, 0) + 1)
}

// sleep waits for d or for the end of ctx, whose error it then returns.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
