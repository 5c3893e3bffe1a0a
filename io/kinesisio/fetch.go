package kinesisio

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/logging"
)

const (
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
		it    iterator
		pace  = newPacer(&r.opts, s.owner.shared)
		stale int
	)
	for {
		if it.id == "" {
			if err := r.renew(ctx, s, &it, &at); err != nil {
				return r.lost(ctx, s, err)
			}
		}
		got, err := r.getRecords(ctx, s, &it, &at, &pace)
		if old := (*types.ExpiredIteratorException)(nil); errors.As(err, &old) && stale < maxStale {
			// After five minutes: calls failed that long.
			r.counts.expirations.Add(1)
			it.id = ""
			stale++
			continue
		}
		if err != nil {
			return r.lost(ctx, s, err)
		}
		stale = 0
		r.gap(ctx, s.id, at, &got)
		at = got.end
		finished := got.next == "" && !got.stop
		if finished {
			children, err := r.ownedChildren(got.children)
			if err != nil {
				return r.opts.errorOf(r.client, "GetRecords", s.id, 1, err)
			}
			got.chunks = append(got.chunks, chunk{after: position{finished: true}, children: children})
		}
		ended := !got.stop && got.behind == 0 && got.pastStop
		r.queue(s, got.chunks, got.behind, got.stop, ended, got.reserved)
		if finished {
			slog.InfoContext(ctx, "kinesis: a shard was read to its end", logging.Stream, r.opts.Stream, logging.Shard, s.id, "children", len(got.children))
			r.askRelist() // emulators may name no children
		}
		if finished || got.stop {
			return nil
		}
		it = iterator{got.next, time.Now()}
		pace.answered(got.records, got.bytes, got.behind)
	}
}

// start is where reading of a shard begins, for iterators and subscriptions.
type start struct {
	kind types.ShardIteratorType
	seq  *string
	from *time.Time
}

// startAt returns how to ask for what follows the position. It waits for times
// to come, which the service refuses.
func (r *Reader) startAt(ctx context.Context, at position) (start, error) {
	switch {
	case at.seq != "": // see position.resumed
		return start{kind: types.ShardIteratorTypeAtSequenceNumber, seq: &at.seq}, nil
	case r.positions.from == allFrom: // from never changes: no lock
		return start{kind: types.ShardIteratorTypeTrimHorizon}, nil
	}
	// Also for shards that were made later: for them it is their beginning.
	from := time.UnixMilli(r.positions.from)
	return start{kind: types.ShardIteratorTypeAtTimestamp, from: &from}, pause.Sleep(ctx, time.Until(from))
}

// tooEarly says that by the service's clock the time to begin with is still to come.
func (s *start) tooEarly(err error) bool {
	var refused *types.InvalidArgumentException
	return errors.As(err, &refused) && s.from != nil && time.Since(*s.from) < clockSkew
}

// iterator is a shard iterator and when it was given.
type iterator struct {
	id    string
	given time.Time
}

// old says that the iterator is about to expire, which it does after five minutes.
func (it *iterator) old() bool { return time.Since(it.given) > 4*time.Minute }

// renew gets a new iterator for what follows the position.
func (r *Reader) renew(ctx context.Context, s *shard, it *iterator, at *position) error {
	*at = at.resumed()
	id, err := r.iterator(ctx, s.id, *at)
	*it = iterator{id, time.Now()}
	return err
}

// iterator gets a shard iterator for what follows the position.
func (r *Reader) iterator(ctx context.Context, shard string, at position) (string, error) {
	begin, err := r.startAt(ctx, at)
	if err != nil {
		return "", err
	}
	in := &kinesis.GetShardIteratorInput{
		ShardId: &shard, ShardIteratorType: begin.kind, StartingSequenceNumber: begin.seq, Timestamp: begin.from,
	}
	in.StreamName, in.StreamARN = r.opts.target()
	var out *kinesis.GetShardIteratorOutput
	for {
		err := r.retry(ctx, "GetShardIterator", shard, func() (err error) {
			out, err = r.client.GetShardIterator(ctx, in, singleAttempt)
			return err
		})
		if begin.tooEarly(err) {
			if err := pause.Sleep(ctx, r.opts.PollInterval); err != nil {
				return "", err
			}
			continue
		}
		if err != nil {
			return "", err
		}
		return aws.ToString(out.ShardIterator), nil
	}
}

// fetched is what one answer brought, ready to be queued.
type fetched struct {
	packed
	// next is the iterator to go on with, empty at a closed shard's end.
	next     string
	children []types.ChildShard
	// records is how many the answer had, before de-aggregation, with so many
	// bytes; first is the sequence number of the first.
	records, bytes int
	first          string
	behind         time.Duration
	// reserved is the answer's part of the budget.
	reserved int64
	// pastStop says that the answer was given after the stop timestamp.
	pastStop bool
}

// getRecords makes one call, with retries, each when the shard is to be asked
// again and there is room for what it brings. The answer's part of the budget
// is held when it succeeds; queue gives back what is too much.
func (r *Reader) getRecords(ctx context.Context, s *shard, it *iterator, at *position, pace *pacer) (fetched, error) {
	in := &kinesis.GetRecordsInput{ShardIterator: &it.id, Limit: aws.Int32(int32(r.opts.MaxRecordsPerCall))}
	_, in.StreamARN = r.opts.target()
	var got fetched
	var reserved int64
	ready := func() (time.Duration, error) {
		// What waits for its turn holds no room that another shard could use.
		if err := pace.wait(ctx); err != nil {
			return 0, err
		}
		full := time.Now()
		var err error
		if reserved, err = r.makeRoom(ctx, pace); err != nil {
			return 0, err
		}
		waited := time.Since(full)
		if it.old() { // got before there is room, the next could be too
			r.counts.expirations.Add(1)
			if err := r.renew(ctx, s, it, at); err != nil {
				r.budget.Release(reserved)
				return 0, err
			}
		}
		return waited, nil
	}
	err := r.retryReady(ctx, "GetRecords", s.id, ready, func() error {
		pace.begin()
		a := answers.Get().(*answer)
		defer answers.Put(a)
		out, err := r.client.GetRecords(ctx, in, singleAttempt, a.decoding)
		var p packed
		if err == nil {
			p, err = r.pack(s, *at, a)
		}
		if err != nil {
			r.budget.Release(reserved)
			if classify(ctx, err) == throttled {
				pace.throttled()
			}
			return err
		}
		got = fetched{
			packed: p, next: a.next, children: a.children, records: len(a.records), bytes: a.bytes(), first: a.first(),
			behind: time.Duration(a.behind) * time.Millisecond, pastStop: r.opts.pastStop(out.ResultMetadata),
			reserved: reserved,
		}
		return nil
	})
	return got, err
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
	newest := ""
	for i := range shards {
		id := aws.ToString(shards[i].ShardId)
		if id == s.id {
			return err
		}
		newest = max(newest, id)
	}
	if newest < s.id {
		// Retention deletes no open shards, and closed ones have younger children.
		return r.replaced(s.id, "is gone, and there are none but older ones")
	}
	r.counts.lost.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	from := s.delivered.seq
	if from == "" {
		from = "beginning"
	}
	slog.ErrorContext(ctx, "kinesis: shard was deleted by the stream's retention before it was read to its end",
		logging.Stream, r.opts.Stream, logging.Shard, s.id, "position", from, "shards_lost", r.counts.lost.Load(),
		logging.Next, "raise the stream's retention; what is missing is what arrived in the shard after the position")
	s.queue = append(s.queue, chunk{after: position{finished: true}})
	r.askRelist()
	return nil
}

// queue hands chunks to Drain and gives back what was reserved of the budget
// beyond them.
func (r *Reader) queue(s *shard, chunks []chunk, behind time.Duration, stop, ended bool, rest int64) {
	for i := range chunks {
		b := &chunks[i].batch
		r.counts.records.Add(int64(len(b.Records)))
		r.counts.bytes.Add(int64(len(b.Data)))
		size := int64(len(b.Data) + recordOverhead*len(b.Records))
		chunks[i].held = min(rest, size)
		rest -= chunks[i].held
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.budget.Release(rest)
	s.queue = append(s.queue, chunks...)
	s.lag, s.polled, s.stopped, s.ended = behind, true, stop, s.ended || ended
}
