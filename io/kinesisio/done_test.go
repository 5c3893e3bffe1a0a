package kinesisio

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/io/slots"
)

// newTellingFake is a fake whose answers tell its own clock's time.
func newTellingFake(t *testing.T, shards int, c *clock) *stream {
	t.Helper()
	fake, err := kinesisfake.NewHandler(c.option(), kinesisfake.SeedStream("trips", shards))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", c.now().UTC().Format(http.TimeFormat))
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return connect(t, server.URL, "trips")
}

// polls waits until the reader made that many more calls, so that what it saw
// before is no longer all that it knows.
func polls(s *stream, r *Reader, calls int64) {
	s.t.Helper()
	from := r.Stats().Calls
	s.eventually("the reader polls", func() bool {
		if _, _, _, err := r.Drain(1 << 20); err != nil {
			s.t.Fatal(err)
		}
		return r.Stats().Calls >= from+calls
	})
}

func TestDoneWhenTheServicesClockIsPastTheStop(t *testing.T) {
	for _, count := range []int{1, 3} {
		var c clock
		c.ahead(-time.Hour)
		s := newTellingFake(t, 4, &c)
		s.opts.StopTimestamp = c.now().Add(10 * time.Minute)
		next := map[int]int{}
		s.put(100, 20, next)
		got := collect(t)
		var readers []*Reader
		for i := range count {
			readers = append(readers, s.open(slots.Slot{Index: i, Count: count}, nil))
		}
		got.drain(100, readers...)
		got.quiet(readers...)
		for i, r := range readers {
			polls(s, r, 20)
			if r.Done() {
				t.Errorf("slot %d of %d is done before the stop", i, count)
			}
		}
		// What arrives in the last minute is still to be read.
		c.ahead(9*time.Minute + 30*time.Second)
		s.put(100, 20, next)
		c.ahead(time.Hour)
		for _, r := range readers {
			s.eventually("done", func() bool {
				batches, _, _, err := r.Drain(1 << 20)
				if err != nil {
					t.Fatal(err)
				}
				got.add(batches)
				return r.Done()
			})
		}
		got.once(next)
	}
}

func TestDoneOnlyWhenAllIsDelivered(t *testing.T) {
	var c clock
	c.ahead(-time.Hour)
	s := newTellingFake(t, 2, &c)
	s.opts.StopTimestamp = c.now().Add(time.Minute)
	s.put(50, 10, map[int]int{})
	c.ahead(10 * time.Minute)
	s.put(50, 10, map[int]int{}) // beyond the stop
	r := s.open(one(), nil)
	s.eventually("all is fetched", func() bool { return r.Stats().Records == 50 })
	if r.Done() {
		t.Error("done with 50 records in the queues")
	}
	got := collect(t)
	got.drain(50, r)
	s.eventually("done", r.Done)
}

func TestDoneWaitsForChildrenOfOtherSlots(t *testing.T) {
	var c clock
	c.ahead(-time.Hour)
	s := newTellingFake(t, 1, &c)
	s.opts.StopTimestamp = c.now().Add(10 * time.Minute)
	// Slot 1 owns nothing, until the one shard is split in two.
	idle := s.open(slots.Slot{Index: 1, Count: 2}, nil)
	s.eventually("slot 1 has listed", func() bool { return idle.Stats().CaughtUp })
	if idle.Done() {
		t.Error("a slot without shards is done before the stop")
	}
	s.split(s.openShards()[0])
	next := map[int]int{}
	s.put(100, 20, next)
	c.ahead(time.Hour)
	got := collect(t)
	for _, r := range []*Reader{idle, s.open(slots.Slot{Index: 0, Count: 2}, nil)} {
		s.eventually("done", func() bool {
			batches, _, _, err := r.Drain(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			got.add(batches)
			return r.Done()
		})
	}
	got.once(next)
}

func TestNeverDoneWithoutAStop(t *testing.T) {
	s := newStream(t, 1)
	r := s.open(one(), nil)
	collect(t).quiet(r)
	if r.Done() {
		t.Error("done without a stop timestamp")
	}
}
