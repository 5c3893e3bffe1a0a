package kinesisio

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

func TestPositionsThatRetentionHasPassedAreCounted(t *testing.T) {
	for _, consumer := range []string{"", "etl"} {
		for name, c := range map[string]struct {
			hours time.Duration
			more  bool
			gaps  int64
		}{
			"all is there":           {1, true, 0},
			"the position is passed": {25, true, 1},
			"nothing is left":        {25, false, 1},
			"nothing came":           {1, false, 0},
		} {
			t.Run(name+" "+consumer, func(t *testing.T) {
				var time0 clock
				time0.ahead(-100 * time.Hour)
				s := newFake(t, 1, time0.option())
				s.opts.Consumer = consumer
				next := map[int]int{}
				s.put(100, 10, next)
				slot := one()
				r := s.open(slot, nil)
				got := collect(t)
				got.drain(100, r)
				positions := r.encoded()
				r.Close()
				time0.ahead(c.hours * time.Hour)
				if c.more {
					s.put(100, 10, next)
				}
				r = s.open(slot, positions)
				if c.more {
					got.drain(200, r)
				}
				got.quiet(r)
				got.once(next)
				got.inOrder()
				if n := r.Counts().PositionsPassed; n != c.gaps {
					t.Errorf("%d gaps are counted, want %d", n, c.gaps)
				}
			})
		}
	}
}

// A shard that is idle for longer than its retention has lost nothing.
func TestIdleSubscriptionsThatAreRenewedMeetNoGap(t *testing.T) {
	for name, restored := range map[string]bool{"read before": false, "restored": true} {
		t.Run(name, func(t *testing.T) {
			var now clock
			now.ahead(-100 * time.Hour)
			s := newFake(t, 1, now.option(), kinesisfake.SubscriptionTime(20*time.Millisecond))
			s.opts.Consumer = "etl"
			next := map[int]int{}
			s.put(100, 10, next)
			slot := one()
			r := s.open(slot, nil)
			got := collect(t)
			got.drain(100, r)
			if restored {
				positions := r.encoded()
				r.Close()
				r = s.open(slot, positions)
				got.quiet(r)
			}
			positions := r.encoded()
			renewed := func() {
				t.Helper()
				got.quiet(r)
				before := s.fake.Requests("SubscribeToShard")
				s.eventually("the subscription is renewed", func() bool { return s.fake.Requests("SubscribeToShard") > before+5 })
			}
			renewed()
			now.ahead(25 * time.Hour)
			renewed()
			s.fake.EndNextSubscription(&kinesisfake.Error{Type: "InternalFailureException", Message: "Internal failure"})
			s.fake.FailNext("SubscribeToShard", 2, kinesisfake.ErrDrop)
			renewed()
			if n := r.Stats().Gaps; n != 0 {
				t.Errorf("%d gaps are counted", n)
			}
			if !bytes.Equal(r.encoded(), positions) {
				t.Error("the positions moved without a record")
			}
			s.put(100, 10, next)
			got.drain(200, r)
			renewed()
			got.once(next)
			got.inOrder()
			positions = r.encoded()
			r.Close()
			s.put(100, 10, next)
			r = s.open(slot, positions)
			got.drain(300, r)
			got.quiet(r)
			got.once(next)
			got.inOrder()
			if n := r.Stats().Gaps; n != 0 {
				t.Errorf("%d gaps are counted", n)
			}
		})
	}
}

// What is missing is told once, however often the subscription is renewed.
func TestGapsAreCountedOnceOverRenewals(t *testing.T) {
	var now clock
	now.ahead(-100 * time.Hour)
	s := newFake(t, 1, now.option(), kinesisfake.SubscriptionTime(20*time.Millisecond))
	s.opts.Consumer = "etl"
	s.put(100, 10, map[int]int{})
	slot := one()
	r := s.open(slot, nil)
	got := collect(t)
	got.drain(100, r)
	positions := r.encoded()
	r.Close()
	now.ahead(25 * time.Hour)
	before := s.fake.Requests("SubscribeToShard")
	r = s.open(slot, positions)
	s.eventually("the subscription is renewed", func() bool { return s.fake.Requests("SubscribeToShard") > before+5 })
	if n := r.Stats().Gaps; n != 1 {
		t.Errorf("%d gaps are counted, want 1", n)
	}
}

func TestReadingGoesOnFromTheChildrenOfExpiredShards(t *testing.T) {
	for _, consumer := range []string{"", "etl"} {
		var now clock
		now.ahead(-100 * time.Hour)
		s := newFake(t, 2, now.option())
		s.opts.Consumer = consumer
		next := map[int]int{}
		s.put(100, 20, next)
		slot := one()
		r := s.open(slot, nil)
		got := collect(t)
		got.drain(100, r)
		positions := r.encoded()
		r.Close()
		for range 2 {
			now.ahead(time.Minute)
			s.splitAt(s.openShards()[0], rand.New(rand.NewPCG(1, 2)))
		}
		now.ahead(25 * time.Hour)
		s.put(100, 20, next)
		r = s.open(slot, positions)
		got.drain(200, r)
		got.quiet(r)
		got.once(next)
		got.inOrder()
		if n := r.Counts(); n.ShardsLost != 2 || n.PositionsPassed != 0 {
			t.Errorf("%d shards are counted as lost, want 2, and %d gaps, want none", n.ShardsLost, n.PositionsPassed)
		}
	}
}
