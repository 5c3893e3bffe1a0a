package kinesisio

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"golang.org/x/sync/semaphore"
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
	DefaultProducerCalls = 4
)

// heldOverhead is what a held record costs besides its bytes.
const heldOverhead = 256

// ProducerOptions say where a producer writes and how. Zero values of all but
// Stream stand for defaults.
type ProducerOptions struct {
	// Stream, Region, Endpoint and EmulatorCredentials are as in Options.
	Stream, Region, Endpoint string
	EmulatorCredentials      bool
	// MaxBytes overrides DefaultProducerBytes; Put waits while it is reached.
	MaxBytes int64
	// MaxCalls overrides DefaultProducerCalls.
	MaxCalls int
	// RetryDeadline is how long a record is tried again, RetryBackoff and
	// RetryBackoffMax bound the waits between; defaults as in Options.
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
}

// ErrProducerClosed is returned by Put after Close.
var ErrProducerClosed = errors.New("kinesis: producer is closed")

// Producer puts records into a stream: many in one call, only the failed ones
// again, those of one key in their order. It is safe for concurrent use.
//
// The order holds per explicit hash key, or partition key where there is
// none, because a record is sent only when the one before it with the same
// key was accepted: PutRecords may refuse one entry and accept the next. So a
// call has at most one record of a key; for much data under few keys
// aggregate (see Aggregator).
//
// Delivery is at least once: a call whose answer got lost is made again.
type Producer struct {
	opts   ProducerOptions
	where  Options
	client *kinesis.Client
	// closeIdle closes the connections that are in no call.
	closeIdle func()
	ctx       context.Context
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	budget    *semaphore.Weighted
	counts    struct {
		records, payloads, bytes, calls, retries, throttles atomic.Int64
	}

	mu sync.Mutex
	// keys holds the keys that are ready or in a call, with what waits behind.
	keys map[string]*followers
	// ready are records whose turn has come.
	ready []*entry
	// wake tells senders of ready records; idle tells Flush that all is done.
	wake, idle *sync.Cond
	held       int
	err        error
	// closed refuses new records, ended stops the senders.
	closed, ended bool
}

type followers struct{ waiting []*entry }

// entry is a record on its way.
type entry struct {
	Record
	key  string
	size int64
	// first is when it failed first, attempts how often it did.
	first    time.Time
	attempts int
}

// Validate reports all faults of the options in one error.
func (o ProducerOptions) Validate() error {
	err := o.reading().Validate()
	if o.MaxBytes < 0 || o.MaxCalls < 0 {
		err = errors.Join(err, errors.New("a producer's bounds are negative"))
	}
	return err
}

func (o ProducerOptions) reading() Options {
	return Options{
		Stream: o.Stream, Region: o.Region, Endpoint: o.Endpoint, EmulatorCredentials: o.EmulatorCredentials,
		RetryDeadline: o.RetryDeadline, RetryBackoff: o.RetryBackoff, RetryBackoffMax: o.RetryBackoffMax,
	}
}

// NewProducer returns a producer with its senders running. ctx ends them: what
// is not sent then is dropped, and Flush says so.
func NewProducer(ctx context.Context, o ProducerOptions) (*Producer, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("write stream %s: %w", o.Stream, err)
	}
	client, closeIdle, err := newClient(ctx, o.reading())
	if err != nil {
		return nil, fmt.Errorf("write stream %s: %w", o.Stream, err)
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultProducerBytes
	}
	if o.MaxCalls == 0 {
		o.MaxCalls = DefaultProducerCalls
	}
	p := &Producer{
		opts: o, where: o.reading().withDefaults(), client: client, closeIdle: closeIdle,
		budget: semaphore.NewWeighted(o.MaxBytes),
		keys:   map[string]*followers{},
	}
	p.wake, p.idle = sync.NewCond(&p.mu), sync.NewCond(&p.mu)
	p.ctx, p.cancel = context.WithCancel(ctx)
	// Waiting senders must see the end of the context.
	context.AfterFunc(p.ctx, func() { p.fail(p.ctx.Err()) })
	for range o.MaxCalls {
		p.wg.Go(p.send)
	}
	return p, nil
}

// Put hands a record over; its Data must not be changed afterwards. It waits
// while the producer holds MaxBytes. The error is the producer's first
// permanent one, from whichever record, or that of ctx.
func (p *Producer) Put(ctx context.Context, r Record) error {
	e := &entry{Record: r, key: r.orderKey()}
	e.Count = max(e.Count, 1)
	if e.Data == nil {
		e.Data = []byte{} // nil would be a missing member
	}
	e.size = min(int64(len(r.Data)+len(r.PartitionKey)+heldOverhead), p.opts.MaxBytes)
	if err := p.acquire(ctx, e.size); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		p.budget.Release(e.size)
		return ErrProducerClosed
	case p.err != nil:
		p.budget.Release(e.size)
		return p.err
	}
	p.held++
	if f := p.keys[e.key]; f != nil {
		f.waiting = append(f.waiting, e)
		return nil
	}
	p.keys[e.key] = &followers{}
	p.ready = append(p.ready, e)
	p.wake.Signal()
	return nil
}

// acquire waits for room, for the caller's end or the producer's.
func (p *Producer) acquire(ctx context.Context, size int64) error {
	if p.budget.TryAcquire(size) {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(p.ctx, cancel)
	defer stop()
	if err := p.budget.Acquire(ctx, size); err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.err != nil {
			return p.err
		}
		return err
	}
	return nil
}

// Flush waits until the service has accepted everything that was put before.
// An error means that some of it may be missing in the stream.
func (p *Producer) Flush(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.idle.Broadcast()
	})
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.held > 0 && p.err == nil {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("flush %d records to stream %s: %w", p.held, p.opts.Stream, err)
		}
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
	p.closeIdle()
	return err
}

// Stats returns the present counts.
func (p *Producer) Stats() ProducerStats {
	return ProducerStats{
		Records: p.counts.records.Load(), Payloads: p.counts.payloads.Load(), Bytes: p.counts.bytes.Load(),
		Calls: p.counts.calls.Load(), Retries: p.counts.retries.Load(), Throttles: p.counts.throttles.Load(),
	}
}

// fail keeps the first permanent error and ends everything that waits.
func (p *Producer) fail(err error) {
	p.mu.Lock()
	if done := p.closed && p.held == 0; p.err == nil && !done {
		p.err = err
	}
	p.ended = true
	p.wake.Broadcast()
	p.idle.Broadcast()
	p.mu.Unlock()
	p.cancel()
}

// send makes calls until the producer ends. Records that failed stay with the
// sender, and their keys stay taken, until they are accepted.
func (p *Producer) send() {
	var again []*entry
	for {
		call, ok := p.next(again)
		if !ok {
			return
		}
		failed, err := p.put(call)
		if err == nil {
			err = p.settle(call, failed)
		}
		if err != nil {
			p.fail(err)
			return
		}
		again = again[:0]
		worst := 0
		for _, f := range failed {
			if f != nil {
				again = append(again, f.entry)
				worst = max(worst, f.entry.attempts)
			}
		}
		if worst > 0 && sleep(p.ctx, backoff(worst, p.where.RetryBackoff, p.where.RetryBackoffMax)) != nil {
			return
		}
	}
}

// next waits for work and returns the records of the next call: those to be
// sent again first, then what is ready. It reports false at the end.
func (p *Producer) next(again []*entry) ([]*entry, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.ready) == 0 && len(again) == 0 && !p.ended {
		p.wake.Wait()
	}
	if p.ended {
		return nil, false
	}
	call := append(make([]*entry, 0, min(maxPutRecords, len(again)+len(p.ready))), again...)
	size := 0
	for _, e := range call {
		size += len(e.Data) + len(e.PartitionKey)
	}
	n := 0
	for ; n < len(p.ready) && len(call) < maxPutRecords; n++ {
		e := p.ready[n]
		if size += len(e.Data) + len(e.PartitionKey); size > maxPutBytes && len(call) > 0 {
			break
		}
		call = append(call, e)
	}
	clear(p.ready[:n])
	if p.ready = p.ready[n:]; len(p.ready) > 0 {
		p.wake.Signal()
	}
	return call, true
}

// failure is why an entry was not accepted.
type failure struct {
	entry *entry
	err   error
	class class
}

// put makes one call. For each record it returns nil if it was accepted; an
// error only at the producer's end.
func (p *Producer) put(call []*entry) ([]*failure, error) {
	in := &kinesis.PutRecordsInput{Records: make([]types.PutRecordsRequestEntry, len(call))}
	in.StreamName, in.StreamARN = p.where.target()
	for i, e := range call {
		in.Records[i] = types.PutRecordsRequestEntry{Data: e.Data, PartitionKey: &e.PartitionKey}
		if e.ExplicitHashKey != "" {
			in.Records[i].ExplicitHashKey = &e.ExplicitHashKey
		}
	}
	p.counts.calls.Add(1)
	out, err := p.client.PutRecords(p.ctx, in, singleAttempt)
	failed := make([]*failure, len(call))
	if err == nil && len(out.Records) != len(call) {
		err = fmt.Errorf("the answer to %d records has %d entries", len(call), len(out.Records))
	}
	if err != nil {
		c := classify(p.ctx, err)
		if c == canceled {
			return nil, p.ctx.Err()
		}
		for i, e := range call {
			failed[i] = &failure{entry: e, err: err, class: c}
		}
		return failed, nil
	}
	for i := range out.Records {
		if code := aws.ToString(out.Records[i].ErrorCode); code != "" {
			failed[i] = &failure{
				entry: call[i],
				err:   &EntryError{Code: code, Message: aws.ToString(out.Records[i].ErrorMessage), PartitionKey: call[i].PartitionKey},
				class: classifyCode(code),
			}
		}
	}
	return failed, nil
}

// EntryError is the service's refusal of one record of a PutRecords call.
type EntryError struct{ Code, Message, PartitionKey string }

// Error tells which record was refused and why.
func (e *EntryError) Error() string {
	return fmt.Sprintf("record with partition key %q: %s: %s", e.PartitionKey, e.Code, e.Message)
}

// settle lets the followers of accepted records go, and returns the error of
// a record that is not to be tried again.
func (p *Producer) settle(call []*entry, failed []*failure) error {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	woken := 0
	for i, e := range call {
		if f := failed[i]; f != nil {
			e.attempts++
			if e.first.IsZero() {
				e.first = now
			}
			if f.class == throttled {
				p.counts.throttles.Add(1)
			}
			if f.class != throttled && f.class != transient || now.Sub(e.first) > p.where.RetryDeadline {
				return p.where.errorOf(p.client, "PutRecords", "", e.attempts, f.err)
			}
			p.counts.retries.Add(1)
			continue
		}
		p.counts.records.Add(1)
		p.counts.payloads.Add(int64(e.Count))
		p.counts.bytes.Add(int64(len(e.Data)))
		p.budget.Release(e.size)
		p.held--
		f := p.keys[e.key]
		if len(f.waiting) == 0 {
			delete(p.keys, e.key)
			continue
		}
		p.ready = append(p.ready, f.waiting[0])
		f.waiting[0] = nil
		f.waiting = f.waiting[1:]
		woken++
	}
	if woken > 0 {
		p.wake.Broadcast()
	}
	if p.held == 0 {
		p.idle.Broadcast()
	}
	return nil
}
