package pipeline

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
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

// seenValues are what a slot has seen lately, in two generations: when the
// newer one spans a window it becomes the older one, which is forgotten.
type seenValues struct {
	// tag tells whether it is what the runner's state holds: a bundle that was
	// not committed, or another process, has gone another way.
	tag uint64
	// newer indexes generations; since is the first arrival in that one, in
	// milliseconds since 1970.
	newer       int
	since       int64
	generations [2]map[sighting]struct{}
}

// known tells whether a value was seen, and remembers it.
func (s *seenValues) known(v sighting) bool {
	newer := s.generations[s.newer]
	if _, ok := newer[v]; ok {
		return true
	}
	if _, ok := s.generations[1-s.newer][v]; ok {
		return true
	}
	newer[v] = struct{}{}
	return false
}

// seenState is where a slot's values are in the runner's state: a header, and
// a bag of digests, many in each part, for each generation.
type seenState struct {
	header      state.Value[[]byte]
	generations [2]state.Bag[[]byte]
}

const seenVersion = 1

var errSeenState = errors.New("saved state of InputDeduplicateBy: corrupt or newer")

// header is all of it but the generations: version, tag, newer, since.
func (s *seenValues) header() []byte {
	out := binary.BigEndian.AppendUint64([]byte{seenVersion}, s.tag)
	out = append(out, byte(s.newer))
	return binary.BigEndian.AppendUint64(out, uint64(s.since))
}

// read is the other way of header.
func (s *seenValues) read(header []byte) error {
	if len(header) != 18 || header[0] != seenVersion || header[9] > 1 {
		return errSeenState
	}
	s.tag, s.newer, s.since = binary.BigEndian.Uint64(header[1:]), int(header[9]), int64(binary.BigEndian.Uint64(header[10:]))
	return nil
}

// load reads what the state holds.
func (c *seenState) load(sp state.Provider) (*seenValues, error) {
	s := &seenValues{generations: [2]map[sighting]struct{}{{}, {}}}
	header, ok, err := c.header.Read(sp)
	if err != nil || !ok {
		return s, err
	}
	if err := s.read(header); err != nil {
		return nil, err
	}
	for i, bag := range c.generations {
		parts, _, err := bag.Read(sp)
		if err != nil {
			return nil, err
		}
		for _, part := range parts {
			if len(part)%len(sighting{}) != 0 {
				return nil, errSeenState
			}
			for ; len(part) > 0; part = part[len(sighting{}):] {
				s.generations[i][sighting(part)] = struct{}{}
			}
		}
	}
	return s, nil
}

// current returns the slot's values: those that the process remembers if they
// are what the state holds.
func (c *seenState) current(sp state.Provider, job *process, slot int64) (*seenValues, error) {
	header, ok, err := c.header.Read(sp)
	if err != nil {
		return nil, err
	}
	if v, remembered := job.seen.Load(slot); ok && remembered {
		if s := v.(*seenValues); bytes.Equal(s.header(), header) {
			return s, nil
		}
	}
	s, err := c.load(sp)
	if err != nil {
		return nil, err
	}
	job.seen.Store(slot, s)
	return s, nil
}

// drop takes the events whose value the slot has seen out of the batches, and
// returns how many those were. Records without the field, or with null in it,
// are none of them: they would all be doubles of the first.
func (c *seenState) drop(sp state.Provider, job *process, slot int64, d Deduplicate, in []batch.Batch) (dropped int64, err error) {
	if len(in) == 0 {
		return 0, nil
	}
	s, err := c.current(sp, job, slot)
	if err != nil {
		return 0, fmt.Errorf("read slot state: %w", err)
	}
	var (
		fresh   []byte
		newest  int64
		doubles []int
	)
	for i := range in {
		b := &in[i]
		doubles = doubles[:0]
		for r := range b.Records {
			newest = max(newest, b.Records[r].Arrival)
			value := decode.Find(b.Payload(r), d.Field)
			if value == nil || string(value) == "null" {
				continue
			}
			if v := sightingOf(value); s.known(v) {
				doubles = append(doubles, r)
			} else {
				fresh = append(fresh, v[:]...)
			}
		}
		if len(doubles) > 0 {
			*b = b.Without(doubles)
			dropped += int64(len(doubles))
		}
	}
	if len(fresh) == 0 {
		return dropped, nil
	}
	if err := c.save(sp, s, fresh, newest, d.Window); err != nil {
		// The bundle comes again, perhaps to this process, and its events with it.
		job.seen.Delete(slot)
		return 0, fmt.Errorf("write slot state: %w", err)
	}
	return dropped, nil
}

// turn begins another generation if the newer one spans a window, now that
// something arrived at newest, and tells whether it did. A time that a writer
// has set may lie ahead: it counts as now, or no generation would ever end.
func (s *seenValues) turn(newest int64, now time.Time, window time.Duration) bool {
	newest = min(newest, now.UnixMilli())
	if s.since == 0 {
		s.since = newest
	}
	if newest-s.since < window.Milliseconds() {
		return false
	}
	s.newer, s.since = 1-s.newer, newest
	s.generations[s.newer] = map[sighting]struct{}{}
	return true
}

// save adds values to the newer generation, and begins another one when it is
// old enough.
func (c *seenState) save(sp state.Provider, s *seenValues, fresh []byte, newest int64, window time.Duration) error {
	if err := c.generations[s.newer].Add(sp, fresh); err != nil {
		return err
	}
	if s.turn(newest, time.Now(), window) {
		if err := c.generations[s.newer].Clear(sp); err != nil {
			return err
		}
	}
	s.tag = rand.Uint64()
	return c.header.Write(sp, s.header())
}
