package kinesisio

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

// An answer from a tip is small: with room for one that is full, all shards are asked at one time.
func TestShardsAtTheirTipsAreAskedAtOneTime(t *testing.T) {
	const shards = 6
	s := newFake(t, shards)
	s.opts.BufferBytes = maxResponseBytes + 5*shardBytesIn
	var (
		hold    atomic.Bool
		waiting atomic.Int64
		release = make(chan struct{})
	)
	s.fake.Control("GetRecords", func(*kinesisfake.Request) error {
		if hold.Load() {
			waiting.Add(1)
			<-release
		}
		return nil
	})
	r := s.open(one(), nil)
	s.eventually("all shards are read to their tips", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, s := range r.shards {
			if !s.polled || s.lag > 0 {
				return false
			}
		}
		return len(r.shards) == shards
	})
	hold.Store(true)
	defer close(release)
	s.eventually("all are asked again", func() bool { return waiting.Load() == shards })
}

func TestRoomForWhatCanHaveBeenWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Reader{opts: Options{BufferBytes: 16 << 20}.withDefaults(), budget: semaphore.NewWeighted(16 << 20)}
		pace := newPacer(&r.opts, 1)
		answered := func(behind time.Duration) {
			pace.begin()
			pace.answered(0, 0, behind)
		}
		room := func() int64 {
			t.Helper()
			n, err := r.makeRoom(t.Context(), &pace)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if got := room(); got != maxResponseBytes {
			t.Errorf("%d bytes before the first answer", got)
		}
		r.budget.Release(maxResponseBytes)

		answered(0)
		if got := room(); got != 2*shardBytesIn {
			t.Errorf("%d bytes at the tip", got)
		}
		r.budget.Release(2 * shardBytesIn)
		time.Sleep(3 * time.Second)
		if got := room(); got != 5*shardBytesIn {
			t.Errorf("%d bytes three seconds later", got)
		}
		r.budget.Release(5 * shardBytesIn)

		// It is full for a minute: then the shard has more than it had before.
		if err := r.budget.Acquire(t.Context(), 16<<20); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Minute, func() { r.budget.Release(16 << 20) })
		if got := room(); got != maxResponseBytes {
			t.Errorf("%d bytes after a minute without room", got)
		}
		r.budget.Release(maxResponseBytes)
		if !r.budget.TryAcquire(16 << 20) {
			t.Error("some of the budget is gone")
		}

		answered(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := r.makeRoom(ctx, &pace); err == nil {
			t.Error("there was room where there is none")
		}
		r.budget.Release(16 << 20)
		if got := room(); got != maxResponseBytes {
			t.Errorf("%d bytes of a shard that is behind", got)
		}
	})
}
