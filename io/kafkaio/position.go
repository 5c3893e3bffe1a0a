package kafkaio

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/streaming-etl/streaming-etl/io/internal/wire"
)

// positionsVersion is the first byte of encoded positions; they live in
// savepoints. Those of version 1, without flags and epochs, are read too.
const positionsVersion = 2

// ErrCorruptPositions is wrapped by the errors for positions that this package
// did not write: cut short, damaged, or of a newer version.
var ErrCorruptPositions = errors.New("corrupt or newer positions")

// topicID is what a broker gave a topic when it was made; all zero where
// brokers are too old to have any (before Kafka 2.8).
type topicID [16]byte

// partitionKey names a partition.
type partitionKey struct {
	topic  string
	number int32
}

func (k partitionKey) compare(o partitionKey) int {
	return cmp.Or(cmp.Compare(k.topic, o.topic), cmp.Compare(k.number, o.number))
}

func (k partitionKey) String() string { return fmt.Sprintf("%s-%d", k.topic, k.number) }

// position is how far a partition was read.
type position struct {
	// id is the topic that the offsets are of: one that was deleted and made
	// again has the same name and other records.
	id topicID
	// next is the offset of the next record.
	next int64
	// stop is where a bounded reading ends, noStop without one.
	stop int64
	// away is set while the topic, one of an expression, is not to be seen. Where
	// brokers do not say that it was deleted, it may be hidden from the user.
	away bool
	// lastEpoch is the epoch of the leader that took the batch that was read
	// last, plus one; 0 where it is not known.
	lastEpoch int32
}

const noStop = int64(-1)

// done reports whether a bounded reading is at its end.
func (p position) done() bool { return p.stop != noStop && p.next >= p.stop }

// positions is what a slot keeps. A partition that is not in it was found
// after the job's first look at the topics, or not yet: it is read from its
// beginning.
type positions struct {
	// rule is the topic whose partitions go to the slots by number alone, ""
	// where there may be several topics; see selection.owns.
	rule       string
	index      int
	count      int
	partitions map[partitionKey]position
}

// flagAway is the flag of a run of partitions whose topic is away.
const flagAway = 1

// encode returns the positions' binary form: version, rule, slot, then runs of
// partitions of one topic, id and flags, in order. Equal positions are equal bytes.
func (p *positions) encode() []byte {
	keys := make([]partitionKey, 0, len(p.partitions))
	for k := range p.partitions {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, partitionKey.compare)
	out := make([]byte, 0, 64+len(p.rule)+24*len(keys))
	out = append(out, positionsVersion)
	out = wire.AppendString(out, p.rule)
	out = binary.AppendUvarint(out, uint64(p.index))
	out = binary.AppendUvarint(out, uint64(p.count))
	runs := 0
	for i := range keys {
		if i == 0 || !p.sameRun(keys[i-1], keys[i]) {
			runs++
		}
	}
	out = binary.AppendUvarint(out, uint64(runs))
	for len(keys) > 0 {
		n := 1
		for n < len(keys) && p.sameRun(keys[n-1], keys[n]) {
			n++
		}
		first := p.partitions[keys[0]]
		flags := byte(0)
		if first.away {
			flags = flagAway
		}
		out = wire.AppendString(out, keys[0].topic)
		out = append(out, first.id[:]...)
		out = append(out, flags)
		out = binary.AppendUvarint(out, uint64(n))
		for _, k := range keys[:n] {
			at := p.partitions[k]
			out = binary.AppendUvarint(out, uint64(k.number))
			out = binary.AppendUvarint(out, uint64(at.next))
			out = binary.AppendUvarint(out, uint64(at.stop-noStop))
			out = binary.AppendUvarint(out, uint64(at.lastEpoch))
		}
		keys = keys[n:]
	}
	return out
}

func (p *positions) sameRun(a, b partitionKey) bool {
	x, y := p.partitions[a], p.partitions[b]
	return a.topic == b.topic && x.id == y.id && x.away == y.away
}

// decodePositions reads what encode wrote, now or in earlier versions, and
// nothing else.
func decodePositions(in []byte) (positions, error) {
	r := wire.NewReader(in)
	version := r.Byte()
	if version < 1 || version > positionsVersion {
		return positions{}, fmt.Errorf("%w: version %d, this program knows 1 to %d", ErrCorruptPositions, version, positionsVersion)
	}
	p := positions{rule: r.String(), index: int(r.Uvarint(maxSlots)), count: int(r.Uvarint(maxSlots)), partitions: map[partitionKey]position{}}
	var (
		last   partitionKey
		lastAt position
		begun  bool
	)
	for range r.Count(len(topicID{})+5, len(in)) {
		k := partitionKey{topic: r.String()}
		var at position
		copy(at.id[:], r.Take(uint64(len(at.id))))
		if version > 1 {
			flags := r.Byte()
			if at.away = flags == flagAway; flags > flagAway {
				r.Fail()
			}
		}
		n := r.Count(3, len(in))
		// A run ends where topic, id or flags do.
		if n == 0 || k.topic == "" || begun && k.topic == last.topic && at.id == lastAt.id && at.away == lastAt.away {
			r.Fail()
		}
		for range n {
			k.number = int32(r.Uvarint(math.MaxInt32))
			at.next, at.stop = int64(r.Uvarint(math.MaxInt64)), int64(r.Uvarint(math.MaxInt64))+noStop
			if version > 1 {
				at.lastEpoch = int32(r.Uvarint(math.MaxInt32))
			}
			if r.Bad() || begun && last.compare(k) >= 0 {
				return positions{}, ErrCorruptPositions
			}
			p.partitions[k] = at
			last, lastAt, begun = k, at, true
		}
	}
	if !r.Done() || p.index >= p.count {
		return positions{}, ErrCorruptPositions
	}
	return p, nil
}
