package kinesisio

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/io/slots"
)

// reshard changes the stream's shards: to 32, by random splits and merges, to
// 8, and again at random.
func (s *stream) reshard(ctx context.Context, rng *rand.Rand) error {
	to := func(n int) error {
		_, err := s.client.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{
			StreamName: &s.opts.Stream, TargetShardCount: aws.Int32(int32(n)), ScalingType: types.ScalingTypeUniformScaling,
		})
		return err
	}
	random := func(n int) error {
		for range n {
			m, err := listRanges(ctx, s.client, s.opts)
			if err != nil {
				return err
			}
			i := rng.IntN(len(m.open))
			if rng.IntN(2) == 0 && i+1 < len(m.open) {
				_, err = s.client.MergeShards(ctx, &kinesis.MergeShardsInput{
					StreamName: &s.opts.Stream, ShardToMerge: &m.open[i].id, AdjacentShardToMerge: &m.open[i+1].id,
				})
			} else {
				at := m.open[i].from.between(m.open[i].to, rng.IntN(6), 6)
				_, err = s.client.SplitShard(ctx, &kinesis.SplitShardInput{
					StreamName: &s.opts.Stream, ShardToSplit: &m.open[i].id, NewStartingHashKey: aws.String(at.String()),
				})
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	return errors.Join(to(32), random(10), to(32), to(16), to(8), random(10))
}

// oneOwner says whether all shards that ever held the key, and all that these
// came from, belong to one slot: then the key's order is kept.
func oneOwner(t *testing.T, shards []types.Shard, key hashKey, count int) bool {
	t.Helper()
	byID := map[string]types.Shard{}
	for _, s := range shards {
		byID[*s.ShardId] = s
	}
	owner := func(s types.Shard) int {
		i, err := slotOf(*s.HashKeyRange.StartingHashKey, count)
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	owners := map[int]bool{}
	for _, s := range shards {
		if r, err := rangeOf(&s); err != nil {
			t.Fatal(err)
		} else if !r.holds(key) {
			continue
		}
		owners[owner(s)] = true
	}
	return len(owners) == 1
}

func TestReshardingStormLosesAndDoublesNothing(t *testing.T) {
	for _, c := range []struct {
		count    int
		consumer string
		byKey    bool
	}{{1, "", false}, {3, "", false}, {3, "etl", false}, {3, "", true}, {5, "", true}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			s := newFake(t, 16, kinesisfake.ShardLimit(1000))
			s.opts.Consumer, s.opts.KeyOrder = c.consumer, c.byKey
			const producers, rounds, keys = 5, 40, 60
			next := make([]map[int]int, producers)
			var wg sync.WaitGroup
			for w := range next {
				next[w] = map[int]int{}
				p := s.producer(func(o *ProducerOptions) { o.MaxCalls = 2 })
				wg.Go(func() {
					for range rounds {
						b := p.NewBundle()
						for i := range keys {
							k := w + producers*i
							if err := b.Put(t.Context(), &Item{PartitionKey: fmt.Append(nil, k), Data: fmt.Appendf(nil, "%d/%d", k, next[w][k])}); err != nil {
								t.Error(err)
								return
							}
							next[w][k]++
						}
						if _, err := b.Flush(t.Context()); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Go(func() {
				if err := s.reshard(t.Context(), rand.New(rand.NewPCG(9, uint64(c.count)))); err != nil {
					t.Error(err)
				}
			})
			rng := rand.New(rand.NewPCG(10, uint64(c.count)))
			got := collect(t)
			readers := make([]*Reader, c.count)
			for i := range readers {
				readers[i] = s.open(slots.Slot{Index: i, Count: c.count}, nil)
			}
			const all = producers * rounds * keys
			for n := 500; n < all; n += 500 {
				got.drain(n, readers...)
				if n%1500 == 0 { // one of them moves to another worker
					i := rng.IntN(c.count)
					readers[i].Close()
					readers[i] = s.open(slots.Slot{Index: i, Count: c.count}, readers[i].encoded())
				}
			}
			wg.Wait()
			got.drain(all, readers...)
			got.quiet(readers...)
			counters := map[int]int{}
			for _, n := range next {
				maps.Copy(counters, n)
			}
			got.once(counters)
			listed, err := s.client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: &s.opts.Stream})
			if err != nil {
				t.Fatal(err)
			}
			ordered := 0
			for k := range counters {
				text := fmt.Sprint(k)
				if !c.byKey && !oneOwner(t, listed.Shards, hashOf([]byte(text)), c.count) {
					continue
				}
				ordered++
				if !slices.IsSorted(got.order[text]) {
					t.Errorf("key %s came out of order", text)
				}
			}
			t.Logf("%d shards, %d of %d keys of one slot", len(listed.Shards), ordered, len(counters))
			if (c.count == 1 || c.byKey) && ordered != len(counters) || ordered == 0 {
				t.Errorf("%d of %d keys are of one slot", ordered, len(counters))
			}
		})
	}
}

func TestRecordsOf10MiBAreWrittenAndRead(t *testing.T) {
	for _, consumer := range []string{"", "etl"} {
		s := newFake(t, 1)
		arn := "arn:aws:kinesis:us-east-1:000000000000:stream/trips"
		if _, err := s.client.UpdateMaxRecordSize(t.Context(), &kinesis.UpdateMaxRecordSizeInput{
			StreamARN: &arn, MaxRecordSizeInKiB: aws.Int32(10240),
		}); err != nil {
			t.Fatal(err)
		}
		s.opts.Consumer = consumer
		p := s.producer(func(o *ProducerOptions) { o.MaxRecordBytes = MaxRecordBytes })
		b := p.NewBundle()
		sizes := []int{MaxRecordBytes - 1, 5, 3 << 20, MaxRecordBytes - 1}
		for i, size := range sizes {
			data := make([]byte, size)
			data[size-1] = byte(i + 1)
			if err := b.Put(t.Context(), &Item{PartitionKey: []byte("k"), Data: data, Ref: i}); err != nil {
				t.Fatal(err)
			}
		}
		if rejected := flush(t, b); len(rejected) > 0 {
			t.Errorf("rejected: %+v", rejected)
		}
		r := s.open(one(), nil)
		n := 0
		s.eventually("the records come", func() bool {
			batches, _, _, err := r.Drain(1)
			if err != nil {
				t.Fatal(err)
			}
			for i := range batches {
				for j := range batches[i].Records {
					text := batches[i].Payload(j)
					if len(text) != sizes[n] || text[len(text)-1] != byte(n+1) {
						t.Errorf("record %d has %d bytes", n, len(text))
					}
					n++
				}
			}
			return n == len(sizes)
		})
	}
}

func TestMergedShardWaitsForAParentThatWasNotListedYet(t *testing.T) {
	s := newFake(t, 2)
	next := map[int]int{}
	s.put(200, 40, next)
	release, listing := make(chan struct{}), make(chan struct{}, 1)
	hold := func(r *kinesisfake.Request) error {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return nil
	}
	r := s.open(one(), nil)
	s.eventually("the shards are listed", func() bool { return r.Stats().Shards == 2 })
	s.fake.Control("ListShards", func(q *kinesisfake.Request) error {
		select {
		case listing <- struct{}{}:
		default:
		}
		return hold(q)
	})
	s.fake.Control("GetRecords", func(q *kinesisfake.Request) error {
		if q.Shard == "shardId-000000000000" {
			return hold(q)
		}
		return nil
	})
	ctx := t.Context()
	quarter := new(big.Int).Lsh(big.NewInt(1), 126).String()
	if _, err := s.client.SplitShard(ctx, &kinesis.SplitShardInput{
		StreamName: &s.opts.Stream, ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: &quarter,
	}); err != nil {
		t.Fatal(err)
	}
	putUnlisted(t, s, 200, 40, next)
	if _, err := s.client.MergeShards(ctx, &kinesis.MergeShardsInput{
		StreamName: &s.opts.Stream, ShardToMerge: aws.String("shardId-000000000003"), AdjacentShardToMerge: aws.String("shardId-000000000001"),
	}); err != nil {
		t.Fatal(err)
	}
	putUnlisted(t, s, 200, 40, next)
	got := collect(t)
	// The second shard is read to its end, and names the merged one as its child.
	s.eventually("the second shard ends", func() bool {
		batches, _, _, err := r.Drain(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		got.add(batches)
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.shards["shardId-000000000001"].delivered.finished
	})
	<-listing
	close(release)
	got.drain(600, r)
	got.quiet(r)
	got.once(next)
	got.inOrder()
}

// putUnlisted is put without a producer, which lists shards.
func putUnlisted(t *testing.T, s *stream, n, keys int, next map[int]int) {
	t.Helper()
	for i := range n {
		k := i % keys
		if _, err := s.client.PutRecord(t.Context(), &kinesis.PutRecordInput{
			StreamName: &s.opts.Stream, PartitionKey: aws.String(fmt.Sprint(k)), Data: fmt.Appendf(nil, "%d/%d", k, next[k]),
		}); err != nil {
			t.Fatal(err)
		}
		next[k]++
	}
}
