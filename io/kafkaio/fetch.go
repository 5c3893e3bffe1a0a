package kafkaio

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/logging"
)

// corruptTries is how often a partition's batch is asked for again that does
// not stand its checks: the network may be to blame, a disk stays as it is.
const corruptTries = 4

// fetcher asks one broker for all partitions of the slot that it leads.
type fetcher struct {
	r      *Reader
	broker int32
	signal chan struct{}
	// turn is where the next request begins: brokers fill an answer from the
	// request's first partition on.
	turn int
	// scratch is where the last answer was read to.
	scratch []byte
	// index finds what was asked for.
	index map[partitionRef]*asked
	unpacker
}

// asked is one partition of a request.
type asked struct {
	p   *partition
	era int
	place
	next, stop int64
	lastEpoch  int32
	// verify is set where the leader is to be asked about its log first.
	verify bool
}

// partitionRef is how an answer names a partition: by id, or by name where the
// broker is old.
type partitionRef struct {
	id     topicID
	name   string
	number int32
}

func newFetcher(r *Reader, broker int32) *fetcher {
	return &fetcher{r: r, broker: broker, signal: make(chan struct{}, 1), index: map[partitionRef]*asked{}}
}

// wake tells the fetcher that there may be something to ask for.
func (f *fetcher) wake() {
	select {
	case f.signal <- struct{}{}:
	default:
	}
}

// run fetches until ctx ends. Its error is permanent.
func (f *fetcher) run(ctx context.Context) error {
	defer f.close()
	for {
		if err := f.r.budget.wait(ctx); err != nil {
			return err
		}
		batch, resume := f.take()
		if len(batch) == 0 {
			if err := f.idle(ctx, resume); err != nil {
				return err
			}
			continue
		}
		ready, err := f.verify(ctx, batch)
		if err == nil && len(ready) > 0 {
			err = f.fetch(ctx, ready)
		}
		f.release(batch)
		if err != nil {
			return err
		}
	}
}

// idle waits until there may be something to ask for.
func (f *fetcher) idle(ctx context.Context, resume time.Time) error {
	var timer <-chan time.Time
	if !resume.IsZero() {
		t := time.NewTimer(time.Until(resume))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-f.signal:
	case <-timer:
	}
	return nil
}

// take returns the partitions to ask for now, and when there will be more of
// them. They are busy until release.
func (f *fetcher) take() (out []asked, resume time.Time) {
	r := f.r
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	begin := f.turn
	for i := range r.turns {
		at := (begin + i) % len(r.turns)
		p := r.turns[at]
		if p.leader != f.broker || p.busy || p.gone || p.at.away || p.at.done() || r.opts.StopAtEnd && p.at.stop == noStop {
			continue
		}
		if wait := p.resume; wait.After(now) {
			if resume.IsZero() || wait.Before(resume) {
				resume = wait
			}
			continue
		}
		if len(out) == 0 {
			f.turn = at + 1
		}
		p.busy = true
		if p.at.lastEpoch == 0 || p.epoch < 0 {
			p.unverified = false // there is nothing to ask for
		}
		out = append(out, asked{
			p: p, era: p.era, next: p.at.next, stop: p.at.stop, lastEpoch: p.at.lastEpoch,
			verify: p.unverified,
			place:  place{key: p.key, id: p.at.id, leader: p.leader, epoch: p.epoch},
		})
	}
	return out, resume
}

// release lets the partitions be asked for again, perhaps by another fetcher.
func (f *fetcher) release(batch []asked) {
	r := f.r
	r.mu.Lock()
	defer r.mu.Unlock()
	moved := false
	for i := range batch {
		p := batch[i].p
		p.busy = false
		moved = moved || p.leader != f.broker
	}
	if moved {
		r.assign()
	}
}

// request builds the request for the partitions, and the highest version in
// which it can be made: from 13 on topics go by their ids.
func (f *fetcher) request(batch []asked) (req *kmsg.FetchRequest, highest int16) {
	o := &f.r.opts
	req = kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis = int32(o.MaxWait / time.Millisecond)
	req.MinBytes = 1
	req.MaxBytes = o.FetchBytes
	req.IsolationLevel = o.isolation()
	req.SessionEpoch = -1 // no session: each request stands for itself
	highest = 13
	clear(f.index)
	for i := range batch {
		a := &batch[i]
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != a.key.topic {
			t := kmsg.NewFetchRequestTopic()
			t.Topic, t.TopicID = a.key.topic, a.id
			req.Topics = append(req.Topics, t)
		}
		if a.id == (topicID{}) {
			highest = 12
		}
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.CurrentLeaderEpoch = a.key.number, a.next, a.epoch
		p.PartitionMaxBytes = o.PartitionFetchBytes
		t := &req.Topics[len(req.Topics)-1]
		t.Partitions = append(t.Partitions, p)
		f.index[partitionRef{id: a.id, number: a.key.number}] = a
		f.index[partitionRef{name: a.key.topic, number: a.key.number}] = a
	}
	return req, highest
}

// fetch makes one request and queues what it brings. An error is permanent.
func (f *fetcher) fetch(ctx context.Context, batch []asked) error {
	r := f.r
	req, highest := f.request(batch)
	within, cancel := context.WithTimeout(ctx, r.opts.MaxWait+requestTimeout)
	answer, scratch, err := r.client.send(within, f.broker, req, 4, highest, f.scratch)
	cancel()
	f.scratch = nil
	var resp *kmsg.FetchResponse
	if err == nil {
		if cap(scratch) <= 2*int(r.opts.FetchBytes)+keptScratch {
			f.scratch = scratch
		}
		resp = answer.(*kmsg.FetchResponse)
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// The broker may be down, or no more.
		return f.failed(batch, err)
	}
	r.counts.fetches.Add(1)
	if resp.ThrottleMillis > 0 {
		r.counts.throttles.Add(1)
	}
	for i := range resp.Topics {
		rt := &resp.Topics[i]
		for j := range rt.Partitions {
			rp := &rt.Partitions[j]
			ref := partitionRef{name: rt.Topic, number: rp.Partition}
			if resp.Version >= 13 {
				ref = partitionRef{id: rt.TopicID, number: rp.Partition}
			}
			a := f.index[ref]
			if a == nil {
				continue
			}
			if err := f.handle(ctx, a, rp); err != nil {
				return err
			}
		}
	}
	return nil
}

// handle handles one partition's part of an answer. An error is permanent.
func (f *fetcher) handle(ctx context.Context, a *asked, rp *kmsg.FetchResponseTopicPartition) error {
	r := f.r
	err := kerr.ErrorForCode(rp.ErrorCode)
	if errors.Is(err, kerr.OffsetOutOfRange) {
		if err = r.outOfRange(ctx, a.p, a.place); err == nil {
			return nil
		}
		if errors.Is(err, ErrLost) {
			return err
		}
	}
	if err == nil {
		err = f.unpack(ctx, a, rp)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errStale):
		return nil
	case err != nil:
		return f.failed([]asked{*a}, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	a.p.failing.succeeded()
	a.p.end = rp.LastStableOffset
	if r.opts.ReadUncommitted || a.p.end < 0 {
		a.p.end = rp.HighWatermark
	}
	a.p.polled = true
	return nil
}

// failed makes the partitions wait before they are asked for again, or returns
// err where that would not help or was done for long enough.
func (f *fetcher) failed(batch []asked, err error) error {
	r := f.r
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.retries.Add(1)
	now := time.Now()
	var longest time.Duration
	for i := range batch {
		a := &batch[i]
		if a.p.era != a.era {
			continue
		}
		wait, over := a.p.failing.failed(&r.opts, now)
		if unknownTopic(err) {
			// The next looks at the topics tell whether it was deleted.
			over = now.Sub(a.p.failing.since) > 2*r.opts.RetryDeadline
		}
		if errors.Is(err, errCorrupt) && a.p.failing.attempts >= corruptTries {
			over = true
		}
		if over || !r.passing(err) {
			known := (*Error)(nil)
			if errors.As(err, &known) {
				return err
			}
			return &Error{
				Op: "read records", Topic: a.key.topic, Partition: a.key.number,
				Broker: r.client.name(f.broker), Attempts: a.p.failing.attempts, Err: err,
			}
		}
		longest = max(longest, wait)
	}
	// All of them at one time, so that they share the next request.
	for i := range batch {
		batch[i].p.resume = now.Add(longest)
	}
	if len(batch) > 0 {
		first := &batch[0]
		logging.Retry(r.ctx, "kafka: a broker is asked again", first.p.failing.attempts, longest, err,
			"broker", f.broker, logging.Topic, first.key.topic, logging.Partition, first.key.number, "partitions", len(batch))
	}
	r.askRelook()
	return nil
}
