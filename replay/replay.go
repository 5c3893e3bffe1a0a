// Package replay sends historic events into a stream as if they happened now,
// faster by a factor: the events' own times, divided by the speed-up, are the
// schedule.
//
// Events pass through it in this order: a source lists and opens files
// (source.go, s3.go); each file is decompressed and cut into lines (lines.go);
// a line's time and partition key are read from it (scan.go); the files are
// merged by event time in a bounded buffer (merge.go) by a goroutine that reads
// ahead (ahead.go); Run sends every event when it is due (pace.go) and tells
// how far it is (statistics.go) and what the stream refused (refused.go). Where the events go is a Sender; kinesis.go
// makes one of a Kinesis stream, main.go is the command.
package replay

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrNoEvents is returned by Run when the source has no event to send: no
// file, or no line with a time, or none at or after Options.Seek.
var ErrNoEvents = errors.New("no events to replay")

// Sender takes events in the order in which they are due. Its methods are
// called from one goroutine.
type Sender interface {
	// Send takes one event; it may keep data, which is never changed, and may
	// return before the event is delivered, which is not to wait for the next.
	// It blocks while the stream takes no more. An error ends the replay. ref
	// is what Refused calls the event.
	Send(ctx context.Context, partitionKey string, data []byte, ref int) error
	// Refused returns the events that are too large for the stream, as far as
	// that is known: after Flush, all. It returns each once.
	Refused() []Refusal
	// Flush returns when every event taken so far is delivered.
	Flush(ctx context.Context) error
	// Stats tells what the delivery has cost so far.
	Stats() SenderStats
}

// Refusal is an event that was given to a Sender and that the stream does not take.
type Refusal struct {
	// Ref is what Send was told.
	Ref int
	// Err says why.
	Err error
}

// SenderStats counts a Sender's work.
type SenderStats struct {
	// Requests is the number of calls to the stream, repeated ones included.
	Requests int64
	// Retries is the number of records (events, or aggregates of them) that
	// were sent once more because the stream had refused them.
	Retries int64
}

// lastFlush bounds how long a stopped replay delivers what it has sent.
// A single shard takes half a minute for the 32 MiB that a sender holds.
const lastFlush = 2 * time.Minute

// Run replays the source into to and returns when all events are delivered.
//
// When ctx ends it stops, delivers what was sent (for at most 2 min) and
// returns what it did with Statistics.Stopped set and no error: to be stopped
// is the usual end of a replay. Other errors are of the options, of a file
// that cannot be read (it names file and line), of the Sender, or ErrNoEvents.
func Run(ctx context.Context, o Options, to Sender) (Statistics, error) {
	if err := o.Validate(); err != nil {
		return Statistics{}, err
	}
	o = o.withDefaults()
	src, err := openSource(ctx, o)
	if err != nil {
		return Statistics{}, err
	}
	r := &replay{o: o, to: to, pace: pace{clock: o.Clock, speedup: o.Speedup, limit: newLimiter(o.RateLimit)}}
	r.begin(o.Clock.Now())

	ahead := startReader(ctx, src, o)
	err = r.sendAll(ctx, ahead)
	ahead.close()

	if ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err())) {
		r.stats.Stopped, err = true, nil
	}
	// What was sent is delivered whatever ended the replay: a source that
	// breaks in the middle must not take the events before it along.
	if flushErr := r.deliver(ctx); flushErr != nil && err == nil {
		err = fmt.Errorf("deliver the last events: %w", flushErr)
	}
	r.tellRefused()
	return r.end(o.Clock.Now()), err
}

// deliver waits for the delivery of what was sent: as long as it takes, and
// for lastFlush from when the replay is stopped.
func (r *replay) deliver(ctx context.Context) error {
	if ctx.Err() == nil {
		if err := r.to.Flush(ctx); ctx.Err() == nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
	defer cancel()
	return r.to.Flush(ctx)
}

// replay is one call of Run.
type replay struct {
	o     Options
	to    Sender
	pace  pace
	stats Statistics
	// places are those of the events that were sent.
	places places
	// reported is when the last statistics were told, recordsThen how many
	// records had been sent by then.
	reported    time.Time
	recordsThen int64
}

// sendAll sends what the reader has until it ends.
func (r *replay) sendAll(ctx context.Context, from *reader) error {
	for pass := 0; ; {
		b, ok, err := from.next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			return nil
		}
		r.account(b)
		for i := range b.records {
			rec := &b.records[i]
			if pass != b.pass {
				// A repetition begins where the one before ended.
				pass = b.pass
				r.pace.restart()
				r.places.begin(b.files)
			}
			if err := r.send(ctx, rec); err != nil {
				return err
			}
		}
	}
}

// send waits until a record is due and gives it to the sender.
func (r *replay) send(ctx context.Context, rec *record) error {
	due := r.pace.due(rec.at)
	if err := r.waitUntil(ctx, due); err != nil {
		return err
	}
	if err := r.to.Send(ctx, string(rec.key), rec.data, r.places.ref(rec)); err != nil {
		return fmt.Errorf("send an event of %s: %w", rec.time().Format(time.RFC3339Nano), err)
	}
	r.sent(rec, max(0, r.pace.clock.Now().Sub(due)))
	return nil
}

// waitUntil sleeps until due, telling statistics meanwhile.
func (r *replay) waitUntil(ctx context.Context, due time.Time) error {
	due = r.pace.limited(due)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		now := r.pace.clock.Now()
		r.reportIfDue(now)
		wait := due.Sub(now)
		if wait <= 0 {
			return nil
		}
		if err := r.pace.clock.Sleep(ctx, min(wait, r.untilReport(now))); err != nil {
			return err
		}
	}
}
