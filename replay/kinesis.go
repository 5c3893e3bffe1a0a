package replay

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/streaming-etl/streaming-etl/io/kinesisio"
)

// aggregateLanes is the number of aggregates that are filled at a time, each
// for its part of the hash keys: a stream of up to so many shards is used
// evenly.
const aggregateLanes = 64

// KinesisOptions name the stream that a Kinesis sends into.
type KinesisOptions struct {
	// Stream is the stream's name or ARN; required. Region defaults to that
	// of the ARN or the AWS configuration, Endpoint to the service's own.
	Stream, Region, Endpoint string
	// EmulatorCredentials signs with fixed public credentials.
	EmulatorCredentials bool
	// Aggregate packs many events into one record, in the format of the
	// Kinesis Producer Library: a shard takes 1,000 records a second, however
	// small they are. Events of one key stay in order.
	Aggregate bool
}

// Validate returns all mistakes in one error made by errors.Join.
func (o KinesisOptions) Validate() error { return o.producer().Validate() }

func (o KinesisOptions) producer() kinesisio.ProducerOptions {
	return kinesisio.ProducerOptions{
		Stream: o.Stream, Region: o.Region, Endpoint: o.Endpoint, EmulatorCredentials: o.EmulatorCredentials,
		MaxRecordBytes: kinesisio.MaxRecordBytes, // how much of it the stream takes, it knows itself
	}
}

// region returns the stream's region as far as the options tell it.
func (o KinesisOptions) region() string {
	if arn := strings.Split(o.Stream, ":"); o.Region == "" && len(arn) > 3 {
		return arn[3]
	}
	return o.Region
}

// Check tells within 30 s whether the stream can be reached and exists, which
// sending alone would retry for minutes. Rights to write cannot be tried
// without writing, and a sender may do without those to list and to read.
func (o KinesisOptions) Check(ctx context.Context) error {
	err := kinesisio.Options{
		Stream: o.Stream, Region: o.Region, Endpoint: o.Endpoint, EmulatorCredentials: o.EmulatorCredentials,
	}.Check(ctx)
	var answer interface{ ErrorCode() string }
	if errors.As(err, &answer) && answer.ErrorCode() == "AccessDeniedException" {
		return nil
	}
	return err
}

// Kinesis is a Sender into a Kinesis stream. Events of one partition key
// arrive in their order, each at least once: a call whose answer was lost is
// made again.
type Kinesis struct {
	producer  *kinesisio.Producer
	aggregate *kinesisio.Aggregator // nil: an event is a record
	// large has the events that the stream may refuse for their size.
	large *kinesisio.Bundle
	// pending are aggregates that the producer has not taken yet. They hold
	// events that were sent long ago, so that a wait for the producer that is
	// broken off must not lose them.
	pending []pendingRecord
}

// pendingRecord is an event, or an aggregate of which it was the last.
type pendingRecord struct {
	kinesisio.Record
	ref int
}

// OpenKinesis starts a sender; the caller closes it. It goes on when ctx ends,
// so that a stopped replay can deliver what it has sent.
func OpenKinesis(ctx context.Context, o KinesisOptions) (*Kinesis, error) {
	k := &Kinesis{}
	if o.Aggregate {
		a, err := kinesisio.NewAggregator(aggregateLanes, 0)
		if err != nil {
			return nil, err
		}
		k.aggregate = a
	}
	p, err := kinesisio.NewProducer(context.WithoutCancel(ctx), o.producer())
	if err != nil {
		return nil, err
	}
	k.producer, k.large = p, p.NewBundle()
	return k, nil
}

// Send implements Sender.
func (k *Kinesis) Send(ctx context.Context, partitionKey string, data []byte, ref int) error {
	if k.aggregate == nil {
		return k.put(ctx, pendingRecord{kinesisio.Record{PartitionKey: partitionKey, Data: data}, ref})
	}
	if err := k.putPending(ctx); err != nil {
		return err
	}
	full, err := k.aggregate.Add(partitionKey, "", data)
	k.hold(full, ref)
	return err
}

// hold has records wait to be put. Of these only the event itself can be large.
func (k *Kinesis) hold(records []kinesisio.Record, ref int) {
	for _, r := range records {
		k.pending = append(k.pending, pendingRecord{r, ref})
	}
}

// put hands a record to the producer. One that every stream takes goes apart
// from large ones: what refuses it is a fault, and ends the replay.
func (k *Kinesis) put(ctx context.Context, r pendingRecord) error {
	if len(r.PartitionKey)+len(r.Data) <= kinesisio.DefaultMaxRecordBytes {
		return k.producer.Put(ctx, r.Record)
	}
	return k.large.Put(ctx, &kinesisio.Item{
		PartitionKey: []byte(r.PartitionKey), ExplicitHashKey: []byte(r.ExplicitHashKey), Data: r.Data, Ref: r.ref,
	})
}

// Refused implements Sender.
func (k *Kinesis) Refused() []Refusal {
	var out []Refusal
	for _, r := range k.large.Rejected() {
		out = append(out, Refusal{Ref: r.Ref, Err: fmt.Errorf("the stream does not take it: %s", r.Detail)})
	}
	return out
}

// Push implements Sender: it sends aggregates that are not full.
func (k *Kinesis) Push(ctx context.Context) error {
	if k.aggregate == nil {
		return nil
	}
	k.hold(k.aggregate.Flush(), 0)
	return k.putPending(ctx)
}

func (k *Kinesis) putPending(ctx context.Context) error {
	for len(k.pending) > 0 {
		if err := k.put(ctx, k.pending[0]); err != nil {
			return err
		}
		k.pending[0] = pendingRecord{}
		k.pending = k.pending[1:]
	}
	k.pending = nil
	return nil
}

// Flush implements Sender.
func (k *Kinesis) Flush(ctx context.Context) error {
	if err := k.Push(ctx); err != nil {
		return err
	}
	return k.producer.Flush(ctx)
}

// Stats implements Sender.
func (k *Kinesis) Stats() SenderStats {
	s := k.producer.Stats()
	return SenderStats{Requests: s.Calls, Retries: s.Retries}
}

// Close delivers what was sent, until ctx ends, and stops the sender.
func (k *Kinesis) Close(ctx context.Context) error {
	return errors.Join(k.Push(ctx), k.producer.Close(ctx))
}
