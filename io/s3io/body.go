package s3io

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
)

// chunkSize is the unit in which parts take memory: most files of a job with
// many partitions are far smaller than a part.
const chunkSize = 64 << 10

type chunk [chunkSize]byte

// chunks is memory for parts, used again by all uploads of a store.
type chunks struct{ pool sync.Pool }

func (c *chunks) get() *chunk {
	if m, ok := c.pool.Get().(*chunk); ok {
		return m
	}
	return new(chunk)
}

// body is the bytes of a part, which is filled by append and then read, more
// than once if need be. It is for one goroutine at a time.
type body struct {
	memory *chunks
	chunks []*chunk
	size   int
	at     int // where Read goes on
}

// append copies as much of p as there is room for below limit.
func (b *body) append(p []byte, limit int) (n int) {
	p = p[:min(len(p), limit-b.size)]
	for len(p) > 0 {
		if b.size == len(b.chunks)*chunkSize {
			b.chunks = append(b.chunks, b.memory.get())
		}
		k := copy(b.chunks[b.size/chunkSize][b.size%chunkSize:], p)
		p, n, b.size = p[k:], n+k, b.size+k
	}
	return n
}

// chunk returns the bytes of the part from at on that lie in one piece.
func (b *body) chunk(at int) []byte {
	end := min(chunkSize, b.size-at/chunkSize*chunkSize)
	return b.chunks[at/chunkSize][at%chunkSize : end]
}

// sum updates a CRC32 with all bytes.
func (b *body) sum(crc uint32) uint32 {
	for at := 0; at < b.size; at += chunkSize {
		crc = crc32.Update(crc, crc32.IEEETable, b.chunk(at))
	}
	return crc
}

// release gives the memory back; the body is empty then.
func (b *body) release() {
	for _, c := range b.chunks {
		b.memory.pool.Put(c)
	}
	b.chunks, b.size, b.at = nil, 0, 0
}

func (b *body) Read(p []byte) (n int, err error) {
	if b.at >= b.size && len(p) > 0 {
		return 0, io.EOF
	}
	for n < len(p) && b.at < b.size {
		k := copy(p[n:], b.chunk(b.at))
		n, b.at = n+k, b.at+k
	}
	return n, nil
}

// Seek lets the SDK sign the bytes and send them again.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += int64(b.at)
	case io.SeekEnd:
		offset += int64(b.size)
	default:
		return 0, fmt.Errorf("seek in a part: unknown whence %d", whence)
	}
	if offset < 0 || offset > int64(b.size) {
		return 0, errors.New("seek in a part: outside of it")
	}
	b.at = int(offset)
	return offset, nil
}
