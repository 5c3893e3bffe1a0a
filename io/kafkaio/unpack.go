package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/io/batch"
)

const (
	// batchBytes is where a batch is closed: what goes downstream as one
	// element stays small, whatever an answer brings.
	batchBytes = 1 << 20
	// recordOverhead is what a record of a batch costs besides its bytes.
	recordOverhead = 24
)

// errStale says that what is being taken apart is not wanted any more.
var errStale = errors.New("the partition was begun anew")

// unpacker holds what taking answers apart uses again and again.
type unpacker struct {
	inflater
	aborts abortFilter
	meta   batch.Meta
	// b is the batch being filled.
	b batch.Batch
	// lastEpoch is that of the position behind what was taken apart.
	lastEpoch int32
}

// unpack takes a partition's part of an answer apart and queues it, in batches
// of about batchBytes. Between batches it waits for room in the budget.
func (f *fetcher) unpack(ctx context.Context, a *asked, rp *kmsg.FetchResponseTopicPartition) error {
	r := f.r
	next := a.next
	in := rp.RecordBatches
	f.b, f.lastEpoch = batch.Batch{}, a.lastEpoch
	if !r.opts.ReadUncommitted {
		f.aborts.reset(rp.AbortedTransactions)
	}
	for len(in) > 0 && (a.stop == noStop || next < a.stop) {
		rb, rest, ok, err := nextBatch(in)
		if err == nil && ok {
			err = f.gather(ctx, a, &rb, len(rest), &next)
		}
		if err != nil {
			// What came before it is good.
			return errors.Join(err, f.flush(a, next))
		}
		if !ok {
			break
		}
		in = rest
	}
	return f.flush(a, next)
}

// gather appends one record batch and moves next behind it; left is how much of
// the answer follows it.
func (f *fetcher) gather(ctx context.Context, a *asked, rb *recordBatch, left int, next *int64) error {
	r := f.r
	after := rb.last + 1
	if a.stop != noStop {
		after = min(after, a.stop)
	}
	drop := rb.control()
	if !r.opts.ReadUncommitted {
		var err error
		if drop, err = f.aborts.drops(rb); err != nil {
			return err
		}
		if drop && !rb.control() {
			r.counts.aborted.Add(1)
		}
	}
	if !drop && rb.last >= *next && (a.stop == noStop || rb.base < a.stop) {
		r.counts.batches.Add(1)
		body, err := f.inflate(int(rb.attributes&codecMask), rb.records)
		if err != nil {
			return fmt.Errorf("%w at offset %d: %w", errCorrupt, rb.base, err)
		}
		// What follows in the answer is likely to be as compressible.
		left = int(float64(left) * float64(len(body)) / float64(max(1, len(rb.records))))
		if err := f.records(ctx, a, rb, body, left, next); err != nil {
			return err
		}
	}
	if after >= *next {
		*next, f.lastEpoch = after, rb.epoch+1
	}
	return nil
}

// records appends the records of a batch's decompressed bytes.
func (f *fetcher) records(ctx context.Context, a *asked, rb *recordBatch, body []byte, left int, next *int64) error {
	var (
		rec  record
		rr   = recordReader{in: body}
		prev = int64(-1)
		size = 1 + len(body)/max(1, rb.count) // of a record
		from = *next
	)
	for range rb.count {
		if !rr.next(&rec) {
			return fmt.Errorf("%w: a damaged record behind offset %d", errCorrupt, rb.base+prev)
		}
		if rec.offsetDelta <= prev || rec.offsetDelta > rb.last-rb.base {
			return fmt.Errorf("%w: offset %d behind %d, of %d to %d", errCorrupt, rb.base+rec.offsetDelta, rb.base+prev, rb.base, rb.last)
		}
		prev = rec.offsetDelta
		offset := rb.base + rec.offsetDelta
		if offset < from {
			continue // the batch begins below what was asked for
		}
		if a.stop != noStop && offset >= a.stop {
			return nil
		}
		if len(f.b.Records) > 0 {
			n := len(f.b.Data)
			if n >= batchBytes || n+len(rec.value) > 2*batchBytes || offset-f.b.Base > math.MaxUint32 {
				if err := f.flush(a, *next); err != nil {
					return err
				}
				if err := f.r.budget.wait(ctx); err != nil {
					return err
				}
			}
		}
		if len(f.b.Records) == 0 {
			// Room for the last record beyond the bound, and for meta data that
			// is larger than what Kafka needs for it.
			expect := len(rr.in) + left
			expect = min(expect+expect/8, batchBytes+min(size, batchBytes))
			own := len(rec.key) + len(rec.value) + len(rec.headers) + 32
			f.b = batch.Batch{
				Source: a.key.topic, Shard: a.p.shard, JobStart: f.r.slot.JobStart, Base: offset,
				Data:    make([]byte, 0, expect+own),
				Records: make([]batch.Record, 0, 1+expect/size),
			}
		}
		m := &f.meta
		m.Key, m.Null, m.Headers = rec.key, rec.value == nil, m.Headers[:0]
		m.Timestamp = rb.baseTime + rec.timeDelta
		if rb.attributes&attrAppendTime != 0 {
			m.Timestamp = rb.maxTime
		}
		if rec.count > 0 {
			var ok bool
			if m.Headers, ok = rec.appendHeaders(m.Headers); !ok {
				return fmt.Errorf("%w: damaged headers at offset %d", errCorrupt, offset)
			}
		}
		f.b.AppendMeta(rec.value, m, uint32(offset-f.b.Base), 0, max(0, m.Timestamp))
		*next, f.lastEpoch = offset+1, rb.epoch+1
	}
	if len(rr.in) != 0 {
		return fmt.Errorf("%w: more than its %d records in the batch at offset %d", errCorrupt, rb.count, rb.base)
	}
	return nil
}

// flush queues the batch being filled, if there is anything in it, with the
// position next behind it.
func (f *fetcher) flush(a *asked, next int64) error {
	c := chunk{batch: f.b}
	f.b = batch.Batch{}
	r := f.r
	r.mu.Lock()
	defer r.mu.Unlock()
	p := a.p
	if p.era != a.era {
		return errStale
	}
	if next == p.at.next && len(c.batch.Records) == 0 {
		return nil
	}
	p.at.next, p.at.lastEpoch = next, max(0, f.lastEpoch)
	c.after = p.at
	if n := len(c.batch.Records); n > 0 {
		c.held = int64(cap(c.batch.Data) + recordOverhead*cap(c.batch.Records))
		r.counts.records.Add(int64(n))
		r.counts.bytes.Add(int64(len(c.batch.Data)))
		r.budget.add(c.held)
	}
	p.queue = append(p.queue, c)
	return nil
}
