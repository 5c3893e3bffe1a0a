package kinesisio

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

func TestCallsAreSpacedByWhatTheyBring(t *testing.T) {
	o := Options{CallInterval: 200 * time.Millisecond, PollInterval: 250 * time.Millisecond, IdlePollInterval: time.Second}
	p := newPacer(&o, 1)
	after := func() time.Duration { return p.next.Sub(p.began) }
	call := func(records, bytes int, behind time.Duration) time.Duration {
		p.begin()
		p.answered(records, bytes, behind)
		return after()
	}
	if d := call(10_000, 10<<20, time.Hour); d != 200*time.Millisecond {
		t.Errorf("%s to the next call when behind", d)
	}
	if d := call(5, 500, 0); d != 250*time.Millisecond {
		t.Errorf("%s at the tip", d)
	}
	p.busy = p.busy.Add(-idleAfter - time.Second)
	for _, want := range []time.Duration{500 * time.Millisecond, time.Second, time.Second} {
		if d := call(0, 0, 0); d != want {
			t.Errorf("%s where nothing comes, want %s", d, want)
		}
	}
	if d := call(1, 100, 0); d != 250*time.Millisecond {
		t.Errorf("%s when something came again", d)
	}
	for _, want := range []time.Duration{400 * time.Millisecond, 800 * time.Millisecond} {
		p.begin()
		p.throttled()
		if d := after(); d != want {
			t.Errorf("%s after a refusal, want %s", d, want)
		}
	}
	if d := call(10, 1000, time.Second); d != 800*time.Millisecond {
		t.Errorf("%s after what came then", d)
	}
	spent, last := time.Duration(0), p.interval
	for ; p.interval > o.CallInterval; last = p.interval {
		spent += call(10, 1000, time.Second)
		if gained := 1/p.interval.Seconds() - 1/last.Seconds(); gained > 0.084*last.Seconds() {
			t.Errorf("%.3f calls a second more after %s", gained, last)
		}
	}
	if spent < 44*time.Second || spent > 46*time.Second { // three quarters of a minute
		t.Errorf("the full rate %s after two refusals", spent)
	}
	if d := call(10_000, 10<<20, time.Hour); d != 5*time.Second {
		t.Errorf("%s after 10 MiB of a shard that has refused a call", d)
	}
	for range 100 {
		p.throttled()
	}
	if p.interval != 3*time.Second {
		t.Errorf("refusals lead to %s", p.interval)
	}
}

// reading is a shard and its readers on a clock that runs by itself when all wait.
type reading struct {
	t       *testing.T
	handler *kinesisfake.Handler
	client  *kinesis.Client
	opts    Options
}

// inBubble makes a stream of one shard whose server has no network. It is for
// use in a bubble of synctest.
func inBubble(t *testing.T) *reading {
	t.Helper()
	h, err := kinesisfake.NewHandler(kinesisfake.SeedStream("trips", 1))
	if err != nil {
		t.Fatal(err)
	}
	client := kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://fake"), HTTPClient: served{h},
		Credentials: credentials.NewStaticCredentialsProvider("k", "s", ""),
	})
	return &reading{t, h, client, Options{Stream: "trips", InitialPosition: TrimHorizon}.withDefaults()}
}

// served is a transport that has a handler serve in place.
type served struct{ h http.Handler }

func (s served) Do(r *http.Request) (_ *http.Response, err error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	defer func() { // from a handler that cuts the connection
		if recover() != nil {
			err = io.ErrUnexpectedEOF
		}
	}()
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	return w.Result(), nil
}

func (s *reading) put(n int) {
	s.t.Helper()
	for n > 0 {
		in := &kinesis.PutRecordsInput{StreamName: &s.opts.Stream}
		for range min(n, maxPutRecords) {
			in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), Data: []byte("x")})
		}
		if _, err := s.client.PutRecords(s.t.Context(), in); err != nil {
			s.t.Fatal(err)
		}
		n -= len(in.Records)
	}
}

// open returns a reader that is drained all the time.
func (s *reading) open() *Reader {
	slot := one()
	r := newReader(s.t.Context(), s.opts, slot, startPositions(s.opts, 0, 1, slot.JobStart), connections{s.client, s.client, func() {}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for r.ctx.Err() == nil {
			if _, _, _, err := r.Drain(10 << 20); err != nil {
				s.t.Error(err)
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	s.t.Cleanup(func() { r.cancel(); <-done; r.Close() })
	return r
}

func TestReadersOfOneShardComeToEqualShares(t *testing.T) {
	for _, readers := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(readers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := inBubble(t)
				s.handler.SetEnforceLimits(false)
				s.put(100_000)
				s.handler.SetEnforceLimits(true)
				s.opts.MaxRecordsPerCall = 10 // never at the tip
				var all []*Reader
				for range readers {
					all = append(all, s.open())
					time.Sleep(time.Minute) // the first have all of it
				}
				time.Sleep(2 * time.Minute)
				before := make([]Stats, readers)
				for i, r := range all {
					before[i] = r.Stats()
				}
				const span = 15 * time.Minute
				time.Sleep(span)
				most := 5 * span.Seconds() // calls that the shard answers
				answered, refused := 0.0, 0.0
				for i, r := range all {
					now := r.Stats()
					got := float64(now.Records-before[i].Records) / 10
					answered += got
					refused += float64(now.Throttles - before[i].Throttles)
					if share := got / (most / float64(readers)); share < 0.75 {
						t.Errorf("reader %d had %.2f of its share", i, share)
					}
				}
				t.Logf("%.2f of the calls that are allowed, %.3f refused", answered/most, refused/answered)
				if answered < 0.85*most || refused > 0.1*answered {
					t.Errorf("%.0f calls were answered of the %.0f that are allowed, %.0f refused", answered, most, refused)
				}
			})
		})
	}
}

// The limit holds for calls that are made again too: also those count.
func TestCallsThatFailAreNotMadeAgainTooSoon(t *testing.T) {
	for name, fault := range map[string]error{
		"refused": &kinesisfake.Error{Type: "ProvisionedThroughputExceededException", Message: "slow down"},
		"failed":  &kinesisfake.Error{Type: "InternalFailure", Message: "sorry"},
		"cut off": kinesisfake.ErrDropAfter,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := inBubble(t)
				s.put(1000)
				s.opts.MaxRecordsPerCall = 10
				var mu sync.Mutex
				var calls []time.Time
				s.handler.Control("GetRecords", func(*kinesisfake.Request) error {
					mu.Lock()
					defer mu.Unlock()
					calls = append(calls, time.Now())
					if len(calls)%3 != 0 {
						return fault
					}
					return nil
				})
				r := s.open()
				time.Sleep(5 * time.Minute)
				if got := r.Stats().Records; got < 300 {
					t.Errorf("%d records were read", got)
				}
				mu.Lock()
				defer mu.Unlock()
				for i := 1; i < len(calls); i++ {
					if d := calls[i].Sub(calls[i-1]); d < DefaultCallInterval {
						t.Fatalf("call %d came %s after the one before", i, d)
					}
				}
			})
		})
	}
}

// A pipeline that does not drain is no fault of the service.
func TestWaitingForRoomIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inBubble(t)
		s.put(30)
		s.opts.MaxRecordsPerCall, s.opts.BufferBytes = 5, 10<<20
		slot := one()
		var calls int
		s.handler.Control("GetRecords", func(*kinesisfake.Request) error {
			if calls++; calls == 2 || calls == 3 {
				return &kinesisfake.Error{Type: "InternalFailure", Message: "sorry"}
			}
			return nil
		})
		r := newReader(t.Context(), s.opts, slot, startPositions(s.opts, 0, 1, slot.JobStart), connections{s.client, s.client, func() {}})
		defer r.Close()
		if err := r.budget.Acquire(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		seen := 0
		for range 15 {
			time.Sleep(6 * time.Minute)
			r.budget.Release(1)
			time.Sleep(10 * time.Millisecond) // one call
			if err := r.budget.Acquire(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			batches, _, _, err := r.Drain(1)
			if err != nil {
				t.Fatal(err)
			}
			for i := range batches {
				seen += batches[i].Len()
			}
		}
		if seen != 30 {
			t.Errorf("%d records came", seen)
		}
	})
}
