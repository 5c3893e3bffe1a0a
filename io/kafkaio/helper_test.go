package kafkaio

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/slots"
)

// bootstrapVariable names a running cluster for the contract tests to use
// instead of the fake one: host:port, several with commas between them.
const bootstrapVariable = "TEST_KAFKA_BOOTSTRAP"

// patience ends a test that waits for something that does not come.
const patience = 60 * time.Second

// cluster is a Kafka cluster with a topic for one test.
type cluster struct {
	t     testing.TB
	fake  *kfake.Cluster // nil on a real one
	topic string
	opts  Options
	admin *kadm.Client
	kgo   *kgo.Client
}

// newCluster makes a topic on the cluster that the environment names, else on
// a fake one of three brokers.
func newCluster(t testing.TB, partitions int) *cluster {
	t.Helper()
	if brokers := os.Getenv(bootstrapVariable); brokers != "" {
		c := connect(t, strings.Split(brokers, ","), "test-"+strings.ToLower(rand.Text()))
		c.create(c.topic, partitions, nil)
		return c
	}
	return newFake(t, partitions)
}

// newFake makes a topic on a fake cluster of its own.
func newFake(t testing.TB, partitions int, options ...kfake.Opt) *cluster {
	t.Helper()
	fake, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3), kfake.SeedTopics(int32(partitions), "trips")}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	c := connect(t, fake.ListenAddrs(), "trips")
	c.fake = fake
	return c
}

func connect(t testing.TB, brokers []string, topic string) *cluster {
	t.Helper()
	c := &cluster{t: t, topic: topic, opts: Options{
		Brokers: brokers, Topic: topic,
		DiscoveryInterval: 50 * time.Millisecond, MaxWait: 20 * time.Millisecond,
		RetryBackoff: 5 * time.Millisecond, RetryBackoffMax: 50 * time.Millisecond, RetryDeadline: patience,
	}}
	c.kgo = c.client()
	c.admin = kadm.NewClient(c.kgo)
	return c
}

// client returns a client that writes to the partitions that its records name.
func (c *cluster) client(options ...kgo.Opt) *kgo.Client {
	c.t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.opts.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(10 * time.Millisecond), kgo.ProducerBatchMaxBytes(16 << 20),
		kgo.UnknownTopicRetries(20),
	}, options...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(cl.Close)
	return cl
}

// create makes a topic and waits until all brokers know of it.
func (c *cluster) create(topic string, partitions int, configs map[string]*string) {
	c.t.Helper()
	// A topic of the name that was deleted may be there for a moment yet.
	c.eventually("create topic "+topic, func() bool {
		r, err := c.admin.CreateTopic(c.t.Context(), int32(partitions), -1, configs, topic)
		return err == nil && r.Err == nil
	})
	c.t.Cleanup(func() {
		_, _ = c.admin.DeleteTopics(context.WithoutCancel(c.t.Context()), topic)
	})
	c.led(topic, partitions)
}

// grow gives the test's topic more partitions, and waits for their leaders.
func (c *cluster) grow(partitions int) {
	c.t.Helper()
	if _, err := c.admin.UpdatePartitions(c.t.Context(), partitions, c.topic); err != nil {
		c.t.Fatal(err)
	}
	c.led(c.topic, partitions)
	c.kgo = c.client() // the old one may not know of them yet
}

// led waits until all of a topic's partitions have a leader.
func (c *cluster) led(topic string, partitions int) {
	c.t.Helper()
	c.eventually("topic "+topic+" has leaders", func() bool {
		d, err := c.admin.ListTopics(c.t.Context(), topic)
		if err != nil || len(d[topic].Partitions) != partitions {
			return false
		}
		for _, p := range d[topic].Partitions {
			if p.Leader < 0 || p.Err != nil {
				return false
			}
		}
		return true
	})
}

func (c *cluster) remove(topic string) {
	c.t.Helper()
	if _, err := c.admin.DeleteTopic(c.t.Context(), topic); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) eventually(what string, ok func() bool) {
	c.t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Since(begin) > patience {
			c.t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// put writes n records in turn to the partitions of a topic; those of
// partition p are "topic/p/0", "topic/p/1" and so on, continuing from next.
func (c *cluster) put(topic string, n, partitions int, next map[string]int) {
	c.t.Helper()
	var records []*kgo.Record
	for i := range n {
		key := fmt.Sprintf("%s/%d", topic, i%partitions)
		records = append(records, &kgo.Record{Topic: topic, Partition: int32(i % partitions), Value: fmt.Appendf(nil, "%s/%d", key, next[key])})
		next[key]++
	}
	c.produce(c.kgo, records...)
}

func (c *cluster) produce(cl *kgo.Client, records ...*kgo.Record) {
	c.t.Helper()
	if err := cl.ProduceSync(c.t.Context(), records...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) open(slot slots.Slot, positions []byte) *Reader {
	c.t.Helper()
	r, err := c.opts.Open(c.t.Context(), slot, positions)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(r.Close)
	return r.(*Reader)
}

// one is the slot of a source with one, of a job that starts behind all that
// was written.
func one() slots.Slot {
	return slots.Slot{Index: 0, Count: 1, JobStart: time.Now().Add(time.Millisecond).UnixMilli()}
}

// collector keeps what readers delivered.
type collector struct {
	t testing.TB
	// times counts deliveries of each payload.
	times map[string]int
	// offsets are the last of each partition.
	offsets map[string]int64
	seen    int
}

func collect(t testing.TB) *collector {
	return &collector{t: t, times: map[string]int{}, offsets: map[string]int64{}}
}

// add checks that offsets rise.
func (c *collector) add(batches []batch.Batch) {
	c.t.Helper()
	for i := range batches {
		b := &batches[i]
		key := b.Source + "/" + b.Shard
		for n := range b.Records {
			offset := b.Base + int64(b.Records[n].Seq)
			if last, ok := c.offsets[key]; ok && offset <= last {
				c.t.Errorf("offset %d of %s came after %d", offset, key, last)
			}
			c.offsets[key] = offset
			c.times[string(b.Payload(n))]++
			c.seen++
		}
	}
}

// drain reads until n records were seen in all, by the readers in turns.
func (c *collector) drain(n int, readers ...*Reader) {
	c.t.Helper()
	c.until(fmt.Sprintf("%d records", n), func() bool { return c.seen >= n }, readers...)
}

// quiet waits until the readers are at the ends of all partitions.
func (c *collector) quiet(readers ...*Reader) {
	c.t.Helper()
	c.until("caught up", func() bool {
		return !slices.ContainsFunc(readers, func(r *Reader) bool { return !r.Stats().CaughtUp })
	}, readers...)
}

// until reads until ok.
func (c *collector) until(what string, ok func() bool, readers ...*Reader) {
	c.t.Helper()
	for begin := time.Now(); !ok(); {
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
				c.t.Fatalf("%s: not within %s; %d seen, %+v, %+v", what, patience, c.seen, readers[0].Stats(), readers[0].Lags())
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// once checks that every payload of the counters came, and came once.
func (c *collector) once(next map[string]int) {
	c.t.Helper()
	var want []string
	for key, n := range next {
		for i := range n {
			want = append(want, fmt.Sprintf("%s/%d", key, i))
		}
	}
	c.exactly(want)
}

// exactly checks that these payloads came, and each as often as it is there.
func (c *collector) exactly(payloads []string) {
	c.t.Helper()
	want := map[string]int{}
	for _, p := range payloads {
		want[p]++
	}
	faults := 0
	for p, n := range want {
		if c.times[p] != n && faults < 10 {
			faults++
			c.t.Errorf("record %.40q came %d times, not %d", p, c.times[p], n)
		}
	}
	for p, n := range c.times {
		if want[p] == 0 && faults < 10 {
			faults++
			c.t.Errorf("record %.40q came %d times, not at all", p, n)
		}
	}
	if c.seen != len(payloads) {
		c.t.Errorf("%d records came of %d", c.seen, len(payloads))
	}
}

// failure drains until the reader fails, and returns why.
func failure(t testing.TB, r *Reader) error {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		if _, _, _, err := r.Drain(1 << 20); err != nil {
			return err
		}
		if time.Since(begin) > patience {
			t.Fatalf("the reader did not fail within %s: %+v", patience, r.Stats())
		}
	}
}
