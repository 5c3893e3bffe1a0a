package kinesisio

import (
	"context"
	"time"

	"github.com/streaming-etl/streaming-etl/internal/pause"
)

const (
	// shardBytesIn is what a shard takes in a second.
	shardBytesIn = 1 << 20
	// shardBytesOut is what it gives in a second, to all its readers together.
	shardBytesOut = 2 << 20
)

// Readers that share a shard, which know nothing of each other, come to equal
// shares of its five calls a second as connections do that share a line: each
// halves its rate when it is refused, and adds the same to it for each second
// that it is not. If both steps were factors, whatever shares they began with
// would stay.
const (
	// slower is what a refusal makes of the time between calls.
	slower = 2
	// recovery is how long it takes from nothing to the full rate, in
	// CallIntervals: a minute.
	recovery = 300
	// slowest is the most time between calls that refusals lead to, in
	// CallIntervals: 3 s.
	slowest = 15
	// idleAfter is how long a shard brings nothing before it is asked less often.
	idleAfter = 10 * time.Second
)

// pacer spaces the GetRecords of one shard: as often as is allowed when it is
// behind, every PollInterval at the tip, and up to IdlePollInterval where
// nothing comes. What the shard refused it learns from.
type pacer struct {
	opts *Options
	// began is when the last call did, next when the next may.
	began, next time.Time
	// interval is the least time between calls at present.
	interval time.Duration
	// gain is by how many calls a second the rate grows in a second without a
	// refusal, the most interval can be.
	gain float64
	most time.Duration
	// limited says that the shard has refused a call: its bytes are counted too.
	limited bool
	// busy is when it last had records, idle the time between calls since.
	busy time.Time
	idle time.Duration
	// tip is when the shard was last read to its end, zero while it is behind.
	tip time.Time
}

// newPacer returns a pacer of one of so many readers of this job that share the shard.
func newPacer(o *Options, readers int) pacer {
	share := *o
	if n := time.Duration(readers); n > 1 {
		share.CallInterval, share.PollInterval, share.IdlePollInterval = n*o.CallInterval, n*o.PollInterval, n*o.IdlePollInterval
	}
	full := o.CallInterval.Seconds()
	return pacer{
		opts: &share, interval: share.CallInterval, busy: time.Now(), idle: share.PollInterval,
		// Readers of this job are one to those of others.
		gain: 1 / full / (recovery * full) / float64(max(readers, 1)),
		most: slowest * share.CallInterval,
	}
}

// wait waits until the next call may begin.
func (p *pacer) wait(ctx context.Context) error { return pause.Sleep(ctx, time.Until(p.next)) }

// begin notes that a call begins now, be it made again or not.
func (p *pacer) begin() {
	p.began = time.Now()
	p.next = p.began.Add(p.interval)
}

// throttled notes that the shard refused the call.
func (p *pacer) throttled() {
	p.limited = true
	p.interval = min(p.most, slower*p.interval)
	p.atLeast(p.interval)
}

// answered notes what a call brought.
func (p *pacer) answered(records, bytes int, behind time.Duration) {
	if p.interval > p.opts.CallInterval {
		// For the time that this call stands for.
		each := p.interval.Seconds()
		p.interval = max(p.opts.CallInterval, time.Duration(float64(time.Second)/(1/each+p.gain*each)))
	}
	if p.limited {
		// After 10 MB it refuses everything for five seconds.
		p.atLeast(time.Duration(bytes) * time.Second / shardBytesOut)
	}
	now := time.Now()
	switch {
	case records > 0:
		p.busy, p.idle = now, p.opts.PollInterval
	case now.Sub(p.busy) > idleAfter:
		p.idle = min(p.idle*2, max(p.opts.IdlePollInterval, p.opts.PollInterval))
	}
	p.tip = time.Time{}
	if behind == 0 {
		p.tip = p.began
		p.atLeast(p.idle)
	}
}

// atLeast lets the next call begin no sooner than so long after the last.
func (p *pacer) atLeast(d time.Duration) {
	if at := p.began.Add(d); at.After(p.next) {
		p.next = at
	}
}
