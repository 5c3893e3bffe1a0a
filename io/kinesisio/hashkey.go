package kinesisio

import (
	"crypto/md5"
	"encoding/binary"
	"math/big"
	"math/bits"
)

// hashKey is a place in the space over which a stream's shards are spread: an
// unsigned number of 128 bits, written in decimal digits.
type hashKey struct{ hi, lo uint64 }

// hashOf is where the service places a partition key: its MD5, as a big-endian number.
func hashOf(partitionKey []byte) hashKey {
	sum := md5.Sum(partitionKey)
	return hashKey{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:])}
}

// placeOf is where a record belongs: at its explicit hash key, or where the
// service places its partition key. A record without the former has it empty.
func placeOf(partitionKey, explicitHashKey []byte) hashKey {
	if k, ok := parseHashKey(explicitHashKey); ok {
		return k
	}
	return hashOf(partitionKey)
}

// parseHashKey reads decimal digits as the service wants them: at most
// 2^128-1, without leading zeros.
func parseHashKey[T string | []byte](text T) (hashKey, bool) {
	if len(text) == 0 || len(text) > 39 || len(text) > 1 && text[0] == '0' {
		return hashKey{}, false
	}
	var k hashKey
	for i := range len(text) {
		digit := text[i] - '0'
		if digit > 9 {
			return hashKey{}, false
		}
		upper, lo := bits.Mul64(k.lo, 10)
		over, hi := bits.Mul64(k.hi, 10)
		lo, carry := bits.Add64(lo, uint64(digit), 0)
		hi, carry = bits.Add64(hi, upper, carry)
		if over != 0 || carry != 0 {
			return hashKey{}, false
		}
		k = hashKey{hi, lo}
	}
	return k, true
}

func (k hashKey) less(o hashKey) bool { return k.hi < o.hi || k.hi == o.hi && k.lo < o.lo }

func (k hashKey) big() *big.Int {
	var text [16]byte
	binary.BigEndian.PutUint64(text[:8], k.hi)
	binary.BigEndian.PutUint64(text[8:], k.lo)
	return new(big.Int).SetBytes(text[:])
}

// String returns the decimal digits.
func (k hashKey) String() string { return k.big().String() }

// between returns the middle of part i of n equal parts of the keys from k to last.
func (k hashKey) between(last hashKey, i, n int) hashKey {
	width := new(big.Int).Sub(last.big(), k.big())
	width.Add(width, big.NewInt(1))
	width.Mul(width, big.NewInt(int64(2*i+1)))
	width.Div(width, big.NewInt(int64(2*n)))
	var text [16]byte
	width.Add(width, k.big()).FillBytes(text[:])
	return hashKey{binary.BigEndian.Uint64(text[:8]), binary.BigEndian.Uint64(text[8:])}
}

// part returns in which of n equal parts of the keys from k to last the key o lies.
func (k hashKey) part(last, o hashKey, n int) int {
	if n == 1 {
		return 0
	}
	// The upper 64 bits of the width decide, wherever they are.
	width, at := last.minus(k), o.minus(k)
	if zeros := uint(bits.LeadingZeros64(width.hi)); width.hi == 0 {
		width.hi, at.hi = width.lo, at.lo
	} else {
		width, at = width.shifted(zeros), at.shifted(zeros)
	}
	hi, lo := bits.Mul64(at.hi, uint64(n))
	if width.hi == 1<<64-1 {
		return int(hi)
	}
	part, _ := bits.Div64(hi, lo, width.hi+1)
	return int(min(part, uint64(n-1)))
}

func (k hashKey) shifted(n uint) hashKey { return hashKey{k.hi<<n | k.lo>>(64-n), k.lo << n} }

func (k hashKey) minus(o hashKey) hashKey {
	lo, borrow := bits.Sub64(k.lo, o.lo, 0)
	hi, _ := bits.Sub64(k.hi, o.hi, borrow)
	return hashKey{hi, lo}
}
