package file

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"sync"

	"github.com/go-faster/jx"

	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/encode"
	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// JSONLines returns the format of JSON lines (https://jsonlines.org): an object
// a row with all fields of s in their order. Timestamps are ISO-8601 with
// milliseconds in UTC, numbers the shortest text that reads back equal, nulls
// null. meta is not written.
func JSONLines(s *event.Schema) Format {
	return &jsonLines{schema: s, keys: encode.Keys(s)}
}

type jsonLines struct {
	schema  *event.Schema
	keys    [][]byte  // what precedes each field's value
	writers sync.Pool // of *jsonWriter
}

// jsonWriter is the memory of one Write.
type jsonWriter struct {
	columns block.Columns
	out     jx.Writer
}

func (*jsonLines) Extension() string   { return ".jsonl" }
func (*jsonLines) ContentType() string { return "application/x-ndjson" }

// chunkSize is about how many bytes are handed to the writer at once.
const chunkSize = 256 << 10

func (f *jsonLines) Write(w io.Writer, blocks [][]byte, _ map[string]string) (rows int64, err error) {
	jw, ok := f.writers.Get().(*jsonWriter)
	if !ok {
		jw = &jsonWriter{}
	}
	defer f.writers.Put(jw)
	jw.out.Buf = jw.out.Buf[:0]
	for i, blk := range blocks {
		if err := block.Decode(&jw.columns, f.schema, blk); err != nil {
			return rows, fmt.Errorf("read block %d of %d: %w", i+1, len(blocks), err)
		}
		for row := range jw.columns.Rows {
			if err := f.appendRow(&jw.out, &jw.columns, row); err != nil {
				return rows, err
			}
			if len(jw.out.Buf) >= chunkSize {
				if err := jw.flush(w); err != nil {
					return rows, err
				}
			}
		}
		rows += int64(jw.columns.Rows)
	}
	return rows, jw.flush(w)
}

func (jw *jsonWriter) flush(w io.Writer) error {
	if len(jw.out.Buf) == 0 {
		return nil
	}
	if _, err := w.Write(jw.out.Buf); err != nil {
		return fmt.Errorf("write JSON lines: %w", err)
	}
	jw.out.Buf = jw.out.Buf[:0]
	return nil
}

func (f *jsonLines) appendRow(out *jx.Writer, columns *block.Columns, row int) error {
	for i := range f.keys {
		out.Buf = append(out.Buf, f.keys[i]...)
		c, field := &columns.Fields[i], &f.schema.Fields[i]
		if c.Null(row) {
			out.Null()
			continue
		}
		switch field.Type {
		case event.String:
			encode.String(out, c.Str(row))
		case event.Double, event.Float:
			v := c.Floats[row]
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("write field %s as JSON: %v is no JSON number", field.Name, v)
			}
			if field.Type == event.Float {
				out.Float32(float32(v))
			} else {
				encode.Double(out, v)
			}
		case event.Boolean:
			out.Bool(c.Ints[row] != 0)
		case event.TimestampMillis:
			out.Buf = encode.Time(out.Buf, c.Ints[row])
		default:
			out.Buf = strconv.AppendInt(out.Buf, c.Ints[row], 10)
		}
	}
	if len(f.keys) == 0 {
		out.Buf = append(out.Buf, '{')
	}
	out.Buf = append(out.Buf, '}', '\n')
	return nil
}
