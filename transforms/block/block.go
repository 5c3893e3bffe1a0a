// Package block holds rows of one partition in a compact, typed, columnar
// binary form. Blocks are what crosses the keyed exchange between the readers
// and the assembler and what lies in its state: many rows as one element, so
// that no cost of the runner is paid per record.
//
// A Builder turns rows into a block, Decode turns a block into Columns. The
// next arrow is a file: transforms/file.
//
// # Encoding
//
// The first byte is the version, the second the Kind. All but Flush go on
// with the CRC-32C of all that follows it (little endian). For Events follow
// the schema's fingerprint (8 bytes, little endian), the number of rows and the
// size of the raw body (both unsigned varints), then the body compressed by s2
// (one block of github.com/klauspost/compress/s2). Lines and Messages have the
// same without a fingerprint; the body of Lines is the lines. Flush is the two
// bytes alone.
//
// The raw body of Events is one column after another in the schema's order,
// each encoded as column.go says.
//
// A block of Events that is kept may have a description of its schema before
// it; described.go says how.
package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/klauspost/compress/s2"
)

// Kind says what a block holds.
type Kind uint8

// The kinds of blocks. Zero is none.
const (
	// Events are rows of a schema.
	Events Kind = iota + 1
	// Lines is ready-made text, a line a record: dead letters.
	Lines
	// Flush holds nothing: it asks the receiver to pass on what it holds.
	Flush
	// Messages is what sinks take record by record; package message says how.
	Messages
)

func (k Kind) String() string {
	switch k {
	case Events:
		return "events"
	case Lines:
		return "lines"
	case Flush:
		return "flush"
	case Messages:
		return "messages"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Limits of one block. A block beyond them cannot be decoded: they bound what
// damaged or forged bytes can make a reader allocate.
const (
	// TargetSize is the size in raw bytes at which a Builder is Full. Larger
	// elements disturb the flow control of runners; blocks much smaller cost
	// more per record in the exchange.
	TargetSize = 1 << 20
	// MaxRows is the largest number of rows or lines of one block.
	MaxRows = 1 << 20
	// MaxValues is the largest number of rows times fields of one block; a
	// Builder that is encoded when it is Full stays far below it.
	MaxValues = 4 << 20
	// MaxSize is the largest raw body in bytes: TargetSize and one record as
	// large as any source has, with room to spare.
	MaxSize = 128 << 20
)

// Errors of Decode, DecodeLines, KindOf and RowsOf. The job must not go on
// with such a block: it would lose rows.
var (
	// ErrCorrupt is returned for bytes that are no whole block: cut short or damaged.
	ErrCorrupt = errors.New("block: corrupt")
	// ErrVersion is returned for a block written by a newer version of this package.
	ErrVersion = errors.New("block: unknown version")
	// ErrSchema is returned for a block of another schema than the reader's: the
	// job was restored with a schema that has other fields. Where the block's own
	// was described, DescribedSchema has it.
	ErrSchema = errors.New("block: written with another schema")
)

const (
	version = 1
	// keepSize bounds the memory that builders and columns keep between
	// blocks: one with a huge record does not hold its memory for ever.
	keepSize = 4 * TargetSize
)

// KindOf returns the kind of a block without looking into it.
func KindOf(blk []byte) (Kind, error) {
	if len(blk) < 2 {
		return 0, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(blk))
	}
	if blk[0] != version {
		return 0, fmt.Errorf("%w: %d, this program knows %d", ErrVersion, blk[0], version)
	}
	k := Kind(blk[1])
	switch {
	case k < Events || k > Messages:
		return 0, fmt.Errorf("%w: %v", ErrCorrupt, k)
	case k == Flush && len(blk) != 2:
		return 0, fmt.Errorf("%w: bytes after a flush marker", ErrCorrupt)
	}
	return k, nil
}

// RowsOf returns the number of rows or lines of a block from its header; the
// checksum is not verified. A flush marker has none.
func RowsOf(blk []byte) (int, error) {
	k, err := KindOf(blk)
	if err != nil || k == Flush {
		return 0, err
	}
	h, err := readHeader(blk, k)
	return h.rows, err
}

// FlushMarker returns a new block of kind Flush.
func FlushMarker() []byte { return []byte{version, byte(Flush)} }

// EncodeLines appends to dst a block of n lines of text, each with its line
// end, and returns the result. lines must not be larger than MaxSize, n not
// larger than MaxRows.
func EncodeLines(dst, lines []byte, n int) []byte {
	return appendBlock(dst, header{kind: Lines, rows: n}, lines)
}

// DecodeLines appends to dst the text of a block of kind Lines and returns it
// with the number of lines.
func DecodeLines(dst, blk []byte) (lines []byte, n int, err error) {
	return decodeBody(dst, blk, Lines)
}

// EncodeMessages appends to dst a block of n messages in package message's
// form and returns the result. The limits are those of EncodeLines.
func EncodeMessages(dst, messages []byte, n int) []byte {
	return appendBlock(dst, header{kind: Messages, rows: n}, messages)
}

// DecodeMessages appends to dst what a block of kind Messages holds and
// returns it with the number of messages.
func DecodeMessages(dst, blk []byte) (messages []byte, n int, err error) {
	return decodeBody(dst, blk, Messages)
}

func decodeBody(dst, blk []byte, k Kind) (raw []byte, n int, err error) {
	h, body, err := open(blk, k)
	if err != nil {
		return dst, 0, err
	}
	dst = slices.Grow(dst, h.size)
	out, err := s2.Decode(dst[len(dst):len(dst)+h.size], body)
	if err != nil {
		return dst, 0, fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	return dst[:len(dst)+len(out)], h.rows, nil
}

// header is what precedes the compressed body.
type header struct {
	kind        Kind
	sum         uint32
	fingerprint uint64 // Events only
	rows        int
	size        int // of the raw body
	body        int // where the compressed body begins
}

// sumEnd is where the part that the checksum covers begins.
const sumEnd = 6

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendBlock appends a whole block with the given raw body.
func appendBlock(dst []byte, h header, raw []byte) []byte {
	start := len(dst)
	dst = append(dst, version, byte(h.kind), 0, 0, 0, 0)
	if h.kind == Events {
		dst = binary.LittleEndian.AppendUint64(dst, h.fingerprint)
	}
	dst = binary.AppendUvarint(dst, uint64(h.rows))
	dst = binary.AppendUvarint(dst, uint64(len(raw)))
	room := s2.MaxEncodedLen(len(raw))
	dst = slices.Grow(dst, room)
	body := s2.Encode(dst[len(dst):len(dst)+room], raw)
	dst = dst[:len(dst)+len(body)]
	sum := crc32.Checksum(dst[start+sumEnd:], castagnoli)
	binary.LittleEndian.PutUint32(dst[start+2:], sum)
	return dst
}

// readHeader reads and bounds the header; it does not verify the checksum.
func readHeader(blk []byte, k Kind) (header, error) {
	h := header{kind: k}
	pos := sumEnd
	if k == Events {
		pos += 8
	}
	if len(blk) < pos {
		return header{}, fmt.Errorf("%w: header cut short", ErrCorrupt)
	}
	h.sum = binary.LittleEndian.Uint32(blk[2:])
	if k == Events {
		h.fingerprint = binary.LittleEndian.Uint64(blk[sumEnd:])
	}
	rows, n := binary.Uvarint(blk[pos:])
	if n <= 0 || rows > MaxRows {
		return header{}, fmt.Errorf("%w: number of rows", ErrCorrupt)
	}
	pos += n
	size, n := binary.Uvarint(blk[pos:])
	if n <= 0 || size > MaxSize {
		return header{}, fmt.Errorf("%w: size of the body", ErrCorrupt)
	}
	h.rows, h.size, h.body = int(rows), int(size), pos+n
	return h, nil
}

// open verifies all of a block but the raw body's content.
func open(blk []byte, want Kind) (header, []byte, error) {
	k, err := KindOf(blk)
	if err != nil {
		return header{}, nil, err
	}
	if k != want {
		return header{}, nil, fmt.Errorf("%w: a block of %v where %v is expected", ErrCorrupt, k, want)
	}
	h, err := readHeader(blk, k)
	if err != nil {
		return header{}, nil, err
	}
	if sum := crc32.Checksum(blk[sumEnd:], castagnoli); sum != h.sum {
		return header{}, nil, fmt.Errorf("%w: checksum %08x, should be %08x", ErrCorrupt, sum, h.sum)
	}
	body := blk[h.body:]
	if n, err := s2.DecodedLen(body); err != nil || n != h.size {
		return header{}, nil, fmt.Errorf("%w: size of the body", ErrCorrupt)
	}
	return h, body, nil
}
