package pipeline

import (
	"encoding/binary"
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

// A value is known for as long as the window says, by arrival, and not for
// twice as long.
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
		{91 * time.Minute, 0}, // known
		{88 * time.Minute, 1},
		{79 * time.Minute, 1}, // known
		{79 * time.Minute, 0}, // not known
		{70 * time.Minute, 0}, // known
		{67 * time.Minute, 1}, // not known
	} {
		clock.set(-step.ago)
		if _, err := w.put(t.Context(), tripRecords(lines[step.trip:step.trip+1])); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	for _, bytes := range []int{1, 1 << 20} { // windows end between two firings, or within one
		c := configure(t, w.flags("--InputReaders=1", "--InputDeduplicateBy=trip_id", "--InputDeduplicateWindowMs=600000")...)
		c.Kinesis.MaxRecordsPerCall = min(bytes, 10_000)
		c.ReadMaxBytes = bytes
		sum, err := runUntil(t, c, already(8))
		if err != nil {
			t.Fatal(err)
		}
		if p := sum.Progress; p.Doubles != 4 || p.Read != 4 {
			t.Errorf("%+v in firings of %d bytes, want 4 doubles and 4 others", p, bytes)
		}
	}
}

// slot drops doubles of a field id as a job's slot does, over a runner's state.
type slot struct {
	t      *testing.T
	seen   seenState
	job    *process
	state  *kept
	window time.Duration
}

func newSlot(t *testing.T, window time.Duration) *slot {
	return &slot{t, newSeenState(), new(process), newKept(), window}
}

func newSeenState() seenState {
	return seenState{
		state.MakeValueState[[]byte]("seen"),
		[2]state.Bag[[]byte]{state.MakeBagState[[]byte]("seen0"), state.MakeBagState[[]byte]("seen1")},
	}
}

func newKept() *kept { return &kept{values: map[string]any{}, bags: map[string][]any{}} }

// sighted is a batch of one event of a shard.
func sighted(shard, id string, at time.Time) batch.Batch {
	b := batch.Batch{Source: "trips", Shard: shard, Data: fmt.Appendf(nil, `{"id":%q}`, id)}
	b.Records = []batch.Record{{End: uint32(len(b.Data)), Arrival: at.UnixMilli()}}
	return b
}

// dropped is how many of the batches of a firing are doubles.
func (s *slot) dropped(in ...batch.Batch) int64 {
	s.t.Helper()
	n, err := s.seen.drop(s.state, s.job, 7, Deduplicate{Field: "id", Window: s.window}, in)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// restored is the slot in another process.
func (s *slot) restored() *slot { return &slot{s.t, s.seen, new(process), s.state.clone(), s.window} }

func (s *slot) values() *seenValues {
	v, _ := s.job.seen.Load(int64(7))
	return v.(*seenValues)
}

// stored is how many digests the state holds.
func (s *slot) stored() (n int) {
	for _, bag := range s.state.bags {
		for _, part := range bag {
			n += len(part.([]byte)) / len(sighting{}) // ids and numbers are shorter than a digest
		}
	}
	return n
}

// Shards that are a day behind go on at paces of their own, and one that is at
// the tip goes on with the time of day: each value is known for a window of its
// own shard's arrivals.
func TestAShardsValuesAreKnownByItsOwnTime(t *testing.T) {
	const window = 15 * time.Minute
	start := time.Now().Add(-24 * time.Hour)
	for _, restores := range []bool{false, true} {
		t.Run(fmt.Sprintf("restores %v", restores), func(t *testing.T) {
			s := newSlot(t, window)
			heavy, light := start, start
			s.dropped(sighted("tip", "t", time.Now()))
			s.dropped(sighted("heavy", "h", heavy), sighted("light", "l0", light))
			for i := 1; i <= 50; i++ {
				heavy, light = heavy.Add(10*time.Second), light.Add(20*time.Minute)
				if restores {
					s = s.restored()
				}
				id := fmt.Sprint("l", i)
				if n := s.dropped(sighted("heavy", fmt.Sprint("h", i), heavy), sighted("light", id, light), sighted("light", id, light.Add(window))); n != 1 {
					t.Errorf("firing %d: %d dropped, want the double that comes a window later", i, n)
				}
				if i == 4 || i == 50 {
					if n := s.dropped(sighted("heavy", "h", heavy)); n != 1 {
						t.Errorf("a double %v after the first passes, with a window of %v", heavy.Sub(start), window)
					}
				}
			}
			if n := s.dropped(sighted("tip", "t", time.Now()), sighted("light", "l1", light)); n != 1 {
				t.Errorf("%d dropped, want the double at the tip and not one hours after the first", n)
			}
		})
	}
}

// A shard that is at the tip does not have the backlog of another remembered.
func TestADaysBacklogIsNotRememberedAtOnce(t *testing.T) {
	const window = 15 * time.Minute
	start := time.Now().Add(-24 * time.Hour)
	s := newSlot(t, window)
	s.dropped(sighted("idle", "tip", time.Now()))
	most := 0
	for minute := range 24 * 60 {
		s.dropped(sighted("behind", fmt.Sprint(minute), start.Add(time.Duration(minute)*time.Minute)))
		for _, h := range s.values().halves {
			most = max(most, len(h.values))
		}
		if n := s.stored(); n > 4*15+1 {
			t.Fatalf("the state holds %d digests", n)
		}
	}
	if most > 2*15+1 {
		t.Errorf("%d values in a generation, of which one comes a minute", most)
	}
	if n := s.restored().dropped(sighted("idle", "tip", time.Now())); n != 1 {
		t.Error("the value of the shard at the tip is forgotten")
	}
}

// Values of a shard that was split are known to its children, and forgotten
// when those are past them.
func TestValuesOfAClosedShardAreForgottenWhenOthersArePastThem(t *testing.T) {
	const window = time.Minute
	split := time.Now().Add(-time.Hour)
	s := newSlot(t, window)
	s.dropped(sighted("parent", "p", split))
	if n := s.dropped(sighted("child", "p", split.Add(window))); n != 1 {
		t.Error("a double that comes in a child passes")
	}
	for _, step := range []struct {
		child, later time.Duration
		known        bool
	}{
		{2 * window, idleShard + time.Second, false},
		{2 * window, idleShard - time.Second, true}, // the parent may be held back
		{window, idleShard + time.Second, true},     // the child may bring doubles yet
	} {
		s := s.restored()
		s.dropped(sighted("other", "o", split))
		v := s.values()
		v.busy += step.later
		if step.child == 2*window { // a pause is none of the parent's
			v.fired = v.fired.Add(-time.Hour)
		}
		s.dropped(sighted("child", "c", split.Add(step.child)))
		if _, known := v.shards[shardName{"trips", "parent"}]; known != step.known {
			t.Errorf("child %v behind the split, parent idle for %v: known is %v", step.child, step.later, known)
		}
	}
}

func TestATimeAheadOrNoTimeCountsAsNow(t *testing.T) {
	now := time.Now()
	for _, at := range []int64{now.Add(1000 * time.Hour).UnixMilli(), 0} {
		if got := arrivalOf(&batch.Record{Arrival: at}, now); got != now.UnixMilli() {
			t.Errorf("%d counts as %d, want %d", at, got, now.UnixMilli())
		}
	}
}

// What an older program has saved is known, saved anew, and forgotten once the
// shards are past it.
func TestValuesThatAnOlderProgramSavedAreKnown(t *testing.T) {
	const window = 15 * time.Minute
	start := time.Now().Add(-24 * time.Hour)
	digest := func(id string) []byte {
		v := sightingOf(fmt.Appendf(nil, "%q", id))
		return v[:]
	}
	header := append([]byte{seenSharedVersion, 1, 2, 3, 4, 5, 6, 7, 8, 1}, binary.BigEndian.AppendUint64(nil, uint64(start.UnixMilli()))...)
	s := newSlot(t, window)
	s.state.values["seen"] = header
	s.state.bags["seen0"] = []any{digest("older"), append(digest("oldest"), digest("old")...)}
	s.state.bags["seen1"] = []any{digest("newer")}
	if n := s.dropped(sighted("0", "older", start), sighted("0", "old", start), sighted("0", "new", start)); n != 2 {
		t.Errorf("%d dropped, want 2", n)
	}
	s = s.restored() // from what this program has saved
	if n := s.dropped(sighted("0", "newer", start.Add(window)), sighted("0", "oldest", start), sighted("0", "new", start)); n != 3 {
		t.Errorf("%d dropped after a second restore, want 3", n)
	}
	if n := s.stored(); n != 5 {
		t.Errorf("the state holds %d digests, want 5", n)
	}
	s.dropped(sighted("0", "later", start.Add(3*window)))
	v := s.values()
	v.busy += window + time.Second
	v.shard(shardName{"trips", "0"})
	if v.forgetIdle(window); len(v.shards) != 1 {
		t.Errorf("%d shards are remembered, want the one that is read", len(v.shards))
	}
	bad := newSlot(t, window)
	for name, damage := range map[string]func(k *kept){
		"a short header":    func(k *kept) { k.values["seen"] = header[:17] },
		"a long header":     func(k *kept) { k.values["seen"] = append(slices.Clone(header), 0) },
		"no generation":     func(k *kept) { k.values["seen"] = append(append(slices.Clone(header[:9]), 2), header[10:]...) },
		"a part of a value": func(k *kept) { k.bags["seen1"] = []any{digest("newer")[:15]} },
	} {
		bad.state = newKept()
		bad.state.values["seen"] = header
		if damage(bad.state); !bad.refused() {
			t.Errorf("%s is taken", name)
		}
	}
}

// refused tells whether the state cannot be read.
func (s *slot) refused() bool {
	_, err := s.seen.load(s.state, s.window)
	return errors.Is(err, errSeenState)
}

func TestSavedSightingsAreReadOrRefused(t *testing.T) {
	const window = time.Minute
	s := newSlot(t, window)
	start := time.Now().Add(-time.Hour)
	s.dropped(sighted("0", "a", start), sighted("1", "b", start.Add(window)), sighted("0", "c", start.Add(window)))
	v, err := s.seen.load(s.state, window)
	if err != nil || v.last != s.values().last || len(v.live) != 3 || len(v.shards) != 2 || len(v.halves[0].values)+len(v.halves[1].values) != 3 {
		t.Errorf("%+v became %+v: %v", s.values(), v, err)
	}
	header := s.values().header
	changed := func(i int, b byte) []byte {
		out := slices.Clone(header)
		out[i] = b
		return out
	}
	const last = seenTag // where the last id is
	for name, bad := range map[string][]byte{
		"nothing":        {},
		"a short header": header[:len(header)-1],
		"a long header":  append(slices.Clone(header), 0),
		"a newer one":    changed(0, seenVersion+1),
		"ids above last": changed(last, 0),
		"twice the same": append(slices.Clone(header), header[last+1:]...),
	} {
		bad, s := bad, s.restored()
		if s.state.values["seen"] = bad; !s.refused() {
			t.Errorf("%s is taken", name)
		}
	}
	for i := range 2 {
		id := fmt.Sprint("seen", i)
		for n := range s.state.bags[id] {
			part := s.state.bags[id][n].([]byte)
			for name, bad := range map[string][]byte{"a short part": part[:len(part)-1], "a long part": append(slices.Clone(part), 1)} {
				s := s.restored()
				if s.state.bags[id][n] = bad; !s.refused() {
					t.Errorf("%s of half %d is taken", name, i)
				}
			}
			s := s.restored()
			if s.state.bags["seen0"], s.state.bags["seen1"] = s.state.bags["seen1"], s.state.bags["seen0"]; !s.refused() {
				t.Error("halves of each other are taken")
			}
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
	now := time.Now().Add(-time.Hour).Truncate(window)
	for _, failing := range []string{"bag", "clear", "value"} {
		t.Run(failing, func(t *testing.T) {
			seen, job, committed := newSeenState(), new(process), newKept()
			d := Deduplicate{Field: "id", Window: window}
			drop := func(k *kept, id string, at time.Time) (int64, error) {
				return seen.drop(k, job, 7, d, []batch.Batch{sighted("0", id, at)})
			}
			for id, at := range []time.Time{now, now, now.Add(window)} {
				if n, err := drop(committed, fmt.Sprint(id), at); n != 0 || err != nil {
					t.Fatalf("%d dropped, error %v", n, err)
				}
			}
			later := now.Add(2 * window) // the first two are forgotten
			bundle := committed.clone()
			bundle.fails = func(kind string) error {
				if kind == failing {
					return errors.New("the runner is away")
				}
				return nil
			}
			if _, err := drop(bundle, "3", later); err == nil {
				t.Fatal("no error")
			}
			for i, c := range []struct {
				id      string
				dropped int64
			}{{"3", 0}, {"3", 1}, {"2", 1}} {
				if n, err := drop(committed, c.id, later); n != c.dropped || err != nil {
					t.Errorf("step %d: %d dropped, want %d; error %v", i, n, c.dropped, err)
				}
			}
		})
	}
}
