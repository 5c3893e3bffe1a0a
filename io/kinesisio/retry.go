package kinesisio

import (
	"context"
	"errors"
	"time"

	"github.com/streaming-etl/streaming-etl/io/internal/pause"
	"github.com/streaming-etl/streaming-etl/logging"
)

// tellRetry logs that a call is made again.
func (r *Reader) tellRetry(ctx context.Context, op, shard string, attempt int, wait time.Duration, err error) {
	args := []any{logging.Op, op, logging.Stream, r.opts.Stream}
	if shard != "" {
		args = append(args, logging.Shard, shard)
	}
	logging.Retry(ctx, "kinesis: a call is made again", attempt, wait, errors.New(cause(err)), args...)
}

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
		wait := pause.Backoff(attempt, r.opts.RetryBackoff, r.opts.RetryBackoffMax)
		if time.Since(first)+wait > r.opts.RetryDeadline {
			return r.opts.errorOf(r.client, op, shard, attempt, err)
		}
		r.counts.retries.Add(1)
		r.tellRetry(ctx, op, shard, attempt, wait, err)
		if err := pause.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}
