package block

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/s2"

	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// describedVersion is the first byte of a description, in the place of a
// block's version: a program that knows none refuses it as of a newer one.
const describedVersion = 2

// descriptionSum is where the part of a description begins that its checksum covers.
const descriptionSum = 5

// Describe returns a description of the schema: with a block of its rows
// behind it, CutDescription takes the two apart. Where blocks outlive the
// schema that they were made with, one that is described is enough to read all
// of its schema.
//
// The first byte is the version, then come the CRC-32C of all that follows it
// (little endian), the size of the rest (an unsigned varint) and the schema's
// text, compressed by s2. The text must not be larger than event.MaxText, as
// that of no parsed schema is.
func Describe(s *event.Schema) []byte {
	text := s2.Encode(nil, []byte(s.Text()))
	out := []byte{describedVersion, 0, 0, 0, 0}
	out = binary.AppendUvarint(out, uint64(len(text)))
	out = append(out, text...)
	binary.LittleEndian.PutUint32(out[1:], crc32.Checksum(out[descriptionSum:], castagnoli))
	return out
}

// CutDescription returns the block that b holds, and the description before
// it, which is empty where there is none. It refuses a description that was cut
// short or damaged with ErrCorrupt; the block is not looked into. Both are
// slices of b.
func CutDescription(b []byte) (description, blk []byte, err error) {
	if len(b) == 0 || b[0] != describedVersion {
		return nil, b, nil
	}
	if len(b) < descriptionSum {
		return nil, nil, fmt.Errorf("%w: description cut short", ErrCorrupt)
	}
	size, n := binary.Uvarint(b[descriptionSum:])
	if n <= 0 || size > uint64(len(b)-descriptionSum-n) {
		return nil, nil, fmt.Errorf("%w: size of the description", ErrCorrupt)
	}
	end := descriptionSum + n + int(size)
	want := binary.LittleEndian.Uint32(b[1:])
	if sum := crc32.Checksum(b[descriptionSum:end], castagnoli); sum != want {
		return nil, nil, fmt.Errorf("%w: checksum %08x of the description, should be %08x", ErrCorrupt, sum, want)
	}
	return b[:end:end], b[end:], nil
}

// DescribedSchema returns the schema of a description that CutDescription has
// returned with a block of that fingerprint. It refuses what Describe did not
// make of such a schema with ErrCorrupt.
func DescribedSchema(description []byte, fingerprint uint64) (*event.Schema, error) {
	_, n := binary.Uvarint(description[descriptionSum:])
	packed := description[descriptionSum+n:]
	if size, err := s2.DecodedLen(packed); err != nil || size > event.MaxText {
		return nil, fmt.Errorf("%w: size of the described schema", ErrCorrupt)
	}
	text, err := s2.Decode(nil, packed)
	if err != nil {
		return nil, fmt.Errorf("%w: described schema: %v", ErrCorrupt, err)
	}
	s, err := event.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: described %v", ErrCorrupt, err)
	}
	if got := s.Fingerprint(); got != fingerprint {
		return nil, fmt.Errorf("%w: the described schema has the fingerprint %016x, its block %016x", ErrCorrupt, got, fingerprint)
	}
	return s, nil
}

// FingerprintOf returns the fingerprint of the schema of a block of kind
// Events from its header; the checksum is not verified.
func FingerprintOf(blk []byte) (uint64, error) {
	k, err := KindOf(blk)
	if err != nil {
		return 0, err
	}
	if k != Events {
		return 0, fmt.Errorf("%w: a block of %v where %v is expected", ErrCorrupt, k, Events)
	}
	h, err := readHeader(blk, k)
	return h.fingerprint, err
}
