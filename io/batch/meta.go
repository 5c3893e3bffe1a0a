package batch

import (
	"encoding/binary"
	"slices"

	"github.com/streaming-etl/streaming-etl/io/internal/wire"
)

// Meta is what came beside a record's payload, as Kafka's records have it.
type Meta struct {
	// Key is the record's key; nil where it has none, which is not an empty one.
	Key []byte
	// Null says that the payload is null, not empty: a tombstone.
	Null bool
	// Timestamp is the record's own time in milliseconds since 1970, as its
	// producer or the broker set it; negative where it has none.
	Timestamp int64
	// Headers are in their order; names may occur twice.
	Headers []Header
}

// Header is one of a record's headers.
type Header struct {
	Key []byte
	// Value may be nil, which is not empty.
	Value []byte
}

// Resent reports whether the header is the mark of ResentHeader.
func (h Header) Resent() bool { return string(h.Key) == ResentHeader }

// A dead letter's event that was sent into its source again is marked there with
// the letter's id: by a header in Kafka, by how the partition key begins in
// Kinesis. In a batch it is the header for both.
const (
	ResentHeader = "resent-dead-letter"
	ResentKey    = "resent-"
)

// Bits of the first byte of encoded meta data.
const (
	metaKey  = 1 << 0
	metaNull = 1 << 1
)

// AppendMeta appends a record with what came beside its payload, which must
// be empty where m.Null says so. It copies everything.
func (b *Batch) AppendMeta(payload []byte, m *Meta, seq, sub uint32, arrival int64) {
	b.Data = append(b.Data, payload...)
	before := len(b.Data)
	b.Data = m.Append(b.Data)
	b.Records = append(b.Records, Record{
		End: uint32(len(b.Data)), Meta: uint32(len(b.Data) - before), Seq: seq, Sub: sub, Arrival: arrival,
	})
}

// Append appends the binary form that Decode reads: flags, timestamp, key, then
// headers, lengths as unsigned varints, those of headers' values plus one.
func (m *Meta) Append(dst []byte) []byte {
	var flags byte
	if m.Key != nil {
		flags |= metaKey
	}
	if m.Null {
		flags |= metaNull
	}
	dst = append(dst, flags)
	dst = binary.AppendVarint(dst, m.Timestamp)
	if m.Key != nil {
		dst = binary.AppendUvarint(dst, uint64(len(m.Key)))
		dst = append(dst, m.Key...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.Headers)))
	for _, h := range m.Headers {
		dst = binary.AppendUvarint(dst, uint64(len(h.Key)))
		dst = append(dst, h.Key...)
		if h.Value == nil {
			dst = append(dst, 0)
			continue
		}
		dst = binary.AppendUvarint(dst, uint64(len(h.Value))+1)
		dst = append(dst, h.Value...)
	}
	return dst
}

// Decode reads what Append wrote. Key and headers are slices of raw; m's
// headers are reused. Nothing at all is a record without meta data.
func (m *Meta) Decode(raw []byte) error {
	*m = Meta{Timestamp: -1, Headers: m.Headers[:0]}
	if len(raw) == 0 {
		return nil
	}
	r := wire.NewReader(raw)
	flags := r.Byte()
	if flags&^(metaKey|metaNull) != 0 {
		return ErrCorrupt
	}
	m.Null = flags&metaNull != 0
	m.Timestamp = r.Varint()
	if flags&metaKey != 0 {
		m.Key = nonNil(r.Bytes())
	}
	n := r.Count(2, len(raw))
	m.Headers = slices.Grow(m.Headers, n)
	for range n {
		h := Header{Key: r.Bytes()}
		if size := r.Uvarint(uint64(len(raw))); size > 0 {
			h.Value = nonNil(r.Take(size - 1))
		}
		if r.Bad() {
			return ErrCorrupt
		}
		m.Headers = append(m.Headers, h)
	}
	if r.Bad() || len(r.Rest()) != 0 {
		return ErrCorrupt
	}
	return nil
}

// nonNil keeps empty apart from nil.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Meta reads what came beside record i's payload into m; see Meta.Decode.
func (b *Batch) Meta(i int, m *Meta) error { return m.Decode(b.RawMeta(i)) }

// Null reports whether record i's payload is null: a tombstone.
func (b *Batch) Null(i int) bool {
	raw := b.RawMeta(i)
	return len(raw) > 0 && raw[0]&metaNull != 0
}

// Resent reports whether record i is marked as a dead letter's event that was
// sent again.
func (b *Batch) Resent(i int) bool {
	var m Meta
	if b.Meta(i, &m) != nil {
		return false // whoever needs more of it will tell
	}
	return slices.ContainsFunc(m.Headers, Header.Resent)
}

// RawMeta returns the binary form of what came beside record i's payload, a
// slice of Data; it is empty where nothing did.
func (b *Batch) RawMeta(i int) []byte {
	all := b.bytes(i)
	return all[len(all)-int(b.Records[i].Meta):]
}
