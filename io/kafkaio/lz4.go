package kafkaio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/pierrec/lz4/v4"
)

// An LZ4 frame (LZ4 Frame Format Description 1.6.4): magic, flags, block size,
// perhaps the content's size and a dictionary's id, a checksum of these; then
// blocks with their sizes before them, until one of size 0; perhaps a checksum.
const (
	lz4Magic = 0x184D2204
	// Any of sixteen magics begins a frame to be skipped.
	lz4SkipMagic = 0x184D2A50
	lz4SkipMask  = 0xFFFFFFF0

	lz4VersionMask     = 0xC0
	lz4Version         = 0x40
	lz4Independent     = 1 << 5
	lz4BlockChecksum   = 1 << 4
	lz4ContentSize     = 1 << 3
	lz4ContentChecksum = 1 << 2
	lz4Dictionary      = 1 << 0

	// lz4Stored is set in the size of a block that is not compressed.
	lz4Stored = 1 << 31
	// lz4Window is how far blocks that depend on others look back.
	lz4Window = 64 << 10
)

var errLZ4 = errors.New("not an LZ4 frame")

// unlz4 appends to out what the frames of in hold. The frames' checksums are
// not looked at: the record batch has one over all of it, which was.
func unlz4(out, in []byte, limit int) ([]byte, error) {
	for len(in) > 0 {
		var err error
		if out, in, err = unlz4Frame(out, in, limit); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func unlz4Frame(out, in []byte, limit int) (_, rest []byte, err error) {
	magic, in, err := lz4Uint32(in)
	if err != nil {
		return nil, nil, err
	}
	if magic&lz4SkipMask == lz4SkipMagic {
		size, in, err := lz4Uint32(in)
		if err != nil || uint64(size) > uint64(len(in)) {
			return nil, nil, io.ErrUnexpectedEOF
		}
		return out, in[size:], nil
	}
	if magic != lz4Magic {
		return nil, nil, fmt.Errorf("%w: it begins with %08x", errLZ4, magic)
	}
	if len(in) < 3 {
		return nil, nil, io.ErrUnexpectedEOF
	}
	flags, size := in[0], in[1]>>4&7
	if flags&lz4VersionMask != lz4Version || flags&lz4Dictionary != 0 || size < 4 {
		return nil, nil, fmt.Errorf("%w that is known: flags %02x, block size %d", errLZ4, flags, size)
	}
	header := 3
	if flags&lz4ContentSize != 0 {
		header += 8
	}
	if len(in) < header {
		return nil, nil, io.ErrUnexpectedEOF
	}
	in = in[header:]
	largest := 1 << (8 + 2*int(size)) // 64 KiB, 256 KiB, 1 MiB, 4 MiB
	begin := len(out)
	for {
		n, next, err := lz4Uint32(in)
		if err != nil {
			return nil, nil, err
		}
		in = next
		if n == 0 {
			break
		}
		block := int(n &^ lz4Stored)
		if block > len(in) {
			return nil, nil, io.ErrUnexpectedEOF
		}
		if block > largest || len(out) > limit-largest {
			return nil, nil, errTooLarge
		}
		if n&lz4Stored != 0 {
			out = append(room(out, block), in[:block]...)
		} else {
			at := len(out)
			out = room(out, largest)
			dst := out[at : at+largest : at+largest]
			var got int
			if flags&lz4Independent != 0 {
				got, err = lz4.UncompressBlock(in[:block], dst)
			} else {
				got, err = lz4.UncompressBlockWithDict(in[:block], dst, out[max(begin, at-lz4Window):at])
			}
			if err != nil {
				return nil, nil, err
			}
			out = out[:at+got]
		}
		in = in[block:]
		if flags&lz4BlockChecksum != 0 {
			if _, in, err = lz4Uint32(in); err != nil {
				return nil, nil, err
			}
		}
	}
	if flags&lz4ContentChecksum != 0 {
		if _, in, err = lz4Uint32(in); err != nil {
			return nil, nil, err
		}
	}
	return out, in, nil
}

func lz4Uint32(in []byte) (uint32, []byte, error) {
	if len(in) < 4 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return binary.LittleEndian.Uint32(in), in[4:], nil
}
