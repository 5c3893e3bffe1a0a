//go:build linux

package faults

import (
	"context"
	"errors"
	"hash/maphash"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/stack"
)

// stormShards are those of a stream before a storm, stormProducers write to it meanwhile.
const (
	stormShards    = 16
	stormProducers = 5
)

// TestReshardingStormWithKills has shards split and merged, one by one and all at once, while producers write and a
// TaskManager is killed: each trip comes once, and those of a key in order.
func TestReshardingStormWithKills(t *testing.T) {
	random := randomness(t)
	l := theLab(t)
	fake, err := kinesisfake.New(kinesisfake.SeedStream(streamName, stormShards), kinesisfake.ShardLimit(1000))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fake.Close() })
	r := &run{lab: l, fake: fake}
	r.fromStream(fake.URL())
	r.source = append(r.source, "--InputKeyOrder=true", "--InputDiscoveryIntervalMs=1000")
	r.feed = startFeed(t, newKeyedSender(t, l.trips, fake.URL()), number(t, rateVariable, defaultKafkaRate))
	r.toTopics(t)
	r.topics.origin = fromKeyedStream
	r.toBucket(t)
	r.cancelAtEnd(t)
	r.submit(t, l.jar, taskManagers*slotsEach, "")
	r.steady(t)
	r.await(t, "the lag of each shard among the metrics", func() bool {
		told, err := l.cluster.REST().Counters(t.Context(), r.jobID, "source/*")
		n := 0
		for name := range told {
			if strings.HasPrefix(name, "source/millis_behind_latest_"+streamName+"_shardId-") {
				n++
			}
		}
		_, furthest := told["source/millis_behind_latest_max"]
		return err == nil && furthest && n == stormShards
	})
	for range rounds(t) {
		s := startStorm(t, fake.URL(), rand.New(rand.NewPCG(random.Uint64(), random.Uint64())))
		time.Sleep(within(random, spread))
		r.killTaskManager(t, random)
		s.over(t)
		time.Sleep(within(random, spread))
		r.killWorker(t, random)
	}
	r.finish(t)
}

// A keyedSender sends trips into a stream by several producers, those of a key by the same one.
type keyedSender struct {
	trips     *trips
	producers [stormProducers]*kinesisio.Producer
	seed      maphash.Seed
}

func newKeyedSender(t *testing.T, s *trips, endpoint string) *keyedSender {
	t.Helper()
	k := &keyedSender{trips: s, seed: maphash.MakeSeed()}
	for i := range k.producers {
		var err error
		if k.producers[i], err = kinesisio.NewProducer(t.Context(), kinesisio.ProducerOptions{
			Stream: streamName, Region: stack.Region, Endpoint: endpoint, EmulatorCredentials: true,
		}); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func (k *keyedSender) send(ctx context.Context, from, to int64) error {
	for id := from; id < to; id++ {
		key := tripKey(k.trips, id)
		p := k.producers[maphash.String(k.seed, key)%stormProducers]
		if err := p.Put(ctx, kinesisio.Record{PartitionKey: key, Data: k.trips.line(id)}); err != nil {
			return err
		}
	}
	return nil
}

func (k *keyedSender) close(ctx context.Context) error {
	var errs []error
	for _, p := range k.producers {
		errs = append(errs, p.Close(ctx))
	}
	return errors.Join(errs...)
}

// A storm changes a stream's shards.
type storm struct {
	client *kinesis.Client
	random *rand.Rand
	done   chan struct{}
	err    error // when done is closed
	shards int   // all that ever were, when done is closed
}

// stormPause is between two changes, so that trips come between them.
const stormPause = 300 * time.Millisecond

func startStorm(t *testing.T, endpoint string, random *rand.Rand) *storm {
	t.Helper()
	s := &storm{
		client: kinesis.New(kinesis.Options{
			BaseEndpoint: &endpoint, Region: stack.Region,
			Credentials: credentials.NewStaticCredentialsProvider(stack.AccessKey, stack.SecretKey, ""),
		}),
		random: random, done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		s.err = s.blow(t.Context())
	}()
	return s
}

// over waits for the storm's end.
func (s *storm) over(t *testing.T) {
	t.Helper()
	<-s.done
	if s.err != nil {
		t.Fatalf("reshard: %v", s.err)
	}
	t.Logf("the stream has had %d shards", s.shards)
}

// blow doubles the shards, changes some at random, and goes down to half as many as there were.
func (s *storm) blow(ctx context.Context) error {
	open, err := s.open(ctx)
	if err != nil {
		return err
	}
	start := len(open)
	steps := []step{s.to(2 * start)}
	for range 10 {
		steps = append(steps, s.one)
	}
	steps = append(steps, s.to(2*start), s.to(start), s.to(start/2))
	for range 10 {
		steps = append(steps, s.one)
	}
	for _, do := range append(steps, s.to(start)) {
		for done := false; !done; {
			if done, err = do(ctx); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(stormPause):
			}
		}
	}
	return nil
}

// A step changes the shards once, and tells whether that was all of it.
type step func(context.Context) (done bool, err error)

// to splits or merges until there are n shards. One call at most doubles or halves them.
func (s *storm) to(n int) step {
	return func(ctx context.Context) (bool, error) {
		open, err := s.open(ctx)
		if err != nil {
			return false, err
		}
		target := min(max(n, (len(open)+1)/2), 2*len(open))
		_, err = s.client.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{
			StreamName: aws.String(streamName), TargetShardCount: aws.Int32(int32(target)), ScalingType: types.ScalingTypeUniformScaling,
		})
		return target == n, err
	}
}

// one splits a shard or merges two, at random.
func (s *storm) one(ctx context.Context) (done bool, err error) {
	open, err := s.open(ctx)
	if err != nil {
		return false, err
	}
	i := s.random.IntN(len(open))
	if s.random.IntN(2) == 0 && i+1 < len(open) {
		_, err = s.client.MergeShards(ctx, &kinesis.MergeShardsInput{
			StreamName: aws.String(streamName), ShardToMerge: open[i].ShardId, AdjacentShardToMerge: open[i+1].ShardId,
		})
		return true, err
	}
	from, to := startOf(&open[i]), new(big.Int)
	to.SetString(*open[i].HashKeyRange.EndingHashKey, 10)
	part := new(big.Int).Sub(to, from)
	part.Mul(part, big.NewInt(1+s.random.Int64N(4))).Div(part, big.NewInt(6))
	_, err = s.client.SplitShard(ctx, &kinesis.SplitShardInput{
		StreamName: aws.String(streamName), ShardToSplit: open[i].ShardId, NewStartingHashKey: aws.String(part.Add(part, from).String()),
	})
	return true, err
}

// open returns the open shards in the order of their hash keys.
func (s *storm) open(ctx context.Context) ([]types.Shard, error) {
	var all []types.Shard
	for in := (&kinesis.ListShardsInput{StreamName: aws.String(streamName)}); ; {
		out, err := s.client.ListShards(ctx, in)
		if err != nil {
			return nil, err
		}
		all = append(all, out.Shards...)
		if out.NextToken == nil {
			break
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken}
	}
	s.shards = len(all)
	all = slices.DeleteFunc(all, func(x types.Shard) bool { return x.SequenceNumberRange.EndingSequenceNumber != nil })
	slices.SortFunc(all, func(a, b types.Shard) int { return startOf(&a).Cmp(startOf(&b)) })
	return all, nil
}

func startOf(s *types.Shard) *big.Int {
	n := new(big.Int)
	n.SetString(*s.HashKeyRange.StartingHashKey, 10)
	return n
}
