package kinesisio

import (
	"context"
	"time"

	"github.com/streaming-etl/streaming-etl/io/internal/pause"
)

// What a shard gives in a second, to all its readers together.
const shardBytesOut = 2 << 20

const (
	// slower is what a refusal makes of the time between calls, faster what
	// each answer does until it is the least again: readers that share a
	// shard find their shares of its five calls a second.
	slower, faster = 1.5, 0.97
	// slowest is the most time between calls that refusals lead to.
	slowest = 3 * time.Second
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
	// limited says that the shard has refused a call: its bytes are counted too.
	limited bool
	// busy is when it last had records, idle the time between calls since.
	busy time.Time
	idle time.Duration
}

// newPacer returns a pacer of one of so many readers of this job that share the shard.
func newPacer(o *Options, readers int) pacer {
	share := *o
	if n := time.Duration(readers); n > 1 {
		share.CallInterval, share.PollInterval, share.IdlePollInterval = n*o.CallInterval, n*o.PollInterval, n*o.IdlePollInterval
	}
	return pacer{opts: &share, interval: share.CallInterval, busy: time.Now(), idle: share.PollInterval}
}

// wait waits until the next call may begin.
func (p *pacer) wait(ctx context.Context) error {
	err := pause.Sleep(ctx, time.Until(p.next))
	p.began = time.Now()
	p.next = p.began.Add(p.interval)
	return err
}

// throttled notes that the shard refused a call.
func (p *pacer) throttled() {
	p.limited = true
	p.interval = min(slowest, max(time.Duration(float64(p.interval)*slower), p.opts.CallInterval+time.Millisecond))
}

// answered notes what a call brought.
func (p *pacer) answered(records, bytes int, behind time.Duration) {
	p.interval = max(p.opts.CallInterval, time.Duration(float64(p.interval)*faster))
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
	if behind == 0 {
		p.atLeast(p.idle)
	}
}

// atLeast lets the next call begin no sooner than so long after the last.
func (p *pacer) atLeast(d time.Duration) {
	if at := p.began.Add(d); at.After(p.next) {
		p.next = at
	}
}
