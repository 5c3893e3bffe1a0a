package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/streaming-etl/streaming-etl/logging"
)

// lostError tells what is gone, and what the user may do.
func (r *Reader) lostError(p *partition, why error) error {
	return &Error{
		Op: fmt.Sprintf("read records from offset %d", p.at.next), Topic: p.key.topic, Partition: p.key.number,
		Err: fmt.Errorf("%w; to go on without them set the offset reset to %s (the oldest that there is) or %s (what comes next)", why, ResetEarliest, ResetLatest),
	}
}

// reset begins a partition anew as the policy says, for why, or returns the
// error that ends the job.
func (r *Reader) reset(ctx context.Context, p *partition, at place, why error) error {
	if r.opts.OffsetReset == ResetFail {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.lostError(p, why)
	}
	initial := Earliest
	if r.opts.OffsetReset == ResetLatest {
		initial = Latest
	}
	found, err := r.client.begin(ctx, &r.opts, []place{at}, initial, 0)
	if err != nil {
		return err
	}
	begin := found[at.key]
	r.mu.Lock()
	defer r.mu.Unlock()
	if begin.id == p.at.id {
		begin.stop = p.at.stop // the end that was seen first stays
	}
	slog.WarnContext(ctx, "kafka: a partition is begun anew", logging.Topic, p.key.topic, logging.Partition, p.key.number,
		"from", p.at.next, "to", begin.next, logging.Error, why,
		logging.Next, "what is missing, or comes twice, is what lies between the offsets; raise the topic's retention, or set the offset reset to "+string(ResetFail)+" to have the job stop instead")
	r.counts.resets.Add(1)
	p.era++
	p.at = begin
	p.queue = append(p.queue, chunk{after: begin})
	p.leader, p.epoch, p.unverified = at.leader, at.epoch, false
	return nil
}

// outOfRange handles a partition whose next offset the broker does not have.
func (r *Reader) outOfRange(ctx context.Context, p *partition, at place) error {
	first, err := r.client.listOffsets(ctx, &r.opts, []place{at}, timeEarliest)
	if err != nil {
		return err
	}
	// The very end, whatever of it is committed.
	all := r.opts
	all.ReadUncommitted = true
	end, err := r.client.listOffsets(ctx, &all, []place{at}, timeLatest)
	if err != nil {
		return err
	}
	r.mu.Lock()
	next := p.at.next
	r.mu.Unlock()
	low, high := first[at.key], end[at.key]
	switch {
	case next < low:
		err = fmt.Errorf("%w: the oldest record has offset %d, those before it have expired or were deleted", ErrLost, low)
	case next > high:
		err = fmt.Errorf("%w: the partition ends at offset %d, what was behind it was cut off by an unclean change of leaders", ErrLost, high)
	default:
		// A leader that did not yet know how far it had got.
		return errNotYet
	}
	return r.reset(ctx, p, at, err)
}

// errNotYet is a broker that is behind its own news: it passes.
var errNotYet = errors.New("the leader does not know the offset yet")
