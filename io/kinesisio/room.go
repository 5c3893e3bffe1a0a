package kinesisio

import (
	"context"
	"time"
)

const (
	// maxResponseBytes is the most that one GetRecords returns.
	maxResponseBytes = 10 << 20
	// shardBytesIn is what a shard takes in a second.
	shardBytesIn = 1 << 20
	// tipSlack is for what was on its way when a shard was read to its tip.
	tipSlack = time.Second
)

// A tip is the time at which a shard was read to its end, zero while it is behind.
type tip struct{ at time.Time }

// answered notes how far behind the tip the answer to a call was that began at a time.
func (t *tip) answered(began time.Time, behind time.Duration) {
	t.at = time.Time{}
	if behind == 0 {
		t.at = began
	}
}

// since returns the most bytes that a call may bring after a time to come: what the shard can have taken since it was read
// to its tip. Where a server takes more, as emulators do, what is fetched ahead is more than the budget.
func (t tip) since(later time.Duration) int64 {
	if t.at.IsZero() {
		return maxResponseBytes
	}
	d := time.Since(t.at) + tipSlack + later
	return int64(min(d.Seconds()*shardBytesIn, maxResponseBytes))
}

// roomWait is how long a call that was reckoned to be small may wait for room before it is reckoned anew.
const roomWait = time.Second

// makeRoom takes what a call may bring from the budget.
func (r *Reader) makeRoom(ctx context.Context, tip tip) (int64, error) {
	for {
		reserved := min(tip.since(roomWait), r.opts.BufferBytes)
		if err := r.budget.Acquire(ctx, reserved); err != nil {
			return 0, err
		}
		if reserved >= min(tip.since(0), r.opts.BufferBytes) {
			return reserved, nil
		}
		r.budget.Release(reserved) // it grew while there was no room
	}
}
