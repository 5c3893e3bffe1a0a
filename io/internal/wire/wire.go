// Package wire reads and writes the small binary forms that live in a job's
// state: positions, batches, tokens. A value has one encoding, and whatever is
// cut short, damaged or longer than needed is refused, since a job that goes on
// with it would lose or repeat events.
package wire

import "encoding/binary"

// AppendString appends the string's length, as an unsigned varint, and its bytes.
func AppendString(out []byte, s string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(s))), s...)
}

// Reader takes values off the front of a slice. After the first bad value all
// are zero, so that only the end needs a check: Done or Bad.
type Reader struct {
	in  []byte
	bad bool
}

// NewReader returns a reader of in, which it does not copy.
func NewReader(in []byte) *Reader { return &Reader{in: in} }

// Fail makes the reader bad: for values that are read but cannot be.
func (r *Reader) Fail() { r.bad, r.in = true, nil }

// Bad reports whether a value was bad.
func (r *Reader) Bad() bool { return r.bad }

// Done reports whether all values were good and nothing is left.
func (r *Reader) Done() bool { return !r.bad && len(r.in) == 0 }

// Rest returns what was not read yet.
func (r *Reader) Rest() []byte { return r.in }

// Take returns the next n bytes, or nil.
func (r *Reader) Take(n uint64) []byte {
	if n > uint64(len(r.in)) {
		r.Fail()
		return nil
	}
	out := r.in[:n]
	r.in = r.in[n:]
	return out
}

// Byte returns the next byte.
func (r *Reader) Byte() byte {
	if b := r.Take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

// Uint32 returns the next four bytes, big endian.
func (r *Reader) Uint32() uint32 {
	if b := r.Take(4); len(b) == 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Uvarint returns the next unsigned varint, which is at most most.
func (r *Reader) Uvarint(most uint64) uint64 {
	v, n := binary.Uvarint(r.in)
	// In more bytes than needed it would be a second encoding of its value.
	if n <= 0 || v > most || (n > 1 && r.in[n-1] == 0) {
		r.Fail()
		return 0
	}
	r.in = r.in[n:]
	return v
}

// Varint returns the next signed varint.
func (r *Reader) Varint() int64 {
	v, n := binary.Varint(r.in)
	if n <= 0 || (n > 1 && r.in[n-1] == 0) {
		r.Fail()
		return 0
	}
	r.in = r.in[n:]
	return v
}

// Count returns a number of items of at least size bytes each, at most most: a
// number that the rest cannot hold is refused before anything is allocated for it.
func (r *Reader) Count(size, most int) int {
	n := r.Uvarint(uint64(most))
	if n > uint64(len(r.in)/size) {
		r.Fail()
		return 0
	}
	return int(n)
}

// Bytes returns the next run of bytes with its length before it, a slice of the input.
func (r *Reader) Bytes() []byte { return r.Take(r.Uvarint(uint64(len(r.in)))) }

// String returns the next string, as AppendString wrote it.
func (r *Reader) String() string { return string(r.Bytes()) }
