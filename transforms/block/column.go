package block

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// The encoding of one column in a raw body.
//
// A nullable field begins with a byte: 0 no row is null, 1 a bitmap follows,
// one bit a row, the lowest first, set for null. In place of a null the values
// below repeat the one before it, so that it costs no range.
//
// Integers (Int, Long, TimestampMillis, Boolean): a byte, whose low four bits
// are the width w of 0 to 8 bytes a value, with the flags intDelta and
// intThousands. Then the base as a signed varint, and for each row w bytes,
// little endian, what is to be added to the base (frame of reference). With
// intDelta the base is the first row's value, a second signed varint is the
// smallest difference, and each further row has w bytes: what its difference
// to the row before is above the smallest. With intThousands all values
// are thousandths of the real ones: times in whole seconds. All arithmetic
// wraps around, so that any 64-bit integers have an exact encoding.
//
// Floats: a byte floatRaw, then 8 bytes a row (4 for Float), IEEE 754, little
// endian; or floatDecimal + d for 0 ≤ d ≤ maxDecimals: an integer column of the
// values times 10^d. It is used only if every value comes back to the last bit.
// Amounts of money then take one or two bytes in place of eight.
//
// Strings: stringPlain, an integer column of the lengths, all bytes; or
// stringDict, the number of entries, each as unsigned varint length and bytes,
// and an integer column of the rows' entries. An empty block has no columns.
const (
	intWidth     = 0x0f
	intDelta     = 0x10
	intThousands = 0x20

	floatRaw     = 0
	floatDecimal = 1

	stringPlain = 0
	stringDict  = 1

	maxDecimals = 4
	// maxDict bounds the entries of a dictionary, looked up one by one: more
	// would cost more time than they save bytes.
	maxDict = 16
)

var pow10 = [maxDecimals + 1]float64{1, 10, 100, 1000, 10000}

// appendInts appends an integer column. vals is changed when thousands is set
// and all of it are thousands.
func appendInts(dst []byte, vals []uint64, thousands bool) []byte {
	flags := byte(0)
	if thousands && allThousands(vals) {
		flags |= intThousands
		for i, v := range vals {
			vals[i] = uint64(int64(v) / 1000)
		}
	}
	first := int64(vals[0])
	lo, hi := first, first
	dlo, dhi := int64(math.MaxInt64), int64(math.MinInt64)
	prev := first
	for _, u := range vals[1:] {
		v := int64(u)
		lo, hi = min(lo, v), max(hi, v)
		d := v - prev
		dlo, dhi = min(dlo, d), max(dhi, d)
		prev = v
	}
	w := widthOf(uint64(hi) - uint64(lo))
	if len(vals) > 1 {
		if dw := widthOf(uint64(dhi) - uint64(dlo)); dw < w {
			dst = append(dst, flags|intDelta|byte(dw))
			dst = binary.AppendVarint(dst, first)
			dst = binary.AppendVarint(dst, dlo)
			return appendDeltas(dst, vals, uint64(dlo), dw)
		}
	}
	dst = append(dst, flags|byte(w))
	dst = binary.AppendVarint(dst, lo)
	return appendOffsets(dst, vals, uint64(lo), w)
}

// appendOffsets writes whole words and steps on by the width: one loop does
// for all widths.
func appendOffsets(dst []byte, vals []uint64, base uint64, w int) []byte {
	if w == 0 {
		return dst
	}
	at := len(dst)
	dst = slices.Grow(dst, len(vals)*w+8)
	out := dst[:cap(dst)]
	for _, v := range vals {
		binary.LittleEndian.PutUint64(out[at:], v-base)
		at += w
	}
	return out[:at]
}

func appendDeltas(dst []byte, vals []uint64, base uint64, w int) []byte {
	if w == 0 {
		return dst
	}
	at := len(dst)
	dst = slices.Grow(dst, len(vals)*w+8)
	out := dst[:cap(dst)]
	prev := vals[0]
	for _, v := range vals[1:] {
		binary.LittleEndian.PutUint64(out[at:], v-prev-base)
		prev = v
		at += w
	}
	return out[:at]
}

// widthOf returns how many bytes hold v.
func widthOf(v uint64) int { return (bits.Len64(v) + 7) / 8 }

func allThousands(vals []uint64) bool {
	for _, v := range vals {
		if int64(v)%1000 != 0 {
			return false
		}
	}
	return true
}

// appendDoubles appends a column of doubles. scratch is overwritten; decimals
// is the number of decimals that fitted last time, and is updated.
func appendDoubles(dst []byte, vals, scratch []uint64, decimals *int) []byte {
	scratch = scratch[:len(vals)]
	for d := *decimals; d <= maxDecimals; d++ {
		if toDecimals(scratch, vals, pow10[d]) {
			*decimals = d
			return appendInts(append(dst, byte(floatDecimal+d)), scratch, false)
		}
	}
	// Tried in full again for the next block: a column is not given up for
	// one odd value in a block.
	*decimals = 0
	return appendWords(append(dst, floatRaw), vals)
}

// toDecimals sets dst to the values times p if all of them are integers then,
// and come back unchanged by the division that decoding does. It stops at the
// first that does not.
func toDecimals(dst, vals []uint64, p float64) bool {
	// Adding 1.5 × 2^52 to a number below 2^51 leaves its nearest integer in
	// the low bits of the sum.
	const magic = 3 << 51
	magicBits := math.Float64bits(magic)
	dst = dst[:len(vals)]
	for i, v := range vals {
		sum := float64(math.Float64frombits(v)*p) + magic
		n := math.Float64bits(sum) - magicBits
		if math.Float64bits(float64(int64(n))/p) != v {
			return false
		}
		dst[i] = n
	}
	return true
}

func appendWords(dst []byte, vals []uint64) []byte {
	at := len(dst)
	dst = slices.Grow(dst, len(vals)*8)[:at+len(vals)*8]
	out := dst[at:]
	for i, v := range vals {
		binary.LittleEndian.PutUint64(out[8*i:], v)
	}
	return dst
}

func appendSingles(dst []byte, vals []uint64) []byte {
	dst = append(dst, floatRaw)
	for _, v := range vals {
		f := float32(math.Float64frombits(v))
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(f))
	}
	return dst
}

// appendStrings appends a column of strings: data cut at the ends. scratch is
// overwritten.
func appendStrings(dst, data []byte, ends []uint32, scratch []uint64) []byte {
	scratch = scratch[:len(ends)]
	var dict dictionary
	if dict.index(scratch, data, ends) {
		dst = append(dst, stringDict)
		dst = binary.AppendUvarint(dst, uint64(dict.n))
		for _, e := range dict.entries[:dict.n] {
			dst = binary.AppendUvarint(dst, uint64(len(e)))
			dst = append(dst, e...)
		}
		return appendInts(dst, scratch, false)
	}
	start := uint32(0)
	for i, end := range ends {
		scratch[i] = uint64(end - start)
		start = end
	}
	dst = appendInts(append(dst, stringPlain), scratch, false)
	return append(dst, data...)
}

// dictionary holds the distinct strings of a column that has few.
type dictionary struct {
	entries [maxDict][]byte
	n       int
}

// index sets codes to each row's entry; false if there are too many distinct
// strings to pay.
func (d *dictionary) index(codes []uint64, data []byte, ends []uint32) bool {
	start, last := uint32(0), 0
	for i, end := range ends {
		s := data[start:end]
		start = end
		if d.n == 0 || !bytes.Equal(d.entries[last], s) {
			last = d.find(s)
			if last < 0 {
				return false
			}
		}
		codes[i] = uint64(last)
	}
	return true
}

func (d *dictionary) find(s []byte) int {
	for i, e := range d.entries[:d.n] {
		if bytes.Equal(e, s) {
			return i
		}
	}
	if d.n == maxDict {
		return -1
	}
	d.entries[d.n] = s
	d.n++
	return d.n - 1
}
