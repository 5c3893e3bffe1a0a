package kinesisio

import (
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
)

// stopGrace is how long after the stop timestamp, by the service's clock, a
// shard's tip must be empty to be taken for the end: a record can be read a
// moment after it arrived, and the clock that answers is not the one that
// stamped it.
const stopGrace = time.Second

// Done says that all which the slot is to read up to the stop timestamp was
// delivered by Drain: each of its shards was read to its end, to a record that
// arrived after the timestamp, or to its tip when the service's clock was past
// it, and the shards were listed after it too. It stays true unless a later
// listing has such a shard as open, and is never true without a stop timestamp.
// It may be called at any time.
func (r *Reader) Done() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.opts.StopTimestamp.IsZero() || !r.listedAll || r.err != nil {
		return false
	}
	for _, s := range r.turns {
		if s.delivered.finished {
			if s.reopened.times > 0 {
				return false // it may be another stream's
			}
			continue
		}
		if len(s.queue) > 0 || !s.ended && !r.beyondStop(s) {
			return false
		}
	}
	return true
}

// pastStop reports whether an answer was given after the stop timestamp, by
// the service's clock: this machine's may be wrong, and what has not arrived
// there could still come.
func (o *Options) pastStop(answer middleware.Metadata) bool {
	if o.StopTimestamp.IsZero() {
		return false
	}
	// The time of the Date header, in whole seconds, rounded down.
	now, ok := awsmiddleware.GetServerTime(answer)
	if !ok {
		now = time.Now().Add(-clockSkew)
	}
	return now.Sub(o.StopTimestamp) >= stopGrace
}

// untilListing is how long to wait for the next listing: where there is a stop
// timestamp, one is wanted soon after it.
func (r *Reader) untilListing(all bool) time.Duration {
	if r.opts.StopTimestamp.IsZero() || all {
		return r.opts.DiscoveryInterval
	}
	// The service's clock has whole seconds, and may be behind this one.
	after := time.Until(r.opts.StopTimestamp) + stopGrace
	return min(r.opts.DiscoveryInterval, max(after, r.opts.PollInterval))
}
