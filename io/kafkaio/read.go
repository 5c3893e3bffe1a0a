// Package kafkaio reads Kafka topics into batches: exactly the records that
// were committed, partition by partition, exactly from given positions.
//
// As data walks it: look.go finds the partitions of a slot and their leaders,
// offsets.go where to begin, fetch.go asks each broker in the background for
// all its partitions at once (over exchange.go), verify.go a new leader whether
// it has what was read before, unpack.go takes the answers apart
// (recordbatch.go, aborted.go, inflate.go), read.go hands the batches to the
// pipeline together with the positions after them (position.go). The next
// arrow is package slots, which keeps the positions in the runner's state.
//
// Positions in the runner's state are what counts. commit.go copies them to a
// consumer group, for tools that show its lag; they are never read back, but
// for GROUP_OFFSETS at a job's first start.
package kafkaio

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/slots"
	"github.com/streaming-etl/streaming-etl/logging"
)

// Reader reads the partitions of one slot. It satisfies slots.Reader: Drain is
// for one goroutine at a time; Stats, Lag and Done may be called by any.
type Reader struct {
	opts   Options
	sel    selection
	slot   slots.Slot
	client *client

	cancel context.CancelFunc
	ctx    context.Context
	wg     sync.WaitGroup
	// relook asks for a look at the topics out of turn.
	relook chan struct{}
	budget budget
	counts counters

	mu         sync.Mutex
	partitions map[partitionKey]*partition
	// turns are the partitions in the order in which Drain visits them.
	turns []*partition
	// turn is where the next Drain begins.
	turn int
	// fetchers are those of the brokers that were met.
	fetchers map[int32]*fetcher
	// positions are what was delivered; encoded is their last encoding, nil
	// where they have changed since.
	positions positions
	encoded   []byte
	// looked is set once the topics are known, finished once all that a
	// bounded reading is to bring was delivered.
	looked, finished bool
	err              error
	closed           bool
}

// partition is what the reader knows of one of its partitions; Reader.mu guards it.
type partition struct {
	key   partitionKey
	shard string
	// at is the position behind what was queued.
	at position
	// queue is what was fetched and not delivered.
	queue []chunk
	// leader is the broker to ask, epoch what it is to know of itself.
	leader, epoch int32
	// unverified is set where the leader was not yet asked whether its log is
	// the one that was read up to here; see verify.
	unverified bool
	// busy is set while an answer for it is awaited or taken apart, so that it
	// is asked for once only while its leader changes.
	busy bool
	// era is counted up when what is being fetched is of no use any more.
	era int
	// resume is when it may be asked for again after a failure.
	resume  time.Time
	failing failing
	// end is the last stable offset of the last answer, or the high watermark
	// where open transactions are read too.
	end    int64
	polled bool
	gone   bool
}

// chunk is a part of one answer: a batch and the position after it.
type chunk struct {
	batch batch.Batch
	// held is the chunk's part of the budget.
	held  int64
	after position
	// gone is set where the partition is no more: it has no position then.
	gone bool
}

var (
	_ slots.Reader   = (*Reader)(nil)
	_ slots.Source   = Options{}
	_ slots.Finisher = (*Reader)(nil)
)

// Open returns a reader of the slot's partitions from the positions, which an
// earlier reader's Drain returned for the same slot; nil starts at the options'
// initial position.
//
// A start at LATEST, TIMESTAMP or GROUP_OFFSETS looks the offsets up before it
// returns, for up to the retry deadline, so that the positions of the very
// first Drain hold them. A restart that finds no checkpoint yet looks again,
// and LATEST would be later then than at the start, so it is Options.Ends. Of a
// partition that they do not have, or that a later submission looked at, records
// of after the slot's JobStart, by their own times, are read: the clocks of the
// starting machine and of those that set the times decide, and one time that is
// still to come hides them. All others do not wait for the network. ctx is for
// that look and for its values: the reader lives until Close. The reader is a *Reader.
func (o Options) Open(ctx context.Context, slot slots.Slot, encoded []byte) (slots.Reader, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("read topic %s: %w", o.Topic, err)
	}
	o = o.withDefaults()
	sel, err := o.selection()
	if err != nil {
		return nil, err
	}
	if slot.Count < 1 || slot.Count > maxSlots || slot.Index < 0 || slot.Index >= slot.Count {
		return nil, fmt.Errorf("read topic %s: there is no slot %d of %d", o.Topic, slot.Index, slot.Count)
	}
	at := positions{rule: sel.rule(), index: slot.Index, count: slot.Count, partitions: map[partitionKey]position{}}
	if encoded != nil {
		if at, err = restoredPositions(ctx, o, sel, slot, encoded); err != nil {
			return nil, fmt.Errorf("read topic %s: %w", o.Topic, err)
		}
	}
	c, err := newClient(ctx, o)
	if err != nil {
		return nil, err
	}
	r := &Reader{
		opts: o, sel: sel, slot: slot, client: c,
		relook:     make(chan struct{}, 1),
		budget:     budget{limit: o.BufferBytes},
		partitions: map[partitionKey]*partition{},
		fetchers:   map[int32]*fetcher{},
		positions:  at,
	}
	for k, p := range at.partitions {
		r.add(k, p)
	}
	if encoded == nil && o.InitialPosition != Earliest {
		if err := r.pin(ctx); err != nil {
			c.close()
			return nil, fmt.Errorf("read topic %s from %s: %w", o.Topic, o.InitialPosition, err)
		}
	}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	slog.InfoContext(ctx, "kafka: a slot's reading begins", logging.Topic, o.Topic, "restored", encoded != nil, "partitions", len(r.partitions))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run(r.discover)
	r.assign()
	return r, nil
}

func restoredPositions(ctx context.Context, o Options, sel selection, slot slots.Slot, encoded []byte) (positions, error) {
	at, err := decodePositions(encoded)
	if err != nil {
		return positions{}, fmt.Errorf("restore slot %d of %d: %w", slot.Index, slot.Count, err)
	}
	// Going on would skip or repeat records without a word.
	if at.index != slot.Index || at.count != slot.Count {
		return positions{}, fmt.Errorf("the positions to restore are of slot %d of %d, not %d of %d: the number of readers cannot change when a job is restored",
			at.index, at.count, slot.Index, slot.Count)
	}
	if at.rule != sel.rule() {
		if at.rule == "" {
			return positions{}, fmt.Errorf("the positions to restore are of several topics: they cannot become those of one")
		}
		return positions{}, fmt.Errorf("the positions to restore are of topic %s alone", at.rule)
	}
	for k, p := range at.partitions {
		switch {
		case !sel.has(k.topic):
			slog.WarnContext(ctx, "kafka: a topic of the restored positions is not read any more", logging.Topic, k.topic, logging.Partition, k.number)
			delete(at.partitions, k)
		case !o.StopAtEnd && p.stop != noStop:
			p.stop = noStop
			at.partitions[k] = p
		}
	}
	return at, nil
}

// add makes a partition known; turns stay in order. r.mu is held, or nobody
// else has r yet.
func (r *Reader) add(k partitionKey, at position) *partition {
	p := &partition{key: k, shard: fmt.Sprint(k.number), at: at, leader: noLeader, epoch: -1}
	r.partitions[k] = p
	i, _ := slices.BinarySearchFunc(r.turns, k, func(t *partition, k partitionKey) int { return t.key.compare(k) })
	r.turns = slices.Insert(r.turns, i, p)
	if r.turn > i {
		r.turn++
	}
	r.positions.partitions[k] = at
	r.encoded = nil
	return p
}

// remove forgets a partition that is no more. r.mu is held.
func (r *Reader) remove(p *partition) {
	i := slices.Index(r.turns, p)
	r.turns = slices.Delete(r.turns, i, i+1)
	if r.turn > i {
		r.turn--
	}
	delete(r.partitions, p.key)
	delete(r.positions.partitions, p.key)
}

// run starts a goroutine that Close waits for; its error fails the reader. r.mu is held.
func (r *Reader) run(f func(context.Context) error) {
	r.wg.Go(func() {
		if err := f(r.ctx); err != nil && r.ctx.Err() == nil {
			r.fail(err)
		}
	})
}

// fail keeps the first permanent error for Drain and stops all fetchers.
func (r *Reader) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
		r.cancel()
	}
}

// Drain returns what was fetched, at most about limit bytes of payload but
// one batch at least if any is ready; partitions take turns, one batch each.
// The positions are those after the batches; more says that another call would
// bring batches at once. An error is permanent and means that nothing of this
// call was delivered. Drain never waits for the network.
func (r *Reader) Drain(limit int) (batches []batch.Batch, positions []byte, more bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return nil, nil, false, ErrClosed
	case r.err != nil:
		return nil, nil, false, r.err
	}
	size, idle, freed := 0, 0, int64(0)
	for idle < len(r.turns) && (size < limit || len(batches) == 0) {
		r.turn %= len(r.turns)
		p := r.turns[r.turn]
		r.turn++
		if len(p.queue) == 0 {
			idle++
			continue
		}
		idle = 0
		c := p.queue[0]
		p.queue[0] = chunk{}
		p.queue = p.queue[1:]
		freed += c.held
		r.encoded = nil
		if len(c.batch.Records) > 0 {
			batches = append(batches, c.batch)
			size += len(c.batch.Data)
		}
		if c.gone {
			r.remove(p)
			continue
		}
		r.positions.partitions[p.key] = c.after
	}
	r.budget.add(-freed)
	for _, p := range r.turns {
		more = more || len(p.queue) > 0
	}
	if r.encoded == nil {
		r.encoded = r.positions.encode()
	}
	return batches, r.encoded, more, nil
}

// Done says that all which the slot is to read up to the ends that it saw was
// delivered by Drain. It stays true, and is never true without StopAtEnd. It
// may be called at any time.
func (r *Reader) Done() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.opts.StopAtEnd || !r.looked || r.err != nil {
		return false
	}
	for _, p := range r.turns {
		if r.finished {
			break
		}
		if at := r.positions.partitions[p.key]; len(p.queue) > 0 || !at.away && !at.done() {
			return false
		}
	}
	r.finished = true
	return true
}

// Close stops the reader's requests, waits for its goroutines and drops what
// was not delivered. It may be called more than once.
func (r *Reader) Close() {
	r.mu.Lock()
	r.closed = true
	r.cancel()
	r.mu.Unlock()
	r.wg.Wait()
	r.client.close()
}
