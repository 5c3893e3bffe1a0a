package transact

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// slowly has each request to write wait, as a slow way to the brokers does.
func (c *cluster) slowly(wait time.Duration) {
	c.fake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		c.fake.SleepControl(func() { time.Sleep(wait) }) // stands for the way
		return nil, nil, false
	})
}

// backlog are blocks of nearly a megabyte each that do not compress.
func (c *cluster) backlog(t *testing.T, blocks int) []Block {
	t.Helper()
	value := make([]byte, 1000)
	if _, err := rand.Read(value); err != nil {
		t.Fatal(err)
	}
	var out []Block
	for n := range blocks {
		out = append(out, blockOf("job", int64(n+1), 0, func(yield func(Record, error) bool) {
			for range 900 {
				if !yield(Record{Topic: c.name, Key: []byte("k"), Value: value}, nil) {
					return
				}
			}
		}))
	}
	return out
}

// What is written within a transaction's time depends on the way to the
// brokers: what is too much for it is written in smaller transactions.
func TestATransactionThatIsTooLargeForItsTimeIsMadeSmaller(t *testing.T) {
	c := newFake(t, "trips")
	o := c.options()
	o.Lanes, o.Compression, o.TransactionTimeout, o.RetryDeadline = 1, "none", 2*time.Second, 15*time.Second
	prepare(t, o)
	c.slowly(300 * time.Millisecond)
	k := newCommitter(t, o)
	out := mustCommit(t, k, 0, 16, 0, c.backlog(t, 16)...)
	if out.Retries == 0 || out.Transactions < 2 {
		t.Errorf("the way was not too slow: %+v", out)
	}
	if n := len(c.committed(t, c.name)); n != 16*900 {
		t.Errorf("%d records are there", n)
	}
}

func TestALaneIsMadeSmallerDownToOneBlockAndGrowsAgain(t *testing.T) {
	const most, timeout = 16 << 20, 90 * time.Second
	l := new(lane)
	if l.room(most) != most {
		t.Fatalf("at first it has room for %d", l.room(most))
	}
	if !l.shrink(most, most/4) || l.room(most) != most/8 {
		t.Errorf("a quarter was taken of a whole one: it has room for %d", l.room(most))
	}
	if !l.shrink(most/8, most/8) || l.room(most) != most/16 {
		t.Errorf("all was taken but the end: it has room for %d", l.room(most))
	}
	l.grow(most, most/32, time.Second, timeout)
	if l.room(most) != most/16 {
		t.Errorf("one that was not full says nothing: it has room for %d", l.room(most))
	}
	l.grow(most, most/16, timeout/2, timeout)
	if l.room(most) != most/16 {
		t.Errorf("twice as much would not be in time: it has room for %d", l.room(most))
	}
	if !l.shrink(1000, 0) || l.room(most) != 1 {
		t.Errorf("nothing was taken: it has room for %d", l.room(most))
	}
	if l.shrink(1000, 0) {
		t.Error("a single block was made smaller")
	}
	for range 40 {
		l.grow(most, max(l.room(most), 1<<16), time.Second, timeout)
	}
	if l.room(most) != most {
		t.Errorf("in the end it has room for %d", l.room(most))
	}
}

// refusal answers a request to write with an error, held back by a quota where
// throttle is not 0.
func refusal(req kmsg.Request, code *kerr.Error, throttle time.Duration) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	resp.ThrottleMillis = int32(throttle.Milliseconds())
	for _, rt := range req.(*kmsg.ProduceRequest).Topics {
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic, topic.TopicID = rt.Topic, rt.TopicID
		for _, rp := range rt.Partitions {
			partition := kmsg.NewProduceResponseTopicPartition()
			partition.Partition, partition.ErrorCode = rp.Partition, code.Code
			topic.Partitions = append(topic.Partitions, partition)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}

func TestAQuotaIsNamedWhereATransactionIsNotInTime(t *testing.T) {
	c := newFake(t, "trips")
	o := c.options()
	o.Lanes, o.TransactionTimeout = 1, time.Second
	prepare(t, o)
	o.RetryDeadline = time.Nanosecond
	held, asked := make(chan struct{}), 0
	t.Cleanup(func() { close(held) })
	c.fake.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		if asked++; asked == 1 {
			return refusal(req, kerr.NotLeaderForPartition, 50*time.Millisecond), nil, true
		}
		c.fake.SleepControl(func() { <-held })
		return nil, nil, false
	})
	_, err := newCommitter(t, o).Commit(t.Context(), 0, []Block{c.block("job", 1, 0)})
	if err == nil || isPermanent(err) || errors.Is(err, ErrFenced) {
		t.Fatalf("error %v", err)
	}
	for _, words := range []string{"blocks 1 to 1 were not written within 750ms", "producer_byte_rate"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%q does not say %q", err, words)
		}
	}
}

// The client itself would try for ever, and the time that is over says nothing.
func TestWhyBrokersTakeNothingIsTold(t *testing.T) {
	c := newFake(t, "trips")
	o := c.options()
	o.Lanes, o.RetryDeadline = 1, 2*time.Second
	prepare(t, o)
	c.fake.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		return refusal(req, kerr.NotEnoughReplicas, 0), nil, true
	})
	t.Run("Producer", func(t *testing.T) {
		p := newProducer(t, o)
		if err := p.Put(t.Context(), Record{Topic: c.name, Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
		err := p.Flush(t.Context())
		if !errors.Is(err, kerr.NotEnoughReplicas) || !errors.Is(err, kgo.ErrRecordTimeout) || isPermanent(err) || !strings.Contains(err.Error(), "min.insync.replicas") {
			t.Errorf("error %v", err)
		}
	})
	_, err := newCommitter(t, o).Commit(t.Context(), 0, []Block{c.block("job", 1, 0)})
	if !errors.Is(err, kerr.NotEnoughReplicas) || isPermanent(err) || !strings.Contains(err.Error(), "min.insync.replicas") {
		t.Errorf("error %v", err)
	}
}
