package replay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/streaming-etl/streaming-etl/io/kinesisio"
)

// linger is how long an event may wait for others of its aggregate; a slow
// replay is to be as punctual as a fast one.
const linger = 200 * time.Millisecond

// aggregateLanes is how many aggregates of a shard are filled, and can be on
// their way, at a time: of 50 KiB each, so that a shard is given its 1 MiB a
// second where a call takes 200 ms, as from another continent.
const aggregateLanes = 8

// KinesisOptions name the stream that a Kinesis sends into.
type KinesisOptions struct {
	// Stream is the stream's name or ARN; required. Region defaults to that
	// of the ARN or the AWS configuration, Endpoint to the service's own.
	Stream, Region, Endpoint string
	// EmulatorCredentials signs with fixed public credentials.
	EmulatorCredentials bool
	// Aggregate packs many events of one shard into one record, in the format
	// of the Kinesis Producer Library: a shard takes 1,000 records a second,
	// however small they are. Events of one key stay in order, and none waits
	// longer than 200 ms for others.
	Aggregate bool
}

// Validate returns all mistakes in one error made by errors.Join.
func (o KinesisOptions) Validate() error { return o.producer().Validate() }

func (o KinesisOptions) producer() kinesisio.ProducerOptions {
	return kinesisio.ProducerOptions{
		Stream: o.Stream, Region: o.Region, Endpoint: o.Endpoint, EmulatorCredentials: o.EmulatorCredentials,
		MaxRecordBytes: kinesisio.MaxRecordBytes, // how much of it the stream takes, it knows itself
		Aggregate:      o.Aggregate, AggregateLanes: aggregateLanes, Linger: linger,
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
	producer *kinesisio.Producer
	// large has the events that the stream may refuse for their size.
	large *kinesisio.Bundle
}

// OpenKinesis starts a sender; the caller closes it. It goes on when ctx ends,
// so that a stopped replay can deliver what it has sent.
func OpenKinesis(ctx context.Context, o KinesisOptions) (*Kinesis, error) {
	p, err := kinesisio.NewProducer(context.WithoutCancel(ctx), o.producer())
	if err != nil {
		return nil, err
	}
	return &Kinesis{producer: p, large: p.NewBundle()}, nil
}

// Send implements Sender. An event that every stream takes goes apart from
// large ones: what refuses it is a fault, and ends the replay.
func (k *Kinesis) Send(ctx context.Context, partitionKey string, data []byte, ref int) error {
	if len(partitionKey)+len(data) <= kinesisio.DefaultMaxRecordBytes {
		return k.producer.Put(ctx, kinesisio.Record{PartitionKey: partitionKey, Data: data})
	}
	return k.large.Put(ctx, &kinesisio.Item{PartitionKey: []byte(partitionKey), Data: data, Ref: ref})
}

// Refused implements Sender.
func (k *Kinesis) Refused() []Refusal {
	var out []Refusal
	for _, r := range k.large.Rejected() {
		out = append(out, Refusal{Ref: r.Ref, Err: fmt.Errorf("the stream does not take it: %s", r.Detail)})
	}
	return out
}

// Flush implements Sender.
func (k *Kinesis) Flush(ctx context.Context) error { return k.producer.Flush(ctx) }

// Stats implements Sender.
func (k *Kinesis) Stats() SenderStats {
	s := k.producer.Stats()
	return SenderStats{Requests: s.Calls, Retries: s.Retries}
}

// Close delivers what was sent, until ctx ends, and stops the sender.
func (k *Kinesis) Close(ctx context.Context) error { return k.producer.Close(ctx) }
