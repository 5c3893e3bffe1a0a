// Package file writes blocks as the content of one file: Parquet or JSON lines
// for events, text for ready-made lines. A Format streams into any io.Writer,
// such as a multipart upload; nothing of the file is kept but what the format
// has to repeat at its end.
//
// The next arrow is the object store: io/s3io.
package file

import "io"

// Format writes files of one kind. It is safe for concurrent use.
type Format interface {
	// Extension is the end of a file's name, with the leading dot.
	Extension() string
	// ContentType is the file's media type.
	ContentType() string
	// Write writes a whole file of the blocks' rows, in their order, to w and
	// returns the number of rows. meta goes into the file where the format has
	// a place for it. After an error what was written is no valid file.
	// Blocks are decoded one by one; errors of package block are wrapped.
	Write(w io.Writer, blocks [][]byte, meta map[string]string) (rows int64, err error)
}
