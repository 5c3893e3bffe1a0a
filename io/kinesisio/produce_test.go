package kinesisio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

func (s *stream) producer(change func(*ProducerOptions)) *Producer {
	s.t.Helper()
	o := ProducerOptions{
		Stream: s.opts.Stream, Region: s.opts.Region, Endpoint: s.opts.Endpoint, EmulatorCredentials: true,
		RetryBackoff: time.Millisecond, RetryBackoffMax: 5 * time.Millisecond,
	}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	p, err := NewProducer(ctx, o)
	if err != nil {
		cancel()
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { cancel(); p.wg.Wait() })
	return p
}

// putAll puts n records as stream.put does.
func putAll(t testing.TB, p *Producer, n, keys int, next map[int]int) {
	t.Helper()
	for i := range n {
		k := i % keys
		if err := p.Put(t.Context(), Record{PartitionKey: fmt.Sprint(k), Data: fmt.Appendf(nil, "%d/%d", k, next[k])}); err != nil {
			t.Fatal(err)
		}
		next[k]++
	}
}

func TestProducerRepeatsOnlyWhatFailedInTheOrderOfKeys(t *testing.T) {
	s := newFake(t, 4)
	// Each record fails its first try or two, by its content; its followers
	// in the same call or the next would pass.
	var mu sync.Mutex
	tries := map[string]int{}
	seed := maphash.MakeSeed()
	s.fake.ControlEntries(func(e kinesisfake.Entry) *kinesisfake.Error {
		mu.Lock()
		defer mu.Unlock()
		tries[string(e.Data)]++
		switch fails := int(maphash.Bytes(seed, e.Data) % 5); {
		case fails < 3 && tries[string(e.Data)] <= fails:
			return &kinesisfake.Error{Type: "ProvisionedThroughputExceededException", Message: "Rate exceeded"}
		case fails == 3 && tries[string(e.Data)] == 1:
			return &kinesisfake.Error{Type: "InternalFailure", Message: "Internal Service Failure"}
		}
		return nil
	})
	p := s.producer(nil)
	next := map[int]int{}
	putAll(t, p, 1000, 25, next)
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	stats := p.Stats()
	repeats := 0
	for _, n := range tries {
		repeats += n - 1
	}
	if stats.Records != 1000 || stats.Payloads != 1000 || stats.Retries != int64(repeats) || stats.Throttles == 0 || stats.Throttles >= stats.Retries {
		t.Errorf("stats %+v with %d repeats", stats, repeats)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Put(t.Context(), Record{PartitionKey: "k"}); !errors.Is(err, ErrProducerClosed) {
		t.Errorf("Put after Close: %v", err)
	}
	r := s.open(one(), nil)
	got := collect(t)
	got.drain(1000, r)
	got.quiet(r)
	got.once(next)
	got.inOrder()
}

func TestProducerRepeatsWholeCalls(t *testing.T) {
	for name, fault := range map[string]error{
		"500":       &kinesisfake.Error{Type: "InternalFailure"},
		"throttled": &kinesisfake.Error{Type: "LimitExceededException"},
		"dropped":   kinesisfake.ErrDrop,
	} {
		t.Run(name, func(t *testing.T) {
			s := newFake(t, 2)
			s.fake.FailNext("PutRecords", 5, fault)
			p := s.producer(nil)
			next := map[int]int{}
			putAll(t, p, 200, 20, next)
			if err := p.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			r := s.open(one(), nil)
			got := collect(t)
			got.drain(200, r)
			got.quiet(r)
			got.once(next)
			got.inOrder()
		})
	}
}

func TestProducerLosesNothingWithAnAnswer(t *testing.T) {
	s := newFake(t, 2)
	s.fake.FailNext("PutRecords", 3, kinesisfake.ErrDropAfter)
	p := s.producer(nil)
	next := map[int]int{}
	putAll(t, p, 200, 20, next)
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := s.open(one(), nil)
	got := collect(t)
	got.drain(201, r) // what was stored unseen came again
	got.quiet(r)
	for k, n := range next {
		for i := range n {
			if got.times[fmt.Sprintf("%d/%d", k, i)] == 0 {
				t.Errorf("record %d/%d is lost", k, i)
			}
		}
	}
}

func TestProducerSplitsCallsAtTheServicesLimits(t *testing.T) {
	s := newFake(t, 1)
	var calls, largest atomic.Int64
	s.fake.Control("PutRecords", func(r *kinesisfake.Request) error {
		calls.Add(1)
		if n := int64(bytes.Count(r.Body, []byte(`"PartitionKey"`))); n > largest.Load() {
			largest.Store(n)
		}
		return nil
	})
	p := s.producer(func(o *ProducerOptions) { o.MaxCalls = 1 })
	data := bytes.Repeat([]byte("x"), 1<<20-10)
	for i := range 12 {
		if err := p.Put(t.Context(), Record{PartitionKey: fmt.Sprint(i), Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := largest.Load(); n > 5 || n < 1 {
		t.Errorf("a call with %d records of 1 MiB", n)
	}
	putAll(t, p, 1200, 1200, map[int]int{})
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := largest.Load(); n > 500 {
		t.Errorf("a call with %d records", n)
	}
	if n := p.Stats(); n.Records != 1212 || n.Calls != calls.Load() {
		t.Errorf("stats %+v, %d calls", n, calls.Load())
	}
}

func TestProducerFailsLoudly(t *testing.T) {
	denied := &kinesisfake.Error{Type: "AccessDeniedException", Message: "not authorized"}
	for name, c := range map[string]struct {
		prepare  func(*kinesisfake.Server)
		deadline time.Duration
		want     []string
	}{
		"call denied": {func(f *kinesisfake.Server) { f.FailNext("PutRecords", 1, denied) }, 0,
			[]string{"put records of stream trips", "not authorized", "kinesis:PutRecords"}},
		"record refused": {func(f *kinesisfake.Server) {
			f.ControlEntries(func(kinesisfake.Entry) *kinesisfake.Error {
				return &kinesisfake.Error{Type: "KMSDisabledException", Message: "key is off"}
			})
		}, 0, []string{`"0"`, "KMSDisabledException", "key is off"}},
		"retries used up": {func(f *kinesisfake.Server) {
			f.Control("PutRecords", func(*kinesisfake.Request) error { return &kinesisfake.Error{Type: "InternalFailure"} })
		}, 20 * time.Millisecond, []string{"tried", "InternalFailure"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFake(t, 1)
			c.prepare(s.fake)
			p := s.producer(func(o *ProducerOptions) { o.RetryDeadline = c.deadline })
			if err := p.Put(t.Context(), Record{PartitionKey: "0", Data: []byte("x")}); err != nil {
				t.Fatal(err)
			}
			err := p.Flush(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in %q", w, err)
				}
			}
			if again := p.Put(t.Context(), Record{PartitionKey: "1"}); !errors.Is(again, err) {
				t.Errorf("the next Put says %v", again)
			}
			if again := p.Close(t.Context()); !errors.Is(again, err) {
				t.Errorf("Close says %v", again)
			}
		})
	}
}

// Credentials are replaced: see TestProducerFailsLoudly for the first call.
func TestProducerBearsRefusalsAfterASuccess(t *testing.T) {
	for _, code := range []string{"AccessDeniedException", "UnrecognizedClientException"} {
		t.Run(code, func(t *testing.T) {
			s := newFake(t, 1)
			p := s.producer(nil)
			put := func() {
				t.Helper()
				if err := p.Put(t.Context(), Record{PartitionKey: "0", Data: []byte("x")}); err != nil {
					t.Fatal(err)
				}
				if err := p.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			put()
			s.fake.FailNext("PutRecords", 3, &kinesisfake.Error{Type: code, Message: "not authorized"})
			put()
			if n := p.Stats(); n.Records != 2 || n.Retries != 3 {
				t.Errorf("stats %+v", n)
			}
		})
	}
}

func TestPutWaitsForRoom(t *testing.T) {
	s := newFake(t, 1)
	release := make(chan struct{})
	remove := s.fake.Control("PutRecords", func(r *kinesisfake.Request) error {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return nil
	})
	defer remove()
	p := s.producer(func(o *ProducerOptions) { o.MaxBytes = 10_000 })
	data := bytes.Repeat([]byte("x"), 4000)
	for i := range 2 {
		if err := p.Put(t.Context(), Record{PartitionKey: fmt.Sprint(i), Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- p.Put(ctx, Record{PartitionKey: "full", Data: data}) }()
	go func() { result <- p.Flush(ctx) }()
	cancel()
	for range 2 {
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	}
	close(release)
	if err := p.Put(t.Context(), Record{PartitionKey: "fits", Data: data}); err != nil {
		t.Error(err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if n := p.Stats().Records; n != 3 {
		t.Errorf("%d records, want 3", n)
	}
}

func TestProducerEndsWithItsContext(t *testing.T) {
	s := newFake(t, 1)
	s.fake.Control("PutRecords", func(r *kinesisfake.Request) error {
		<-r.Context().Done()
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	p, err := NewProducer(ctx, ProducerOptions{Stream: "trips", Region: "us-east-1", Endpoint: s.opts.Endpoint, EmulatorCredentials: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Put(ctx, Record{PartitionKey: "k"}); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := p.Close(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("Close with a record on its way: %v", err)
	}
}

func TestErrorsKeepTheServicesType(t *testing.T) {
	s := newFake(t, 1)
	s.opts.Stream = "nowhere"
	p := s.producer(nil)
	if err := p.Put(t.Context(), Record{PartitionKey: "k"}); err != nil {
		t.Fatal(err)
	}
	var missing *types.ResourceNotFoundException
	if err := p.Flush(t.Context()); !errors.As(err, &missing) {
		t.Errorf("error %v", err)
	}
}

func TestProducerOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]ProducerOptions{
		"no stream":     {Endpoint: "http://127.0.0.1:1", EmulatorCredentials: true},
		"negative size": {Stream: "t", Endpoint: "http://127.0.0.1:1", EmulatorCredentials: true, MaxBytes: -1},
	} {
		if p, err := NewProducer(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
			_ = p.Close(t.Context())
		}
	}
}
