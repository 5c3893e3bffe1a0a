//go:build unix

package main

import (
	"math/rand/v2"
	"testing"

	"github.com/streaming-etl/streaming-etl/chaos/history"
	"github.com/streaming-etl/streaming-etl/chaos/record"
)

func TestFrontIsWhatIsMissing(t *testing.T) {
	var good []int64
	for n := range int64(1000) {
		if record.Reason(n) == "" {
			good = append(good, n)
		}
	}
	random := rand.New(rand.NewPCG(1, 1))
	random.Shuffle(len(good), func(i, j int) { good[i], good[j] = good[j], good[i] })
	o := &outlet{}
	there := make(map[int64]bool)
	for i, n := range good {
		o.add(n)
		o.add(n) // a double counts once
		there[n] = true
		front := int64(0)
		for there[front] || record.Reason(front) != "" {
			front++
		}
		if got := o.reach(); got.Seen != int64(i+1) || got.Front > front || there[got.Front] {
			t.Fatalf("after %d records: %+v, want front %d", i+1, got, front)
		}
	}
	if got := o.reach(); got != (history.Reach{Front: 1000, Seen: int64(len(good))}) {
		t.Errorf("all are there: %+v", got)
	}
}
