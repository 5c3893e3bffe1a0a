package kafkaio

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/slots"
)

func TestReadsEverythingFromTheBeginning(t *testing.T) {
	for _, count := range []int{1, 3} {
		t.Run(fmt.Sprint(count, " slots"), func(t *testing.T) {
			c := newCluster(t, 4)
			next := map[string]int{}
			c.put(c.topic, 2000, 4, next)
			var readers []*Reader
			for i := range count {
				readers = append(readers, c.open(slots.Slot{Index: i, Count: count}, nil))
			}
			got := collect(t)
			got.drain(2000, readers...)
			c.put(c.topic, 1000, 4, next)
			got.drain(3000, readers...)
			got.quiet(readers...)
			got.once(next)
			for i, r := range readers {
				for _, l := range r.Lags() {
					if n, err := strconv.Atoi(l.Shard); err != nil || n%count != i || l.Behind != 0 {
						t.Errorf("slot %d has %+v", i, l)
					}
				}
			}
		})
	}
}

func TestRecordsComeWithAllThatTheyHave(t *testing.T) {
	c := newCluster(t, 2)
	stamp := time.UnixMilli(1514768400123)
	sent := []*kgo.Record{
		{Key: []byte("k"), Value: []byte("value"), Timestamp: stamp, Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}, {Key: "h", Value: []byte("")}, {Key: "", Value: nil}}},
		{Key: nil, Value: []byte("no key"), Timestamp: stamp.Add(time.Second)},
		{Key: []byte(""), Value: []byte(""), Timestamp: stamp},
		{Key: []byte("tombstone"), Value: nil, Timestamp: stamp.Add(-time.Hour)},
	}
	for _, r := range sent {
		r.Topic, r.Partition = c.topic, 1
		c.produce(c.kgo, r)
	}
	r := c.open(slots.Slot{Count: 1, JobStart: 77}, nil)
	n := 0
	c.eventually("four records", func() bool {
		batches, _, _, err := r.Drain(1)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range batches {
			if b.Source != c.topic || b.Shard != "1" || b.JobStart != 77 {
				t.Errorf("batch of %q, partition %q, start %d", b.Source, b.Shard, b.JobStart)
			}
			for i := range b.Records {
				want := sent[n]
				var m batch.Meta
				if err := b.Meta(i, &m); err != nil {
					t.Fatal(err)
				}
				wantMeta := batch.Meta{Key: want.Key, Null: want.Value == nil, Timestamp: want.Timestamp.UnixMilli(), Headers: []batch.Header{}}
				for _, h := range want.Headers {
					wantMeta.Headers = append(wantMeta.Headers, batch.Header{Key: []byte(h.Key), Value: h.Value})
				}
				m.Headers = append([]batch.Header{}, m.Headers...)
				if !reflect.DeepEqual(m, wantMeta) {
					t.Errorf("record %d has %+v, want %+v", n, m, wantMeta)
				}
				if got := b.Payload(i); !bytes.Equal(got, want.Value) {
					t.Errorf("record %d is %q, want %q", n, got, want.Value)
				}
				if b.Seq(i) != strconv.Itoa(n) || b.Records[i].Arrival != want.Timestamp.UnixMilli() {
					t.Errorf("record %d has offset %s and arrived at %d", n, b.Seq(i), b.Records[i].Arrival)
				}
				n++
			}
		}
		return n == len(sent)
	})
}

func TestTimestampsOfTheBrokerCountWhereItSetsThem(t *testing.T) {
	c := newCluster(t, 1)
	c.create(c.topic+"-stamped", 1, map[string]*string{"message.timestamp.type": new("LogAppendTime")})
	c.opts.Topic = c.topic + "-stamped"
	begin := time.Now().Add(-time.Minute)
	c.produce(c.kgo, &kgo.Record{Topic: c.opts.Topic, Value: []byte("x"), Timestamp: time.UnixMilli(7)})
	r := c.open(one(), nil)
	c.eventually("a record", func() bool {
		batches, _, _, err := r.Drain(1)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range batches {
			if c.fake != nil && b.Records[0].Arrival == 7 {
				t.Skip("the fake cluster keeps the producer's time")
			}
			if at := time.UnixMilli(b.Records[0].Arrival); at.Before(begin) {
				t.Errorf("arrival %s", at)
			}
		}
		return len(batches) > 0
	})
}

func TestLatestBeginsAtTheFirstOpen(t *testing.T) {
	c := newCluster(t, 3)
	c.put(c.topic, 300, 3, map[string]int{})
	c.opts.InitialPosition = Latest
	r := c.open(one(), nil)
	// No fetcher may be needed to fix the beginning: what arrives between the
	// first firing and the first read is not to be lost by a restart.
	_, positions, _, err := r.Drain(1)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	next := map[string]int{}
	c.put(c.topic, 300, 3, next)
	r = c.open(one(), positions)
	got := collect(t)
	got.drain(300, r)
	got.quiet(r)
	got.once(next)
}

// What was read and no checkpoint holds is to be read again, and what arrived
// before a slot opened is to be read too.
func TestLatestWithoutACheckpointBeginsAtTheJobsStart(t *testing.T) {
	for _, from := range []InitialPosition{Latest, GroupOffsets} {
		t.Run(string(from), func(t *testing.T) {
			c := newCluster(t, 3)
			c.put(c.topic, 300, 3, map[string]int{})
			if c.opts.InitialPosition = from; from == GroupOffsets {
				c.opts.GroupID, c.opts.GroupFallback = c.topic+"-none", Latest
			}
			slot := one()
			r := c.open(slot, nil)
			time.Sleep(time.Until(time.UnixMilli(slot.JobStart)))
			next := map[string]int{}
			c.put(c.topic, 300, 2, next) // nothing in partition 2
			collect(t).drain(300, r)
			r.Close()

			r = c.open(slot, nil)
			batches, positions, _, err := r.Drain(0)
			if err != nil {
				t.Fatal(err)
			}
			got := collect(t)
			got.add(batches)
			r.Close()
			c.put(c.topic, 300, 3, next)
			r = c.open(slot, positions)
			got.drain(600, r)
			got.quiet(r)
			got.once(next)
		})
	}
}

func TestARecordOfATimeToComeDoesNotMakeLatestEarliest(t *testing.T) {
	c := newCluster(t, 1)
	put := func(text string, at time.Time) {
		c.produce(c.kgo, &kgo.Record{Topic: c.topic, Partition: 0, Value: []byte(text), Timestamp: at})
	}
	put("to come", time.Now().Add(10*time.Minute))
	put("old", time.Now().Add(-time.Hour))
	c.opts.InitialPosition = Latest
	r := c.open(one(), nil)
	put("new", time.Now())
	got := collect(t)
	got.drain(1, r)
	got.quiet(r)
	got.exactly([]string{"new"})
}

func TestTimestampBeginsWithTheFirstRecordAsYoung(t *testing.T) {
	c := newCluster(t, 2)
	begin := time.Now().Truncate(time.Second).Add(-time.Hour)
	// All of partition 0 is older; a record of partition 1 goes back in time.
	for i, age := range []time.Duration{-3, -2, 0, -1, 5} {
		c.produce(c.kgo,
			&kgo.Record{Topic: c.topic, Partition: 0, Value: []byte("old"), Timestamp: begin.Add(-time.Minute)},
			&kgo.Record{Topic: c.topic, Partition: 1, Value: fmt.Append(nil, i), Timestamp: begin.Add(age * time.Second)})
	}
	c.opts.InitialPosition, c.opts.InitialTimestamp = Timestamp, begin
	r := c.open(one(), nil)
	c.produce(c.kgo, &kgo.Record{Topic: c.topic, Partition: 0, Value: []byte("new"), Timestamp: begin})
	got := collect(t)
	got.drain(4, r)
	got.quiet(r)
	got.exactly([]string{"2", "3", "4", "new"})
}

func TestGroupOffsetsBeginWhereTheGroupIs(t *testing.T) {
	for _, fallback := range []InitialPosition{Earliest, Latest} {
		t.Run(string(fallback), func(t *testing.T) {
			c := newCluster(t, 3)
			c.opts.GroupID = "group-of-" + c.topic
			next := map[string]int{}
			c.put(c.topic, 300, 3, next)

			// The group is at 40 in partition 0, at the end in 1, nowhere in 2.
			committer, err := NewOffsetCommitter(t.Context(), c.opts)
			if err != nil {
				t.Fatal(err)
			}
			defer committer.Close()
			at := positions{rule: c.topic, count: 1, partitions: map[partitionKey]position{
				{c.topic, 0}: {next: 40, stop: noStop}, {c.topic, 1}: {next: 100, stop: noStop},
			}}
			if err := committer.Commit(t.Context(), at.encode()); err != nil {
				t.Fatal(err)
			}

			c.opts.InitialPosition, c.opts.GroupFallback = GroupOffsets, fallback
			r := c.open(one(), nil)
			_, _, _, err = r.Drain(0)
			if err != nil {
				t.Fatal(err)
			}
			c.put(c.topic, 3, 3, next)
			var want []string
			for p, from := range []int{40, 100, map[InitialPosition]int{Earliest: 0, Latest: 100}[fallback]} {
				for i := from; i < 101; i++ {
					want = append(want, fmt.Sprintf("%s/%d/%d", c.topic, p, i))
				}
			}
			got := collect(t)
			got.drain(len(want), r)
			got.quiet(r)
			got.exactly(want)
		})
	}
}

func TestAGroupThatNeverWasFallsBack(t *testing.T) {
	c := newCluster(t, 2)
	next := map[string]int{}
	c.put(c.topic, 10, 2, next)
	c.opts.InitialPosition, c.opts.GroupID = GroupOffsets, "nobody-of-"+c.topic
	r := c.open(one(), nil)
	got := collect(t)
	got.drain(10, r)
	got.quiet(r)
	got.once(next)
}

func TestAllCodecsAreRead(t *testing.T) {
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1)
			cl := c.client(kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(5*time.Millisecond))
			var want []string
			var records []*kgo.Record
			for i := range 2000 {
				v := fmt.Sprintf("%d %s", i, strings.Repeat("taxi trip ", i%60))
				want = append(want, v)
				records = append(records, &kgo.Record{Topic: c.topic, Value: []byte(v)})
			}
			big := strings.Repeat("0123456789abcdef", 20_000)
			records = append(records, &kgo.Record{Topic: c.topic, Value: []byte(big)})
			want = append(want, big)
			c.produce(cl, records...)
			r := c.open(one(), nil)
			got := collect(t)
			got.drain(len(want), r)
			got.quiet(r)
			got.exactly(want)
		})
	}
}

func TestRecordsOfAllSizesComeThrough(t *testing.T) {
	c := newCluster(t, 1)
	topic := c.topic + "-large"
	c.create(topic, 2, map[string]*string{"max.message.bytes": new(strconv.Itoa(12 << 20))})
	c.opts.Topic = topic
	// Far smaller than the largest record.
	c.opts.FetchBytes, c.opts.PartitionFetchBytes, c.opts.BufferBytes = 64<<10, 32<<10, 1<<20
	random := make([]byte, 10<<20)
	seed := rand.NewChaCha8([32]byte{1})
	if _, err := seed.Read(random); err != nil {
		t.Fatal(err)
	}
	want := []string{"x", "", string(random[:1<<20]), "y", string(random), "z", string(random[:3<<20])}
	for i, v := range want {
		c.produce(c.kgo, &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: []byte(v)})
	}
	r := c.open(one(), nil)
	got := collect(t)
	got.drain(len(want), r)
	got.quiet(r)
	got.exactly(want)
}

func TestPartitionsAddedLaterAreReadFromTheirBeginning(t *testing.T) {
	c := newCluster(t, 2)
	c.opts.InitialPosition = Latest
	readers := []*Reader{c.open(slots.Slot{Index: 0, Count: 2}, nil), c.open(slots.Slot{Index: 1, Count: 2}, nil)}
	c.opts.DiscoveryInterval = time.Hour // the restored reader looks once
	next := map[string]int{}
	c.put(c.topic, 100, 2, next)
	got := collect(t)
	got.drain(100, readers...)
	c.grow(5)
	c.put(c.topic, 500, 5, next)
	got.drain(600, readers...)

	// The next ones are made while nobody reads.
	var positions [][]byte
	for _, r := range readers {
		batches, at, _, err := r.Drain(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		got.add(batches)
		positions = append(positions, at)
		r.Close()
	}
	c.grow(7)
	c.put(c.topic, 700, 7, next)
	readers = []*Reader{c.open(slots.Slot{Index: 0, Count: 2}, positions[0]), c.open(slots.Slot{Index: 1, Count: 2}, positions[1])}
	got.drain(1300, readers...)
	got.quiet(readers...)
	got.once(next)
}

func TestTopicsOfAnExpressionAreFound(t *testing.T) {
	c := newCluster(t, 1)
	excluded := c.topic + "-x"
	for _, topic := range []string{c.topic + "-a", "not-" + c.topic + "-a", c.topic + "-b-not", excluded} {
		c.create(topic, 2, nil)
		c.put(topic, 10, 2, map[string]int{})
	}
	c.opts.Topic, c.opts.Exclude = "regex:"+c.topic+"-[a-z]", []string{excluded}
	c.opts.InitialPosition = Latest
	var readers []*Reader
	for i := range 3 {
		readers = append(readers, c.open(slots.Slot{Index: i, Count: 3}, nil))
	}
	next := map[string]int{}
	c.put(excluded, 10, 2, map[string]int{})
	c.put(c.topic+"-a", 100, 2, next)
	c.create(c.topic+"-b", 3, nil)
	c.put(c.topic+"-b", 300, 3, next)
	got := collect(t)
	got.drain(400, readers...)
	got.quiet(readers...)
	got.once(next)
}

func TestSeveralTopicsAreSpreadOverTheSlots(t *testing.T) {
	c := newCluster(t, 1)
	next := map[string]int{}
	var topics []string
	for i := range 6 {
		topic := fmt.Sprint(c.topic, "-", i)
		topics = append(topics, topic)
		c.create(topic, 1, nil)
		c.put(topic, 10, 1, next)
	}
	c.opts.Topic = strings.Join(topics, ",")
	var readers []*Reader
	for i := range 3 {
		readers = append(readers, c.open(slots.Slot{Index: i, Count: 3}, nil))
	}
	got := collect(t)
	got.drain(60, readers...)
	got.quiet(readers...)
	got.once(next)
}

func TestResumesFromAnyPositions(t *testing.T) {
	for _, count := range []int{1, 3} {
		t.Run(fmt.Sprint(count, " slots"), func(t *testing.T) {
			c := newCluster(t, 4)
			c.opts.FetchBytes, c.opts.PartitionFetchBytes = 4<<10, 600
			next := map[string]int{}
			cl := c.client(kgo.ProducerBatchMaxBytes(4096))
			for range 20 {
				var records []*kgo.Record
				for i := range 100 {
					key := fmt.Sprintf("%s/%d", c.topic, i%4)
					records = append(records, &kgo.Record{Topic: c.topic, Partition: int32(i % 4), Value: fmt.Appendf(nil, "%s/%d", key, next[key])})
					next[key]++
				}
				c.produce(cl, records...)
			}
			got := collect(t)
			dice := rand.New(rand.NewPCG(7, 11))
			at := make([][]byte, count)
			restarts := 0
			for begin := time.Now(); got.seen < 2000; {
				if time.Since(begin) > patience {
					t.Fatalf("%d of 2000 records after %d restarts", got.seen, restarts)
				}
				i := dice.IntN(count)
				r := c.open(slots.Slot{Index: i, Count: count}, at[i])
				for range 1 + dice.IntN(8) {
					batches, positions, more, err := r.Drain(1 + dice.IntN(3000))
					if err != nil {
						t.Fatal(err)
					}
					got.add(batches)
					at[i] = positions
					if !more {
						time.Sleep(time.Duration(dice.IntN(20)) * time.Millisecond)
					}
				}
				r.Close()
				restarts++
			}
			got.once(next)
			if restarts < 3 {
				t.Errorf("only %d restarts", restarts)
			}
		})
	}
}

func TestABatchIsResumedInItsMiddle(t *testing.T) {
	c := newCluster(t, 1)
	var records []*kgo.Record
	var want []string
	for i := range 50 {
		want = append(want, fmt.Sprintf("%d %s", i, strings.Repeat("x", 100<<10)))
		records = append(records, &kgo.Record{Topic: c.topic, Value: []byte(want[i])})
	}
	// One compressed batch of 5 MB, which is delivered in parts of 1 MiB.
	c.produce(c.client(kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.ProducerLinger(50*time.Millisecond)), records...)
	got := collect(t)
	var at []byte
	opens := 0
	for got.seen < 50 {
		r := c.open(one(), at)
		opens++
		before := got.seen
		c.eventually("a batch", func() bool {
			batches, positions, _, err := r.Drain(1)
			if err != nil {
				t.Fatal(err)
			}
			got.add(batches)
			at = positions
			return got.seen > before
		})
		r.Close()
	}
	got.exactly(want)
	if opens < 4 {
		t.Errorf("%d parts", opens)
	}
}

func TestCompactionLeavesGapsThatAreReadOver(t *testing.T) {
	c := newCluster(t, 1)
	topic := c.topic + "-compacted"
	c.create(topic, 1, map[string]*string{
		"cleanup.policy": new("compact"), "min.cleanable.dirty.ratio": new("0.001"), "segment.bytes": new("1048576"),
		"segment.ms": new("100"), "min.compaction.lag.ms": new("0"), "max.compaction.lag.ms": new("100"),
	})
	c.opts.Topic = topic
	put := func(key, value string) {
		c.produce(c.kgo, &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)})
	}
	put("first", "f")
	for i := range 60 {
		put(fmt.Sprint("k", i%7), fmt.Sprint(i))
	}
	for i := range 3 { // the tail is never compacted
		put(fmt.Sprint("tail", i), fmt.Sprint("t", i))
	}
	var at positions
	at.rule, at.count = topic, 1
	at.partitions = map[partitionKey]position{{topic, 0}: {next: 20, stop: noStop}} // in what will be a gap
	if c.fake != nil {
		c.fake.Compact()
	} else {
		n := 0
		c.eventually("the broker compacts the topic", func() bool {
			put(fmt.Sprint("tail", n%3), fmt.Sprint("t", n))
			n++
			time.Sleep(200 * time.Millisecond)
			return c.count(topic, "k") == 7
		})
	}
	r := c.open(one(), nil)
	got := collect(t)
	got.quiet(r)
	middle := c.open(one(), at.encode())
	fromMiddle := collect(t)
	fromMiddle.quiet(middle)
	for i := range 60 {
		want := 0
		if i >= 53 {
			want = 1
		}
		if v := fmt.Sprint(i); got.times[v] != want || fromMiddle.times[v] != want {
			t.Errorf("value %s came %d times, and %d from the middle, not %d", v, got.times[v], fromMiddle.times[v], want)
		}
	}
	c.opts.StopAtEnd = true
	bounded := c.open(one(), nil)
	collect(t).until("done", bounded.Done, bounded)
}

// count counts a topic's records whose keys have the prefix.
func (c *cluster) count(topic, prefix string) (n int) {
	c.t.Helper()
	o := c.opts
	c.opts.Topic, c.opts.StopAtEnd, c.opts.InitialPosition = topic, true, Earliest
	defer func() { c.opts = o }()
	r := c.open(one(), nil)
	defer r.Close()
	c.eventually("all is counted", func() bool {
		batches, _, _, err := r.Drain(1 << 20)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, b := range batches {
			var m batch.Meta
			for i := range b.Records {
				if err := b.Meta(i, &m); err != nil {
					c.t.Fatal(err)
				}
				if bytes.HasPrefix(m.Key, []byte(prefix)) {
					n++
				}
			}
		}
		return r.Done()
	})
	return n
}

func TestBufferIsBounded(t *testing.T) {
	c := newCluster(t, 4)
	c.opts.BufferBytes, c.opts.FetchBytes, c.opts.PartitionFetchBytes = 256<<10, 64<<10, 16<<10
	next := map[string]int{}
	pad := strings.Repeat("x", 1000)
	cl := c.client(kgo.ProducerBatchMaxBytes(16<<10), kgo.ProducerBatchCompression(kgo.NoCompression()))
	var records []*kgo.Record
	var want []string
	for i := range 4000 {
		key := fmt.Sprint(i % 4)
		v := fmt.Sprintf("%s/%d %s", key, next[key], pad)
		want = append(want, v)
		records = append(records, &kgo.Record{Topic: c.topic, Partition: int32(i % 4), Value: []byte(v)})
		next[key]++
	}
	c.produce(cl, records...)
	r := c.open(one(), nil)
	c.eventually("the buffer is full", func() bool { return r.Stats().Buffered >= c.opts.BufferBytes })
	// Each broker's answer in hand may come on top of the bound.
	most := c.opts.BufferBytes + 3*int64(c.opts.FetchBytes+32<<10)
	got := collect(t)
	for got.seen < 4000 {
		if held := r.Stats().Buffered; held > most {
			t.Fatalf("%d bytes are held, of %d", held, most)
		}
		batches, _, more, err := r.Drain(1)
		if err != nil {
			t.Fatal(err)
		}
		got.add(batches)
		if !more {
			time.Sleep(time.Millisecond)
		}
	}
	got.exactly(want)
	got.quiet(r)
	if held := r.Stats().Buffered; held != 0 {
		t.Errorf("%d bytes are held of nothing", held)
	}
}

func TestPartitionsTakeTurns(t *testing.T) {
	c := newCluster(t, 3)
	next := map[string]int{}
	c.put(c.topic, 3000, 3, next)
	c.opts.PartitionFetchBytes = 2 << 10
	r := c.open(one(), nil)
	c.eventually("something of all partitions", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.turns) == 3 && !slices.ContainsFunc(r.turns, func(p *partition) bool { return len(p.queue) == 0 })
	})
	seen := map[string]bool{}
	for range 3 {
		batches, _, _, err := r.Drain(1)
		if err != nil || len(batches) != 1 {
			t.Fatalf("%d batches, error %v", len(batches), err)
		}
		seen[batches[0].Shard] = true
	}
	if len(seen) != 3 {
		t.Errorf("three batches are of partitions %v", slices.Collect(maps.Keys(seen)))
	}
}

func TestStopAtEndEndsAtWhatIsThere(t *testing.T) {
	c := newCluster(t, 3)
	next := map[string]int{}
	c.put(c.topic, 300, 2, next) // nothing in partition 2
	c.opts.StopAtEnd = true
	r := c.open(one(), nil)
	got := collect(t)
	c.eventually("the ends are known", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.turns) == 3
	})
	later := maps.Clone(next)
	c.put(c.topic, 300, 3, later)
	c.grow(4)
	batches, early, _, err := r.Drain(0)
	if err != nil {
		t.Fatal(err)
	}
	got.add(batches)
	got.until("done", r.Done, r)

	// What the positions hold is what it stops at, also for another reader.
	again := c.open(one(), early)
	rest := collect(t)
	rest.until("done", again.Done, again)
	for p := range got.offsets {
		if got.offsets[p] != rest.offsets[p] && rest.offsets[p] != 0 {
			t.Errorf("the last offset of %s is %d, and %d from the early positions", p, got.offsets[p], rest.offsets[p])
		}
	}
	_, end, _, err := r.Drain(1)
	if err != nil {
		t.Fatal(err)
	}
	got.once(next)
	if s := r.Stats(); !s.CaughtUp || s.Lag != 0 {
		t.Errorf("at its end: %+v", s)
	}

	// Without the stop the same positions lead on to the rest.
	c.opts.StopAtEnd = false
	r = c.open(one(), end)
	got.drain(600, r)
	got.quiet(r)
	got.once(later)
	if r.Done() {
		t.Error("done without an end")
	}
}

func TestStopAtEndOfEmptyAndOfPositionsWithoutOne(t *testing.T) {
	c := newCluster(t, 2)
	c.opts.InitialPosition = Latest
	c.put(c.topic, 20, 2, map[string]int{})
	r := c.open(one(), nil)
	_, at, _, err := r.Drain(1)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	next := map[string]int{}
	c.put(c.topic, 20, 2, next)
	c.opts.StopAtEnd = true
	r = c.open(one(), at)
	got := collect(t)
	got.until("done", r.Done, r)
	got.once(next)
	r = c.open(one(), nil)
	got = collect(t)
	got.until("done with nothing", r.Done, r)
	got.exactly(nil)
}

func TestPositionsOfAnotherReadingAreRefused(t *testing.T) {
	c := newFake(t, 1)
	mine := positions{rule: "trips", index: 1, count: 3, partitions: map[partitionKey]position{}}
	several := positions{index: 0, count: 1, partitions: map[partitionKey]position{}}
	other := positions{rule: "others", index: 0, count: 1, partitions: map[partitionKey]position{}}
	for want, at := range map[string][]byte{
		"slot 1 of 3": mine.encode(), "several topics": several.encode(), "topic others alone": other.encode(),
		"corrupt": {1, 2, 3},
	} {
		if _, err := c.opts.Open(t.Context(), one(), at); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one about %s", err, want)
		}
	}
}

func TestDrainAfterCloseIsAnError(t *testing.T) {
	c := newFake(t, 1)
	r := c.open(one(), nil)
	r.Close()
	r.Close()
	if _, _, _, err := r.Drain(1); !errors.Is(err, ErrClosed) {
		t.Errorf("error is %v", err)
	}
}
