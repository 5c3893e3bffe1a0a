package kinesisfake_test

import (
	"math/big"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

func TestShardsDivideTheHashKeysEvenly(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 1000} {
		_, client := start(t, kinesisfake.SeedStream("trips", n))
		next := new(big.Int)
		for _, s := range shardsOf(t, client, kinesis.ListShardsInput{StreamName: aws.String("trips")}) {
			if from := number(t, *s.HashKeyRange.StartingHashKey); from.Cmp(next) != 0 {
				t.Fatalf("%d shards: %s begins at %v, want %v", n, *s.ShardId, from, next)
			}
			next.Add(number(t, *s.HashKeyRange.EndingHashKey), big.NewInt(1))
			if len(*s.SequenceNumberRange.StartingSequenceNumber) != 56 || s.SequenceNumberRange.EndingSequenceNumber != nil {
				t.Errorf("sequence numbers of %s: %+v", *s.ShardId, s.SequenceNumberRange)
			}
		}
		if next.Cmp(new(big.Int).Lsh(big.NewInt(1), 128)) != 0 {
			t.Errorf("%d shards end before %v", n, next)
		}
	}
}

func TestListShardsPages(t *testing.T) {
	now := newClock()
	_, client := start(t, kinesisfake.WithClock(now.Now), kinesisfake.SeedStream("trips", 7))
	ctx := t.Context()
	first, err := client.ListShards(ctx, &kinesis.ListShardsInput{
		StreamName: aws.String("trips"), MaxResults: aws.Int32(3),
		ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAfterShardId, ShardId: shardName(0)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(first.Shards); got != "1 2 3" || first.NextToken == nil {
		t.Fatalf("first page %s, token %v", got, first.NextToken)
	}
	second, err := client.ListShards(ctx, &kinesis.ListShardsInput{NextToken: first.NextToken, MaxResults: aws.Int32(3)})
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(second.Shards); got != "4 5 6" || second.NextToken != nil {
		t.Errorf("second page %s, token %v", got, second.NextToken)
	}
	if got := ids(shardsOf(t, client, kinesis.ListShardsInput{StreamName: aws.String("trips"), ExclusiveStartShardId: shardName(4)})); got != "5 6" {
		t.Errorf("after shard 4: %s", got)
	}

	now.move(5*time.Minute + time.Millisecond)
	_, err = client.ListShards(ctx, &kinesis.ListShardsInput{NextToken: first.NextToken})
	wantError(t, err, "ExpiredNextTokenException", "expired")
	_, err = client.ListShards(ctx, &kinesis.ListShardsInput{NextToken: aws.String("AAAAAAAAAA==")})
	wantError(t, err, "InvalidArgumentException", "NextToken is invalid")
	_, err = client.ListShards(ctx, &kinesis.ListShardsInput{NextToken: first.NextToken, StreamName: aws.String("trips")})
	wantError(t, err, "InvalidArgumentException", "NextToken and StreamName cannot be provided together")
	_, err = client.ListShards(ctx, &kinesis.ListShardsInput{NextToken: first.NextToken, ExclusiveStartShardId: shardName(0)})
	wantError(t, err, "InvalidArgumentException", "NextToken and ExclusiveStartShardId")
}

func TestMoreThanAThousandShardsTakeTwoPages(t *testing.T) {
	_, client := start(t, kinesisfake.SeedStream("trips", 1001))
	in := &kinesis.ListShardsInput{StreamName: aws.String("trips"), MaxResults: aws.Int32(10000)}
	var sizes []int
	for in != nil {
		out, err := client.ListShards(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(out.Shards))
		in = nil
		if out.NextToken != nil {
			in = &kinesis.ListShardsInput{NextToken: out.NextToken}
		}
	}
	if len(sizes) != 2 || sizes[0] != 1000 || sizes[1] != 1 {
		t.Errorf("pages of %v", sizes)
	}
}

// Shard 0 is split at 10 s into 1 and 2, which are merged at 20 s into 3.
func TestShardFilterChoosesByTime(t *testing.T) {
	now := newClock()
	_, client := start(t, kinesisfake.WithClock(now.Now), kinesisfake.SeedStream("trips", 1))
	ctx := t.Context()
	begin := now.Now()
	now.move(10 * time.Second)
	if _, err := client.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: aws.String("trips"), ShardToSplit: shardName(0), NewStartingHashKey: aws.String("1000")}); err != nil {
		t.Fatal(err)
	}
	now.move(10 * time.Second)
	if _, err := client.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: aws.String("trips"), ShardToMerge: shardName(1), AdjacentShardToMerge: shardName(2)}); err != nil {
		t.Fatal(err)
	}
	at := func(seconds int) *time.Time { return aws.Time(begin.Add(time.Duration(seconds) * time.Second)) }
	for _, test := range []struct {
		name   string
		filter *types.ShardFilter
		want   string
	}{
		{"none", nil, "0 1 2 3"},
		{"latest", &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}, "3"},
		{"at trim horizon", &types.ShardFilter{Type: types.ShardFilterTypeAtTrimHorizon}, "0"},
		{"from trim horizon", &types.ShardFilter{Type: types.ShardFilterTypeFromTrimHorizon}, "0 1 2 3"},
		{"at 5 s", &types.ShardFilter{Type: types.ShardFilterTypeAtTimestamp, Timestamp: at(5)}, "0"},
		{"at 15 s", &types.ShardFilter{Type: types.ShardFilterTypeAtTimestamp, Timestamp: at(15)}, "1 2"},
		{"at 25 s", &types.ShardFilter{Type: types.ShardFilterTypeAtTimestamp, Timestamp: at(25)}, "3"},
		{"from 15 s", &types.ShardFilter{Type: types.ShardFilterTypeFromTimestamp, Timestamp: at(15)}, "1 2 3"},
		{"from 25 s", &types.ShardFilter{Type: types.ShardFilterTypeFromTimestamp, Timestamp: at(25)}, "3"},
		{"after 1", &types.ShardFilter{Type: types.ShardFilterTypeAfterShardId, ShardId: shardName(1)}, "2 3"},
	} {
		if got := ids(shardsOf(t, client, kinesis.ListShardsInput{StreamName: aws.String("trips"), ShardFilter: test.filter})); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}

	for _, test := range []struct {
		name, code, part string
		filter           types.ShardFilter
	}{
		{"type", "ValidationException", "shardFilter.type", types.ShardFilter{Type: "EVER"}},
		{"no time", "InvalidArgumentException", "Timestamp must be provided", types.ShardFilter{Type: types.ShardFilterTypeAtTimestamp}},
		{"needless time", "InvalidArgumentException", "Timestamp must not", types.ShardFilter{Type: types.ShardFilterTypeAtLatest, Timestamp: at(1)}},
		{"no shard", "InvalidArgumentException", "ShardId must be provided", types.ShardFilter{Type: types.ShardFilterTypeAfterShardId}},
		{"needless shard", "InvalidArgumentException", "ShardId must not", types.ShardFilter{Type: types.ShardFilterTypeAtLatest, ShardId: shardName(0)}},
	} {
		_, err := client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: aws.String("trips"), ShardFilter: &test.filter})
		t.Run("refused: "+test.name, func(t *testing.T) { wantError(t, err, test.code, test.part) })
	}

	// 24 hours after the split, only what was closed since is left.
	now.move(24*time.Hour - 5*time.Second)
	shards := shardsOf(t, client, kinesis.ListShardsInput{StreamName: aws.String("trips")})
	if got := ids(shards); got != "1 2 3" || shards[0].ParentShardId != nil {
		t.Errorf("after retention: %s, parent %v", got, shards[0].ParentShardId)
	}
	_, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: aws.String("trips"), ShardId: shardName(0), ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	wantError(t, err, "ResourceNotFoundException", "does not exist")
}
