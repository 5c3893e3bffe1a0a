package replay

import (
	"context"
	"errors"
	"io"
)

const (
	// maxExpansion is how many times larger than what is stored a file's text
	// may be. JSON events compress to a tenth; gzip reaches 1,032 at most, zstd
	// 30,000, and only of one character again and again: of such a file a few
	// megabytes would be read for days.
	maxExpansion = 500
	// freeExpansion may be reached at any ratio: tiny files of equal lines.
	freeExpansion = 16 << 20
)

var errExpands = errors.New("it expands to more than 500 times its size: it is damaged, or made to do harm")

// counter counts the bytes that are read of a file as it is stored.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// bounded ends the text of a file that expands too much, and of any when ctx
// ends: lines may be left out for hours, with none to send.
type bounded struct {
	ctx    context.Context
	plain  io.Reader
	stored *counter
	n      int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if b.n > freeExpansion && b.n/maxExpansion > b.stored.n {
		return 0, errExpands
	}
	n, err := b.plain.Read(p)
	b.n += int64(n)
	return n, err
}
