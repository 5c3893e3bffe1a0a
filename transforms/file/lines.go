package file

import (
	"fmt"
	"io"
	"sync"

	"github.com/streaming-etl/streaming-etl/transforms/block"
)

// Lines returns the format of blocks of kind block.Lines: their text, one after
// another. meta is not written.
func Lines() Format { return &lines{} }

type lines struct {
	buffers sync.Pool // of *[]byte
}

func (*lines) Extension() string   { return ".jsonl" }
func (*lines) ContentType() string { return "application/x-ndjson" }

func (l *lines) Write(w io.Writer, blocks [][]byte, _ map[string]string) (rows int64, err error) {
	buf, ok := l.buffers.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	defer l.buffers.Put(buf)
	for i, blk := range blocks {
		text, n, err := block.DecodeLines((*buf)[:0], blk)
		if err != nil {
			return rows, fmt.Errorf("read block %d of %d: %w", i+1, len(blocks), err)
		}
		*buf = text
		if _, err := w.Write(text); err != nil {
			return rows, fmt.Errorf("write lines: %w", err)
		}
		rows += int64(n)
	}
	return rows, nil
}
