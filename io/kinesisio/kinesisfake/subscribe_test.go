package kinesisfake_test

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

func TestConsumersComeAndGo(t *testing.T) {
	_, client := start(t, kinesisfake.SeedStream("trips", 1))
	stream, name := aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/trips"), aws.String("etl")
	made, err := client.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: stream, ConsumerName: name})
	if err != nil {
		t.Fatal(err)
	}
	var used *types.ResourceInUseException
	if _, err := client.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: stream, ConsumerName: name}); !errors.As(err, &used) {
		t.Errorf("registered twice: %v", err)
	}
	got, err := client.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{ConsumerARN: made.Consumer.ConsumerARN})
	if err != nil {
		t.Fatal(err)
	}
	if d := got.ConsumerDescription; d.ConsumerStatus != types.ConsumerStatusActive || *d.ConsumerName != *name || *d.StreamARN != *stream {
		t.Errorf("described as %+v", d)
	}
	if _, err := client.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{StreamARN: stream, ConsumerName: name}); err != nil {
		t.Fatal(err)
	}
	var missing *types.ResourceNotFoundException
	if _, err := client.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{StreamARN: stream, ConsumerName: name}); !errors.As(err, &missing) {
		t.Errorf("described after its end: %v", err)
	}
}

// subscribe subscribes to the first shard by the SDK's own means.
func subscribe(t *testing.T, client *kinesis.Client, consumer *string, at types.StartingPosition) *kinesis.SubscribeToShardEventStream {
	t.Helper()
	out, err := client.SubscribeToShard(t.Context(), &kinesis.SubscribeToShardInput{
		ConsumerARN: consumer, ShardId: aws.String("shardId-000000000000"), StartingPosition: &at,
	}, func(o *kinesis.Options) {
		// A client's subscriptions share the protocol's decoder, which is not safe for that.
		o.Protocol = awsjson.New11(schemas.Kinesis_20131202)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.GetStream().Close() }) // which repeats the stream's error
	return out.GetStream()
}

// next returns the next event that has records or ends the shard, nil at the stream's end.
func next(t *testing.T, stream *kinesis.SubscribeToShardEventStream) *types.SubscribeToShardEvent {
	t.Helper()
	for {
		select {
		case e, ok := <-stream.Events():
			if !ok {
				return nil
			}
			event := e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
			if len(event.Records) > 0 || event.ContinuationSequenceNumber == nil {
				return &event
			}
		case <-time.After(30 * time.Second):
			t.Fatal("no event")
		}
	}
}

func TestSubscriptionPushesWhatArrives(t *testing.T) {
	server, client := start(t, kinesisfake.SeedStream("trips", 1))
	stream := "arn:aws:kinesis:us-east-1:000000000000:stream/trips"
	made, err := client.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: &stream, ConsumerName: aws.String("etl")})
	if err != nil {
		t.Fatal(err)
	}
	put(t, client, "trips", "k", "a")
	first := subscribe(t, client, made.Consumer.ConsumerARN, types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon})
	a := next(t, first)
	put(t, client, "trips", "k", "b")
	b := next(t, first)
	if string(a.Records[0].Data) != "a" || string(b.Records[0].Data) != "b" || *b.MillisBehindLatest != 0 {
		t.Errorf("events %+v and %+v", a, b)
	}
	// The consumer's next subscription ends the first, and goes on where it is told.
	second := subscribe(t, client, made.Consumer.ConsumerARN, types.StartingPosition{
		Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: a.ContinuationSequenceNumber,
	})
	if got := next(t, second); string(got.Records[0].Data) != "b" {
		t.Errorf("after a came %+v", got)
	}
	if got := next(t, first); got != nil {
		t.Errorf("the first subscription brought %+v", got)
	}
	server.EndNextSubscription(&kinesisfake.Error{Type: "InternalFailureException", Message: "x"})
	var failure *types.InternalFailureException
	if got := next(t, second); got != nil || !errors.As(second.Err(), &failure) {
		t.Errorf("event %+v, error %v", got, second.Err())
	}
	if _, err := client.SplitShard(t.Context(), &kinesis.SplitShardInput{
		StreamName: aws.String("trips"), ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("1000"),
	}); err != nil {
		t.Fatal(err)
	}
	third := subscribe(t, client, made.Consumer.ConsumerARN, types.StartingPosition{
		Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: b.ContinuationSequenceNumber,
	})
	if got := next(t, third); got == nil || len(got.ChildShards) != 2 || got.ContinuationSequenceNumber != nil {
		t.Errorf("the shard's end is told by %+v", got)
	}
	if got := next(t, third); got != nil || third.Err() != nil {
		t.Errorf("after the end came %+v, %v", got, third.Err())
	}
}
