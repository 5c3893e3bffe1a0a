package kinesisio

import (
	"context"
	"time"
)

const (
	// maxResponseBytes is the most that one GetRecords returns.
	maxResponseBytes = 10 << 20
	// tipSlack is for what was on its way when a shard was read to its tip.
	tipSlack = time.Second
	// roomWait is how long a call that was reckoned to be small may wait for room before it is reckoned anew.
	roomWait = time.Second
)

// mayBring returns the most bytes that a call may bring after a time to come: what the shard can have taken since it was read
// to its tip. Where a server takes more, as emulators do, what is fetched ahead is more than the budget.
func (p *pacer) mayBring(later time.Duration) int64 {
	if p.tip.IsZero() {
		return maxResponseBytes
	}
	d := time.Since(p.tip) + tipSlack + later
	return int64(min(d.Seconds()*shardBytesIn, maxResponseBytes))
}

// makeRoom takes what a call may bring from the budget.
func (r *Reader) makeRoom(ctx context.Context, pace *pacer) (int64, error) {
	for {
		reserved := min(pace.mayBring(roomWait), r.opts.BufferBytes)
		if err := r.budget.Acquire(ctx, reserved); err != nil {
			return 0, err
		}
		if reserved >= min(pace.mayBring(0), r.opts.BufferBytes) {
			return reserved, nil
		}
		r.budget.Release(reserved) // it grew while there was no room
	}
}
