package kafkaio

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/io/slots"
)

// Whatever times the records have: what was written since the submission is the
// job's, when a slot opens late and when it opens again without a checkpoint.
func TestLatestBeginsWhereTheSubmissionSawTheEnds(t *testing.T) {
	for _, from := range []InitialPosition{Latest, GroupOffsets} {
		t.Run(string(from), func(t *testing.T) {
			c := newCluster(t, 2)
			put := func(partition int32, text string, at time.Time) {
				c.produce(c.kgo, &kgo.Record{Topic: c.topic, Partition: partition, Value: []byte(text), Timestamp: at})
			}
			put(0, "before", time.Now())
			put(0, "to come", time.Now().Add(10*time.Minute))
			put(1, "before", time.Now())
			if c.opts.InitialPosition = from; from == GroupOffsets {
				c.opts.GroupID, c.opts.GroupFallback = c.topic+"-none", Latest
			}
			ends, err := c.opts.Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c.opts.Ends = ends
			slot := one()
			put(0, "new", time.Now())
			put(1, "old", time.Now().Add(-time.Hour))
			for range 2 {
				r := c.open(slot, nil)
				got := collect(t)
				got.drain(2, r)
				got.quiet(r)
				got.exactly([]string{"new", "old"})
				r.Close()
			}
		})
	}
}

// A later submission goes on with the slots of an earlier one, of which some may
// not have begun to read: its ends are past what was written since.
func TestEndsOfALaterSubmissionDoNotCount(t *testing.T) {
	c := newCluster(t, 1)
	c.opts.InitialPosition = Latest
	slot := slots.Slot{Index: 0, Count: 1, JobStart: time.Now().Add(-time.Second).UnixMilli()}
	c.produce(c.kgo, &kgo.Record{Topic: c.topic, Value: []byte("before"), Timestamp: time.UnixMilli(slot.JobStart - 1)},
		&kgo.Record{Topic: c.topic, Value: []byte("since"), Timestamp: time.UnixMilli(slot.JobStart)}, &kgo.Record{Topic: c.topic, Value: []byte("now")})
	ends, err := c.opts.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.opts.Ends = ends
	r := c.open(slot, nil)
	got := collect(t)
	got.drain(2, r)
	got.quiet(r)
	got.exactly([]string{"since", "now"})
}

func TestEndsOfATopicThatWasMadeAnewDoNotCount(t *testing.T) {
	c := newFake(t, 1)
	c.put(c.topic, 10, 1, map[string]int{})
	c.opts.InitialPosition = Latest
	ends, err := c.opts.Check(t.Context())
	if err != nil || ends.Topics[c.topic].Offsets[0] != 10 {
		t.Fatalf("ends are %+v, %v", ends, err)
	}
	c.opts.Ends = ends
	c.remove(c.topic)
	c.create(c.topic, 1, nil)
	c.kgo = c.client()
	c.put(c.topic, 20, 1, map[string]int{})
	r := c.open(one(), nil)
	c.produce(c.kgo, &kgo.Record{Topic: c.topic, Value: []byte("new")})
	got := collect(t)
	got.drain(1, r)
	got.quiet(r)
	got.exactly([]string{"new"})
}

func TestEndsAreAskedForWhereAJobBeginsThere(t *testing.T) {
	c := newCluster(t, 1)
	for _, from := range []InitialPosition{"", Earliest, GroupOffsets} {
		if c.opts.InitialPosition = from; from == GroupOffsets {
			c.opts.GroupID = "g"
		}
		if ends, err := c.opts.Check(t.Context()); err != nil || ends != nil {
			t.Errorf("%s: ends are %+v, %v", from, ends, err)
		}
	}
}
