package kinesisio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime/pprof"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/io/slots"
)

// middle returns the hash key in the middle of the shard's range.
func middle(t testing.TB, s types.Shard) string {
	t.Helper()
	lo, ok1 := new(big.Int).SetString(aws.ToString(s.HashKeyRange.StartingHashKey), 10)
	hi, ok2 := new(big.Int).SetString(aws.ToString(s.HashKeyRange.EndingHashKey), 10)
	if !ok1 || !ok2 {
		t.Fatalf("hash key range of %s", aws.ToString(s.ShardId))
	}
	lo.Add(lo, hi)
	lo.Add(lo, big.NewInt(1))
	return lo.Rsh(lo, 1).String()
}

func TestReadsEverythingFromTrimHorizon(t *testing.T) {
	for _, count := range []int{1, 3} {
		s := newStream(t, 4)
		next := map[int]int{}
		s.put(2000, 50, next)
		var readers []*Reader
		for i := range count {
			readers = append(readers, s.open(slots.Slot{Index: i, Count: count}, nil))
		}
		c := collect(t)
		c.drain(2000, readers...)
		s.put(1000, 50, next)
		c.drain(3000, readers...)
		c.quiet(readers...)
		c.once(next)
		c.inOrder()
	}
}

func TestBatchesNameTheirOrigin(t *testing.T) {
	s := newStream(t, 1)
	s.put(3, 3, map[int]int{})
	r := s.open(slots.Slot{Count: 1, JobStart: 77}, nil)
	begin := time.Now().Add(-time.Hour)
	seen := 0
	s.eventually("three records", func() bool {
		batches, _, _, err := r.Drain(1)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range batches {
			seen += b.Len()
			if b.Source != s.opts.Stream || b.Shard != "shardId-000000000000" || b.JobStart != 77 {
				t.Errorf("batch of %q, shard %q, start %d", b.Source, b.Shard, b.JobStart)
			}
			for i := range b.Records {
				if n, ok := new(big.Int).SetString(b.Seq(i), 10); !ok || n.Sign() <= 0 {
					t.Errorf("sequence number %q", b.Seq(i))
				}
				if at := time.UnixMilli(b.Records[i].Arrival); at.Before(begin) || at.After(time.Now().Add(time.Hour)) {
					t.Errorf("arrival %s", at)
				}
			}
		}
		return seen == 3
	})
}

// clock is a server's clock that tests set.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time             { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) ahead(d time.Duration)      { c.offset.Add(int64(d)) }
func (c *clock) option() kinesisfake.Option { return kinesisfake.WithClock(c.now) }

func TestLatestBeginsAtTheJobsStart(t *testing.T) {
	var c clock
	c.ahead(-time.Hour)
	s := newFake(t, 2, c.option())
	s.put(100, 10, map[int]int{})
	c.ahead(time.Hour)
	slot := one()
	s.opts.InitialPosition = Latest

	// No fetcher may be needed to fix the beginning: what arrives between
	// the first firing and the first read is not to be lost by a restart.
	r := s.open(slot, nil)
	_, positions, _, err := r.Drain(1)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	next := map[int]int{}
	s.put(100, 10, next)
	for _, at := range [][]byte{positions, nil} {
		r := s.open(slot, at)
		got := collect(t)
		got.drain(100, r)
		got.quiet(r)
		got.once(next)
	}
}

func TestLatestWaitsForAServerWhoseClockIsBehind(t *testing.T) {
	var c clock
	c.ahead(-20 * time.Second)
	s := newFake(t, 1, c.option())
	s.opts.InitialPosition = Latest
	r := s.open(one(), nil)
	s.eventually("the service refuses a time to come, twice", func() bool {
		return s.fake.Requests("GetShardIterator") >= 2
	})
	c.ahead(20 * time.Second)
	next := map[int]int{}
	s.put(5, 1, next)
	got := collect(t)
	got.drain(5, r)
	got.once(next)
}

func TestAtTimestampReadsClosedShardsToo(t *testing.T) {
	var c clock
	c.ahead(-3 * time.Hour)
	s := newFake(t, 1, c.option())
	s.put(50, 5, map[int]int{})
	c.ahead(time.Hour)
	s.opts.InitialPosition, s.opts.InitialTimestamp = AtTimestamp, c.now()
	next := map[int]int{}
	s.put(50, 5, next)
	s.split(s.openShards()[0])
	c.ahead(time.Hour)
	s.put(50, 5, next)
	r := s.open(one(), nil)
	got := collect(t)
	got.drain(100, r)
	got.quiet(r)
	got.once(next)
	got.inOrder()
}

func TestStopTimestampEndsEachShard(t *testing.T) {
	var c clock
	c.ahead(-time.Hour)
	s := newFake(t, 3, c.option())
	next := map[int]int{}
	s.put(100, 20, next)
	s.opts.StopTimestamp = c.now().Add(time.Minute)
	c.ahead(time.Hour)
	later := map[int]int{}
	for k, n := range next {
		later[k] = n
	}
	s.put(100, 20, later)

	r := s.open(one(), nil)
	got := collect(t)
	got.drain(100, r)
	got.quiet(r)
	got.once(next)
	_, positions, more, err := r.Drain(1 << 20)
	if err != nil || more {
		t.Fatalf("more %v, error %v", more, err)
	}

	// Without the stop the same positions lead on to the rest.
	s.opts.StopTimestamp = time.Time{}
	r = s.open(one(), positions)
	got.drain(200, r)
	got.quiet(r)
	got.once(later)
	got.inOrder()
}

func TestStopTimestampHoldsForChildren(t *testing.T) {
	var c clock
	c.ahead(-2 * time.Hour)
	s := newFake(t, 1, c.option())
	next := map[int]int{}
	s.put(20, 4, next)
	s.opts.StopTimestamp = c.now().Add(time.Minute)
	c.ahead(time.Hour)
	later := map[int]int{0: next[0], 1: next[1], 2: next[2], 3: next[3]}
	s.put(20, 4, later)
	s.split(s.openShards()[0])
	s.put(20, 4, later)
	for _, count := range []int{1, 2} {
		got := collect(t)
		var readers []*Reader
		for i := range count {
			readers = append(readers, s.open(slots.Slot{Index: i, Count: count}, nil))
		}
		got.drain(20, readers...)
		got.quiet(readers...)
		got.once(next)
	}
}

func TestExpiredIteratorsAreReplaced(t *testing.T) {
	var c clock
	s := newFake(t, 2, c.option())
	next := map[int]int{}
	s.put(100, 10, next)
	r := s.open(one(), nil)
	got := collect(t)
	got.drain(100, r)
	for range 3 {
		before := r.Stats().Expirations
		c.ahead(6 * time.Minute)
		s.eventually("both shards' iterators expire", func() bool { return r.Stats().Expirations >= before+2 })
		s.put(100, 10, next)
		got.drain(got.seen+100, r)
	}
	got.quiet(r)
	got.once(next)
	got.inOrder()
}

func TestPassingFaultsAreWaitedOut(t *testing.T) {
	faults := map[string]error{
		"throttled shard":   &kinesisfake.Error{Type: "ProvisionedThroughputExceededException", Message: "slow down"},
		"throttled account": &kinesisfake.Error{Type: "LimitExceededException", Message: "slow down"},
		"500":               &kinesisfake.Error{Type: "InternalFailure"},
		"503":               &kinesisfake.Error{Type: "ServiceUnavailable"},
		"a proxy's 502":     &kinesisfake.Error{Type: "Bad Gateway", Status: 502},
		"dropped":           kinesisfake.ErrDrop,
		"dropped after":     kinesisfake.ErrDropAfter,
		"expired token":     &kinesisfake.Error{Type: "ExpiredTokenException"},
		"being made":        &kinesisfake.Error{Type: "ResourceInUseException"},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			s := newFake(t, 2)
			next := map[int]int{}
			s.put(300, 10, next)
			for _, op := range []string{"ListShards", "GetShardIterator", "GetRecords"} {
				s.fake.FailNext(op, 3, fault)
			}
			s.opts.MaxRecordsPerCall = 20
			r := s.open(one(), nil)
			got := collect(t)
			got.drain(100, r)
			s.fake.FailNext("GetRecords", 5, fault)
			got.drain(300, r)
			got.quiet(r)
			got.once(next)
			got.inOrder()
			stats := r.Stats()
			if stats.Retries < 9 {
				t.Errorf("%d retries counted of 9 at least", stats.Retries)
			}
			if throttled := strings.HasPrefix(name, "throttled"); throttled != (stats.Throttles > 0) {
				t.Errorf("%d throttles counted", stats.Throttles)
			}
		})
	}
}

func TestPermanentFaultsFailLoudly(t *testing.T) {
	denied := &kinesisfake.Error{Type: "AccessDeniedException", Message: "User: arn:aws:iam::1:user/u is not authorized"}
	for name, c := range map[string]struct {
		op    string
		fault error
		limit time.Duration
		want  []string
	}{
		"list denied":     {"ListShards", denied, patience, []string{"list shards of stream trips", "kinesis:ListShards"}},
		"iterator denied": {"GetShardIterator", denied, patience, []string{"shardId-000000000000", "kinesis:GetShardIterator"}},
		"read denied":     {"GetRecords", denied, patience, []string{"read records of shard shardId-000000000000 of stream trips in us-east-1", "not authorized", "kinesis:GetRecords"}},
		"retries used up": {"GetRecords", &kinesisfake.Error{Type: "InternalFailure"}, 30 * time.Millisecond, []string{"tried", "InternalFailure"}},
		"no stream":       {"ListShards", &kinesisfake.Error{Type: "ResourceNotFoundException", Message: "Stream trips not found"}, patience, []string{"not found", "region"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFake(t, 1)
			remove := s.fake.Control(c.op, func(*kinesisfake.Request) error { return c.fault })
			s.opts.RetryDeadline = c.limit
			r := s.open(one(), nil)
			var err error
			s.eventually("the reader fails", func() bool {
				_, _, _, err = r.Drain(1)
				return err != nil
			})
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in %q", w, err)
				}
			}
			var ours *Error
			var api smithy.APIError
			if !errors.As(err, &ours) || ours.Op != c.op || !errors.As(err, &api) {
				t.Errorf("error %#v does not tell its call and cause", err)
			}
			if _, _, _, again := r.Drain(1); !errors.Is(again, err) {
				t.Errorf("the next Drain says %v", again)
			}

			// The job starts anew: nothing is lost.
			remove()
			next := map[int]int{}
			s.put(10, 2, next)
			s.opts.RetryDeadline = patience
			r = s.open(one(), nil)
			got := collect(t)
			got.drain(10, r)
			got.once(next)
		})
	}
}

func TestUnreachableServerFailsAfterTheDeadline(t *testing.T) {
	s := newFake(t, 1)
	s.opts.Endpoint = "http://127.0.0.1:1"
	s.opts.RetryDeadline = 30 * time.Millisecond
	r := s.open(one(), nil)
	var err error
	s.eventually("the reader fails", func() bool {
		_, _, _, err = r.Drain(1)
		return err != nil
	})
	if !strings.Contains(err.Error(), "http://127.0.0.1:1") || !strings.Contains(err.Error(), "is the endpoint right") {
		t.Errorf("error %q", err)
	}
}

func TestReshardingWhileProducing(t *testing.T) {
	for _, count := range []int{1, 3} {
		t.Run(map[bool]string{true: "one slot", false: "several slots"}[count == 1], func(t *testing.T) {
			s := newStream(t, 2)
			var readers []*Reader
			for i := range count {
				readers = append(readers, s.open(slots.Slot{Index: i, Count: count}, nil))
			}
			got := collect(t)
			next := map[int]int{}
			written := make(chan struct{})
			go func() {
				defer close(written)
				for range 20 {
					s.put(200, 40, next)
				}
			}()
			step := func(n int, change func()) {
				got.drain(n, readers...)
				change()
			}
			step(500, func() { s.split(s.openShards()[0]) })
			step(1000, func() { o := s.openShards(); s.split(o[len(o)-1]) })
			step(1500, func() { s.mergeNeighbours() })
			step(2000, func() { s.mergeNeighbours() })
			step(2500, func() { s.split(s.openShards()[0]) })
			<-written
			got.drain(4000, readers...)
			got.quiet(readers...)
			got.once(next)
			if count == 1 {
				got.inOrder()
			}
		})
	}
}

// mergeNeighbours merges the first two shards, by hash key, of those that are open.
func (s *stream) mergeNeighbours() {
	s.t.Helper()
	open := s.openShards()
	start := func(sh types.Shard) *big.Int {
		n, _ := new(big.Int).SetString(aws.ToString(sh.HashKeyRange.StartingHashKey), 10)
		return n
	}
	slices.SortFunc(open, func(a, b types.Shard) int { return start(a).Cmp(start(b)) })
	s.mergeShards(open[0], open[1])
}

func TestChildrenAreFoundWithoutBeingNamed(t *testing.T) {
	// The discovery interval is too long to help: the listing after the
	// parent's end must find them, or the names in its last answer.
	s := newFake(t, 1)
	s.opts.DiscoveryInterval = time.Hour
	next := map[int]int{}
	s.put(20, 4, next)
	r := s.open(one(), nil)
	got := collect(t)
	got.drain(20, r)
	s.split(s.openShards()[0])
	s.put(20, 4, next)
	got.drain(40, r)
	got.once(next)
	got.inOrder()
}

func TestResumesFromAnyPositions(t *testing.T) {
	s := newStream(t, 2)
	next := map[int]int{}
	s.put(150, 15, next)
	s.split(s.openShards()[0])
	s.put(150, 15, next)
	s.mergeNeighbours()
	s.put(150, 15, next)
	s.opts.MaxRecordsPerCall = 17

	got := collect(t)
	slot := one()
	var at []byte
	for step := 0; got.seen < 450; step++ {
		r := s.open(slot, at)
		var batches []batch.Batch
		var after []byte
		var err error
		s.eventually("a batch", func() bool {
			batches, after, _, err = r.Drain(1)
			return err != nil || len(batches) > 0
		})
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		if step%3 == 2 {
			continue // the bundle was lost: neither batches nor positions were kept
		}
		got.add(batches)
		at = after
	}
	r := s.open(slot, at)
	got.quiet(r)
	got.once(next)
	got.inOrder()
}

func TestRestoresAtPositionsWithoutRecords(t *testing.T) {
	// Positions are also taken at firings that bring nothing: finished
	// shards must stay finished, begun ones begun.
	s := newFake(t, 1)
	next := map[int]int{}
	s.put(40, 4, next)
	s.split(s.openShards()[0])
	r := s.open(one(), nil)
	got := collect(t)
	got.drain(40, r)
	got.quiet(r)
	_, at, _, err := r.Drain(1)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	r = s.open(one(), at)
	s.put(40, 4, next)
	got.drain(80, r)
	got.quiet(r)
	got.once(next)
	got.inOrder()
}

// aggregates puts aggregated records whose payloads are padded to size bytes.
func (s *stream) aggregates(payloads, keys, size, limit int, next map[int]int) (records int) {
	s.t.Helper()
	a, err := NewAggregator(len(s.openShards()), limit)
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := NewProducer(s.t.Context(), ProducerOptions{
		Stream: s.opts.Stream, Region: s.opts.Region, Endpoint: s.opts.Endpoint, EmulatorCredentials: true,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	send := func(full []Record) {
		for _, r := range full {
			if err := p.Put(s.t.Context(), r); err != nil {
				s.t.Fatal(err)
			}
			records++
		}
	}
	for i := range payloads {
		k := i % keys
		text := fmt.Sprintf("%d/%d", k, next[k])
		next[k]++
		full, err := a.Add(fmt.Sprint(k), "", []byte(text+strings.Repeat(" ", size-len(text))))
		if err != nil {
			s.t.Fatal(err)
		}
		send(full)
	}
	send(a.Flush())
	if err := p.Close(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return records
}

func TestAggregatedRecordsAreTakenApartAndResumedInTheMiddle(t *testing.T) {
	s := newStream(t, 2)
	next := map[int]int{}
	const payloads = 600
	// Batches of 1 MiB end within these records of 700 kB.
	records := s.aggregates(payloads, 7, 10_000, 700_000, next)
	if records >= payloads/10 {
		t.Fatalf("%d records for %d payloads: nothing was aggregated", records, payloads)
	}
	got := collect(t)
	slot := one()
	var at []byte
	middles := 0
	for got.seen < payloads {
		r := s.open(slot, at)
		var batches []batch.Batch
		s.eventually("a batch", func() bool {
			var err error
			batches, at, _, err = r.Drain(1)
			if err != nil {
				t.Fatal(err)
			}
			return len(batches) > 0
		})
		r.Close()
		for _, b := range batches {
			for i := range b.Records {
				if i > 0 && b.Seq(i) == b.Seq(i-1) && b.Records[i].Sub != b.Records[i-1].Sub+1 {
					t.Errorf("sub-sequence number %d after %d", b.Records[i].Sub, b.Records[i-1].Sub)
				}
			}
		}
		trimmed(batches)
		got.add(batches)
		p, err := decodePositions(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, shard := range p.shards {
			if shard.next > 0 {
				middles++
			}
		}
	}
	if middles == 0 {
		t.Error("no position was in the middle of a record")
	}
	got.once(next)
	got.inOrder()
}

// trimmed takes the padding off the payloads.
func trimmed(batches []batch.Batch) {
	for i := range batches {
		b := batch.Batch{Seqs: batches[i].Seqs}
		for n, rec := range batches[i].Records {
			b.Append([]byte(strings.TrimSpace(string(batches[i].Payload(n)))), rec.Seq, rec.Sub, rec.Arrival)
		}
		batches[i] = b
	}
}

func TestRecordsThatOnlyLookAggregatedArePassedAsTheyAre(t *testing.T) {
	s := newFake(t, 1)
	want := []string{aggregateMagic, aggregateMagic + strings.Repeat("x", 40), "", "plain"}
	for _, text := range want {
		if _, err := s.client.PutRecord(t.Context(), &kinesis.PutRecordInput{
			StreamName: &s.opts.Stream, PartitionKey: aws.String("k"), Data: []byte(text),
		}); err != nil {
			t.Fatal(err)
		}
	}
	r := s.open(one(), nil)
	var got []string
	s.eventually("all records", func() bool {
		batches, _, _, err := r.Drain(1)
		if err != nil {
			t.Fatal(err)
		}
		for i := range batches {
			for n := range batches[i].Records {
				got = append(got, string(batches[i].Payload(n)))
			}
		}
		return len(got) >= len(want)
	})
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBufferIsBounded(t *testing.T) {
	s := newFake(t, 4)
	next := map[int]int{}
	const payloads = 2500
	s.aggregates(payloads, 64, 10_000, 500_000, next)
	s.opts.BufferBytes = 12 << 20 // 25 MB are there
	s.opts.MaxRecordsPerCall = 5
	r := s.open(one(), nil)
	got := collect(t)
	drained, top := int64(0), int64(0)
	full := 0
	for got.seen < payloads {
		// Let it run full now and then, as a slow pipeline would.
		if held := r.Stats().Bytes - drained; full < 3 && held < 2<<20 {
			time.Sleep(time.Millisecond)
			continue
		} else if top = max(top, held); held > s.opts.BufferBytes {
			t.Fatalf("%d bytes are fetched ahead, %d are allowed", held, s.opts.BufferBytes)
		}
		full++
		batches, _, _, err := r.Drain(1)
		if err != nil {
			t.Fatal(err)
		}
		for i := range batches {
			drained += int64(len(batches[i].Data))
		}
		trimmed(batches)
		got.add(batches)
	}
	got.once(next)
	if top == 0 {
		t.Error("nothing was fetched ahead")
	}
}

func TestShardsTakeTurns(t *testing.T) {
	s := newFake(t, 4)
	s.put(4000, 400, map[int]int{})
	s.opts.MaxRecordsPerCall = 50
	r := s.open(one(), nil)
	s.eventually("every shard has five batches ready", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		ready := 0
		for _, sh := range r.turns {
			if len(sh.queue) >= 5 {
				ready++
			}
		}
		return ready == 4
	})
	batches, _, more, err := r.Drain(1)
	if err != nil || len(batches) != 1 || !more {
		t.Fatalf("Drain(1): %d batches, more %v, %v", len(batches), more, err)
	}
	visits := map[string]int{batches[0].Shard: 1}
	for range 19 {
		batches, _, _, err := r.Drain(1)
		if err != nil || len(batches) != 1 {
			t.Fatalf("Drain(1): %d batches, %v", len(batches), err)
		}
		visits[batches[0].Shard]++
	}
	for shard, n := range visits {
		if n != 5 {
			t.Errorf("shard %s had %d of 20 turns", shard, n)
		}
	}
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	s := newFake(t, 8)
	s.put(500, 50, map[int]int{})
	held := make(chan struct{}, 100)
	remove := s.fake.Control("GetRecords", func(r *kinesisfake.Request) error {
		held <- struct{}{}
		<-r.Context().Done()
		return nil
	})
	defer remove()
	r := s.open(one(), nil)
	<-held // calls are under way
	r.Close()
	r.Close()
	var stacks bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
		t.Fatal(err)
	}
	for _, g := range strings.Split(stacks.String(), "\n\n") {
		if strings.Contains(g, "kinesisio.(*Reader)") && !strings.Contains(g, "testing.tRunner") {
			t.Errorf("a goroutine goes on:\n%s", g)
		}
	}
	if _, _, _, err := r.Drain(1); !errors.Is(err, ErrClosed) {
		t.Errorf("Drain after Close: %v", err)
	}
}

func TestReaderOutlivesTheContextOfOpen(t *testing.T) {
	s := newFake(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	opened, err := s.opts.Open(ctx, one(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	cancel()
	next := map[int]int{}
	s.put(10, 1, next)
	got := collect(t)
	got.drain(10, opened.(*Reader))
	got.once(next)
}

func TestFinishedShardsAreForgottenWithTheStreams(t *testing.T) {
	var c clock
	s := newFake(t, 1, c.option())
	next := map[int]int{}
	s.put(20, 4, next)
	s.split(s.openShards()[0])
	r := s.open(one(), nil)
	got := collect(t)
	got.drain(20, r)
	got.quiet(r)
	entries := func() int {
		_, at, _, err := r.Drain(1)
		if err != nil {
			t.Fatal(err)
		}
		p, err := decodePositions(at)
		if err != nil {
			t.Fatal(err)
		}
		return len(p.shards)
	}
	if n := entries(); n != 1 {
		t.Fatalf("positions of %d shards, want that of the finished one", n)
	}
	c.ahead(26 * time.Hour) // over the retention
	s.eventually("the finished shard is forgotten", func() bool { return entries() == 0 })
	s.put(20, 4, next)
	got.drain(40, r)
	got.quiet(r)
	got.once(next)
}

func TestStatsTellLagAndCounts(t *testing.T) {
	var c clock
	c.ahead(-time.Hour)
	s := newFake(t, 1, c.option())
	s.put(30, 3, map[int]int{})
	c.ahead(time.Hour)
	s.opts.MaxRecordsPerCall = 10
	s.opts.BufferBytes = 300 // room for one answer
	r := s.open(one(), nil)
	s.eventually("the first answer", func() bool { return r.Stats().Records == 10 })
	if lag := r.Lag(); lag < 59*time.Minute || lag > 61*time.Minute {
		t.Errorf("lag %s of an hour", lag)
	}
	if r.Stats().CaughtUp {
		t.Error("caught up with 20 records to come")
	}
	got := collect(t)
	got.drain(30, r)
	got.quiet(r)
	stats := r.Stats()
	if stats.Records != 30 || stats.Bytes == 0 || stats.Calls < 5 || stats.Shards != 1 || stats.Open != 1 || stats.Lag != 0 {
		t.Errorf("stats %+v", stats)
	}
}

func TestShardsDeletedByRetentionDoNotHoldTheirChildren(t *testing.T) {
	var c clock
	s := newFake(t, 1, c.option())
	s.put(20, 4, map[int]int{})
	s.opts.MaxRecordsPerCall = 5
	r := s.open(one(), nil)
	var at []byte
	s.eventually("a first batch", func() bool {
		batches, after, _, err := r.Drain(1)
		if err != nil {
			t.Fatal(err)
		}
		at = after
		return len(batches) > 0
	})
	r.Close()
	s.split(s.openShards()[0])
	c.ahead(26 * time.Hour) // over the retention
	next := map[int]int{}
	s.put(20, 4, next)
	r = s.open(one(), at)
	got := collect(t)
	got.drain(20, r)
	got.quiet(r)
	got.once(next)
	if n := r.Stats().LostShards; n != 1 {
		t.Errorf("%d shards counted as lost, want 1", n)
	}
}

func TestDeletedStreamFailsTheReader(t *testing.T) {
	s := newFake(t, 1)
	next := map[int]int{}
	s.put(10, 1, next)
	r := s.open(one(), nil)
	got := collect(t)
	got.drain(10, r)
	if _, err := s.client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: &s.opts.Stream}); err != nil {
		t.Fatal(err)
	}
	var err error
	s.eventually("the reader fails", func() bool {
		_, _, _, err = r.Drain(1)
		return err != nil
	})
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) {
		t.Errorf("error %v", err)
	}
}

// madeAnew deletes the stream and makes another of its name.
func (s *stream) madeAnew(shards int32) {
	s.t.Helper()
	if _, err := s.client.DeleteStream(s.t.Context(), &kinesis.DeleteStreamInput{StreamName: &s.opts.Stream}); err != nil {
		s.t.Fatal(err)
	}
	s.eventually("the stream can be made anew", func() bool {
		_, err := s.client.CreateStream(s.t.Context(), &kinesis.CreateStreamInput{StreamName: &s.opts.Stream, ShardCount: &shards})
		return err == nil
	})
	s.active()
}

func TestStreamMadeAnewFailsTheReader(t *testing.T) {
	for name, c := range map[string]struct {
		// children are read from too, so that positions have records of theirs.
		children bool
		interval time.Duration
		want     string
	}{
		"by a finished shard that is open": {false, 20 * time.Millisecond, "shard shardId-000000000000 was read to its end and is open"},
		"by shards that are gone":          {true, time.Hour, "is gone, and there are none but older ones"},
	} {
		for _, consumer := range []string{"", "etl"} {
			t.Run(name+consumer, func(t *testing.T) {
				s := newFake(t, 1)
				s.opts.DiscoveryInterval, s.opts.Consumer = c.interval, consumer
				next := map[int]int{}
				s.put(20, 20, next)
				s.split(s.openShards()[0])
				r := s.open(one(), nil)
				got := collect(t)
				got.drain(20, r)
				if c.children {
					s.put(20, 20, next)
					got.drain(40, r)
				}
				s.eventually("the shard is read to its end", func() bool {
					if _, _, _, err := r.Drain(1); err != nil {
						t.Fatal(err)
					}
					return r.Stats().Open == 2
				})
				r.Close()
				s.madeAnew(1)
				s.put(20, 4, next)
				r = s.open(one(), r.encoded())
				var err error
				s.eventually("the reader fails", func() bool {
					_, _, _, err = r.Drain(1)
					return err != nil
				})
				for _, part := range []string{c.want, "stream trips", "deleted and made anew", "start the job without its state"} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%q is not in %q", part, err)
					}
				}
			})
		}
	}
}

// lateListing has listings be behind: closed shards are open in the next so many.
type lateListing struct {
	http.Handler
	late, listings atomic.Int64
}

var endingNumber = regexp.MustCompile(`"EndingSequenceNumber":"[0-9]+",?`)

func (l *lateListing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".ListShards") {
		l.Handler.ServeHTTP(w, r)
		return
	}
	got := httptest.NewRecorder()
	l.Handler.ServeHTTP(got, r)
	l.listings.Add(1)
	body := got.Body.Bytes()
	if l.late.Add(-1) >= 0 {
		body = endingNumber.ReplaceAll(body, nil)
		body = bytes.ReplaceAll(body, []byte(",}"), []byte("}"))
	}
	w.Header().Set("Content-Type", got.Header().Get("Content-Type"))
	w.WriteHeader(got.Code)
	_, _ = w.Write(body) // the client may have gone
}

func TestListingThatIsBehindASplitIsBorne(t *testing.T) {
	s := newFake(t, 1)
	front := &lateListing{Handler: s.fake.Handler}
	server := httptest.NewServer(front)
	t.Cleanup(server.Close)
	s.opts.Endpoint = server.URL
	next := map[int]int{}
	r := s.open(one(), nil)
	got := collect(t)
	for round := range 3 {
		s.put(20, 4, next)
		s.split(s.openShards()[0])
		front.late.Store(4)
		s.put(20, 4, next)
		got.drain(40*(round+1), r)
		before := front.listings.Load()
		s.eventually("the shards are listed", func() bool { return front.listings.Load() > before+2*reopenedToFail })
	}
	got.quiet(r)
	got.once(next)
	got.inOrder()
}

// A stream that is listed often is no reason to believe a listing sooner.
func TestManyListingsThatAreBehindASplitAreBorne(t *testing.T) {
	s := newFake(t, 1)
	front := &lateListing{Handler: s.fake.Handler}
	server := httptest.NewServer(front)
	t.Cleanup(server.Close)
	s.opts.Endpoint, s.opts.DiscoveryInterval, s.opts.reopenedApart = server.URL, 5*time.Millisecond, 0
	next := map[int]int{}
	r := s.open(one(), nil)
	got := collect(t)
	s.put(20, 4, next)
	s.split(s.openShards()[0])
	front.late.Store(1 << 40)
	s.put(20, 4, next)
	got.drain(40, r)
	s.eventually("the shards are listed", func() bool { return front.listings.Load() > 10*reopenedToFail })
	got.quiet(r)
	got.once(next)
}

func TestListingIsPagedAndBegunAnewWhenItsTokenExpires(t *testing.T) {
	const shards = 1500 // a page has 1,000
	s := newFake(t, shards)
	var tokens atomic.Int64
	s.fake.Control("ListShards", func(r *kinesisfake.Request) error {
		if bytes.Contains(r.Body, []byte(`"NextToken"`)) && tokens.Add(1) == 1 {
			return &kinesisfake.Error{Type: "ExpiredNextTokenException"}
		}
		return nil
	})
	if _, err := s.client.PutRecord(t.Context(), &kinesis.PutRecordInput{
		StreamName: &s.opts.Stream, PartitionKey: aws.String("0"), ExplicitHashKey: aws.String(topHashKey), Data: []byte("0/0"),
	}); err != nil {
		t.Fatal(err)
	}
	r := s.open(slots.Slot{Index: shards - 1, Count: shards}, nil)
	got := collect(t)
	got.drain(1, r)
	got.quiet(r)
	got.once(map[int]int{0: 1})
	if n := r.Stats().Shards; n != 1 {
		t.Errorf("the slot has %d shards, want 1", n)
	}
	if tokens.Load() < 2 {
		t.Errorf("%d pages were asked for by token", tokens.Load())
	}
}
