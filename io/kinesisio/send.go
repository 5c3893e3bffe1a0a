package kinesisio

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/logging"
)

// send makes calls until the producer ends.
func (p *Producer) send() {
	c := &putCall{}
	c.name, c.arn = p.where.target()
	for {
		list, ok := p.next(c)
		if !ok {
			return
		}
		var err error
		if list {
			err = p.list()
		} else {
			err = p.callOnce(c)
		}
		if err != nil {
			p.fail(err)
			return
		}
	}
}

// next waits for work: a listing of the shards, or the entries of a call. It
// reports false at the end.
func (p *Producer) next(c *putCall) (list, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		c.entries, c.outlets = c.entries[:0], c.outlets[:0]
		if p.ended {
			return false, false
		}
		now := time.Now()
		at := p.pause
		switch due := p.listed.Add(minListing); {
		case now.Before(p.pause):
		case !p.stale || p.listing || p.outlets == nil && len(p.unrouted) == 0:
			at = p.collect(c, now)
		case now.Before(due):
			if at = p.collect(c, now); at.IsZero() || due.Before(at) {
				at = due
			}
		case p.calls == 0:
			p.listing = true
			return true, true
		default:
			// Aggregates that are on their way must not be overtaken by those
			// for the new shards.
			if !p.opts.Aggregate {
				p.listing = true
				return true, true
			}
			at = time.Time{}
		}
		if len(c.entries) > 0 {
			p.calls++
			p.wake.Signal() // there may be more
			return false, true
		}
		if !at.IsZero() {
			p.alarm.Reset(max(time.Until(at), time.Millisecond))
		}
		p.wake.Wait()
	}
}

// collect fills the call with what shards have ready and may take now, in fair
// turns. It returns when a shard may be written that may not be yet. p.mu is held.
func (p *Producer) collect(c *putCall, now time.Time) (at time.Time) {
	if p.listing && (p.opts.Aggregate || p.outlets == nil) {
		return at
	}
	size := 0
	for range p.outlets {
		o := p.outlets[p.turn%len(p.outlets)]
		p.turn = (p.turn + 1) % len(p.outlets)
		if o.ready.len() == 0 {
			continue
		}
		if !o.rate.allows(now) {
			if at.IsZero() || o.rate.next.Before(at) {
				at = o.rate.next
			}
			continue
		}
		most, mostBytes := o.rate.room()
		n, bytes := 0, 0
		for n < most && o.ready.len() > 0 && len(c.entries) < maxPutRecords {
			e := o.ready.front()
			s := e.size()
			if n > 0 && bytes+s > mostBytes {
				break
			}
			if size+s > maxPutBytes && len(c.entries) > 0 {
				break
			}
			o.ready.pop()
			c.entries, c.outlets = append(c.entries, e), append(c.outlets, o)
			n++
			bytes += s
			size += s
		}
		o.rate.spend(now, n, bytes)
		if len(c.entries) == maxPutRecords || size >= maxPutBytes {
			break
		}
	}
	return at
}

// callOnce makes one call and settles what became of it.
func (p *Producer) callOnce(c *putCall) error {
	p.counts.calls.Add(1)
	err := c.do(p.ctx, p.client)
	if err != nil && badRecord(err) && len(c.entries) > 1 {
		// One of them spoils the call: find it by halves.
		n := len(c.entries) / 2
		for _, half := range []putCall{
			{name: c.name, arn: c.arn, entries: c.entries[:n:n], outlets: c.outlets[:n:n]},
			{name: c.name, arn: c.arn, entries: c.entries[n:], outlets: c.outlets[n:]},
		} {
			p.mu.Lock()
			p.calls++
			p.mu.Unlock()
			if err := p.callOnce(&half); err != nil {
				return err
			}
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.called()
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.called()
	if err == nil {
		p.failures = 0
		p.proven.Store(true)
		return p.settle(c)
	}
	class := p.classify(err)
	if class == canceled {
		return p.ctx.Err()
	}
	if badRecord(err) {
		return p.refuse(c.entries[0], err)
	}
	p.failures++
	wait := pause.Backoff(p.failures, p.where.RetryBackoff, p.where.RetryBackoffMax)
	p.pause = time.Now().Add(wait)
	if class == transient || class == throttled {
		logging.Retry(p.ctx, "kinesis: a call is made again", p.failures, wait, errors.New(Cause(err)),
			logging.Op, "PutRecords", logging.Stream, p.where.Stream, "records", len(c.entries))
	}
	for i := len(c.entries) - 1; i >= 0; i-- {
		if err := p.again(c.entries[i], class, err); err != nil {
			return err
		}
	}
	return nil
}

// classify sorts the errors of calls. Once one was taken the credentials are
// right: if they are refused then, they may be being replaced.
func (p *Producer) classify(err error) class {
	c := classify(p.ctx, err)
	if c == permanent && p.proven.Load() && denied(err) {
		return transient
	}
	return c
}

// called notes the end of a call. p.mu is held.
func (p *Producer) called() {
	p.calls--
	p.wake.Signal()
	if p.calls == 0 && p.stale {
		p.wake.Broadcast()
	}
	p.idle.Broadcast()
}

// badRecord says that the call was refused for what is in one of its records.
func badRecord(err error) bool {
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusRequestEntityTooLarge {
		return true
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	switch api.ErrorCode() {
	case "ValidationException", "InvalidArgumentException":
		// And not for the stream's name.
		return strings.Contains(api.ErrorMessage(), "ecord") || strings.Contains(api.ErrorMessage(), "ExplicitHashKey")
	case "RequestEntityTooLargeException":
		return true
	}
	return false
}

// settle takes in what became of each entry. p.mu is held.
func (p *Producer) settle(c *putCall) error {
	now := time.Now()
	for i := len(c.entries) - 1; i >= 0; i-- { // those that failed keep their order
		e, r := c.entries[i], &c.results[i]
		if r.code == "" {
			c.outlets[i].taken++
			p.stored(e, r.shard, now)
			continue
		}
		class := classifyCode(r.code)
		if class == throttled {
			c.outlets[i].refused++
			p.counts.throttles.Add(1)
		}
		if err := p.again(e, class, &EntryError{Code: r.code, Message: r.message, PartitionKey: string(e.key())}); err != nil {
			return err
		}
	}
	wait := func(refusals int) time.Duration {
		return pause.Backoff(refusals, p.where.RetryBackoff, p.where.RetryBackoffMax)
	}
	for _, o := range c.outlets {
		if o.taken+o.refused > 0 {
			o.rate.told(now, o.taken, o.refused, wait)
			o.taken, o.refused = 0, 0
		}
	}
	return nil
}

// stored notes that the service has an entry, in the shard that it names. p.mu is held.
func (p *Producer) stored(e *entry, shard []byte, now time.Time) {
	p.counts.records.Add(1)
	p.counts.bytes.Add(int64(len(e.data())))
	if string(shard) != p.outlets.find(e.place).id {
		p.stale = true
		if e.filler != nil {
			// It went to its filler's place, not to those of its records: see refill.
			p.counts.misplaced.Add(1)
			e.landed = string(shard)
			if e.first.IsZero() {
				e.first = now
			}
			p.misplaced = append(p.misplaced, e)
			return
		}
	}
	p.done(e)
}

// again gives an entry back to be sent again. It returns an error for one that
// is not to be. p.mu is held.
func (p *Producer) again(e *entry, c class, err error) error {
	now := time.Now()
	e.attempts++
	if e.first.IsZero() {
		e.first = now
	}
	if c != throttled && c != transient || now.Sub(e.first) > p.where.RetryDeadline {
		return p.where.errorOf(p.client, "PutRecords", "", e.attempts, err)
	}
	p.counts.retries.Add(1)
	p.outlets.find(e.place).ready.pushFront(e)
	return nil
}

// refuse takes out an entry that the service says is not valid: of an
// aggregate those of its records for which it is. p.mu is held.
func (p *Producer) refuse(e *entry, err error) error {
	if len(e.shares) > 1 {
		p.scatter(e)
		return nil
	}
	for _, s := range e.shares {
		if s.bundle == p.rest {
			return p.where.errorOf(p.client, "PutRecords", "", e.attempts+1, err)
		}
		s.bundle.reject(s.ref, ReasonRefused, Cause(err))
	}
	e.payloads = 0
	p.done(e)
	return nil
}

// scatter puts an aggregate's records in its place, one by one. p.mu is held.
func (p *Producer) scatter(e *entry) {
	var first, last *entry
	f, behind := e.filler, e.behind
	p.unpack(e, func(r *entry) {
		r.goAlone(f)
		if first == nil {
			first = r
		} else {
			last.behind = r
		}
		last = r
	})
	last.behind = behind
	if behind == nil {
		p.tails[f.place] = last
	}
	p.outlets.find(f.place).ready.pushFront(first)
}

// done ends an entry and lets the next of its place go. p.mu is held.
func (p *Producer) done(e *entry) {
	f := e.filler
	if next := e.behind; next != nil {
		p.outlets.find(next.place).ready.push(next)
	} else {
		delete(p.tails, e.place)
		if f != nil && f.urgent && f.count > 0 {
			p.seal(f)
		}
	}
	p.credit(e)
}

// credit tells the bundles that their records are done. p.mu is held.
func (p *Producer) credit(e *entry) {
	p.counts.payloads.Add(int64(e.payloads))
	p.heldBytes -= int64(e.held)
	p.pending -= len(e.shares)
	for i := range e.shares {
		e.shares[i].bundle.pending--
	}
	p.release(e)
}
