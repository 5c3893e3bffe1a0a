package pipeline

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"sync"
	"time"

	"github.com/pierrec/lz4/v4"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/slots"
	"github.com/streaming-etl/streaming-etl/testdata"
)

// generated is a source that makes records in the worker, of the sample trips
// again and again: for measuring what comes behind a source.
type generated struct {
	// Records is how many all slots make together.
	Records int64
}

// Records in a batch, and bytes of it: what a GetRecords call brings, cut
// as its reader cuts it.
const generatedBatch = 2500

// Open implements slots.Source.
func (g generated) Open(_ context.Context, slot slots.Slot, positions []byte) (slots.Reader, error) {
	lines, err := sampleLines()
	if err != nil {
		return nil, err
	}
	r := &generator{lines: lines, shard: strconv.Itoa(slot.Index)}
	count, index := int64(slot.Count), int64(slot.Index)
	r.end = g.Records*(index+1)/count - g.Records*index/count
	if positions != nil {
		n, size := binary.Uvarint(positions)
		if size != len(positions) || int64(n) > r.end {
			return nil, errors.New("generated records: corrupt position")
		}
		r.next = int64(n)
	}
	return r, nil
}

// generator is a slot of generated; next is its position.
type generator struct {
	lines     [][]byte
	shard     string
	next, end int64
}

// Drain implements slots.Reader.
func (r *generator) Drain(limit int) ([]batch.Batch, []byte, bool, error) {
	var out []batch.Batch
	for size := 0; r.next < r.end && size < limit; {
		b := batch.Batch{Source: "generated", Shard: r.shard, Data: make([]byte, 0, generatedBatch*450), Records: make([]batch.Record, 0, generatedBatch)}
		b.Seqs = []string{strconv.FormatInt(r.next, 10)}
		now := time.Now().UnixMilli()
		for i := uint32(0); i < generatedBatch && r.next < r.end; i++ {
			b.Append(r.lines[r.next%int64(len(r.lines))], 0, i, now)
			r.next++
		}
		size += len(b.Data)
		out = append(out, b)
	}
	return out, binary.AppendUvarint(nil, uint64(r.next)), r.next < r.end, nil
}

// Done tells that all was made.
func (r *generator) Done() bool { return r.next == r.end }

// Close implements slots.Reader.
func (r *generator) Close() {}

// sampleLines are the sample's trips, read once in a process.
var sampleLines = sync.OnceValues(func() ([][]byte, error) {
	var lines [][]byte
	files := testdata.Trips()
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := files.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		text, err := io.ReadAll(lz4.NewReader(f))
		if err != nil {
			return err
		}
		for line := range bytes.Lines(text) {
			lines = append(lines, bytes.TrimRight(line, "\n"))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the sample: %w", err)
	}
	return lines, nil
})
