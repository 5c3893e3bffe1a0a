package kinesisfake_test

import (
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

func TestLatestSeesWhatIsPutAfterTheIterator(t *testing.T) {
	_, client := start(t, kinesisfake.SeedStream("trips", 1))
	put(t, client, "trips", "a", "before")
	it := iteratorOf(t, client, kinesis.GetShardIteratorInput{
		StreamName: aws.String("trips"), ShardId: aws.String("shardId-000000000000"), ShardIteratorType: types.ShardIteratorTypeLatest,
	})
	put(t, client, "trips", "a", "after 1")
	put(t, client, "trips", "b", "after 2")
	out := get(t, client, it)
	if got := texts(out.Records); !slices.Equal(got, []string{"after 1", "after 2"}) {
		t.Errorf("read %q", got)
	}
	if *out.MillisBehindLatest != 0 || out.NextShardIterator == nil {
		t.Errorf("behind %d, next %v", *out.MillisBehindLatest, out.NextShardIterator)
	}
}
