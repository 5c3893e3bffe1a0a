// Package mutant damages what a job reads, for tests: whatever comes is to be an
// event or a dead letter.
package mutant

import (
	"bytes"
	"crypto/md5"
	"math/rand/v2"
	"strings"
)

// giant makes a record nearly as large as a stream takes by default, 1 MiB, with room for a few others in an aggregate.
const giant = 1<<20 - 32<<10

// Trip makes a record of a trip, in dst: damaged, replaced, or left as it is.
func Trip(r *rand.Rand, dst, trip []byte) []byte {
	at := func() int { return r.IntN(max(1, len(dst))) }
	dst = append(dst[:0], trip...)
	switch r.IntN(16) {
	case 0: // as it is
	case 1: // cut short
		dst = dst[:at()]
	case 2: // nothing
		dst = dst[:0]
	case 3: // anything
		dst = dst[:at()]
		for i := range dst {
			dst[i] = byte(r.Uint32())
		}
	case 4: // a piece missing
		from := at()
		dst = append(dst[:from], dst[min(len(dst), from+1+r.IntN(20)):]...)
	case 5: // a piece twice
		from, to := at(), at()
		dst = append(dst, dst[min(from, to):max(from, to)]...)
	case 6: // a field more, which may be there, with anything nested
		depth := r.IntN(600)
		dst = append(dst[:len(dst)-1], `,"extra":`+strings.Repeat("[", depth)+strings.Repeat("]", depth)+"}"...)
	case 7: // a large one
		if r.IntN(1000) == 0 {
			dst = append(dst[:len(dst)-1], `,"note":"`+strings.Repeat("x", giant)+`"}`...)
		}
	default: // some bytes
		for range 1 + r.IntN(4) {
			switch i := at(); r.IntN(4) {
			case 0:
				dst[i] = byte(r.Uint32())
			case 1:
				dst[i] ^= 1 << r.IntN(8)
			case 2:
				const marks = `{}[]",:\-+.eE0123456789tfnu `
				dst[i] = marks[r.IntN(len(marks))]
			case 3:
				dst[i], dst[at()] = dst[at()], dst[i]
			}
		}
	}
	return dst
}

// Magic begins aggregated records of Kinesis; a message and its MD5 follow.
const Magic = "\xf3\x89\x9a\xc2"

// Aggregate damages an aggregated record, or leaves it as it is. Most are sealed again, so that the checksum does not tell.
func Aggregate(r *rand.Rand, whole []byte) []byte {
	d := bytes.Clone(whole)
	at := func() int { return r.IntN(max(1, len(d))) }
	switch r.IntN(8) {
	case 0:
		return d
	case 1: // cut short
		return d[:at()]
	case 2: // a damaged byte
		d[at()] ^= 1 << r.IntN(8)
		return d
	}
	d = d[len(Magic) : len(d)-md5.Size]
	for range 1 + r.IntN(3) {
		switch i := at(); r.IntN(4) {
		case 0:
			d[i] = byte(r.Uint32())
		case 1:
			d[i] ^= 1 << r.IntN(8)
		case 2: // a piece missing
			d = append(d[:i], d[min(len(d), i+1+r.IntN(20)):]...)
		case 3: // a piece twice, or elsewhere
			from, to := at(), at()
			piece := bytes.Clone(d[min(from, to):max(from, to)])
			d = append(bytes.Clone(d[:i]), append(piece, d[i:]...)...)
		}
		if len(d) == 0 {
			break
		}
	}
	sum := md5.Sum(d)
	return append(append([]byte(Magic), d...), sum[:]...)
}
