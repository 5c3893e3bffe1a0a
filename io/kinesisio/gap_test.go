package kinesisio

import (
	"math/rand/v2"
	"testing"
	"time"
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
				if n := r.Stats().Gaps; n != c.gaps {
					t.Errorf("%d gaps are counted, want %d", n, c.gaps)
				}
			})
		}
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
		if n := r.Stats(); n.LostShards != 2 {
			t.Errorf("%d shards are counted as lost, want 2", n.LostShards)
		}
	}
}
