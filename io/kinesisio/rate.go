package kinesisio

import "time"

// What a shard takes in a second, by the service's documentation.
const (
	shardRecords = 1000
	shardBytes   = 1 << 20
)

const (
	// quantum is how much time's worth of records one call takes for a shard
	// that is at its limit.
	quantum = 200 * time.Millisecond
	// catchUp is how much of the time that was lost is made good.
	catchUp = 200 * time.Millisecond
	// leastShare is the least part of the limits that a shard is given.
	leastShare = 0.02
	// cut is what a refusal leaves of the share, regain what a second without
	// one adds to it.
	cut    = 0.95
	regain = 0.05
)

// rate is how fast a shard is written. It is without bound until the shard
// refuses something, since emulators have none and what a shard has saved up
// is to be used; then the share of the documented limits that the shard leaves
// to this producer is found: each refusal makes it a little smaller, at most
// once in a quantum, each quantum without one a little larger. A shard that
// refuses everything is asked less and less often.
type rate struct {
	limited bool
	// share is the part of the limits, 0 to 1.
	share float64
	// next is when the shard may be written again.
	next time.Time
	// changed is when the share was.
	changed time.Time
	// refusals counts calls in a row of which the shard took nothing.
	refusals int
}

// allows says whether the shard may be written now.
func (r *rate) allows(now time.Time) bool { return !now.Before(r.next) }

// room is how many records and bytes a call may have for the shard.
func (r *rate) room() (records, bytes int) {
	if !r.limited {
		return maxPutRecords, maxPutBytes
	}
	part := quantum.Seconds() * r.share
	return max(1, int(shardRecords*part)), max(1, int(shardBytes*part))
}

// spend notes what a call has for the shard.
func (r *rate) spend(now time.Time, records, bytes int) {
	if !r.limited {
		return
	}
	cost := max(float64(records)/shardRecords, float64(bytes)/shardBytes) / r.share
	if least := now.Add(-catchUp); r.next.Before(least) {
		r.next = least
	}
	r.next = r.next.Add(time.Duration(cost * float64(time.Second)))
}

// told takes in what a call brought for the shard: how many records it took
// and how many were beyond its limits. wait bounds the pause after a call of
// which it took nothing.
func (r *rate) told(now time.Time, taken, refused int, wait func(refusals int) time.Duration) {
	if refused == 0 {
		r.refusals = 0
		if r.limited && r.share < 1 {
			if d := now.Sub(r.changed); d > 0 {
				r.share = min(1, r.share+regain*d.Seconds())
				r.changed = now
			}
		}
		return
	}
	if !r.limited {
		r.limited, r.share, r.changed, r.next = true, 1, now, now
	} else if now.Sub(r.changed) >= quantum {
		r.share, r.changed = max(leastShare, r.share*cut), now
	}
	pause := time.Duration(float64(refused) / (shardRecords * r.share) * float64(time.Second))
	if r.refusals++; taken > 0 {
		r.refusals = 0
	} else {
		pause = wait(r.refusals)
	}
	if at := now.Add(min(pause, maxPause)); r.next.Before(at) {
		r.next = at
	}
}

// maxPause bounds the pause for a shard that takes some.
const maxPause = 5 * time.Second
