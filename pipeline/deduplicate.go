package pipeline

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/transforms/decode"
)

// Deduplicate says which of the events that a source brings are dropped as
// doubles. It is data only.
type Deduplicate struct {
	// Field names the field whose value tells an event from others; empty drops none.
	Field string
	// Window is how long a value is remembered at least, by the events' arrival.
	Window time.Duration
}

// sighting is the digest of a value. So few bytes of it are enough: of 10^9
// values remembered two are alike with a chance of 10^-21.
type sighting [16]byte

func sightingOf(value []byte) sighting {
	sum := sha256.Sum256(value)
	return sighting(sum[:])
}

// seenValues are what a slot has seen lately, in generations: one for each
// window of each shard. A shard's time is that of its own arrivals, since one
// may be a day behind another. By a time that they share, the values of one
// would be forgotten while it moves by seconds, or a day's values of it kept.
//
// Windows are counted from 1970, so that shards at the tip begin them together,
// and a half of the values, that of every second window, is forgotten at once.
type seenValues struct {
	// header is that of the state which holds these values: a bundle that was
	// not committed, or another process, has gone another way.
	header []byte
	shards map[shardName]*seenShard
	// live has the generations that are not forgotten, by their ids, of which
	// last is the highest that was given.
	live map[uint32]*generation
	last uint32
	// halves are by generation.half.
	halves [2]seenHalf
	// changed says that the state does not hold all of it; old that what it
	// holds is of an older version.
	changed, old bool
	// fired is when the slot brought records last. busy is for how long it has in
	// this process, without its pauses, in which no shard can be heard of.
	fired time.Time
	busy  time.Duration
}

// shardName names a shard or partition among all of the source.
type shardName struct{ source, shard string }

// seenShard is what was seen of one shard.
type seenShard struct {
	// ends is when the window of the latest arrival ends, in milliseconds since
	// 1970; 0 where none came since the process has the slot.
	ends int64
	// heard is seenValues.busy when records came last; 0 is when the process took
	// over the slot.
	heard time.Duration
	// generations are those that are not forgotten, current the one of ends, if there is one.
	generations []*generation
	current     *generation
}

// generation is what was seen of a shard in one window.
type generation struct {
	id   uint32
	half int
	// until is the arrival with which its shard forgets it.
	until int64
	// values counts them, fresh are the digests that the state does not hold yet.
	values int
	fresh  []byte
}

// seenHalf is what generations of one half have in common: a bag in the state.
type seenHalf struct {
	// values are by the ids of their generations, which may be forgotten.
	values map[sighting]uint32
	// stored counts the digests in the bag, those of forgotten generations too.
	stored int
}

func newSeenValues() *seenValues {
	return &seenValues{
		shards: map[shardName]*seenShard{}, live: map[uint32]*generation{},
		halves: [2]seenHalf{{values: map[sighting]uint32{}}, {values: map[sighting]uint32{}}},
	}
}

// longestStep is between two firings of a slot that is busy, and more a pause.
const longestStep = time.Second

// fire tells that the slot brings records.
func (s *seenValues) fire(now time.Time) {
	if !s.fired.IsZero() {
		s.busy += min(now.Sub(s.fired), longestStep)
	}
	s.fired = now
}

// shard returns that of a name, which is heard of now.
func (s *seenValues) shard(name shardName) *seenShard {
	sh := s.shards[name]
	if sh == nil {
		sh = &seenShard{}
		s.shards[name] = sh
	}
	sh.heard = s.busy
	return sh
}

// known tells whether a value was seen, in any shard, and remembers it.
func (s *seenValues) known(sh *seenShard, v sighting, window int64) bool {
	for i := range s.halves {
		if id, ok := s.halves[i].values[v]; ok && s.live[id] != nil {
			return true
		}
	}
	g := sh.current
	if g == nil {
		g = s.begin(sh, int(sh.ends/window%2), sh.ends+window)
		sh.current = g
	}
	h := &s.halves[g.half]
	h.values[v] = g.id
	h.stored++
	g.values++
	g.fresh = append(g.fresh, v[:]...)
	s.changed = true
	return false
}

// begin adds a generation.
func (s *seenValues) begin(sh *seenShard, half int, until int64) *generation {
	s.last++
	g := &generation{id: s.last, half: half, until: until}
	s.add(sh, g)
	return g
}

func (s *seenValues) add(sh *seenShard, g *generation) {
	sh.generations, s.live[g.id] = append(sh.generations, g), g
}

// reach begins the window of an arrival that is behind the present one's end,
// and forgets what was seen before the window before it.
func (s *seenValues) reach(sh *seenShard, arrival, window int64) {
	sh.ends = (arrival/window + 1) * window
	s.forget(sh, arrival)
	sh.current = nil
	for _, g := range sh.generations { // of before a restore
		if g.until == sh.ends+window {
			sh.current = g
		}
	}
}

// forget forgets what a shard that is at an arrival need not remember.
func (s *seenValues) forget(sh *seenShard, arrival int64) {
	sh.generations = slices.DeleteFunc(sh.generations, func(g *generation) bool {
		if g.until > arrival {
			return false
		}
		delete(s.live, g.id)
		s.changed = true
		return true
	})
}

// idleShard is for how long a busy slot hears nothing of a shard, at least, before
// that counts as idle and not as one that the service holds back.
const idleShard = 10 * time.Minute

// forgetIdle forgets what was seen of shards that bring nothing any more, as
// those that were split or merged, once all others are past it: a double would
// come in one of these.
func (s *seenValues) forgetIdle(window time.Duration) {
	idle := func(sh *seenShard) bool { return s.busy-sh.heard > max(window, idleShard) }
	past := int64(math.MaxInt64)
	for _, sh := range s.shards {
		if !idle(sh) {
			past = min(past, sh.ends-window.Milliseconds())
		}
	}
	for name, sh := range s.shards {
		if !idle(sh) {
			continue
		}
		if s.forget(sh, past); len(sh.generations) == 0 {
			delete(s.shards, name)
		}
	}
}

// drop takes the events whose value the slot has seen out of the batches, and
// returns how many those were. Records without the field, or with null in it,
// are none of them: they would all be doubles of the first. Neither are events
// of dead letters that were sent again, each of which is one of an event that
// was seen.
func (c *seenState) drop(sp state.Provider, job *process, slot int64, d Deduplicate, in []batch.Batch) (dropped int64, err error) {
	if len(in) == 0 {
		return 0, nil
	}
	now := time.Now()
	s, err := c.current(sp, job, slot, d.Window)
	if err != nil {
		return 0, fmt.Errorf("read slot state: %w", err)
	}
	s.fire(now)
	window := d.Window.Milliseconds()
	var doubles []int
	for i := range in {
		b := &in[i]
		if b.Len() == 0 {
			continue
		}
		doubles = doubles[:0]
		shard := s.shard(shardName{b.Source, b.Shard})
		for r := range b.Records {
			if at := arrivalOf(&b.Records[r], now); at >= shard.ends {
				s.reach(shard, at, window)
			}
			value := decode.Find(b.Payload(r), d.Field)
			if value == nil || string(value) == "null" {
				continue
			}
			if s.known(shard, sightingOf(value), window) && !b.Resent(r) {
				doubles = append(doubles, r)
			}
		}
		if len(doubles) > 0 {
			*b = b.Without(doubles)
			dropped += int64(len(doubles))
		}
	}
	if !s.changed {
		return dropped, nil
	}
	s.forgetIdle(d.Window)
	if err := c.save(sp, s); err != nil {
		// The bundle comes again, perhaps to this process, and its events with it.
		job.seen.Delete(slot)
		return 0, fmt.Errorf("write slot state: %w", err)
	}
	return dropped, nil
}

// arrivalOf is when a record arrived. A time that a writer has set may lie
// ahead, and a record may have none: as times they would end no window, or all.
func arrivalOf(r *batch.Record, now time.Time) int64 {
	if ms := now.UnixMilli(); r.Arrival <= 0 || r.Arrival > ms {
		return ms
	}
	return r.Arrival
}
