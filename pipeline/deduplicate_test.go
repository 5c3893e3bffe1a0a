package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"

	"github.com/streaming-etl/streaming-etl/io/batch"
)

// What a writer sends again is dropped, over resharding too where a key stays
// with its reader; what has no value to look at is not.
func TestDoublesInAStreamAreDropped(t *testing.T) {
	lines := sampleTrips(t, 6_000)
	records := tripRecords(lines)
	for _, readers := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d readers", readers), func(t *testing.T) {
			w := newWorld(t, 4)
			c := configure(t, w.flags(fmt.Sprintf("--InputReaders=%d", readers), "--InputDeduplicateBy=trip_id",
				"--InputKeyOrder=true", "--InputDiscoveryIntervalMs=100")...)
			nameless, null := record{"any", []byte(`{"type":"trip"}`)}, record{"any", []byte(`{"trip_id":null}`)}
			from := time.Now()
			for i, part := range [][]record{records[:4_000], records[2_000:], records[:3_000], {nameless, nameless, null, null}} {
				if _, err := w.put(t.Context(), part); err != nil {
					t.Fatal(err)
				}
				if i == 1 {
					if err := w.merge(t.Context(), 1); err != nil { // over a border of slots
						t.Fatal(err)
					}
				}
			}
			sum, err := runUntil(t, c, already(4_000+4_000+3_000+4))
			if err != nil {
				t.Fatal(err)
			}
			if p := sum.Progress; p.Doubles != 5_000 || p.Read != 6_004 || p.DeadLetters != 4 {
				t.Errorf("%+v, want 5,000 doubles, 6,004 read and 4 dead letters", p)
			}
			w.delivered(t, expect(t, lines), "", from, time.Now())
		})
	}
}

// A value is known for as long as the window says, by arrival.
func TestAValueIsForgottenAfterTheWindow(t *testing.T) {
	lines := sampleTrips(t, 4)
	var clock clock
	w := newWorld(t, 1, clock.option())
	for i, step := range []struct {
		ago  time.Duration
		trip int
	}{
		{100 * time.Minute, 0},
		{95 * time.Minute, 0}, // known
		{88 * time.Minute, 1}, // a generation has begun
		{80 * time.Minute, 0}, // known
		{75 * time.Minute, 2}, // another one: the first is forgotten
		{74 * time.Minute, 2}, // known
		{60 * time.Minute, 0}, // not known
	} {
		clock.set(-step.ago)
		if _, err := w.put(t.Context(), tripRecords(lines[step.trip:step.trip+1])); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	c := configure(t, w.flags("--InputReaders=1", "--InputDeduplicateBy=trip_id", "--InputDeduplicateWindowMs=600000")...)
	c.Kinesis.MaxRecordsPerCall = 1
	c.ReadMaxBytes = 1 // a generation begins between two firings
	sum, err := runUntil(t, c, already(7))
	if err != nil {
		t.Fatal(err)
	}
	if p := sum.Progress; p.Doubles != 3 || p.Read != 4 {
		t.Errorf("%+v, want 3 doubles and 4 others", p)
	}
}

func TestATimeAheadCountsAsNow(t *testing.T) {
	const window = time.Minute
	now := time.UnixMilli(1514768400000)
	ahead := now.Add(1000 * time.Hour).UnixMilli()
	var s seenValues
	if s.turn(ahead, now, window) || s.since != now.UnixMilli() {
		t.Errorf("a generation begins %d ms after now", s.since-now.UnixMilli())
	}
	if s.turn(ahead, now.Add(window-1), window) || !s.turn(ahead, now.Add(window), window) {
		t.Error("a generation does not end when it spans a window")
	}
}

func TestSavedSightingsAreReadOrRefused(t *testing.T) {
	s := seenValues{tag: 7, newer: 1, since: 1514768400000}
	header := s.header()
	var got seenValues
	if err := got.read(header); err != nil || !bytes.Equal(got.header(), header) {
		t.Errorf("%x became %x: %v", header, got.header(), err)
	}
	newer := slices.Clone(header)
	newer[0]++
	third := slices.Clone(header)
	third[9] = 2
	for _, bad := range [][]byte{{}, header[:len(header)-1], append(slices.Clone(header), 0), newer, third} {
		if err := new(seenValues).read(bad); err == nil {
			t.Errorf("%x is taken", bad)
		}
	}
}

// kept is a runner's state of one key, as a bundle sees it.
type kept struct {
	state.Provider
	values map[string]any
	bags   map[string][]any
	// fails refuses kinds of writes; nil takes all.
	fails func(kind string) error
}

func (k *kept) clone() *kept {
	c := &kept{values: maps.Clone(k.values), bags: map[string][]any{}}
	for id, b := range k.bags {
		c.bags[id] = slices.Clone(b)
	}
	return c
}

func (k *kept) ReadValueState(id string) (any, []state.Transaction, error) {
	return k.values[id], nil, nil
}

func (k *kept) WriteValueState(t state.Transaction) error {
	if k.fails != nil {
		if err := k.fails("value"); err != nil {
			return err
		}
	}
	k.values[t.Key] = t.Val
	return nil
}

func (k *kept) ReadBagState(id string) ([]any, []state.Transaction, error) {
	return k.bags[id], nil, nil
}

func (k *kept) WriteBagState(t state.Transaction) error {
	if k.fails != nil {
		if err := k.fails("bag"); err != nil {
			return err
		}
	}
	k.bags[t.Key] = append(k.bags[t.Key], t.Val)
	return nil
}

func (k *kept) ClearBagState(t state.Transaction) error {
	if k.fails != nil {
		if err := k.fails("clear"); err != nil {
			return err
		}
	}
	delete(k.bags, t.Key)
	return nil
}

// What a bundle saw that could not save it comes again, and is no double then.
func TestEventsOfABundleThatFailsAreNoDoubles(t *testing.T) {
	const window = time.Minute
	now := time.Now().Add(-time.Hour)
	events := func(id int, at time.Time) []batch.Batch {
		b := batch.Batch{Data: fmt.Appendf(nil, `{"id":%d}`, id)}
		b.Records = []batch.Record{{End: uint32(len(b.Data)), Arrival: at.UnixMilli()}}
		return []batch.Batch{b}
	}
	for _, failing := range []string{"bag", "clear", "value"} {
		t.Run(failing, func(t *testing.T) {
			seen := seenState{
				state.MakeValueState[[]byte]("seen"),
				[2]state.Bag[[]byte]{state.MakeBagState[[]byte]("seen0"), state.MakeBagState[[]byte]("seen1")},
			}
			job := new(process)
			d := Deduplicate{Field: "id", Window: window}
			committed := &kept{values: map[string]any{}, bags: map[string][]any{}}
			drop := func(k *kept, in []batch.Batch) (int64, error) { return seen.drop(k, job, 7, d, in) }
			if n, err := drop(committed, events(1, now)); n != 0 || err != nil {
				t.Fatalf("%d dropped, error %v", n, err)
			}
			later := now.Add(2 * window) // another generation begins
			bundle := committed.clone()
			bundle.fails = func(kind string) error {
				if kind == failing {
					return errors.New("the runner is away")
				}
				return nil
			}
			if _, err := drop(bundle, events(2, later)); err == nil {
				t.Fatal("no error")
			}
			for i, c := range []struct {
				id      int
				dropped int64
			}{{2, 0}, {2, 1}, {1, 1}} {
				if n, err := drop(committed, events(c.id, later)); n != c.dropped || err != nil {
					t.Errorf("step %d: %d dropped, want %d; error %v", i, n, c.dropped, err)
				}
			}
		})
	}
}
