package kinesisio

import (
	"context"
	"errors"
	"time"

	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/logging"
)

// tellRetry logs that a call is made again.
func (r *Reader) tellRetry(ctx context.Context, op, shard string, attempt int, wait time.Duration, err error) {
	args := []any{logging.Op, op, logging.Stream, r.opts.Stream}
	if shard != "" {
		args = append(args, logging.Shard, shard)
	}
	logging.Retry(ctx, "kinesis: a call is made again", attempt, wait, errors.New(Cause(err)), args...)
}

// classify sorts the errors of an operation's calls. Once one was answered the
// credentials are right, and may do this: if they are refused then, they may be
// being replaced.
func (r *Reader) classify(ctx context.Context, op string, err error) class {
	c := classify(ctx, err)
	if _, proven := r.proven.Load(op); c == permanent && proven && denied(err) {
		return transient
	}
	return c
}

// retry calls once until it succeeds. Faults that pass by themselves are
// waited out for up to RetryDeadline; any other error is returned at once, as
// an *Error.
func (r *Reader) retry(ctx context.Context, op, shard string, once func() error) error {
	return r.retryReady(ctx, op, shard, func() (time.Duration, error) { return 0, nil }, once)
}

// retryReady is retry where each call has to wait until ready returns. Of that
// what ready says was no fault's is left out of RetryDeadline.
func (r *Reader) retryReady(ctx context.Context, op, shard string, ready func() (time.Duration, error), once func() error) error {
	var first time.Time
	for attempt := 1; ; attempt++ {
		excused, err := ready()
		if err != nil {
			return err
		}
		if attempt > 1 {
			first = first.Add(excused)
		}
		r.counts.calls.Add(1)
		err = once()
		if err == nil {
			r.proven.Store(op, true)
			return nil
		}
		c := r.classify(ctx, op, err)
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
