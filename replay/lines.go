package replay

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

const (
	// maxLine is the longest line: the largest record that a stream can take.
	maxLine = 10 << 20
	// maxZstdWindow bounds the memory of one zstd file; the format's own
	// recommendation is that decoders allow 8 MiB.
	maxZstdWindow = 32 << 20
)

var errLineTooLong = errors.New("the line is longer than 10 MiB")

// lines reads the lines of one file, whatever it is compressed with.
type lines struct {
	name string
	// number is that of the line last read, from 1.
	number int
	r      *bufio.Reader
	// long collects a line that does not fit into r's buffer.
	long  []byte
	close func()
}

// openLines opens a file of src, which is read until ctx ends. The caller calls
// close.
func openLines(ctx context.Context, src source, name string) (*lines, error) {
	file, err := src.open(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	stored := &counter{r: file}
	plain, stop, err := decompress(stored)
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return &lines{
		name: name,
		r:    bufio.NewReaderSize(&bounded{ctx: ctx, plain: plain, stored: stored}, 64<<10),
		close: func() {
			stop()
			_ = file.Close() // only read from: nothing can be lost by it
		},
	}, nil
}

// decompress tells the format by the first bytes: LZ4 frames 04 22 4D 18, zstd
// 28 B5 2F FD (RFC 8878), gzip 1F 8B (RFC 1952); anything else is plain text.
func decompress(file io.Reader) (plain io.Reader, stop func(), err error) {
	in := bufio.NewReaderSize(file, 64<<10)
	// A file shorter than the magic has just what Peek got; a real error
	// comes again at the next read.
	magic, _ := in.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte{0x04, 0x22, 0x4d, 0x18}):
		return lz4.NewReader(in), func() {}, nil
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, nil, fmt.Errorf("read zstd header: %w", err)
		}
		return z, z.Close, nil
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, nil, fmt.Errorf("read gzip header: %w", err)
		}
		return z, func() {}, nil
	}
	return in, func() {}, nil
}

// next returns the next line that is not blank, without the white space around
// it; it is valid until the next call. It returns io.EOF after the last line.
func (l *lines) next() ([]byte, error) {
	for {
		line, err := l.read()
		line = bytes.TrimSpace(line)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read %s line %d: %w", l.name, l.number, err)
		}
		if len(line) > 0 {
			return line, nil // the end, if this was it, comes with the next call
		}
		if err != nil {
			return nil, io.EOF
		}
	}
}

// read returns the bytes up to the next newline or the end.
func (l *lines) read() ([]byte, error) {
	l.number++
	line, err := l.r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	l.long = append(l.long[:0], line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(l.long) > maxLine {
			return nil, errLineTooLong
		}
		line, err = l.r.ReadSlice('\n')
		l.long = append(l.long, line...)
	}
	if len(bytes.TrimSpace(l.long)) > maxLine {
		return nil, errLineTooLong
	}
	return l.long, err
}
