package kinesisio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// Limits of one PutRecords call.
const (
	maxPutRecords = 500
	// maxPutBytes is the lower of the two limits that the service has had (5
	// and 10 MiB): emulators know only this one. One larger record goes alone.
	maxPutBytes = 5 << 20
)

// Defaults of ProducerOptions.
const (
	// DefaultProducerBytes bounds the payload that a producer holds.
	DefaultProducerBytes = 32 << 20
	// DefaultProducerCalls is the number of PutRecords at one time.
	DefaultProducerCalls = 8
	// DefaultMaxRecordBytes is what a stream takes that was not told to take more.
	DefaultMaxRecordBytes = 1 << 20
	// MaxRecordBytes is the most that a stream can be told to take.
	MaxRecordBytes = 10 << 20
	// DefaultAggregateLanes is the number of aggregates per shard that are
	// filled, and may be on their way, at one time.
	DefaultAggregateLanes = 2
	// DefaultLinger is how long an aggregate waits to be filled.
	DefaultLinger = time.Second
)

// heldOverhead is what a held record costs besides its bytes.
const heldOverhead = 256

// minListing is the least time between two listings of the shards.
const minListing = 250 * time.Millisecond

// ProducerOptions say where a producer writes and how. Zero values of all but
// Stream stand for defaults. They marshal to JSON and back without loss, and
// hold no secrets.
type ProducerOptions struct {
	// Stream, Region, RoleARN, Endpoint and EmulatorCredentials are as in Options.
	Stream, Region, RoleARN, Endpoint string
	EmulatorCredentials               bool
	// MaxBytes overrides DefaultProducerBytes; Put waits while it is reached.
	MaxBytes int64
	// MaxCalls overrides DefaultProducerCalls.
	MaxCalls int
	// MaxRecordBytes overrides DefaultMaxRecordBytes, for streams whose own
	// limit was changed: 1 to 10 MiB of data and partition key.
	MaxRecordBytes int
	// Aggregate packs records into aggregated ones of the KPL's format. Its
	// readers see them apart again; others need the KCL or a library for it.
	// A shard takes 1,000 records a second, however small: aggregated it takes
	// its 1 MB/s.
	Aggregate bool
	// AggregateBytes overrides DefaultAggregateBytes, the most that an
	// aggregate has; what does not fit is sent alone.
	AggregateBytes int
	// AggregateLanes overrides DefaultAggregateLanes, 1 to 64. More lanes put
	// more through a connection of long delay, and fill aggregates less.
	AggregateLanes int
	// Linger overrides DefaultLinger. Flush waits for nothing.
	Linger time.Duration
	// RetryDeadline is how long a record is tried again, also where credentials
	// are refused after others were taken. RetryBackoff and RetryBackoffMax
	// bound the waits between; defaults as in Options.
	RetryDeadline, RetryBackoff, RetryBackoffMax time.Duration
}

// ProducerStats counts what a producer did.
type ProducerStats struct {
	// Records and Bytes were accepted by the service; Payloads counts the
	// contents of aggregated records.
	Records, Payloads, Bytes int64
	// Calls are PutRecords requests, Retries records that were sent again,
	// Throttles those of them that a shard's limit refused.
	Calls, Retries, Throttles int64
	// Rejected are the records that bundles were told of as such.
	Rejected int64
	// Listings are those of the stream's shards, Misplaced the aggregates, of
	// one record too, that went to another shard than the one they were made for.
	Listings, Misplaced int64
}

// ErrProducerClosed is returned by Put after Close.
var ErrProducerClosed = errors.New("kinesis: producer is closed")

// Producer puts records into a stream: many in one call, only the failed ones
// again, those of one place in their order. It is safe for concurrent use.
//
// A record's place is its explicit hash key, or the MD5 of its partition key
// where it has none. The order holds per place, because a record is sent only
// when the one before it with the same place was accepted: PutRecords may
// refuse one entry and accept the next. So a call has at most one record of a
// place; for much data under few keys aggregate.
//
// Each shard is written no faster than it takes, as far as its refusals tell;
// one that is slow holds up no other until MaxBytes is reached.
//
// Delivery is at least once: a call whose answer got lost is made again. With
// Aggregate, an aggregate that went to a shard which not all of its records
// belong to, because the stream was being resharded, is put again as aggregates
// for the shards that there are: the Kinesis Client Library passes over the
// first, other readers see its records twice.
type Producer struct {
	opts   ProducerOptions
	where  Options
	client *kinesis.Client
	// closeIdle closes the connections that are in no call.
	closeIdle func()
	ctx       context.Context
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	counts    struct {
		records, payloads, bytes, calls, retries, throttles, rejected, listings, misplaced atomic.Int64
	}
	// proven is set once a call was taken.
	proven atomic.Bool
	// rest is the bundle of what Producer.Put brings.
	rest *Bundle

	mu sync.Mutex
	// tails holds the last entry of each place that is queued or in a call.
	tails map[hashKey]*entry
	// outlets are the shards, nil until they were listed.
	outlets outlets
	// unrouted are entries that were put before.
	unrouted []*entry
	// misplaced are aggregates, of one record too, that were accepted by another
	// shard than meant.
	misplaced []*entry
	// turn is the outlet that the next call begins with.
	turn int
	free []*entry
	// wake tells senders of work; idle tells Flush and Put of what was done.
	wake, idle *sync.Cond
	// alarm wakes senders when a shard's pause is over.
	alarm *time.Timer
	// linger ends the wait of aggregates, if lingering.
	linger    *time.Timer
	lingering bool
	// heldBytes are those of all entries, pending the number of records in them.
	heldBytes int64
	pending   int
	// calls are on their way.
	calls int
	// stale says that the shards have changed, listing that they are being listed.
	stale, listing bool
	listed         time.Time
	// contradictions counts listings that did not explain what was misplaced.
	contradictions int
	// pause is for all shards, after a call that failed as a whole.
	pause    time.Time
	failures int
	err      error
	// closed refuses new records, ended stops the senders.
	closed, ended bool
}

// Validate reports all faults of the options in one error.
func (o ProducerOptions) Validate() error {
	err := o.reading().Validate()
	fault := func(format string, args ...any) { err = errors.Join(err, fmt.Errorf(format, args...)) }
	if len(o.reading().Streams()) > 1 {
		fault("%d streams are named; a producer writes one", len(o.reading().Streams()))
	}
	if o.MaxBytes < 0 || o.MaxCalls < 0 {
		fault("a producer's bounds are negative")
	}
	if o.MaxRecordBytes < 0 || o.MaxRecordBytes > MaxRecordBytes {
		fault("records of %d bytes: at most %d are possible", o.MaxRecordBytes, MaxRecordBytes)
	}
	if o.AggregateBytes < 0 || o.AggregateBytes > MaxAggregateBytes {
		fault("aggregates of %d bytes: at most %d are possible", o.AggregateBytes, MaxAggregateBytes)
	}
	if o.AggregateLanes < 0 || o.AggregateLanes > maxAggregateLanes {
		fault("%d aggregates per shard at one time: 1 to %d are possible", o.AggregateLanes, maxAggregateLanes)
	}
	if o.Linger < 0 {
		fault("the linger time %s is negative", o.Linger)
	}
	return err
}

const maxAggregateLanes = 64

func (o ProducerOptions) reading() Options {
	return Options{
		Stream: o.Stream, Region: o.Region, Endpoint: o.Endpoint, EmulatorCredentials: o.EmulatorCredentials,
		RoleARN:       o.RoleARN,
		RetryDeadline: o.RetryDeadline, RetryBackoff: o.RetryBackoff, RetryBackoffMax: o.RetryBackoffMax,
	}
}

func (o ProducerOptions) withDefaults() ProducerOptions {
	o.MaxBytes = cmp.Or(o.MaxBytes, DefaultProducerBytes)
	o.MaxCalls = cmp.Or(o.MaxCalls, DefaultProducerCalls)
	o.MaxRecordBytes = cmp.Or(o.MaxRecordBytes, DefaultMaxRecordBytes)
	o.AggregateBytes = cmp.Or(o.AggregateBytes, DefaultAggregateBytes)
	o.AggregateLanes = cmp.Or(o.AggregateLanes, DefaultAggregateLanes)
	o.Linger = cmp.Or(o.Linger, DefaultLinger)
	return o
}

// Refusal returns why no stream takes a record, as a Rejection's reason and
// detail, or "". What only the service knows it does not tell.
func (o ProducerOptions) Refusal(it *Item) (reason, detail string) {
	_, reason, detail = it.check(o.withDefaults().MaxRecordBytes)
	return reason, detail
}

// NewProducer returns a producer with its senders running. ctx ends them: what
// is not sent then is dropped, and Flush says so. The stream's shards are
// listed before the first put: the identity needs kinesis:ListShards besides
// kinesis:PutRecords.
func NewProducer(ctx context.Context, o ProducerOptions) (*Producer, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("write stream %s: %w", o.Stream, err)
	}
	client, closeIdle, err := newClient(ctx, o.reading())
	if err != nil {
		return nil, fmt.Errorf("write stream %s: %w", o.Stream, err)
	}
	p := &Producer{
		opts: o.withDefaults(), where: o.reading().withDefaults(), client: client, closeIdle: closeIdle,
		tails: map[hashKey]*entry{}, stale: true,
	}
	p.rest = p.NewBundle()
	p.wake, p.idle = sync.NewCond(&p.mu), sync.NewCond(&p.mu)
	p.ctx, p.cancel = context.WithCancel(ctx)
	p.alarm = time.AfterFunc(time.Hour, p.wakeAll)
	p.linger = time.AfterFunc(time.Hour, p.lingered)
	p.alarm.Stop()
	p.linger.Stop()
	// Waiting senders must see the end of the context.
	context.AfterFunc(p.ctx, func() { p.fail(p.ctx.Err()) })
	for range p.opts.MaxCalls {
		p.wg.Go(p.send)
	}
	return p, nil
}

// Put hands a copy of the record over. It waits while the producer holds
// MaxBytes. The error tells that this record is not valid, or is the
// producer's first permanent one, from whichever record, or that of ctx.
func (p *Producer) Put(ctx context.Context, r Record) error {
	it := Item{PartitionKey: []byte(r.PartitionKey), ExplicitHashKey: []byte(r.ExplicitHashKey), Data: r.Data}
	place, reason, detail := it.check(p.opts.MaxRecordBytes)
	if reason != "" {
		return fmt.Errorf("put a record into stream %s: %s", p.opts.Stream, detail)
	}
	return p.put(ctx, &it, place, max(r.Count, 1), p.rest)
}

func (p *Producer) put(ctx context.Context, it *Item, place hashKey, count int, b *Bundle) error {
	held := int(min(int64(len(it.Data)+len(it.PartitionKey)+heldOverhead), p.opts.MaxBytes))
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.heldBytes+int64(held) > p.opts.MaxBytes {
		if err := p.room(ctx, held); err != nil {
			return err
		}
	}
	switch {
	case p.closed:
		return ErrProducerClosed
	case p.err != nil:
		return p.err
	}
	e := p.entry()
	e.fill(it, place)
	e.held, e.payloads = held, count
	e.shares = append(e.shares, share{bundle: b, ref: it.Ref})
	p.heldBytes += int64(held)
	p.pending++
	b.pending++
	p.route(e)
	return nil
}

// room waits until so many bytes more can be held, for the caller's end or the
// producer's. p.mu is held.
func (p *Producer) room(ctx context.Context, held int) error {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.idle.Broadcast()
	})
	defer stop()
	for p.heldBytes+int64(held) > p.opts.MaxBytes && p.err == nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		// What fillers hold would be waited for in vain.
		p.hurry(func(*filler) bool { return true })
		p.idle.Wait()
	}
	return nil
}

// entry returns an empty entry. p.mu is held.
func (p *Producer) entry() *entry {
	if n := len(p.free); n > 0 {
		e := p.free[n-1]
		p.free = p.free[:n-1]
		return e
	}
	return &entry{}
}

// maxFree bounds the entries that are kept for later records.
const maxFree = 16 << 10

// release takes an entry back. p.mu is held.
func (p *Producer) release(e *entry) {
	if len(p.free) < maxFree {
		e.reset()
		p.free = append(p.free, e)
	}
}

// route sends a record on its way. p.mu is held.
func (p *Producer) route(e *entry) {
	switch {
	case p.outlets == nil:
		p.unrouted = append(p.unrouted, e)
		p.wake.Signal()
	case p.opts.Aggregate:
		p.aggregate(e)
	default:
		p.enqueue(e)
	}
}

// enqueue puts an entry behind the others of its place. p.mu is held.
func (p *Producer) enqueue(e *entry) {
	if tail := p.tails[e.place]; tail != nil {
		tail.behind = e
		p.tails[e.place] = e
		return
	}
	p.tails[e.place] = e
	p.outlets.find(e.place).ready.push(e)
	p.wake.Signal()
}

// Flush waits until the service has accepted everything that was put before,
// by whomever. An error means that some of it may be missing in the stream.
func (p *Producer) Flush(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.idle.Broadcast()
	})
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.pending > 0 && p.err == nil {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("flush %d records to stream %s: %w", p.pending, p.opts.Stream, err)
		}
		p.hurry(func(*filler) bool { return true })
		p.idle.Wait()
	}
	return p.err
}

// Close flushes, ends the senders and waits for them. It returns Flush's error.
func (p *Producer) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.Flush(ctx)
	p.cancel()
	p.wg.Wait()
	p.alarm.Stop()
	p.linger.Stop()
	p.closeIdle()
	return err
}

// Stats returns the present counts.
func (p *Producer) Stats() ProducerStats {
	return ProducerStats{
		Records: p.counts.records.Load(), Payloads: p.counts.payloads.Load(), Bytes: p.counts.bytes.Load(),
		Calls: p.counts.calls.Load(), Retries: p.counts.retries.Load(), Throttles: p.counts.throttles.Load(),
		Rejected: p.counts.rejected.Load(), Listings: p.counts.listings.Load(), Misplaced: p.counts.misplaced.Load(),
	}
}

// fail keeps the first permanent error and ends everything that waits.
func (p *Producer) fail(err error) {
	p.mu.Lock()
	if done := p.closed && p.pending == 0; p.err == nil && !done {
		p.err = err
	}
	p.ended = true
	p.wake.Broadcast()
	p.idle.Broadcast()
	p.mu.Unlock()
	p.cancel()
}

func (p *Producer) wakeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake.Broadcast()
}
