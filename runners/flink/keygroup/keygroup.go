// Package keygroup computes where Flink runs the state and timers of a Beam key, so that keys can be chosen that
// spread evenly over the subtasks of a job instead of leaving some idle.
//
// Beam's portable Flink runner partitions a keyed stage by the key's encoding in its nested coder: the low 32 bits
// of the encoding's 128-bit murmur3 hash (x64 variant, seed 0) become the key's Java hash code, which Flink's
// KeyGroupRangeAssignment hashes once more (a 32-bit murmur3 of that one number) to a key group, a number below
// the job's maximum parallelism. Key groups are dealt out to the subtasks in contiguous ranges, anew at every
// rescale.
package keygroup

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// DefaultMaxParallelism is the maximum parallelism our Flink jobs ask for. A job's savepoints hold only for the
// maximum parallelism they were taken with.
const DefaultMaxParallelism = 128

// Int64 returns an int64 key in Beam's nested coder: a varint of the number's two's complement.
func Int64(k int64) []byte { return binary.AppendUvarint(nil, uint64(k)) }

// String returns a string (or byte slice) key in Beam's nested coder: its length as a varint, then its bytes.
func String(k string) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(k))), k...)
}

// KeyGroup returns the key group of a key given in its nested encoding. maxParallelism must be positive.
func KeyGroup(encodedKey []byte, maxParallelism int) int {
	return int(spread(murmur128(encodedKey))) % maxParallelism
}

// Subtask returns which of parallelism subtasks owns a key group.
func Subtask(group, maxParallelism, parallelism int) int {
	return group * parallelism / maxParallelism
}

// EvenKeys returns n different keys, key i in the key group at the middle of the i-th of n equal parts of all groups:
// (i + 1/2) * maxParallelism / n. (At the start of the part, a group that straddles two subtasks would leave the
// second idle, already for 3 keys on 3 subtasks of 128 groups.) At any parallelism up to n and 16, also after a
// rescale, the numbers of keys on two subtasks of 128 groups differ by one at most for up to 20 keys, by two at most
// for up to 64. The keys are small numbers, and the same for the same arguments: they may be kept in savepoints.
// EvenKeys returns nil when n or maxParallelism is not positive.
func EvenKeys(n, maxParallelism int) []int64 {
	if n <= 0 || maxParallelism <= 0 {
		return nil
	}
	wanted := make([][]int, maxParallelism) // by group: the indexes still without a key
	for i := range n {
		g := middle(i, n, maxParallelism)
		wanted[g] = append(wanted[g], i)
	}
	keys := make([]int64, n)
	var encoded [binary.MaxVarintLen64]byte
	for k, left := int64(0), n; left > 0; k++ {
		g := KeyGroup(binary.AppendUvarint(encoded[:0], uint64(k)), maxParallelism)
		if len(wanted[g]) > 0 {
			keys[wanted[g][0]] = k
			wanted[g] = wanted[g][1:]
			left--
		}
	}
	return keys
}

// middle returns the group in the middle of part i of n.
func middle(i, n, maxParallelism int) int {
	return (2*i + 1) * maxParallelism / (2 * n)
}

// EvenNumbers returns n different numbers, the first of them 0, whose keys are spread over all groups: key returns the
// text of a number's key, appended to dst, and is called in ascending order of numbers. The key of the i-th number falls
// into the part of the groups that is i after that of number 0, round, at the same place of the part: one key for each of
// n subtasks, and at any parallelism below it keys that differ by one at most for up to 18. Unlike EvenKeys' they are not
// in the middle of their parts, since many sets of keys share a job. The numbers are the same for the same keys: they may
// be kept in savepoints. n is to be from 1 to maxParallelism; else EvenNumbers returns nil.
func EvenNumbers(n, maxParallelism int, key func(dst []byte, number int) []byte) []int {
	if n <= 0 || n > maxParallelism {
		return nil
	}
	var text, encoded []byte
	group := func(number int) int {
		text = key(text[:0], number)
		encoded = append(binary.AppendUvarint(encoded[:0], uint64(len(text))), text...)
		return KeyGroup(encoded, maxParallelism)
	}
	numbers := make([]int, n)
	if n == 1 {
		return numbers
	}
	first := group(0)
	part := Subtask(first, maxParallelism, n)
	// Parts differ by one group; the place is one that all of them have.
	place := min(first-start(part, n, maxParallelism), maxParallelism/n-1)
	index := make([]int, maxParallelism) // by group: which number is missing there, 0 for none
	for i := 1; i < n; i++ {
		index[start((part+i)%n, n, maxParallelism)+place] = i
	}
	for number, left := 1, n-1; left > 0; number++ {
		g := group(number)
		if i := index[g]; i > 0 {
			numbers[i], index[g] = number, 0
			left--
		}
	}
	return numbers
}

// start returns the first group of part i of n: of those that Subtask has on i.
func start(i, n, maxParallelism int) int {
	return (i*maxParallelism + n - 1) / n
}

// murmur128 returns the low 32 bits of MurmurHash3_x64_128 with seed 0, as Guava's murmur3_128().hashBytes(b).asInt().
func murmur128(b []byte) uint32 {
	const c1, c2 = 0x87c37b91114253d5, 0x4cf5ad432745937f
	mix1 := func(k uint64) uint64 { return bits.RotateLeft64(k*c1, 31) * c2 }
	mix2 := func(k uint64) uint64 { return bits.RotateLeft64(k*c2, 33) * c1 }

	n := uint64(len(b))
	var h1, h2 uint64
	for ; len(b) >= 16; b = b[16:] {
		h1 ^= mix1(binary.LittleEndian.Uint64(b))
		h1 = (bits.RotateLeft64(h1, 27)+h2)*5 + 0x52dce729
		h2 ^= mix2(binary.LittleEndian.Uint64(b[8:]))
		h2 = (bits.RotateLeft64(h2, 31)+h1)*5 + 0x38495ab5
	}
	var tail [16]byte // padded with zeros, whose mix is zero
	copy(tail[:], b)
	h1 ^= mix1(binary.LittleEndian.Uint64(tail[:]))
	h2 ^= mix2(binary.LittleEndian.Uint64(tail[8:]))

	h1 ^= n
	h2 ^= n
	h1 += h2
	h2 += h1
	return uint32(finish64(h1) + finish64(h2))
}

func finish64(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// spread is Flink's MathUtils.murmurHash: MurmurHash3_x86_32 of one number with seed 0, made not negative.
func spread(h uint32) int32 {
	h *= 0xcc9e2d51
	h = bits.RotateLeft32(h, 15)
	h *= 0x1b873593
	h = bits.RotateLeft32(h, 13)
	h = h*5 + 0xe6546b64
	h ^= 4
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	h ^= h >> 16
	switch i := int32(h); {
	case i >= 0:
		return i
	case i != math.MinInt32:
		return -i
	default:
		return 0
	}
}
