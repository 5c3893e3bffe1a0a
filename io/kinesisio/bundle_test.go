package kinesisio

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

// putItems puts n records of keys into the bundle, continuing the counters.
func putItems(t testing.TB, b *Bundle, n, keys int, next map[int]int) {
	t.Helper()
	for i := range n {
		k := i % keys
		it := Item{PartitionKey: fmt.Append(nil, k), Data: fmt.Appendf(nil, "%d/%d", k, next[k]), Ref: i}
		if err := b.Put(t.Context(), &it); err != nil {
			t.Fatal(err)
		}
		clear(it.Data) // the bundle has its own copy
		clear(it.PartitionKey)
		next[k]++
	}
}

func flush(t testing.TB, b *Bundle) []Rejection {
	t.Helper()
	rejected, err := b.Flush(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return rejected
}

func TestServersTakeBundles(t *testing.T) {
	for _, aggregate := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "aggregated"}[aggregate], func(t *testing.T) {
			onServers(t, 3, func(t *testing.T, s *stream) {
				p := s.producer(func(o *ProducerOptions) { o.Aggregate = aggregate })
				next := map[int]int{}
				for range 3 {
					b := p.NewBundle()
					putItems(t, b, 700, 300, next)
					it := Item{PartitionKey: []byte("e"), ExplicitHashKey: []byte("340282366920938463463374607431768211455"), Data: []byte("300/0")}
					it.Data = fmt.Appendf(nil, "300/%d", next[300])
					next[300]++
					if err := b.Put(t.Context(), &it); err != nil {
						t.Fatal(err)
					}
					if rejected := flush(t, b); len(rejected) != 0 {
						t.Errorf("rejected: %+v", rejected)
					}
				}
				r := s.open(one(), nil)
				got := collect(t)
				got.drain(2103, r)
				got.quiet(r)
				got.once(next)
				got.inOrder()
				if n := p.Stats(); n.Payloads != 2103 || aggregate == (n.Records == n.Payloads) || n.Misplaced != 0 {
					t.Errorf("stats %+v", n)
				}
			})
		})
	}
}

func TestRecordsThatCanNeverBeTakenAreRejectedOneByOne(t *testing.T) {
	for _, aggregate := range []bool{false, true} {
		s := newFake(t, 2)
		p := s.producer(func(o *ProducerOptions) { o.Aggregate, o.MaxRecordBytes = aggregate, 2<<20 })
		b := p.NewBundle()
		key := []byte("k")
		for ref, it := range []Item{
			{PartitionKey: key, Data: []byte("0/0")},
			{Data: []byte("no key")},
			{PartitionKey: bytes.Repeat(key, 257)},
			{PartitionKey: []byte("\xff")},
			{PartitionKey: key, ExplicitHashKey: []byte("340282366920938463463374607431768211456")},
			{PartitionKey: key, ExplicitHashKey: []byte("-1")},
			{PartitionKey: key, Data: make([]byte, 2<<20)},
			// More than the stream takes, which only the service knows.
			{PartitionKey: []byte("l"), Data: make([]byte, 1<<20+1)},
			{PartitionKey: bytes.Repeat([]byte("é"), 256), Data: []byte("0/1")},
			{PartitionKey: key, ExplicitHashKey: []byte("0"), Data: []byte("0/2")},
		} {
			it.Ref = 100 + ref
			if err := b.Put(t.Context(), &it); err != nil {
				t.Fatal(err)
			}
		}
		var got strings.Builder
		for _, r := range flush(t, b) {
			fmt.Fprintf(&got, "%d %s\n", r.Ref, r.Reason)
			if len(r.Detail) < 10 {
				t.Errorf("rejection %d says %q", r.Ref, r.Detail)
			}
		}
		want := "101 partition_key\n102 partition_key\n103 partition_key\n104 explicit_hash_key\n105 explicit_hash_key\n106 too_large\n107 refused\n"
		if got.String() != want {
			t.Errorf("aggregate %v: rejected\n%swant\n%s", aggregate, &got, want)
		}
		if n := p.Stats(); n.Payloads != 3 || n.Rejected != 7 {
			t.Errorf("stats %+v", n)
		}
		if again := flush(t, b); len(again) != 0 {
			t.Errorf("told again: %+v", again)
		}
		if err := b.Put(t.Context(), &Item{Ref: 110}); err != nil {
			t.Fatal(err)
		}
		if now := b.Rejected(); len(now) != 1 || now[0].Ref != 110 || len(b.Rejected()) != 0 || len(flush(t, b)) != 0 {
			t.Errorf("rejected by now: %+v", now)
		}
		r := s.open(one(), nil)
		c := collect(t)
		c.drain(3, r)
		c.quiet(r)
		c.once(map[int]int{0: 3})
	}
}

// Of an aggregate that the service refuses for good, only those of its records
// are rejected for which it is refused.
func TestRefusedAggregatesAreSentRecordByRecord(t *testing.T) {
	s := newFake(t, 2)
	s.fake.Control("PutRecords", func(r *kinesisfake.Request) error {
		var in struct{ Records []struct{ Data []byte } }
		if err := json.Unmarshal(r.Body, &in); err != nil {
			return err
		}
		for i, rec := range in.Records {
			if bytes.Contains(rec.Data, []byte("spoilt")) {
				return &kinesisfake.Error{Type: "InvalidArgumentException", Message: fmt.Sprintf("Record %d is spoilt", i)}
			}
		}
		return nil
	})
	p := s.producer(func(o *ProducerOptions) { o.Aggregate, o.AggregateBytes = true, 4000 })
	next := map[int]int{}
	var want, got []int
	for range 3 {
		b := p.NewBundle()
		for i := range 400 {
			it := Item{Ref: len(want)*1000 + i}
			if i%150 == 70 {
				it.PartitionKey, it.Data = fmt.Append(nil, i%9), []byte("spoilt")
				want = append(want, it.Ref)
			} else {
				it.PartitionKey, it.Data = fmt.Append(nil, i%9), fmt.Appendf(nil, "%d/%d", i%9, next[i%9])
				next[i%9]++
			}
			if err := b.Put(t.Context(), &it); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range flush(t, b) {
			if r.Reason != ReasonRefused {
				t.Errorf("%d is rejected: %s", r.Ref, r.Reason)
			}
			got = append(got, r.Ref)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("rejected %v, want %v", got, want)
	}
	p.mu.Lock()
	if p.heldBytes != 0 || p.pending != 0 || len(p.tails) != 0 {
		t.Errorf("%d bytes, %d records, %d places are held at the end", p.heldBytes, p.pending, len(p.tails))
	}
	p.mu.Unlock()
	r := s.open(one(), nil)
	c := collect(t)
	total := 0
	for _, n := range next {
		total += n
	}
	c.drain(total, r)
	c.quiet(r)
	c.once(next)
	c.inOrder()
}

func TestFlushWaitsForItsOwnBundleOnly(t *testing.T) {
	for _, aggregate := range []bool{false, true} {
		s := newFake(t, 2)
		held, release := make(chan struct{}), make(chan struct{})
		var once sync.Once
		s.fake.ControlEntries(func(e kinesisfake.Entry) *kinesisfake.Error {
			if bytes.Contains(e.Data, []byte("slow")) {
				once.Do(func() { close(held) })
				<-release
			}
			return nil
		})
		p := s.producer(func(o *ProducerOptions) { o.Aggregate = aggregate })
		slow, fast := p.NewBundle(), p.NewBundle()
		low, high := []byte("0"), []byte("340282366920938463463374607431768211455")
		if err := slow.Put(t.Context(), &Item{PartitionKey: []byte("k"), ExplicitHashKey: low, Data: []byte("slow")}); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := slow.Flush(t.Context())
			done <- err
		}()
		<-held
		if err := fast.Put(t.Context(), &Item{PartitionKey: []byte("k"), ExplicitHashKey: high, Data: []byte("fast")}); err != nil {
			t.Fatal(err)
		}
		flush(t, fast)
		select {
		case err := <-done:
			t.Errorf("the slow bundle's Flush returned: %v", err)
		default:
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := slow.Flush(ctx); err == nil {
			t.Error("a Flush that was given up says that all is there")
		}
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestOrderIsKeptThroughRefusalsByManyBundles(t *testing.T) {
	for _, aggregate := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "aggregated"}[aggregate], func(t *testing.T) {
			s := newFake(t, 4)
			var mu sync.Mutex
			rng := rand.New(rand.NewPCG(1, 2))
			s.fake.ControlEntries(func(e kinesisfake.Entry) *kinesisfake.Error {
				mu.Lock()
				defer mu.Unlock()
				switch rng.IntN(6) {
				case 0:
					return &kinesisfake.Error{Type: "ProvisionedThroughputExceededException", Message: "Rate exceeded"}
				case 1:
					return &kinesisfake.Error{Type: "InternalFailure", Message: "Internal Service Failure"}
				}
				return nil
			})
			p := s.producer(func(o *ProducerOptions) { o.Aggregate, o.AggregateBytes = aggregate, 1000 })
			next := make([]map[int]int, 4)
			var wg sync.WaitGroup
			for w := range next {
				next[w] = map[int]int{}
				wg.Go(func() { // keys w, w+4, w+8 …
					for range 5 {
						b := p.NewBundle()
						for i := range 100 {
							k := w + 4*(i%10)
							it := Item{PartitionKey: fmt.Append(nil, k), Data: fmt.Appendf(nil, "%d/%d", k, next[w][k])}
							if err := b.Put(t.Context(), &it); err != nil {
								t.Error(err)
								return
							}
							next[w][k]++
						}
						if _, err := b.Flush(t.Context()); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			all := map[int]int{}
			for _, n := range next {
				maps.Copy(all, n)
			}
			r := s.open(one(), nil)
			got := collect(t)
			got.drain(2000, r)
			got.quiet(r)
			got.once(all)
			got.inOrder()
			if p.Stats().Retries == 0 {
				t.Error("nothing was refused")
			}
		})
	}
}

// byClientLibrary reads the whole stream as the Kinesis Client Library does:
// parents before children, and of aggregates (AggregatorUtil.deaggregate) only
// those of whose records each is of the shard's range. It passes over all of
// one in which a single record is not.
func (s *stream) byClientLibrary() []string {
	s.t.Helper()
	var out []string
	listed, err := s.client.ListShards(s.t.Context(), &kinesis.ListShardsInput{StreamName: &s.opts.Stream})
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range listed.Shards { // their ids are in the order of their making
		shard, err := rangeOf(&listed.Shards[i])
		if err != nil {
			s.t.Fatal(err)
		}
		it, err := s.client.GetShardIterator(s.t.Context(), &kinesis.GetShardIteratorInput{
			StreamName: &s.opts.Stream, ShardId: &shard.id, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
		})
		if err != nil {
			s.t.Fatal(err)
		}
		for next := it.ShardIterator; aws.ToString(next) != ""; {
			got, err := s.client.GetRecords(s.t.Context(), &kinesis.GetRecordsInput{ShardIterator: next})
			if err != nil {
				s.t.Fatal(err)
			}
			for _, rec := range got.Records {
				if _, ok := deaggregate(rec.Data, nil); !ok {
					out = append(out, string(rec.Data))
					continue
				}
				before, passed := len(out), false
				eachSub(rec.Data, func(key, hash, data []byte) {
					passed = passed || !shard.holds(placeOf(key, hash))
					out = append(out, string(data))
				})
				if passed {
					out = out[:before]
				}
			}
			next = got.NextShardIterator
			if len(got.Records) == 0 && aws.ToInt64(got.MillisBehindLatest) == 0 {
				break
			}
		}
	}
	return out
}

// inOrderBut checks that each key's payloads are all there, and in their order
// but for those that are there again.
func (s *stream) inOrderBut(who string, payloads []string, next map[int]int) {
	s.t.Helper()
	seen := map[string]bool{}
	last := map[string]int{}
	for _, text := range payloads {
		if seen[text] {
			continue
		}
		seen[text] = true
		text = strings.TrimSpace(text)
		key, number, _ := strings.Cut(text, "/")
		var n int
		if _, err := fmt.Sscan(number, &n); err != nil {
			s.t.Fatal(err)
		}
		if want := last[key]; n != want {
			s.t.Fatalf("%s: key %s: %d came where %d was next", who, key, n, want)
		}
		last[key]++
	}
	for k, n := range next {
		if got := last[fmt.Sprint(k)]; got != n {
			s.t.Errorf("%s: key %d: %d records of %d", who, k, got, n)
		}
	}
}

// byReader reads the whole stream by a Reader, which has all of aggregates.
func (s *stream) byReader() []string {
	s.t.Helper()
	r := s.open(one(), nil)
	var out []string
	s.eventually("all is read", func() bool {
		batches, _, more, err := r.Drain(1 << 20)
		if err != nil {
			s.t.Fatal(err)
		}
		for i := range batches {
			for n := range batches[i].Records {
				out = append(out, string(batches[i].Payload(n)))
			}
		}
		return !more && len(batches) == 0 && r.Stats().CaughtUp
	})
	return out
}

func TestProducerFollowsResharding(t *testing.T) {
	for _, aggregate := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "aggregated"}[aggregate], func(t *testing.T) {
			s := newFake(t, 2)
			p := s.producer(func(o *ProducerOptions) {
				o.Aggregate, o.AggregateBytes, o.AggregateLanes = aggregate, 2000, 1
			})
			b := p.NewBundle()
			next := map[int]int{}
			rng := rand.New(rand.NewPCG(3, 4))
			for range 6 {
				putItems(t, b, 600, 60, next)
				// While records are on their way.
				open := s.openShards()
				slices.SortFunc(open, func(a, b types.Shard) int {
					x, _ := rangeOf(&a)
					y, _ := rangeOf(&b)
					return x.from.big().Cmp(y.from.big())
				})
				if i := rng.IntN(len(open)); rng.IntN(3) > 0 || i+1 == len(open) {
					s.splitAt(open[i], rng)
				} else {
					s.mergeShards(open[i], open[i+1])
				}
				putItems(t, b, 600, 60, next)
				flush(t, b)
			}
			s.inOrderBut("Client Library", s.byClientLibrary(), next)
			s.inOrderBut("reader", s.byReader(), next)
			s.eventually("the shards are listed again", func() bool { return p.Stats().Listings > 1 })
			if n := p.Stats(); aggregate == (n.Misplaced == 0) {
				t.Errorf("stats %+v", n)
			}
		})
	}
}

// A split is found by an aggregate that goes to one of the children, with
// records of both in it: the Client Library passes over all of it.
func TestAggregatesOfBothChildrenAreSentAgainWhole(t *testing.T) {
	for name, explicit := range map[string]bool{"partition keys": false, "explicit hash keys": true} {
		t.Run(name, func(t *testing.T) {
			s := newFake(t, 1)
			p := s.producer(func(o *ProducerOptions) { o.Aggregate, o.AggregateLanes = true, 1 })
			b := p.NewBundle()
			next := map[int]int{}
			put := func() {
				for k := range 20 {
					it := Item{PartitionKey: fmt.Append(nil, k), Data: fmt.Appendf(nil, "%d/%d", k, next[k])}
					if explicit { // where another key's hash is
						it.ExplicitHashKey = fmt.Append(nil, hashOf(fmt.Append(nil, k+1)))
					}
					if err := b.Put(t.Context(), &it); err != nil {
						t.Fatal(err)
					}
					next[k]++
				}
				flush(t, b)
			}
			put()
			s.split(s.openShards()[0])
			put()
			put()
			if got := s.byClientLibrary(); len(got) != 60 {
				t.Errorf("the Client Library reads %d records of 60", len(got))
			}
			s.inOrderBut("Client Library", s.byClientLibrary(), next)
			all := s.byReader()
			s.inOrderBut("reader", all, next)
			if len(all) != 80 {
				t.Errorf("%d records are read whole of 60, 20 of them twice", len(all))
			}
			if n := p.Stats(); n.Misplaced != 1 {
				t.Errorf("stats %+v", n)
			}
		})
	}
}

// What a filler sends alone goes to the filler's place too, and can go astray:
// what follows it under its key would be in another child, side by side with it.
func TestRecordsAloneOfTheOtherChildKeepTheirOrder(t *testing.T) {
	for name, size := range map[string]int{"few": 0, "too large to be packed": 2000} {
		t.Run(name, func(t *testing.T) {
			s := newFake(t, 1)
			p := s.producer(func(o *ProducerOptions) { o.Aggregate, o.AggregateLanes, o.AggregateBytes = true, 1, 1000 })
			b := p.NewBundle()
			next := map[int]int{}
			pad := strings.Repeat(" ", size)
			put := func() {
				it := Item{PartitionKey: []byte("k"), ExplicitHashKey: []byte("7"), Data: fmt.Appendf(nil, "0/%d%s", next[0], pad)}
				if err := b.Put(t.Context(), &it); err != nil {
					t.Fatal(err)
				}
				next[0]++
				flush(t, b)
			}
			put()
			s.split(s.openShards()[0])
			put()
			s.eventually("the shards are listed again", func() bool { return p.Stats().Listings > 1 })
			put()
			s.inOrderBut("Client Library", s.byClientLibrary(), next)
			s.inOrderBut("reader", s.byReader(), next)
		})
	}
}

// splitAt splits a shard somewhere.
func (s *stream) splitAt(shard types.Shard, rng *rand.Rand) {
	s.t.Helper()
	r, err := rangeOf(&shard)
	if err != nil {
		s.t.Fatal(err)
	}
	at := r.from.between(r.to, rng.IntN(8), 8)
	_, err = s.client.SplitShard(s.t.Context(), &kinesis.SplitShardInput{
		StreamName: &s.opts.Stream, ShardToSplit: shard.ShardId, NewStartingHashKey: aws.String(at.String()),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.active()
}

func TestShardThatTakesNothingHoldsUpNoOther(t *testing.T) {
	s := newFake(t, 2)
	var open sync.Mutex
	refused, refuse := 0, true
	s.fake.ControlEntries(func(e kinesisfake.Entry) *kinesisfake.Error {
		open.Lock()
		defer open.Unlock()
		if !refuse || e.Shard != "shardId-000000000000" {
			return nil
		}
		refused++
		return &kinesisfake.Error{Type: "ProvisionedThroughputExceededException", Message: "Rate exceeded"}
	})
	p := s.producer(func(o *ProducerOptions) {
		o.RetryBackoff, o.RetryBackoffMax, o.RetryDeadline = 5*time.Millisecond, 50*time.Millisecond, patience
	})
	stuck, free := p.NewBundle(), p.NewBundle()
	for i := range 1000 {
		if err := stuck.Put(t.Context(), &Item{PartitionKey: fmt.Append(nil, i), ExplicitHashKey: fmt.Append(nil, i), Data: []byte("0/0")}); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		for i := range 100 {
			it := Item{PartitionKey: fmt.Append(nil, i), Data: []byte("x")}
			if hashOf(it.PartitionKey).hi>>63 == 0 {
				continue
			}
			if err := free.Put(t.Context(), &it); err != nil {
				t.Fatal(err)
			}
		}
		flush(t, free)
	}
	open.Lock()
	refuse = false
	open.Unlock()
	flush(t, stuck)
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

func TestRateFindsWhatAShardTakes(t *testing.T) {
	for name, c := range map[string]struct {
		// perSecond is what the shard takes of this producer.
		perSecond float64
		size      int
		want      float64 // of it, at least
		refused   float64 // of all, at most
	}{
		"all of its records":               {1000, 100, 0.98, 0.01},
		"half of them, the rest is others": {500, 100, 0.90, 0.06},
		"a tenth of them":                  {100, 100, 0.80, 0.30},
		"all of its bytes":                 {100, 1 << 20 / 100, 0.98, 0.02},
	} {
		t.Run(name, func(t *testing.T) {
			var (
				r               rate
				now             = time.Unix(1e9, 0)
				tokens          = c.perSecond
				taken, refusals int
			)
			rng := rand.New(rand.NewPCG(5, 6))
			const seconds = 60
			for last, end := now, now.Add(seconds*time.Second); now.Before(end); {
				if !r.allows(now) {
					now = r.next.Add(time.Duration(rng.IntN(5)) * time.Millisecond)
				}
				tokens = min(c.perSecond, tokens+now.Sub(last).Seconds()*c.perSecond)
				last = now
				n, bytes := r.room()
				n = max(1, min(n, bytes/c.size))
				r.spend(now, n, n*c.size)
				ok := min(n, int(tokens))
				tokens -= float64(ok)
				if now.After(time.Unix(1e9+10, 0)) {
					taken += ok
					refusals += n - ok
				}
				r.told(now, ok, n-ok, func(n int) time.Duration { return min(2*time.Second, time.Duration(n)*100*time.Millisecond) })
				now = now.Add(10 * time.Millisecond)
			}
			share := float64(taken) / (c.perSecond * (seconds - 10))
			lost := float64(refusals) / float64(taken+refusals)
			t.Logf("%.3f of what it takes, %.3f refused", share, lost)
			if share < c.want || lost > c.refused {
				t.Errorf("%.3f of what it takes, %.3f refused", share, lost)
			}
		})
	}
}

func TestHashKeysAreNumbersOf128Bits(t *testing.T) {
	for _, text := range []string{"0", "1", "18446744073709551615", "18446744073709551616", "340282366920938463463374607431768211455"} {
		if k, ok := parseHashKey(text); !ok || k.String() != text {
			t.Errorf("%s became %s, %v", text, k, ok)
		}
	}
	for _, text := range []string{"", "01", "+1", "-1", " 1", "1 ", "340282366920938463463374607431768211456", "1000000000000000000000000000000000000000", "x"} {
		if _, ok := parseHashKey(text); ok {
			t.Errorf("%q was taken", text)
		}
	}
	sum := md5.Sum([]byte("k"))
	if k := hashOf([]byte("k")); k.hi != binary.BigEndian.Uint64(sum[:]) {
		t.Errorf("the key's place is %s", k)
	}
	last := hashKey{1<<64 - 1, 1<<64 - 1}
	for _, r := range []shardRange{{from: hashKey{}, to: last}, {from: hashKey{5, 7}, to: hashKey{5, 1000}}, {from: hashKey{1 << 63, 0}, to: hashKey{1<<63 + 9, 3}}} {
		for _, n := range []int{1, 2, 3, 7} {
			for i := range n {
				middle := r.from.between(r.to, i, n)
				if !r.holds(middle) || r.from.part(r.to, middle, n) != i {
					t.Errorf("part %d of %d of %v is %s, which is in part %d", i, n, r, middle, r.from.part(r.to, middle, n))
				}
			}
			if r.from.part(r.to, r.from, n) != 0 || r.from.part(r.to, r.to, n) != n-1 {
				t.Errorf("the ends of %v are in parts %d and %d of %d", r, r.from.part(r.to, r.from, n), r.from.part(r.to, r.to, n), n)
			}
		}
	}
}
