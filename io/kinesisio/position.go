package kinesisio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/streaming-etl/streaming-etl/io/internal/wire"
)

// positionsVersion is the first byte of encoded positions; they live in savepoints.
const positionsVersion = 1

// keyPositionsVersion is the same of a job in which slots own keys. Version 2
// is that of several streams.
const keyPositionsVersion = 3

// ErrCorruptPositions is wrapped by the error of Open for positions that this
// package did not write: cut short, damaged, or of a newer version.
var ErrCorruptPositions = errors.New("corrupt or newer positions")

// position is how far a shard was read. The zero position is its beginning.
type position struct {
	// seq is the sequence number of the last record that was delivered.
	seq string
	// next is the sub-sequence number that follows within record seq, 0 if
	// all of the record was delivered.
	next uint32
	// finished is set when a closed shard was delivered to its end.
	finished bool
}

// wholeRecord as next passes over all of a record.
const wholeRecord = math.MaxInt32

// resumed returns the position to ask for it with: that of a record that was
// delivered is asked for together with the record, which is then passed over.
// If the answer begins with another, retention has deleted what was to come
// next; asked for what follows, the service would go on with the oldest record
// that is left and not say so.
func (p position) resumed() position {
	if p.seq != "" && p.next == 0 {
		p.next = wholeRecord
	}
	return p
}

// positions is what a slot keeps: where its job began, and each shard that
// was begun. A shard that is not in it is read from the job's beginning, so
// shards need no entry until something of them was delivered.
type positions struct {
	stream string
	index  int
	count  int
	// from is the time of arrival where reading began, in milliseconds since
	// 1970; allFrom for everything that the stream holds.
	from   int64
	shards map[string]position
	// byKey is Options.KeyOrder.
	byKey bool
}

// allFrom stands for TRIM_HORIZON.
const allFrom = int64(-1)

// startPositions returns the positions of a slot that was never read.
//
// LATEST is pinned down as the time of the job's first start. An iterator of
// type LATEST would begin at the moment of its making: in a slot that opens
// late, after a failure before the first record, or again after a silent
// iterator expired, that is later than the start, and the records between
// would be lost. The price: the clocks of the starting machine and of the
// service decide, some records from just before the start may be read.
func startPositions(o Options, index, count int, jobStart int64) positions {
	p := positions{stream: o.StreamName(), index: index, count: count, byKey: o.KeyOrder, shards: map[string]position{}}
	switch o.InitialPosition {
	case TrimHorizon:
		p.from = allFrom
	case AtTimestamp:
		p.from = max(0, o.InitialTimestamp.UnixMilli())
	default:
		p.from = jobStart
		if p.from <= 0 {
			p.from = time.Now().UnixMilli()
		}
	}
	return p
}

// Flags of an encoded shard.
const (
	flagReading  = 0
	flagFinished = 1
)

// encode returns the positions' binary form: version, stream, slot, beginning,
// then the shards in the order of their ids. Equal positions are equal bytes.
func (p *positions) encode() []byte {
	out := make([]byte, 0, 32+len(p.stream)+96*len(p.shards))
	if p.byKey {
		out = append(out, keyPositionsVersion)
	} else {
		out = append(out, positionsVersion)
	}
	out = wire.AppendString(out, p.stream)
	out = binary.AppendUvarint(out, uint64(p.index))
	out = binary.AppendUvarint(out, uint64(p.count))
	out = binary.AppendVarint(out, p.from)
	ids := make([]string, 0, len(p.shards))
	for id := range p.shards {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	out = binary.AppendUvarint(out, uint64(len(ids)))
	for _, id := range ids {
		out = wire.AppendString(out, id)
		s := p.shards[id]
		if s.finished {
			out = append(out, flagFinished)
			continue
		}
		out = append(out, flagReading)
		out = wire.AppendString(out, s.seq)
		out = binary.AppendUvarint(out, uint64(s.next))
	}
	return out
}

// decodePositions reads what encode wrote, and nothing else.
func decodePositions(in []byte) (positions, error) {
	r := wire.NewReader(in)
	v := r.Byte()
	if v != positionsVersion && v != keyPositionsVersion {
		return positions{}, fmt.Errorf("%w: version %d, this program knows %d and %d", ErrCorruptPositions, v, positionsVersion, keyPositionsVersion)
	}
	p := positions{byKey: v == keyPositionsVersion, stream: r.String(), index: int(r.Uvarint(1 << 30)), count: int(r.Uvarint(1 << 30)), from: r.Varint()}
	n := r.Count(2, len(in))
	p.shards = make(map[string]position, n)
	last := ""
	for range n {
		id := r.String()
		if r.Bad() || strings.Compare(id, last) <= 0 {
			return positions{}, ErrCorruptPositions
		}
		last = id
		switch r.Byte() {
		case flagFinished:
			p.shards[id] = position{finished: true}
		case flagReading:
			s := position{seq: r.String(), next: uint32(r.Uvarint(1<<32 - 1))}
			if s.seq == "" {
				r.Fail()
			}
			p.shards[id] = s
		default:
			r.Fail()
		}
	}
	if !r.Done() || p.index >= p.count || p.from < allFrom {
		return positions{}, ErrCorruptPositions
	}
	return p, nil
}
