package kinesisio

import (
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/logging"
)

// maxContradictions bounds how often in a row the list of shards may be the
// same though records went elsewhere: it may be a little behind, not for ever.
const maxContradictions = 20

// list asks for the stream's shards, with retries, and sorts what waits anew.
func (p *Producer) list() error {
	var first time.Time
	for attempt := 1; ; attempt++ {
		p.counts.listings.Add(1)
		m, err := listRanges(p.ctx, p.client, p.where)
		if err == nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.stale, p.listing, p.listed = false, false, time.Now()
			if len(p.misplaced) > 0 && p.outlets.are(m.open) {
				if p.contradictions++; p.contradictions > maxContradictions {
					return fmt.Errorf("write stream %s: shard %s took what is not of its hash keys, by the list of shards", p.opts.Stream, p.misplaced[0].landed)
				}
			} else {
				p.contradictions = 0
			}
			p.reroute(m)
			return nil
		}
		if first.IsZero() {
			first = time.Now()
		}
		var old *types.ExpiredNextTokenException
		c := p.classify(err)
		wait := pause.Backoff(attempt, p.where.RetryBackoff, p.where.RetryBackoffMax)
		switch {
		case c == canceled:
			return p.ctx.Err()
		case c != throttled && c != transient && !errors.As(err, &old), time.Since(first)+wait > p.where.RetryDeadline:
			return p.where.errorOf(p.client, "ListShards", "", attempt, err)
		}
		logging.Retry(p.ctx, "kinesis: a call is made again", attempt, wait, errors.New(Cause(err)), logging.Op, "ListShards", logging.Stream, p.where.Stream)
		if err := pause.Sleep(p.ctx, wait); err != nil {
			return err
		}
	}
}

// reroute gives each entry that is not on its way to its shard of the new map.
// p.mu is held; with Aggregate nothing is on its way.
func (p *Producer) reroute(m shardMap) {
	old := p.outlets
	p.outlets = make(outlets, len(m.open))
	rates := map[string]rate{}
	for _, o := range old {
		rates[o.id] = o.rate
	}
	for i, r := range m.open {
		p.outlets[i] = &outlet{shardRange: r, rate: rates[r.id]}
	}
	if p.opts.Aggregate {
		p.refill(old, m)
	} else {
		for _, o := range old {
			for o.ready.len() > 0 {
				e := o.ready.pop()
				p.outlets.find(e.place).ready.push(e)
			}
		}
	}
	for _, e := range p.unrouted {
		p.route(e)
	}
	p.unrouted = nil
	p.hurryFlushes()
	p.wake.Broadcast()
	p.idle.Broadcast()
}

// refill takes all aggregates apart and fills new ones for the new shards: the
// records of each key come out in the order in which they went in. An aggregate
// that went to another shard than meant is done if all of its records belong
// there. Else all are sent again, those that belong there too: readers by the
// Client Library pass over the whole aggregate. A record alone they do not pass
// over, but what follows it under its key would be beside it, not behind it.
// p.mu is held.
func (p *Producer) refill(old outlets, m shardMap) {
	for _, o := range p.outlets {
		o.fillers = newFillers(o, p.opts.AggregateLanes)
	}
	p.tails = map[hashKey]*entry{}
	var records []*entry
	chain := func(e *entry) {
		for e != nil {
			behind := e.behind
			if landed, known := m.all[e.landed]; known && e.within(&landed) {
				p.credit(e)
			} else {
				p.unpack(e, func(r *entry) { records = append(records, r) })
			}
			e = behind
		}
	}
	for _, e := range p.misplaced {
		chain(e)
	}
	p.misplaced = nil
	for _, o := range old {
		for o.ready.len() > 0 {
			chain(o.ready.pop())
		}
	}
	for _, o := range old {
		for _, f := range o.fillers {
			if f.count > 0 {
				chain(p.packed(f))
			}
		}
	}
	for _, e := range records {
		p.aggregate(e)
	}
}
