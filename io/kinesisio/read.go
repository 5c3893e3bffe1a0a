// Package kinesisio reads Kinesis streams into batches, shard by shard and
// exactly from given positions, and writes streams in the order of keys.
//
// As data walks it when read: shards.go finds the shards of a slot, fetch.go
// calls GetRecords in the background (or subscribe.go subscribes), answer.go and parse.go read what comes
// back, pack.go makes batches of it, where deaggregate.go takes aggregated
// records apart, read.go hands the batches to the pipeline together with the
// positions after them (position.go). The next arrow is package slots, which
// keeps the positions in the runner's state.
//
// When written: bundle.go takes a bundle's records (entry.go checks and copies
// them), fill.go packs small ones into aggregates (aggregate.go), produce.go
// queues them by shard, as outlet.go knows the shards and rate.go what each
// takes, send.go makes the calls (put.go) and settles what became of each
// record, reroute.go follows the stream when it is resharded.
package kinesisio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"golang.org/x/sync/semaphore"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/slots"
)

// ErrClosed is returned by Drain after Close.
var ErrClosed = errors.New("kinesis: reader is closed")

// Reader reads the shards of one slot. It satisfies slots.Reader: Drain is
// for one goroutine at a time; Stats, Lag and Done may be called by any.
type Reader struct {
	opts Options
	connections
	slot   slots.Slot
	source string

	cancel context.CancelFunc
	ctx    context.Context
	wg     sync.WaitGroup
	// relist asks for a listing out of turn.
	relist chan struct{}
	// budget bounds the bytes that are fetched ahead, in calls and in queues.
	budget *semaphore.Weighted
	counts counters
	// proven has the operations of which a call was answered.
	proven sync.Map
	// consumer finds the consumer's ARN, where there is a consumer.
	consumer consumerARNs

	mu     sync.Mutex
	shards map[string]*shard
	// turns are the shards in the order in which Drain visits them.
	turns []*shard
	// turn is where the next Drain begins.
	turn int
	// positions are what was delivered.
	positions positions
	// listed is set once the stream's shards are known, listedAll once they
	// were listed after the stop timestamp: later ones have nothing to read.
	listed, listedAll bool
	err               error
	closed            bool
}

// shard is what the reader knows of one of its shards; Reader.mu guards it.
type shard struct {
	id      string
	parents []string
	// owner decides which of its records are the slot's; it is set before the
	// shard is started and never changes.
	owner owner
	// delivered is how far the pipeline has it.
	delivered position
	started   bool
	// queue is what was fetched and not delivered.
	queue []chunk
	// lag is how far behind the tip the last answer was; polled says there was one.
	lag    time.Duration
	polled bool
	// stopped is set when a record beyond the stop timestamp was met, ended
	// when there was nothing left at the tip after that time.
	stopped, ended bool
	// missed counts listings in a row without the shard.
	missed int
	// reopened counts those that have it as open though it was finished.
	reopened reopened
}

// chunk is a part of one answer: a batch and the position after it.
type chunk struct {
	batch batch.Batch
	// held is the chunk's part of the budget.
	held  int64
	after position
	// children are what the service named as a finished shard's.
	children []found
}

// connections are a reader's ways to the service.
type connections struct {
	client *kinesis.Client
	// subscriber is for subscriptions, where there is a consumer.
	subscriber *kinesis.Client
	// closeIdle closes the connections that are in no call.
	closeIdle func()
}

var (
	_ slots.Reader = (*Reader)(nil)
	_ slots.Source = Options{}

	_ slots.Finisher = (*Reader)(nil)
)

// Open returns a reader of the slot's shards from the positions, which an
// earlier reader's Drain returned for the same slot and streams; nil starts at
// the options' initial position. It does not wait for the network. ctx is for
// its values only: the reader lives until Close. The reader is a Monitor, for
// one stream a *Reader.
func (o Options) Open(ctx context.Context, slot slots.Slot, encoded []byte) (slots.Reader, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("read stream %s: %w", o.Stream, err)
	}
	each := o.Streams()
	restored, err := splitPositions(each, encoded)
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", o.Stream, err)
	}
	if len(each) > 1 {
		return openStreams(ctx, each, slot, restored)
	}
	r, err := o.openOne(ctx, slot, restored[0])
	if err != nil {
		return nil, err // an interface that holds no nil *Reader
	}
	return r, nil
}

func (o Options) openOne(ctx context.Context, slot slots.Slot, encoded []byte) (*Reader, error) {
	o = o.withDefaults()
	if slot.Count < 1 || slot.Count > maxSlots || slot.Index < 0 || slot.Index >= slot.Count {
		return nil, fmt.Errorf("read stream %s: there is no slot %d of %d", o.Stream, slot.Index, slot.Count)
	}
	at := startPositions(o, slot.Index, slot.Count, slot.JobStart)
	if encoded != nil {
		var err error
		if at, err = restoredPositions(o, slot, encoded); err != nil {
			return nil, fmt.Errorf("read stream %s: %w", o.Stream, err)
		}
	}
	client, closeIdle, err := newClient(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", o.Stream, err)
	}
	c := connections{client: client, subscriber: client, closeIdle: closeIdle}
	if o.Consumer != "" {
		var closeToo func()
		if c.subscriber, closeToo, err = newClientWithin(ctx, o, 0); err != nil {
			return nil, fmt.Errorf("read stream %s: %w", o.Stream, err)
		}
		c.closeIdle = func() { closeIdle(); closeToo() }
	}
	return newReader(ctx, o, slot, at, c), nil
}

// newReader returns a reader that reads.
func newReader(ctx context.Context, o Options, slot slots.Slot, at positions, c connections) *Reader {
	r := &Reader{
		opts: o, connections: c, slot: slot, source: o.StreamName(),
		relist:    make(chan struct{}, 1),
		budget:    semaphore.NewWeighted(o.BufferBytes),
		shards:    map[string]*shard{},
		positions: at,
	}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, p := range at.shards {
		r.add(id, p)
	}
	r.run(r.discover)
	r.start()
	return r
}

// encoded returns the positions of what was delivered.
func (r *Reader) encoded() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.positions.encode()
}

func restoredPositions(o Options, slot slots.Slot, encoded []byte) (positions, error) {
	at, err := decodePositions(encoded)
	if err != nil {
		return positions{}, fmt.Errorf("restore slot %d of %d: %w", slot.Index, slot.Count, err)
	}
	// Going on would skip or repeat records without a word.
	if at.stream != o.StreamName() {
		return positions{}, fmt.Errorf("the positions to restore are of stream %s", at.stream)
	}
	if at.index != slot.Index || at.count != slot.Count {
		return positions{}, fmt.Errorf("the positions to restore are of slot %d of %d, not %d of %d: the number of readers cannot change when a job is restored",
			at.index, at.count, slot.Index, slot.Count)
	}
	if at.byKey != o.KeyOrder {
		return positions{}, errors.New("the positions to restore are of a job with another choice of key order: it cannot change when a job is restored")
	}
	return at, nil
}

// add makes a shard known; turns stay in the order of ids. r.mu is held.
func (r *Reader) add(id string, at position) *shard {
	s := &shard{id: id, delivered: at}
	r.shards[id] = s
	i, _ := slices.BinarySearchFunc(r.turns, id, func(t *shard, id string) int { return strings.Compare(t.id, id) })
	r.turns = slices.Insert(r.turns, i, s)
	return s
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
// one batch at least if any is ready; shards take turns, one batch each. The
// positions are those after the batches; more says that another call would
// bring batches at once. An error is permanent and means that nothing of
// this call was delivered: the job must fail, or open the last positions again.
func (r *Reader) Drain(limit int) (batches []batch.Batch, encoded []byte, more bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return nil, nil, false, ErrClosed
	case r.err != nil:
		return nil, nil, false, r.err
	}
	size, idle := 0, 0
	for i := r.turn; idle < len(r.turns) && (size < limit || len(batches) == 0); i++ {
		s := r.turns[i%len(r.turns)]
		r.turn = (i + 1) % len(r.turns)
		if len(s.queue) == 0 {
			idle++
			continue
		}
		idle = 0
		c := s.queue[0]
		s.queue[0] = chunk{}
		s.queue = s.queue[1:]
		r.budget.Release(c.held)
		if len(c.batch.Records) > 0 {
			batches = append(batches, c.batch)
			size += len(c.batch.Data)
		}
		s.delivered = c.after
		r.positions.shards[s.id] = c.after
		if c.after.finished {
			r.learn(r.ofKnownParents(c.children))
			r.start()
		}
	}
	for _, s := range r.turns {
		more = more || len(s.queue) > 0
	}
	return batches, r.positions.encode(), more, nil
}

// Close stops the reader's calls, waits for its goroutines and drops what was
// not delivered. It may be called more than once.
func (r *Reader) Close() {
	r.mu.Lock()
	r.closed = true
	r.cancel()
	r.mu.Unlock()
	r.wg.Wait()
	r.closeIdle()
}
