package pipeline

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
)

// seenState is where a slot's values are in the runner's state: a header that
// names the generations, and for each half of them a bag. A part of a bag is
// runs: a generation's id, a number, so many digests. Those of forgotten
// generations stay until they are more than the others.
type seenState struct {
	header state.Value[[]byte]
	halves [2]state.Bag[[]byte]
}

// Versions of the header. With the first one the slot had two generations, by
// a time that its shards shared, and a bag of each was digests alone.
const (
	seenSharedVersion = 1
	seenVersion       = 2
)

// seenTag is how long the version and the random tag are that a header begins with.
const seenTag = 1 + 8

var errSeenState = errors.New("saved state of InputDeduplicateBy: corrupt or newer")

// encode returns a header: version, tag, the last id, then generations, each
// with its shard. It is another one each time.
func (s *seenValues) encode() []byte {
	out := binary.BigEndian.AppendUint64([]byte{seenVersion}, rand.Uint64())
	out = binary.AppendUvarint(out, uint64(s.last))
	for name, sh := range s.shards {
		for _, g := range sh.generations {
			for _, text := range []string{name.source, name.shard} {
				out = append(binary.AppendUvarint(out, uint64(len(text))), text...)
			}
			out = binary.AppendUvarint(out, uint64(g.id))
			out = append(out, byte(g.half))
			out = binary.AppendUvarint(out, uint64(g.until))
		}
	}
	return out
}

// load reads what the state holds.
func (c *seenState) load(sp state.Provider, window time.Duration) (*seenValues, error) {
	s := newSeenValues()
	header, ok, err := c.header.Read(sp)
	if err != nil || !ok {
		return s, err
	}
	if len(header) < seenTag {
		return nil, errSeenState
	}
	s.header = header
	switch in := (seenReader{rest: header[seenTag:]}); header[0] {
	case seenSharedVersion:
		err = s.readShared(in, window.Milliseconds())
	case seenVersion:
		err = s.read(in)
	default:
		err = errSeenState
	}
	if err != nil {
		return nil, err
	}
	for i, bag := range c.halves {
		parts, _, err := bag.Read(sp)
		if err != nil {
			return nil, err
		}
		for _, part := range parts {
			if s.old {
				if len(part)%len(sighting{}) != 0 {
					return nil, errSeenState
				}
				part = appendRun(nil, sharedID(i), part)
			}
			if err := s.readRuns(i, part); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// read reads a header of this version, behind its tag.
func (s *seenValues) read(in seenReader) error {
	s.last = uint32(in.number(math.MaxUint32))
	for !in.bad && len(in.rest) > 0 {
		name := shardName{in.text(), in.text()}
		g := &generation{id: uint32(in.number(uint64(s.last))), half: int(in.number(1)), until: int64(in.number(math.MaxInt64))}
		if s.live[g.id] != nil {
			return errSeenState
		}
		s.add(s.shard(name), g)
	}
	if in.bad {
		return errSeenState
	}
	return nil
}

// readShared reads a header of the first version, behind its tag: which bag is
// the newer generation, and the first arrival in that one. They become those
// of a shard without a name, which is idle.
func (s *seenValues) readShared(in seenReader, window int64) error {
	newer, since := int(in.number(1)), in.take(8)
	if in.bad || len(in.rest) > 0 {
		return errSeenState
	}
	s.old = true
	sh := s.shard(shardName{})
	for half := range s.halves {
		until := int64(binary.BigEndian.Uint64(since)) + window
		if half == newer {
			until += window
		}
		s.begin(sh, half, until)
	}
	return nil
}

// sharedID is the id that readShared gives the generation of a bag.
func sharedID(half int) uint32 { return uint32(half) + 1 }

// readRuns reads a part of a half's bag.
func (s *seenValues) readRuns(half int, part []byte) error {
	h := &s.halves[half]
	for in := (seenReader{rest: part}); len(in.rest) > 0; {
		g := s.live[uint32(in.number(math.MaxUint32))]
		n := in.number(uint64(len(part)))
		run := in.take(n * uint64(len(sighting{})))
		if in.bad || g != nil && g.half != half {
			return errSeenState
		}
		h.stored += int(n)
		if g == nil {
			continue // it is forgotten
		}
		g.values += int(n)
		for ; len(run) > 0; run = run[len(sighting{}):] {
			h.values[sighting(run)] = g.id
		}
	}
	return nil
}

// appendRun appends digests of a generation as a part of its half's bag has them.
func appendRun(dst []byte, id uint32, digests []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(id))
	dst = binary.AppendUvarint(dst, uint64(len(digests)/len(sighting{})))
	return append(dst, digests...)
}

// current returns the slot's values: those that the process remembers if they
// are what the state holds.
func (c *seenState) current(sp state.Provider, job *process, slot int64, window time.Duration) (*seenValues, error) {
	header, ok, err := c.header.Read(sp)
	if err != nil {
		return nil, err
	}
	if v, remembered := job.seen.Load(slot); ok && remembered {
		if s := v.(*seenValues); bytes.Equal(s.header, header) {
			return s, nil
		}
	}
	s, err := c.load(sp, window)
	if err != nil {
		return nil, err
	}
	job.seen.Store(slot, s)
	return s, nil
}

// save writes what the state does not hold yet.
func (c *seenState) save(sp state.Provider, s *seenValues) error {
	for i, bag := range c.halves {
		live := 0
		for _, g := range s.live {
			if g.half == i {
				live += g.values
			}
		}
		parts := s.fresh(i) // compact has them too
		if s.old || s.halves[i].stored > 2*live {
			if err := bag.Clear(sp); err != nil {
				return err
			}
			parts = s.compact(i, live)
		}
		for _, part := range parts {
			if err := bag.Add(sp, part); err != nil {
				return err
			}
		}
	}
	s.changed, s.old, s.header = false, false, s.encode()
	return c.header.Write(sp, s.header)
}

// fresh takes the digests of a half that the state does not hold yet.
func (s *seenValues) fresh(half int) [][]byte {
	var part []byte
	for _, g := range s.live {
		if g.half == half && len(g.fresh) > 0 {
			part = appendRun(part, g.id, g.fresh)
			g.fresh = nil
		}
	}
	if part == nil {
		return nil
	}
	return [][]byte{part}
}

// partBytes is where a part of a bag that is written anew is closed.
const partBytes = 1 << 20

// compact leaves the values of forgotten generations out of a half, and returns
// the others, so many, as its bag is to hold them.
func (s *seenValues) compact(half, live int) (parts [][]byte) {
	h := &s.halves[half]
	values := make(map[sighting]uint32, live)
	runs := map[uint32][]byte{}
	end := func(id uint32) {
		parts = append(parts, appendRun(nil, id, runs[id]))
		delete(runs, id)
	}
	for v, id := range h.values {
		if s.live[id] == nil {
			continue
		}
		values[v] = id
		if runs[id] = append(runs[id], v[:]...); len(runs[id]) >= partBytes {
			end(id)
		}
	}
	for id := range runs {
		end(id)
	}
	h.values, h.stored = values, live
	return parts
}

// seenReader takes values off the front of rest; behind a bad one all are zero.
type seenReader struct {
	rest []byte
	bad  bool
}

func (r *seenReader) take(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

// number takes an unsigned varint, which is at most most.
func (r *seenReader) number(most uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > most {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *seenReader) text() string { return string(r.take(r.number(math.MaxInt32))) }
