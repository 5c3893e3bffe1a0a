package kinesisio

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/io/slots"
)

// endpointVariable names a running server for the contract tests to use
// instead of the fake one.
const endpointVariable = "TEST_KINESIS_ENDPOINT"

// patience ends a test that waits for something that does not come.
const patience = 60 * time.Second

// stream is a stream of its own for one test.
type stream struct {
	t      testing.TB
	fake   *kinesisfake.Server // nil on another server
	client *kinesis.Client
	opts   Options
}

// newStream makes a stream on the server that the environment names, else on a fake one.
func newStream(t testing.TB, shards int) *stream {
	t.Helper()
	if endpoint := os.Getenv(endpointVariable); endpoint != "" {
		s := connect(t, endpoint, "test-"+strings.ToLower(rand.Text()))
		if _, err := s.client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &s.opts.Stream, ShardCount: aws.Int32(int32(shards))}); err != nil {
			t.Fatalf("create stream: %v", err)
		}
		t.Cleanup(func() {
			_, err := s.client.DeleteStream(context.WithoutCancel(t.Context()), &kinesis.DeleteStreamInput{StreamName: &s.opts.Stream})
			if err != nil {
				t.Errorf("delete stream: %v", err)
			}
		})
		s.active()
		return s
	}
	return newFake(t, shards)
}

// newFake makes a stream on a fake server of its own.
func newFake(t testing.TB, shards int, options ...kinesisfake.Option) *stream {
	t.Helper()
	fake, err := kinesisfake.New(append(options, kinesisfake.SeedStream("trips", shards))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fake.Close(); err != nil {
			t.Error(err)
		}
	})
	s := connect(t, fake.URL(), "trips")
	s.fake = fake
	return s
}

func connect(t testing.TB, endpoint, name string) *stream {
	t.Helper()
	o := Options{
		Stream: name, Region: "us-east-1", Endpoint: endpoint, EmulatorCredentials: true,
		InitialPosition: TrimHorizon,
		PollInterval:    5 * time.Millisecond, CallInterval: time.Millisecond, DiscoveryInterval: 20 * time.Millisecond, reopenedApart: 20 * time.Millisecond,
		RetryBackoff: time.Millisecond, RetryBackoffMax: 10 * time.Millisecond, RetryDeadline: patience,
	}
	client, err := NewClient(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return &stream{t: t, client: client, opts: o}
}

// active waits until the stream is, after a change of its shards.
func (s *stream) active() {
	s.t.Helper()
	s.eventually("stream becomes active", func() bool {
		out, err := s.client.DescribeStreamSummary(s.t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: &s.opts.Stream})
		return err == nil && out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive
	})
}

func (s *stream) eventually(what string, ok func() bool) {
	s.t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Since(begin) > patience {
			s.t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// put writes n records; key k of keys gets the payloads "k/0", "k/1" and so on,
// continuing from the counters in next.
func (s *stream) put(n, keys int, next map[int]int) {
	s.t.Helper()
	p, err := NewProducer(s.t.Context(), ProducerOptions{
		Stream: s.opts.Stream, Region: s.opts.Region, Endpoint: s.opts.Endpoint, EmulatorCredentials: true,
		RetryBackoff: time.Millisecond,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range n {
		k := i % keys
		if err := p.Put(s.t.Context(), Record{PartitionKey: fmt.Sprint(k), Data: fmt.Appendf(nil, "%d/%d", k, next[k])}); err != nil {
			s.t.Fatal(err)
		}
		next[k]++
	}
	if err := p.Close(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	// A call that was made again may have been served twice.
	if s.fake != nil && p.Stats().Retries > 0 {
		s.t.Errorf("%d records were put again without a fault", p.Stats().Retries)
	}
}

func (s *stream) openShards() []types.Shard {
	s.t.Helper()
	out, err := s.client.ListShards(s.t.Context(), &kinesis.ListShardsInput{StreamName: &s.opts.Stream})
	if err != nil {
		s.t.Fatal(err)
	}
	var open []types.Shard
	for _, sh := range out.Shards {
		if sh.SequenceNumberRange.EndingSequenceNumber == nil {
			open = append(open, sh)
		}
	}
	return open
}

func (s *stream) split(shard types.Shard) {
	s.t.Helper()
	_, err := s.client.SplitShard(s.t.Context(), &kinesis.SplitShardInput{
		StreamName: &s.opts.Stream, ShardToSplit: shard.ShardId, NewStartingHashKey: aws.String(middle(s.t, shard)),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.active()
}

func (s *stream) mergeShards(a, b types.Shard) {
	s.t.Helper()
	_, err := s.client.MergeShards(s.t.Context(), &kinesis.MergeShardsInput{
		StreamName: &s.opts.Stream, ShardToMerge: a.ShardId, AdjacentShardToMerge: b.ShardId,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.active()
}

func (s *stream) open(slot slots.Slot, positions []byte) *Reader {
	s.t.Helper()
	r, err := s.opts.Open(s.t.Context(), slot, positions)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(r.Close)
	return r.(*Reader)
}

// one is the slot of a source with one.
func one() slots.Slot { return slots.Slot{Index: 0, Count: 1, JobStart: time.Now().UnixMilli()} }

// collector keeps what readers delivered.
type collector struct {
	t testing.TB
	// times counts deliveries of each payload.
	times map[string]int
	// order holds each key's numbers as they came.
	order map[string][]int
	seen  int
}

func collect(t testing.TB) *collector {
	return &collector{t: t, times: map[string]int{}, order: map[string][]int{}}
}

func (c *collector) add(batches []batch.Batch) {
	for i := range batches {
		b := &batches[i]
		for n := range b.Records {
			text := string(b.Payload(n))
			c.times[text]++
			c.seen++
			var key string
			var number int
			if k, v, ok := strings.Cut(text, "/"); ok {
				key = k
				if _, err := fmt.Sscan(v, &number); err != nil {
					c.t.Errorf("payload %q", text)
				}
			}
			c.order[key] = append(c.order[key], number)
		}
	}
}

// drain reads until n records were seen in all, by the readers in turns.
func (c *collector) drain(n int, readers ...*Reader) {
	c.t.Helper()
	begin := time.Now()
	for c.seen < n {
		before := c.seen
		for _, r := range readers {
			batches, _, _, err := r.Drain(1 << 20)
			if err != nil {
				c.t.Fatal(err)
			}
			c.add(batches)
		}
		if before == c.seen {
			if time.Since(begin) > patience {
				c.t.Fatalf("%d of %d records came within %s; %+v", c.seen, n, patience, readers[0].Stats())
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// once checks that every payload of the counters came, and came once.
func (c *collector) once(next map[int]int) {
	c.t.Helper()
	want := 0
	for k, n := range next {
		want += n
		for i := range n {
			if got := c.times[fmt.Sprintf("%d/%d", k, i)]; got != 1 {
				c.t.Errorf("record %d/%d came %d times", k, i, got)
			}
		}
	}
	if c.seen != want {
		c.t.Errorf("%d records came of %d", c.seen, want)
	}
}

// inOrder checks that each key's payloads came in the order in which they were put.
func (c *collector) inOrder() {
	c.t.Helper()
	for k, numbers := range c.order {
		for i := 1; i < len(numbers); i++ {
			if numbers[i] <= numbers[i-1] {
				c.t.Errorf("key %s: %d came after %d", k, numbers[i], numbers[i-1])
				break
			}
		}
	}
}

// quiet waits until the readers are at the tips of all shards.
func (c *collector) quiet(readers ...*Reader) {
	c.t.Helper()
	begin := time.Now()
	for {
		all := true
		for _, r := range readers {
			batches, _, _, err := r.Drain(1 << 20)
			if err != nil {
				c.t.Fatal(err)
			}
			c.add(batches)
			all = all && r.Stats().CaughtUp
		}
		if all {
			return
		}
		if time.Since(begin) > patience {
			c.t.Fatalf("not caught up within %s: %+v", patience, readers[0].Stats())
		}
		time.Sleep(time.Millisecond)
	}
}
