package block

import (
	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// Builder collects rows of one partition and encodes them as a block. Its
// memory is used again for the next block. It is not safe for concurrent use.
type Builder struct {
	schema  *event.Schema
	columns []builderColumn
	rows    int
	size    int
	raw     []byte   // the uncompressed body, between blocks only its memory
	scratch []uint64 // one column's integers
}

// builderColumn holds one field's values as they came.
type builderColumn struct {
	typ      event.Type
	nullable bool
	decimals int      // of a Double column, as the last block had them
	bits     []uint64 // all types but String
	data     []byte   // String: all bytes
	ends     []uint32 // String: each row's end in data
	nulls    []bool   // nullable fields only
	anyNull  bool
}

// NewBuilder returns an empty Builder for rows of schema s.
func NewBuilder(s *event.Schema) *Builder {
	b := &Builder{schema: s, columns: make([]builderColumn, len(s.Fields))}
	for i, f := range s.Fields {
		b.columns[i].typ = f.Type
		b.columns[i].nullable = f.Nullable
	}
	return b
}

// Append copies a row, which has a Value for each field of the schema, none of
// them null but those of nullable fields, each in the range of its type. When
// the builder is Full it must be encoded first.
func (b *Builder) Append(row event.Row) {
	size := 0
	for i := range b.columns {
		c, v := &b.columns[i], &row[i]
		if c.nullable {
			c.nulls = append(c.nulls, v.Null)
			c.anyNull = c.anyNull || v.Null
			size++
		}
		if c.typ == event.String {
			if !v.Null {
				c.data = append(c.data, v.Str...)
				size += len(v.Str)
			}
			c.ends = append(c.ends, uint32(len(c.data)))
			size += 4
			continue
		}
		bits := v.Bits
		if c.nullable && v.Null {
			bits = 0
			if n := len(c.bits); n > 0 {
				bits = c.bits[n-1]
			}
		}
		c.bits = append(c.bits, bits)
		size += 8
	}
	b.rows++
	b.size += size
}

// Rows returns the number of rows since the last Encode.
func (b *Builder) Rows() int { return b.rows }

// Size returns about how many bytes of memory the rows since the last Encode
// take: 8 for a number, 4 and its bytes for a string.
func (b *Builder) Size() int { return b.size }

// Full reports whether the rows make a block of the largest useful size.
func (b *Builder) Full() bool { return b.size >= TargetSize || b.rows >= MaxRows }

// Encode appends to dst a block of the rows since the last Encode, in their
// order, and returns the result; the builder is then empty.
func (b *Builder) Encode(dst []byte) []byte {
	raw := b.raw[:0]
	if b.rows > 0 {
		if cap(b.scratch) < b.rows {
			b.scratch = make([]uint64, b.rows)
		}
		for i := range b.columns {
			raw = b.columns[i].append(raw, b.scratch)
		}
	}
	h := header{kind: Events, fingerprint: b.schema.Fingerprint(), rows: b.rows}
	dst = appendBlock(dst, h, raw)
	b.raw = raw
	b.reset()
	return dst
}

// append appends the column to a raw body; bits may be changed.
func (c *builderColumn) append(raw []byte, scratch []uint64) []byte {
	if c.nullable {
		raw = appendNulls(raw, c.nulls, c.anyNull)
	}
	switch c.typ {
	case event.String:
		return appendStrings(raw, c.data, c.ends, scratch[:cap(scratch)])
	case event.Double:
		return appendDoubles(raw, c.bits, scratch[:cap(scratch)], &c.decimals)
	case event.Float:
		return appendSingles(raw, c.bits)
	default:
		return appendInts(raw, c.bits, c.typ == event.TimestampMillis)
	}
}

func appendNulls(dst []byte, nulls []bool, any bool) []byte {
	if !any {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	for len(nulls) > 0 {
		n := min(8, len(nulls))
		var b byte
		for i, null := range nulls[:n] {
			if null {
				b |= 1 << i
			}
		}
		dst = append(dst, b)
		nulls = nulls[n:]
	}
	return dst
}

// reset empties the builder. What an unusually large block grew is given back.
func (b *Builder) reset() {
	huge := b.size > keepSize
	for i := range b.columns {
		c := &b.columns[i]
		if huge {
			*c = builderColumn{typ: c.typ, nullable: c.nullable}
			continue
		}
		c.bits, c.data, c.ends, c.nulls = c.bits[:0], c.data[:0], c.ends[:0], c.nulls[:0]
		c.anyNull = false
	}
	if huge {
		b.raw, b.scratch = nil, nil
	}
	b.rows, b.size = 0, 0
}
