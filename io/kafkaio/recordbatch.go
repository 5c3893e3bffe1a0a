package kafkaio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/streaming-etl/streaming-etl/io/batch"
)

// Where the fields of a record batch lie (message format 2, Kafka's protocol
// guide, "Record batch"); all numbers are big endian.
const (
	atLength     = 8
	atEpoch      = 12
	atMagic      = 16
	atCRC        = 17
	atAttributes = 21
	atLastDelta  = 23
	atBaseTime   = 27
	atMaxTime    = 35
	atProducer   = 43
	atCount      = 57
	headerBytes  = 61
	// uncountedBytes come before what the length counts.
	uncountedBytes = 12
)

// Bits of a batch's attributes besides the codec.
const (
	attrAppendTime    = 1 << 3
	attrTransactional = 1 << 4
	attrControl       = 1 << 5
)

// Types of control records.
const (
	controlAbort  = 0
	controlCommit = 1
	// controlNone is that of a batch whose record the log cleaner took: it keeps
	// the last batch of a producer that is known yet, for its sequence number.
	controlNone = -1
)

var (
	errCorrupt = errors.New("corrupt record batch")
	// castagnoli is the polynomial of the batches' checksums.
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// recordBatch is the header of a batch and its records as they were sent.
type recordBatch struct {
	// base and last are the offsets that the batch covers. After a compaction
	// there may be no records of them.
	base, last int64
	// epoch is that of the leader that took the batch.
	epoch             int32
	attributes        uint16
	baseTime, maxTime int64
	producer          int64
	count             int
	records           []byte
}

func (b *recordBatch) transactional() bool { return b.attributes&attrTransactional != 0 }
func (b *recordBatch) control() bool       { return b.attributes&attrControl != 0 }

// nextBatch takes the first batch off in and checks it. A broker cuts what it
// answers at a size: ok is false where no whole batch is left.
func nextBatch(in []byte) (b recordBatch, rest []byte, ok bool, err error) {
	if len(in) <= atMagic {
		return b, nil, false, nil
	}
	base := int64(binary.BigEndian.Uint64(in))
	size := int64(int32(binary.BigEndian.Uint32(in[atLength:])))
	if magic := in[atMagic]; magic != 2 {
		if magic < 2 {
			return b, nil, false, fmt.Errorf("%w %d at offset %d, of before Kafka 0.11: rewrite the topic with a newer producer, or begin after it", errOldFormat, magic, base)
		}
		return b, nil, false, fmt.Errorf("%w: message format %d at offset %d", errCorrupt, magic, base)
	}
	if size < headerBytes-uncountedBytes {
		return b, nil, false, fmt.Errorf("%w: a length of %d at offset %d", errCorrupt, size, base)
	}
	if size > int64(len(in)-uncountedBytes) {
		return b, nil, false, nil
	}
	in, rest = in[:uncountedBytes+size], in[uncountedBytes+size:]
	if want, got := binary.BigEndian.Uint32(in[atCRC:]), crc32.Checksum(in[atAttributes:], castagnoli); want != got {
		return b, nil, false, fmt.Errorf("%w: checksum %08x at offset %d, not %08x", errCorrupt, got, base, want)
	}
	lastDelta := int32(binary.BigEndian.Uint32(in[atLastDelta:]))
	count := int32(binary.BigEndian.Uint32(in[atCount:]))
	b = recordBatch{
		base: base, last: base + int64(lastDelta),
		epoch:      int32(binary.BigEndian.Uint32(in[atEpoch:])),
		attributes: binary.BigEndian.Uint16(in[atAttributes:]),
		baseTime:   int64(binary.BigEndian.Uint64(in[atBaseTime:])),
		maxTime:    int64(binary.BigEndian.Uint64(in[atMaxTime:])),
		producer:   int64(binary.BigEndian.Uint64(in[atProducer:])),
		count:      int(count),
		records:    in[headerBytes:],
	}
	if base < 0 || lastDelta < 0 || base > math.MaxInt64-math.MaxInt32-1 || count < 0 {
		return b, nil, false, fmt.Errorf("%w: %d records from offset %d to %d more", errCorrupt, count, base, lastDelta)
	}
	return b, rest, true, nil
}

var errOldFormat = errors.New("message format")

// controlType returns the type of a control batch's record: its key holds a
// version and the type, two bytes each.
func (b *recordBatch) controlType() (int, error) {
	if b.count == 0 && len(b.records) == 0 {
		return controlNone, nil
	}
	r := recordReader{in: b.records}
	var rec record
	if b.count != 1 || b.attributes&codecMask != codecNone || !r.next(&rec) || len(rec.key) < 4 {
		return 0, fmt.Errorf("%w: a control batch without its record at offset %d", errCorrupt, b.base)
	}
	return int(binary.BigEndian.Uint16(rec.key[2:])), nil
}

// record is one record of a batch; its slices are of the batch's bytes.
type record struct {
	timeDelta, offsetDelta int64
	// key and value are nil where they are null.
	key, value []byte
	// headers are the encoded ones, count how many.
	headers []byte
	count   int
}

// recordReader takes records off a batch's bytes.
type recordReader struct{ in []byte }

// next reads one record; false means that the bytes hold none.
func (r *recordReader) next(rec *record) bool {
	size, n := varint(r.in)
	if n <= 0 || size < 1 || size > int64(len(r.in)-n) {
		return false
	}
	in := r.in[n : n+int(size)]
	r.in = r.in[n+int(size):]
	in = in[1:] // attributes: none are defined
	if rec.timeDelta, n = varint(in); n <= 0 {
		return false
	}
	in = in[n:]
	if rec.offsetDelta, n = varint(in); n <= 0 {
		return false
	}
	in = in[n:]
	var ok bool
	if rec.key, in, ok = nullable(in); !ok {
		return false
	}
	if rec.value, in, ok = nullable(in); !ok {
		return false
	}
	count, n := varint(in)
	// A header takes two bytes at least.
	if n <= 0 || count < 0 || count > int64(len(in)-n)/2 {
		return false
	}
	rec.count, rec.headers = int(count), in[n:]
	return count > 0 || len(rec.headers) == 0
}

// appendHeaders appends the record's headers to dst.
func (rec *record) appendHeaders(dst []batch.Header) ([]batch.Header, bool) {
	in := rec.headers
	var ok bool
	for range rec.count {
		var h batch.Header
		if h.Key, in, ok = nullable(in); !ok || h.Key == nil {
			return dst, false
		}
		if h.Value, in, ok = nullable(in); !ok {
			return dst, false
		}
		dst = append(dst, h)
	}
	return dst, len(in) == 0
}

// varint reads a number as records have them, zigzag coded; n is 0 or less
// where there is none. Most take one or two bytes.
func varint(in []byte) (v int64, n int) {
	if len(in) > 1 {
		if b := in[0]; b < 0x80 {
			return int64(b>>1) ^ -int64(b&1), 1
		}
		if b := in[1]; b < 0x80 {
			u := uint64(in[0]&0x7f) | uint64(b)<<7
			return int64(u>>1) ^ -int64(u&1), 2
		}
	}
	return binary.Varint(in)
}

// nullable reads bytes with their length before them; -1 stands for null.
func nullable(in []byte) (b, rest []byte, ok bool) {
	size, n := varint(in)
	if n <= 0 || size < -1 || size > int64(len(in)-n) {
		return nil, nil, false
	}
	in = in[n:]
	if size < 0 {
		return nil, in, true
	}
	return in[:size:size], in[size:], true
}
