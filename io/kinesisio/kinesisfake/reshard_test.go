package kinesisfake_test

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

func TestSplitThenMergeKeepsParentsAndOrder(t *testing.T) {
	now := newClock() // it stands still: order must not come from the time
	_, client := start(t, kinesisfake.WithClock(now.Now), kinesisfake.SeedStream("trips", 1))
	ctx := t.Context()
	half := new(big.Int).Lsh(big.NewInt(1), 127)
	low, high := aws.String("0"), aws.String(half.String())
	putAt := func(hash *string, data string) *kinesis.PutRecordOutput {
		t.Helper()
		out, err := client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("trips"), PartitionKey: aws.String("k"), ExplicitHashKey: hash, Data: []byte(data)})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	latest := horizon("trips", 0)
	latest.ShardIteratorType = types.ShardIteratorTypeLatest

	putAt(low, "parent 1")
	parent := putAt(high, "parent 2")
	tip := iteratorOf(t, client, latest)
	if _, err := client.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: aws.String("trips"), ShardToSplit: shardName(0), NewStartingHashKey: high}); err != nil {
		t.Fatal(err)
	}
	lower, upper := putAt(low, "low"), putAt(high, "high")
	if *lower.ShardId != *shardName(1) || *upper.ShardId != *shardName(2) {
		t.Errorf("after the split low went to %s, high to %s", *lower.ShardId, *upper.ShardId)
	}
	if _, err := client.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: aws.String("trips"), ShardToMerge: shardName(2), AdjacentShardToMerge: shardName(1)}); err != nil {
		t.Fatal(err)
	}
	merged := putAt(low, "merged")
	if *merged.ShardId != *shardName(3) {
		t.Errorf("after the merge low went to %s", *merged.ShardId)
	}

	var order []string
	for _, out := range []*kinesis.PutRecordOutput{parent, lower, merged} {
		order = append(order, *out.SequenceNumber)
	}
	if !slices.IsSorted(order) || number(t, *upper.SequenceNumber).Cmp(number(t, *parent.SequenceNumber)) <= 0 {
		t.Errorf("children's sequence numbers are not greater: %v, %s", order, *upper.SequenceNumber)
	}

	// A closed shard gives its records, then ends and names its children.
	records, children := drain(t, client, iteratorOf(t, client, horizon("trips", 0)))
	if got := texts(records); !slices.Equal(got, []string{"parent 1", "parent 2"}) {
		t.Errorf("shard 0 gave %q", got)
	}
	wantChildren(t, children, "1<0[0..170141183460469231731687303715884105727] 2<0[170141183460469231731687303715884105728..340282366920938463463374607431768211455]")
	for _, shard := range []int{1, 2} {
		_, children := drain(t, client, iteratorOf(t, client, horizon("trips", shard)))
		wantChildren(t, children, "3<2,1[0..340282366920938463463374607431768211455]")
	}
	out := get(t, client, tip)
	if len(out.Records) != 0 || out.NextShardIterator != nil || *out.MillisBehindLatest != 0 {
		t.Errorf("at the closed shard's end: %d records, next %v", len(out.Records), out.NextShardIterator)
	}
	wantChildren(t, out.ChildShards[:1], "1<0[0..170141183460469231731687303715884105727]")

	// The listing tells the same, with the numbers at which shards ended.
	shards := shardsOf(t, client, kinesis.ListShardsInput{StreamName: aws.String("trips")})
	var graph []string
	for _, s := range shards {
		text := *s.ShardId + "<" + aws.ToString(s.ParentShardId) + "," + aws.ToString(s.AdjacentParentShardId)
		graph = append(graph, strings.ReplaceAll(text, "shardId-00000000000", ""))
	}
	if got := strings.Join(graph, " "); got != "0<, 1<0, 2<0, 3<2,1" {
		t.Errorf("graph %s", got)
	}
	end := shards[0].SequenceNumberRange.EndingSequenceNumber
	if end == nil || number(t, *end).Cmp(number(t, *parent.SequenceNumber)) <= 0 || number(t, *end).Cmp(number(t, *lower.SequenceNumber)) >= 0 {
		t.Errorf("shard 0 ends at %v", end)
	}
	if shards[3].SequenceNumberRange.EndingSequenceNumber != nil {
		t.Errorf("the open shard ends at %s", *shards[3].SequenceNumberRange.EndingSequenceNumber)
	}
	// Reading after that number is reading at the end.
	after := horizon("trips", 0)
	after.ShardIteratorType, after.StartingSequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, end
	if out := get(t, client, iteratorOf(t, client, after)); len(out.Records) != 0 || out.NextShardIterator != nil {
		t.Errorf("behind the end: %d records", len(out.Records))
	}
}

func wantChildren(t testing.TB, children []types.ChildShard, want string) {
	t.Helper()
	var out []string
	for _, c := range children {
		out = append(out, fmt.Sprintf("%s<%s[%s..%s]", *c.ShardId, strings.Join(c.ParentShards, ","), *c.HashKeyRange.StartingHashKey, *c.HashKeyRange.EndingHashKey))
	}
	if got := strings.ReplaceAll(strings.Join(out, " "), "shardId-00000000000", ""); got != want {
		t.Errorf("children %s, want %s", got, want)
	}
}

func TestReshardingIsRefused(t *testing.T) {
	_, client := start(t, kinesisfake.SeedStream("trips", 4), kinesisfake.ShardLimit(6))
	ctx := t.Context()
	shards := shardsOf(t, client, kinesis.ListShardsInput{StreamName: aws.String("trips")})
	split := func(shard int, at *string) error {
		_, err := client.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: aws.String("trips"), ShardToSplit: shardName(shard), NewStartingHashKey: at})
		return err
	}
	merge := func(a, b int) error {
		_, err := client.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: aws.String("trips"), ShardToMerge: shardName(a), AdjacentShardToMerge: shardName(b)})
		return err
	}
	scale := func(n int32) error {
		_, err := client.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{StreamName: aws.String("trips"), TargetShardCount: &n, ScalingType: types.ScalingTypeUniformScaling})
		return err
	}
	if err := split(0, aws.String("5")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, code, part string
		err              error
	}{
		{"split at the shard's start", "InvalidArgumentException", "NewStartingHashKey", split(1, shards[1].HashKeyRange.StartingHashKey)},
		{"split beyond the shard", "InvalidArgumentException", "less than the shard's EndingHashKey", split(1, shards[2].HashKeyRange.StartingHashKey)},
		{"split a closed shard", "InvalidArgumentException", "is not in OPEN state", split(0, aws.String("5"))},
		{"split an unknown shard", "ResourceNotFoundException", "Could not find shard shardId-000000000099 in stream trips", split(99, aws.String("5"))},
		{"hash key as text", "ValidationException", "newStartingHashKey", split(1, aws.String("half"))},
		{"merge shards apart", "InvalidArgumentException", "are not an adjacent pair of shards eligible for merging", merge(1, 3)},
		{"merge with itself", "InvalidArgumentException", "not an adjacent pair", merge(1, 1)},
		{"merge a closed shard", "InvalidArgumentException", "is not in OPEN state", merge(0, 1)},
		{"less than half", "InvalidArgumentException", "cannot scale down below half", scale(2)},
		{"none", "ValidationException", "targetShardCount", scale(0)},
		{"over the limit", "LimitExceededException", "Current shard count for the account: 5. Limit: 6.", scale(7)},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, test.err, test.code, test.part)
		})
	}
	if err := split(1, aws.String(new(big.Int).Add(number(t, *shards[1].HashKeyRange.StartingHashKey), big.NewInt(1)).String())); err != nil {
		t.Error(err)
	}
	_, small := start(t, kinesisfake.SeedStream("trips", 1))
	_, err := small.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{StreamName: aws.String("trips"), TargetShardCount: aws.Int32(3), ScalingType: types.ScalingTypeUniformScaling})
	wantError(t, err, "InvalidArgumentException", "cannot scale up over double your current open shard count. Current open shard count: 1 Target shard count: 3")
	wantError(t, split(2, aws.String("5")), "LimitExceededException", "Number of additional shards that would have resulted from this request: 1")
}

func TestUpdateShardCountComesToEqualShards(t *testing.T) {
	_, client := start(t, kinesisfake.SeedStream("trips", 2))
	ctx := t.Context()
	current := int32(2)
	for _, n := range []int32{4, 7, 4, 3, 5, 5, 9} {
		out, err := client.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{StreamName: aws.String("trips"), TargetShardCount: &n, ScalingType: types.ScalingTypeUniformScaling})
		if err != nil {
			t.Fatal(err)
		}
		if *out.CurrentShardCount != current || *out.TargetShardCount != n {
			t.Errorf("answer says from %d to %d, want %d to %d", *out.CurrentShardCount, *out.TargetShardCount, current, n)
		}
		current = n
		var starts []string
		for _, s := range shardsOf(t, client, kinesis.ListShardsInput{StreamName: aws.String("trips"), ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}}) {
			starts = append(starts, *s.HashKeyRange.StartingHashKey)
		}
		width := new(big.Int).Div(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(int64(n)))
		var want []string
		for i := range n {
			want = append(want, new(big.Int).Mul(width, big.NewInt(int64(i))).String())
		}
		slices.Sort(starts)
		slices.Sort(want)
		if !slices.Equal(starts, want) {
			t.Errorf("%d shards begin at %v, want %v", n, starts, want)
		}
	}
	// Every shard begins within its parents' ranges and above their numbers.
	byID := map[string]types.Shard{}
	for _, s := range shardsOf(t, client, kinesis.ListShardsInput{StreamName: aws.String("trips")}) {
		byID[*s.ShardId] = s
		for _, p := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
			if p == nil {
				continue
			}
			parent, ok := byID[*p]
			if !ok || parent.SequenceNumberRange.EndingSequenceNumber == nil {
				t.Fatalf("parent %s of %s is not a closed shard before it", *p, *s.ShardId)
			}
			if number(t, *s.SequenceNumberRange.StartingSequenceNumber).Cmp(number(t, *parent.SequenceNumberRange.EndingSequenceNumber)) <= 0 {
				t.Errorf("%s begins before its parent %s ends", *s.ShardId, *p)
			}
			if number(t, *s.HashKeyRange.StartingHashKey).Cmp(number(t, *parent.HashKeyRange.EndingHashKey)) > 0 ||
				number(t, *s.HashKeyRange.EndingHashKey).Cmp(number(t, *parent.HashKeyRange.StartingHashKey)) < 0 {
				t.Errorf("%s has no hash key of its parent %s", *s.ShardId, *p)
			}
		}
	}
}

// Producers write numbered records per key while the stream is resharded; a
// reader that follows children after their parents sees every key in order.
func TestNothingIsLostWhileResharding(t *testing.T) {
	_, client := start(t, kinesisfake.SeedStream("trips", 2))
	ctx := t.Context()
	const producers, rounds, batch = 4, 30, 10
	halfway := make(chan struct{}, producers)
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for round := range rounds {
				var entries []types.PutRecordsRequestEntry
				for i := range batch {
					entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprintf("%d-%d", p, i)), Data: fmt.Append(nil, round)})
				}
				out, err := client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String("trips"), Records: entries})
				if err != nil || *out.FailedRecordCount != 0 {
					t.Errorf("put: %v", err)
					return
				}
				if round == rounds/2 {
					halfway <- struct{}{}
				}
			}
		})
	}
	wg.Go(func() {
		<-halfway
		for _, n := range []int32{4, 3, 6, 4} {
			if _, err := client.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{StreamName: aws.String("trips"), TargetShardCount: &n, ScalingType: types.ScalingTypeUniformScaling}); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()

	next := map[string]int{}
	total := 0
	// Numbers of shards rise from parents to children.
	for i := range shardsOf(t, client, kinesis.ListShardsInput{StreamName: aws.String("trips")}) {
		records, _ := drain(t, client, iteratorOf(t, client, horizon("trips", i)))
		for _, r := range records {
			if want := fmt.Sprint(next[*r.PartitionKey]); string(r.Data) != want {
				t.Fatalf("key %s: record %s, want %s", *r.PartitionKey, r.Data, want)
			}
			next[*r.PartitionKey]++
			total++
		}
	}
	if total != producers*rounds*batch {
		t.Errorf("read %d records, put %d", total, producers*rounds*batch)
	}
}
