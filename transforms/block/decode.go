package block

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/klauspost/compress/s2"

	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// Columns are the rows of one block, column by column. The zero Columns is
// ready for Decode and keeps its memory from one to the next.
type Columns struct {
	// Rows is the number of rows.
	Rows int
	// Fields has a Column for each field of the schema, in its order.
	Fields []Column

	raw   []byte // the body, with slack behind it
	codes []int64
}

// Column holds one field's values. Which slice holds them depends on the
// field's type; a null is 0 or the empty string there.
type Column struct {
	// Ints holds Int, Long, TimestampMillis and Boolean (0 or 1).
	Ints []int64
	// Floats holds Float and Double.
	Floats []float64
	// Data holds all bytes of a String column, Ends each row's end in it.
	Data []byte
	Ends []uint32
	// Nulls says which rows are null; it is empty if none is.
	Nulls []bool
}

// Str returns row i's string; it is a slice of Data.
func (c *Column) Str(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = c.Ends[i-1]
	}
	return c.Data[start:c.Ends[i]:c.Ends[i]]
}

// Null reports whether row i is null.
func (c *Column) Null(i int) bool { return len(c.Nulls) > 0 && c.Nulls[i] }

// Size returns about how many bytes of memory the rows take.
func (c *Columns) Size() int {
	size := 0
	for i := range c.Fields {
		f := &c.Fields[i]
		size += 8*(len(f.Ints)+len(f.Floats)) + 4*len(f.Ends) + len(f.Data) + len(f.Nulls)
	}
	return size
}

// Decode replaces dst's content by the rows of a block of kind Events of
// schema s. It refuses anything that Encode did not make of rows of this schema
// with ErrCorrupt, ErrVersion or ErrSchema; dst's content is then undefined.
func Decode(dst *Columns, s *event.Schema, blk []byte) error {
	h, body, err := open(blk, Events)
	if err != nil {
		return err
	}
	if want := s.Fingerprint(); h.fingerprint != want {
		return fmt.Errorf("%w: fingerprint %016x, that of %q is %016x", ErrSchema, h.fingerprint, s.Name, want)
	}
	if h.rows*len(s.Fields) > MaxValues {
		return fmt.Errorf("%w: %d rows of %d fields", ErrCorrupt, h.rows, len(s.Fields))
	}
	if cap(dst.raw) > keepSize {
		*dst = Columns{}
	}
	dst.raw = slices.Grow(dst.raw[:0], h.size+slack)[:h.size+slack]
	if _, err := s2.Decode(dst.raw[:h.size], body); err != nil {
		return fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	if len(dst.Fields) != len(s.Fields) {
		dst.Fields = make([]Column, len(s.Fields))
	}
	dst.Rows = h.rows
	r := reader{raw: dst.raw, end: h.size, rows: h.rows, codes: &dst.codes}
	for i := range s.Fields {
		f, c := &s.Fields[i], &dst.Fields[i]
		c.reset()
		if h.rows == 0 {
			continue
		}
		if err := r.column(c, f); err != nil {
			return fmt.Errorf("column %s: %w", f.Name, err)
		}
	}
	if r.pos != r.end {
		return fmt.Errorf("%w: bytes after the last column", ErrCorrupt)
	}
	return nil
}

func (c *Column) reset() {
	if cap(c.Data) > keepSize {
		c.Data = nil
	}
	c.Ints, c.Floats = c.Ints[:0], c.Floats[:0]
	c.Data, c.Ends, c.Nulls = c.Data[:0], c.Ends[:0], c.Nulls[:0]
}

// slack bytes behind the body let whole words be read up to its last byte.
const slack = 8

// reader takes columns off a raw body.
type reader struct {
	raw   []byte
	pos   int
	end   int // of the body in raw
	rows  int
	codes *[]int64
}

func corrupt(what string) error { return fmt.Errorf("%w: %s", ErrCorrupt, what) }

func (r *reader) column(c *Column, f *event.Field) (err error) {
	if f.Nullable {
		if err := r.nulls(c); err != nil {
			return err
		}
	}
	switch f.Type {
	case event.String:
		err = r.strings(c)
	case event.Double:
		err = r.doubles(c)
	case event.Float:
		err = r.singles(c)
	default:
		if c.Ints, err = r.ints(c.Ints); err == nil {
			err = checkRange(c.Ints, f.Type)
		}
	}
	if err != nil || len(c.Nulls) == 0 {
		return err
	}
	return c.clearNulls(f.Type)
}

// clearNulls replaces what stands in place of nulls.
func (c *Column) clearNulls(t event.Type) error {
	for i, null := range c.Nulls {
		if !null {
			continue
		}
		switch t {
		case event.String:
			if len(c.Str(i)) > 0 {
				return corrupt("a null with a value")
			}
		case event.Float, event.Double:
			c.Floats[i] = 0
		default:
			c.Ints[i] = 0
		}
	}
	return nil
}

func checkRange(vals []int64, t event.Type) error {
	var bad uint64
	switch t {
	case event.Int:
		for _, v := range vals {
			bad |= uint64(v-math.MinInt32) >> 32
		}
	case event.Boolean:
		for _, v := range vals {
			bad |= uint64(v) >> 1
		}
	}
	if bad != 0 {
		return corrupt("a value out of its type's range")
	}
	return nil
}

func (r *reader) byte() (byte, error) {
	if r.pos >= r.end {
		return 0, corrupt("cut short")
	}
	b := r.raw[r.pos]
	r.pos++
	return b, nil
}

func (r *reader) varint() (int64, error) {
	v, n := binary.Varint(r.raw[r.pos:r.end])
	if n <= 0 {
		return 0, corrupt("varint")
	}
	r.pos += n
	return v, nil
}

func (r *reader) uvarint() (uint64, error) {
	v, n := binary.Uvarint(r.raw[r.pos:r.end])
	if n <= 0 {
		return 0, corrupt("varint")
	}
	r.pos += n
	return v, nil
}

// take returns the next n bytes.
func (r *reader) take(n int) ([]byte, error) {
	if n > r.end-r.pos {
		return nil, corrupt("cut short")
	}
	b := r.raw[r.pos : r.pos+n]
	r.pos += n
	return b, nil
}

// words returns the next n values of w bytes with the slack behind them.
func (r *reader) words(n, w int) ([]byte, error) {
	if n*w > r.end-r.pos {
		return nil, corrupt("cut short")
	}
	b := r.raw[r.pos : r.pos+n*w+slack]
	r.pos += n * w
	return b, nil
}

func (r *reader) nulls(c *Column) error {
	any, err := r.byte()
	if err != nil || any == 0 {
		return err
	}
	if any != 1 {
		return corrupt("nulls")
	}
	bitmap, err := r.take((r.rows + 7) / 8)
	if err != nil {
		return err
	}
	c.Nulls = slices.Grow(c.Nulls, r.rows)[:r.rows]
	for i := range c.Nulls {
		c.Nulls[i] = bitmap[i/8]>>(i%8)&1 != 0
	}
	return nil
}

// ints returns an integer column of all rows in the memory of dst.
func (r *reader) ints(dst []int64) ([]int64, error) {
	head, err := r.byte()
	if err != nil {
		return dst, err
	}
	w := int(head & intWidth)
	if w > 8 || head&^(intWidth|intDelta|intThousands) != 0 {
		return dst, corrupt("encoding of integers")
	}
	base, err := r.varint()
	if err != nil {
		return dst, err
	}
	n := r.rows
	var step int64
	if head&intDelta != 0 {
		n--
		if step, err = r.varint(); err != nil {
			return dst, err
		}
	}
	words, err := r.words(n, w)
	if err != nil {
		return dst, err
	}
	dst = slices.Grow(dst[:0], r.rows)[:r.rows]
	if head&intDelta != 0 {
		dst[0] = base
		sumDeltas(dst[1:], words, w, base, step)
	} else {
		addOffsets(dst, words, w, base)
	}
	if head&intThousands != 0 {
		for i, v := range dst {
			dst[i] = v * 1000
		}
	}
	return dst, nil
}

// mask keeps the low w bytes of a word.
func mask(w int) uint64 { return 1<<(8*w) - 1 }

func addOffsets(dst []int64, words []byte, w int, base int64) {
	m := mask(w)
	at := 0
	for i := range dst {
		dst[i] = base + int64(binary.LittleEndian.Uint64(words[at:])&m)
		at += w
	}
}

func sumDeltas(dst []int64, words []byte, w int, base, step int64) {
	m := mask(w)
	at := 0
	for i := range dst {
		base += step + int64(binary.LittleEndian.Uint64(words[at:])&m)
		dst[i] = base
		at += w
	}
}

func (r *reader) doubles(c *Column) error {
	enc, err := r.byte()
	if err != nil {
		return err
	}
	if enc == floatRaw {
		words, err := r.words(r.rows, 8)
		if err != nil {
			return err
		}
		c.Floats = slices.Grow(c.Floats, r.rows)[:r.rows]
		for i := range c.Floats {
			c.Floats[i] = math.Float64frombits(binary.LittleEndian.Uint64(words[8*i:]))
		}
		return nil
	}
	if enc > floatDecimal+maxDecimals {
		return corrupt("encoding of floats")
	}
	ints, err := r.ints(*r.codes)
	*r.codes = ints
	if err != nil {
		return err
	}
	p := pow10[enc-floatDecimal]
	c.Floats = slices.Grow(c.Floats, r.rows)[:r.rows]
	for i, v := range ints {
		c.Floats[i] = float64(v) / p
	}
	return nil
}

func (r *reader) singles(c *Column) error {
	enc, err := r.byte()
	if err != nil {
		return err
	}
	if enc != floatRaw {
		return corrupt("encoding of floats")
	}
	words, err := r.words(r.rows, 4)
	if err != nil {
		return err
	}
	c.Floats = slices.Grow(c.Floats, r.rows)[:r.rows]
	for i := range c.Floats {
		c.Floats[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(words[4*i:])))
	}
	return nil
}

func (r *reader) strings(c *Column) error {
	enc, err := r.byte()
	if err != nil {
		return err
	}
	switch enc {
	case stringPlain:
		return r.plainStrings(c)
	case stringDict:
		return r.dictStrings(c)
	}
	return corrupt("encoding of strings")
}

func (r *reader) plainStrings(c *Column) error {
	lengths, err := r.ints(*r.codes)
	*r.codes = lengths
	if err != nil {
		return err
	}
	c.Ends = slices.Grow(c.Ends, r.rows)[:r.rows]
	end, room := int64(0), int64(r.end-r.pos)
	for i, n := range lengths {
		if n < 0 || n > room-end {
			return corrupt("length of a string")
		}
		end += n
		c.Ends[i] = uint32(end)
	}
	data, err := r.take(int(end))
	c.Data = append(c.Data, data...)
	return err
}

func (r *reader) dictStrings(c *Column) error {
	n, err := r.uvarint()
	if err != nil {
		return err
	}
	if n == 0 || n > maxDict {
		return corrupt("size of a dictionary")
	}
	var entries [maxDict][]byte
	for i := range entries[:n] {
		size, err := r.uvarint()
		if err != nil {
			return err
		}
		if size > uint64(r.end-r.pos) {
			return corrupt("length of a string")
		}
		if entries[i], err = r.take(int(size)); err != nil {
			return err
		}
	}
	codes, err := r.ints(*r.codes)
	*r.codes = codes
	if err != nil {
		return err
	}
	total := 0
	for _, code := range codes {
		if uint64(code) >= n {
			return corrupt("entry of a dictionary")
		}
		if total += len(entries[code]); total > MaxSize {
			return corrupt("size of a column")
		}
	}
	c.Data = slices.Grow(c.Data, total)
	c.Ends = slices.Grow(c.Ends, r.rows)[:r.rows]
	for i, code := range codes {
		c.Data = append(c.Data, entries[code]...)
		c.Ends[i] = uint32(len(c.Data))
	}
	return nil
}
