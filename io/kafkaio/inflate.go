package kafkaio

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// Codecs of record batches, the lowest three bits of their attributes.
const (
	codecNone   = 0
	codecGzip   = 1
	codecSnappy = 2
	codecLZ4    = 3
	codecZstd   = 4
	codecMask   = 7
)

const (
	// maxInflated bounds what one batch may become. Producers bound batches
	// before they compress them; more is a mistake, or meant to fill the memory.
	maxInflated = 1 << 30
	// keptScratch is what an inflater keeps for the next batch.
	keptScratch = 8 << 20
	// readStep is the least room for a read from a decoder.
	readStep = 4 << 10
)

var errTooLarge = errors.New("more bytes after decompression than a record batch may have")

// inflater decompresses batches into memory that it uses again. It is for one
// goroutine; close gives back what its decoders hold.
type inflater struct {
	// limit overrides maxInflated.
	limit   int
	scratch []byte
	src     bytes.Reader
	gzip    *gzip.Reader
	zstd    *zstd.Decoder
}

func (f *inflater) close() {
	if f.zstd != nil {
		f.zstd.Close()
	}
}

// inflate returns what a batch's bytes hold: in itself where they are not
// compressed, else memory that the next call overwrites.
func (f *inflater) inflate(codec int, in []byte) ([]byte, error) {
	if codec == codecNone {
		return in, nil
	}
	if cap(f.scratch) > keptScratch {
		f.scratch = nil
	}
	f.limit = cmp.Or(f.limit, maxInflated)
	var (
		out []byte
		err error
	)
	switch codec {
	case codecGzip:
		out, err = f.gunzip(in)
	case codecSnappy:
		out, err = unsnappy(f.scratch[:0], in, f.limit)
	case codecLZ4:
		out, err = unlz4(f.scratch[:0], in, f.limit)
	case codecZstd:
		out, err = f.unzstd(in)
	default:
		return nil, fmt.Errorf("unknown compression %d", codec)
	}
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", codecName(codec), err)
	}
	f.scratch = out
	return out, nil
}

func codecName(codec int) string {
	switch codec {
	case codecGzip:
		return "gzip"
	case codecSnappy:
		return "snappy"
	case codecLZ4:
		return "lz4"
	case codecZstd:
		return "zstd"
	}
	return "none"
}

func (f *inflater) gunzip(in []byte) ([]byte, error) {
	f.src.Reset(in)
	var err error
	if f.gzip == nil {
		f.gzip, err = gzip.NewReader(&f.src)
	} else {
		err = f.gzip.Reset(&f.src)
	}
	if err != nil {
		return nil, err
	}
	return readAll(f.scratch[:0], f.gzip, 4*len(in), f.limit)
}

func (f *inflater) unzstd(in []byte) ([]byte, error) {
	if f.zstd == nil {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(f.limit)), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		f.zstd = d
	}
	out, err := f.zstd.DecodeAll(in, f.scratch[:0])
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		err = errTooLarge
	}
	return out, err
}

// readAll appends all of r to out. guess is how much to expect.
func readAll(out []byte, r io.Reader, guess, limit int) ([]byte, error) {
	if guess <= keptScratch {
		out = room(out, guess)
	}
	for {
		out = room(out, readStep)
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if len(out) > limit {
			return nil, errTooLarge
		}
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// room returns out with room for at least n bytes more.
func room(out []byte, n int) []byte {
	if cap(out)-len(out) >= n {
		return out
	}
	grown := make([]byte, len(out), max(len(out)+n, 2*cap(out)))
	copy(grown, out)
	return grown
}

// xerialMagic begins the framing of snappy-java, which Kafka's own clients
// use: magic, two versions of four bytes each, then blocks with their lengths
// before them. Other clients send one bare block.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeader = 16

// unsnappy appends to out what in holds, framed or bare.
func unsnappy(out, in []byte, limit int) ([]byte, error) {
	if !bytes.HasPrefix(in, xerialMagic) {
		return unsnappyBlock(out, in, limit)
	}
	if len(in) < xerialHeader {
		return nil, io.ErrUnexpectedEOF
	}
	in = in[xerialHeader:]
	for len(in) > 0 {
		if len(in) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		size := binary.BigEndian.Uint32(in)
		in = in[4:]
		if uint64(size) > uint64(len(in)) {
			return nil, io.ErrUnexpectedEOF
		}
		var err error
		if out, err = unsnappyBlock(out, in[:size], limit); err != nil {
			return nil, err
		}
		in = in[size:]
	}
	return out, nil
}

func unsnappyBlock(out, in []byte, limit int) ([]byte, error) {
	n, err := snappy.DecodedLen(in)
	if err != nil {
		return nil, err
	}
	// A byte of snappy makes at most about 21; a length that cannot be is
	// refused before memory is asked for.
	if n > limit-len(out) || n > 32*len(in)+64 {
		return nil, errTooLarge
	}
	begin := len(out)
	out = room(out, n)[:begin+n]
	if _, err := snappy.Decode(out[begin:], in); err != nil {
		return nil, err
	}
	return out, nil
}
