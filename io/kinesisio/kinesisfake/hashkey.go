package kinesisfake

import (
	"crypto/md5"
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
)

// hashKey is a place in the space over which a stream's shards are spread:
// an unsigned number of 128 bits, written in decimal on the wire. The client,
// kinesisio, has its own: the two are written apart on purpose, so that one
// tests the other.
type hashKey struct{ hi, lo uint64 }

var lastHashKey = hashKey{math.MaxUint64, math.MaxUint64}

// hashOf is where the service places a partition key: the MD5 of its UTF-8
// bytes, read as a big-endian number.
func hashOf(partitionKey []byte) hashKey {
	sum := md5.Sum(partitionKey)
	return hashKey{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:])}
}

// parseHashKey reads decimal digits without leading zeros, at most 2^128-1.
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
		carry, lo := bits.Mul64(k.lo, 10)
		over, hi := bits.Mul64(k.hi, 10)
		var c uint64
		lo, c = bits.Add64(lo, uint64(digit), 0)
		hi, c = bits.Add64(hi, carry, c)
		if over != 0 || c != 0 {
			return hashKey{}, false
		}
		k = hashKey{hi, lo}
	}
	return k, true
}

func (k hashKey) less(o hashKey) bool { return k.hi < o.hi || k.hi == o.hi && k.lo < o.lo }

func (k hashKey) prev() hashKey {
	lo, borrow := bits.Sub64(k.lo, 1, 0)
	return hashKey{k.hi - borrow, lo}
}

func (k hashKey) next() hashKey {
	lo, carry := bits.Add64(k.lo, 1, 0)
	return hashKey{k.hi + carry, lo}
}

func (k hashKey) String() string {
	var text [16]byte
	binary.BigEndian.PutUint64(text[:8], k.hi)
	binary.BigEndian.PutUint64(text[8:], k.lo)
	return new(big.Int).SetBytes(text[:]).String()
}

// evenStarts returns where n equal shards begin; the last takes the remainder.
func evenStarts(n int) []hashKey {
	space := new(big.Int).Lsh(big.NewInt(1), 128)
	width := space.Div(space, big.NewInt(int64(n)))
	starts := make([]hashKey, n)
	for i := range starts {
		var text [16]byte
		new(big.Int).Mul(width, big.NewInt(int64(i))).FillBytes(text[:])
		starts[i] = hashKey{binary.BigEndian.Uint64(text[:8]), binary.BigEndian.Uint64(text[8:])}
	}
	return starts
}
