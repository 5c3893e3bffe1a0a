package kinesisio

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/batch"
)

const (
	// batchBytes is where a batch is closed: what goes downstream as one
	// element stays small, whatever an answer brings.
	batchBytes = 1 << 20
	// recordOverhead is what a record of a batch costs besides its payload.
	recordOverhead = 24
	// clockSkew is how far this machine's clock may be ahead of the service's.
	clockSkew = time.Minute
)

// fetch reads the shard from where it was delivered to its end, the stop
// timestamp or the reader's close, and queues what it reads.
func (r *Reader) fetch(ctx context.Context, s *shard) error {
	at := s.delivered // nothing is delivered of a shard that is not yet fetched
	var (
		iterator *string
		pace     pacer
		stale    int
	)
	for {
		if iterator == nil {
			var err error
			if iterator, err = r.iterator(ctx, s.id, at); err != nil {
				return r.lost(ctx, s, err)
			}
		}
		if err := pace.wait(ctx, r.opts.CallInterval); err != nil {
			return err
		}
		out, err := r.getRecords(ctx, s.id, iterator)
		if old := (*types.ExpiredIteratorException)(nil); errors.As(err, &old) && stale < maxStale {
			// After five minutes: the pipeline did not drain, or calls failed that long.
			r.counts.expirations.Add(1)
			iterator = nil
			stale++
			continue
		}
		if err != nil {
			return r.lost(ctx, s, err)
		}
		stale = 0
		chunks, end, stop := r.chunks(s.id, at, out.Records)
		at = end
		finished := aws.ToString(out.NextShardIterator) == "" && !stop
		if finished {
			children, err := ownedChildren(out.ChildShards, r.slot)
			if err != nil {
				return r.opts.errorOf(r.client, "GetRecords", s.id, 1, err)
			}
			chunks = append(chunks, chunk{after: position{finished: true}, children: children})
		}
		behind := time.Duration(aws.ToInt64(out.MillisBehindLatest)) * time.Millisecond
		ended := !stop && behind == 0 && r.opts.pastStop(out.ResultMetadata)
		r.queue(s, chunks, behind, stop, ended)
		if finished {
			r.askRelist() // emulators may name no children
		}
		if finished || stop {
			return nil
		}
		iterator = out.NextShardIterator
		if len(out.Records) == 0 && behind == 0 {
			if err := sleep(ctx, r.opts.PollInterval); err != nil {
				return err
			}
		}
	}
}

// pacer keeps a least time between calls.
type pacer struct{ next time.Time }

func (p *pacer) wait(ctx context.Context, interval time.Duration) error {
	err := sleep(ctx, time.Until(p.next))
	p.next = time.Now().Add(interval)
	return err
}

// iterator gets a shard iterator for what follows the position.
func (r *Reader) iterator(ctx context.Context, shard string, at position) (*string, error) {
	in := &kinesis.GetShardIteratorInput{ShardId: &shard}
	in.StreamName, in.StreamARN = r.opts.target()
	var from time.Time
	switch {
	case at.seq != "" && at.next == 0:
		in.ShardIteratorType, in.StartingSequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, &at.seq
	case at.seq != "":
		in.ShardIteratorType, in.StartingSequenceNumber = types.ShardIteratorTypeAtSequenceNumber, &at.seq
	case r.positions.from == allFrom: // from never changes: no lock
		in.ShardIteratorType = types.ShardIteratorTypeTrimHorizon
	default:
		// Also for shards that were made later: for them it is their beginning.
		from = time.UnixMilli(r.positions.from)
		in.ShardIteratorType, in.Timestamp = types.ShardIteratorTypeAtTimestamp, &from
		// The service refuses times to come.
		if err := sleep(ctx, time.Until(from)); err != nil {
			return nil, err
		}
	}
	var out *kinesis.GetShardIteratorOutput
	for {
		err := r.retry(ctx, "GetShardIterator", shard, func() (err error) {
			out, err = r.client.GetShardIterator(ctx, in, singleAttempt)
			return err
		})
		var refused *types.InvalidArgumentException
		if errors.As(err, &refused) && in.Timestamp != nil && time.Since(from) < clockSkew {
			// By the service's clock the time is still to come.
			if err := sleep(ctx, r.opts.PollInterval); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		return out.ShardIterator, nil
	}
}

// getRecords makes one call, with retries. The answer's part of the budget is
// held when it succeeds; queue gives back what is too much.
func (r *Reader) getRecords(ctx context.Context, shard string, iterator *string) (*kinesis.GetRecordsOutput, error) {
	in := &kinesis.GetRecordsInput{ShardIterator: iterator, Limit: aws.Int32(int32(r.opts.MaxRecordsPerCall))}
	_, in.StreamARN = r.opts.target()
	var out *kinesis.GetRecordsOutput
	err := r.retry(ctx, "GetRecords", shard, func() (err error) {
		if err = r.budget.Acquire(ctx, r.reserve); err != nil {
			return err
		}
		if out, err = r.client.GetRecords(ctx, in, singleAttempt); err != nil {
			r.budget.Release(r.reserve)
		}
		return err
	})
	return out, err
}

// lost decides about a shard whose reading failed for good: one that the
// stream's retention has deleted is at its end, there is nothing to wait for.
func (r *Reader) lost(ctx context.Context, s *shard, err error) error {
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) {
		return err
	}
	// The stream itself may be what is missing: then this fails.
	shards, _, listErr := r.listShards(ctx)
	if listErr != nil {
		return listErr
	}
	for i := range shards {
		if aws.ToString(shards[i].ShardId) == s.id {
			return err
		}
	}
	r.counts.lost.Add(1)
	slog.ErrorContext(ctx, "kinesis: shard was deleted by the stream's retention before it was read to its end",
		"stream", r.opts.Stream, "shard", s.id)
	r.mu.Lock()
	defer r.mu.Unlock()
	s.queue = append(s.queue, chunk{after: position{finished: true}})
	r.askRelist()
	return nil
}

// chunks makes batches of an answer's records, from the position at, and
// returns the position behind them. stop reports that a record beyond the
// stop timestamp was met: it and all after it are left out.
func (r *Reader) chunks(shard string, at position, records []types.Record) (out []chunk, end position, stop bool) {
	var (
		b    = batch.Batch{Source: r.source, Shard: shard, JobStart: r.slot.JobStart}
		subs [][]byte
		left int
	)
	begin := at
	for i := range records {
		left += len(records[i].Data)
	}
	// perBatch is about how many records of this answer make a batch.
	perBatch := 1 + batchBytes*len(records)/max(left, 1)*5/4
	flush := func() {
		if len(b.Records) == 0 {
			return
		}
		r.counts.records.Add(int64(len(b.Records)))
		r.counts.bytes.Add(int64(len(b.Data)))
		out = append(out, chunk{batch: b, after: at})
		b = batch.Batch{Source: b.Source, Shard: b.Shard, JobStart: b.JobStart}
	}
	for i := range records {
		rec := &records[i]
		arrival := time.Time{}
		if rec.ApproximateArrivalTimestamp != nil {
			arrival = *rec.ApproximateArrivalTimestamp
		}
		if !r.opts.StopTimestamp.IsZero() && arrival.After(r.opts.StopTimestamp) {
			stop = true
			break
		}
		seq := aws.ToString(rec.SequenceNumber)
		skip := 0
		if at.next > 0 && seq == at.seq {
			skip = int(at.next) // restored in the middle of this record
		}
		var aggregated bool
		if subs, aggregated = deaggregate(rec.Data, subs[:0]); !aggregated {
			subs = append(subs, rec.Data)
		}
		seqIndex := -1
		for n := skip; n < len(subs); n++ {
			if len(b.Data) >= batchBytes || len(b.Data) > 0 && len(b.Data)+len(subs[n]) > 2*batchBytes {
				flush()
				seqIndex = -1
			}
			if b.Data == nil {
				// With room for the last record beyond the bound.
				b.Data = make([]byte, 0, min(left, batchBytes+len(subs[n])))
				b.Records = make([]batch.Record, 0, max(min(len(records)-i, perBatch), len(subs)-n))
			}
			if seqIndex < 0 {
				seqIndex = len(b.Seqs)
				b.Seqs = append(b.Seqs, seq)
			}
			b.Append(subs[n], uint32(seqIndex), uint32(n), arrival.UnixMilli())
			at = position{seq: seq, next: uint32(n + 1)}
		}
		at = position{seq: seq}
		left -= len(rec.Data)
	}
	flush()
	if len(out) == 0 && at != begin {
		// Aggregates without content move the position too.
		out = []chunk{{after: at}}
	}
	return out, at, stop
}

// queue hands chunks to Drain and returns what the call reserved beyond them.
func (r *Reader) queue(s *shard, chunks []chunk, behind time.Duration, stop, ended bool) {
	rest := r.reserve
	for i := range chunks {
		size := int64(len(chunks[i].batch.Data) + recordOverhead*len(chunks[i].batch.Records))
		chunks[i].held = min(rest, size)
		rest -= chunks[i].held
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.budget.Release(rest)
	s.queue = append(s.queue, chunks...)
	s.lag, s.polled, s.stopped, s.ended = behind, true, stop, s.ended || ended
}
