package kafkaio

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/stack"
)

// The log cleaner of real brokers leaves the end of a producer's last
// transaction without its record. Needs the stack's Kafka.
func TestATransactionsEndThatWasCompactedAwayIsReadOver(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Kafka")
	}
	k := stack.StartKafka(t, stack.KafkaOptions{Settings: map[string]string{"log.cleaner.backoff.ms": "500"}})
	c := connect(t, k.Bootstrap(), "compacted")
	settings := map[string]*string{}
	for name, value := range map[string]string{
		"cleanup.policy": "compact", "delete.retention.ms": "500", "segment.ms": "500", "min.cleanable.dirty.ratio": "0.001",
	} {
		settings[name] = &value
	}
	c.create(c.topic, 1, settings)
	once := func(p *kgo.Client, value string) {
		t.Helper()
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		c.produce(p, &kgo.Record{Topic: c.topic, Key: []byte("k"), Value: []byte(value)})
		c.end(p, nil, true)
	}
	once(c.client(kgo.TransactionalID("first")), "first")
	// What comes later has segments rolled and the first key's value replaced.
	second, n := c.client(kgo.TransactionalID("second")), 0
	c.eventually("an end without its record", func() bool {
		n++
		once(second, fmt.Sprint(n))
		time.Sleep(250 * time.Millisecond) // what the cleaner does is told nowhere
		return c.emptiedEnd()
	})
	c.opts.StopAtEnd = true
	r := c.open(one(), nil)
	got := collect(t)
	got.until("done", r.Done, r)
	if last := fmt.Sprint(n); got.times[last] != 1 {
		t.Errorf("the last record came %d times", got.times[last])
	}
}

// emptiedEnd says whether the topic's first answer has a control batch without
// a record.
func (c *cluster) emptiedEnd() bool {
	c.t.Helper()
	ask, err := newClient(c.t.Context(), c.opts.withDefaults())
	if err != nil {
		c.t.Fatal(err)
	}
	defer ask.close()
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.SessionEpoch = 1<<20, -1
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic = c.topic
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.PartitionMaxBytes = 1 << 20
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := request[*kmsg.FetchResponse](c.t.Context(), ask, anyBroker, req, 4, 12)
	if err != nil {
		c.t.Fatal(err)
	}
	in := resp.Topics[0].Partitions[0].RecordBatches
	for {
		b, rest, ok, err := nextBatch(in)
		if err != nil {
			c.t.Fatal(err)
		}
		if !ok {
			return false
		}
		if b.control() && b.count == 0 {
			return true
		}
		in = rest
	}
}
