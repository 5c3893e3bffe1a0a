package kinesisfake

import "math/bits"

// A sequence number is a number of 186 bits, 56 decimal digits. From the top,
// in the order that decides between two of them:
//
//	 4 bits  always 2
//	40 bits  epoch: the second in which the shard began, greater than its parents'
//	 4 bits  the low bits of the shard's number
//	64 bits  the record's index in its shard, from 1
//	 4 bits  always 0
//	36 bits  the second in which the record arrived
//	32 bits  the shard's number
//	 4 bits  always 2, the version
//
// So they rise strictly within a shard and from parents to children, and tell
// by themselves which record of which shard they belong to. Real ones are
// built alike, which is known from observation only: clients must not look in.
type sequence struct{ hi, mid, lo uint64 }

// Indexes that no record has: a shard's StartingSequenceNumber and, once it
// is closed, its EndingSequenceNumber.
const (
	indexStart = 0
	indexEnd   = 1<<63 - 1
)

func newSequence(epoch int64, shard uint32, index uint64, second int64) sequence {
	return sequence{
		hi:  2<<56 | uint64(epoch)&(1<<40-1)<<16 | uint64(shard)&15<<12 | index>>52,
		mid: index<<12 | uint64(second)&(1<<36-1)>>28,
		lo:  uint64(second)<<36 | uint64(shard)<<4 | 2,
	}
}

func (s sequence) index() uint64 { return s.hi<<52 | s.mid>>12 }

func (s sequence) shard() uint32 { return uint32(s.lo >> 4) }

// genuine tells whether the fixed bits are as newSequence sets them.
func (s sequence) genuine() bool {
	return s.hi>>56 == 2 && s.mid>>8&15 == 0 && s.lo&15 == 2 && uint64(s.shard())&15 == s.hi>>12&15
}

// sameShard tells whether two sequence numbers have shard and epoch in common.
func (s sequence) sameShard(o sequence) bool { return s.hi>>12 == o.hi>>12 && s.shard() == o.shard() }

const tenTo19 = 10_000_000_000_000_000_000

// append writes the 56 digits behind dst.
func (s sequence) append(dst []byte) []byte {
	q1, r := bits.Div64(s.hi, s.mid, tenTo19)
	q0, low := bits.Div64(r, s.lo, tenTo19)
	top, middle := bits.Div64(q1, q0, tenTo19)
	var text [56]byte
	putDigits(text[37:], low)
	putDigits(text[18:37], middle)
	putDigits(text[:18], top)
	return append(dst, text[:]...)
}

func (s sequence) String() string { return string(s.append(nil)) }

// putDigits fills text with v in decimal, from the right, with leading zeros.
func putDigits(text []byte, v uint64) {
	for i := len(text) - 1; i >= 0; i-- {
		text[i] = byte('0' + v%10)
		v /= 10
	}
}

// parseSequence reads the decimal form of up to 192 bits.
func parseSequence(text string) (sequence, bool) {
	if len(text) == 0 || len(text) > 58 || len(text) > 1 && text[0] == '0' {
		return sequence{}, false
	}
	var s sequence
	for i := range len(text) {
		digit := text[i] - '0'
		if digit > 9 {
			return sequence{}, false
		}
		c0, lo := bits.Mul64(s.lo, 10)
		c1, mid := bits.Mul64(s.mid, 10)
		over, hi := bits.Mul64(s.hi, 10)
		var c uint64
		lo, c = bits.Add64(lo, uint64(digit), 0)
		mid, c = bits.Add64(mid, c0, c)
		hi, c = bits.Add64(hi, c1, c)
		if over != 0 || c != 0 {
			return sequence{}, false
		}
		s = sequence{hi, mid, lo}
	}
	return s, true
}
