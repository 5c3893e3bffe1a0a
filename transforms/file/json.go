package file

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-faster/jx"

	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// JSONLines returns the format of JSON lines (https://jsonlines.org): an object
// a row with all fields of s in their order. Timestamps are ISO-8601 with
// milliseconds in UTC, numbers the shortest text that reads back equal, nulls
// null. meta is not written.
func JSONLines(s *event.Schema) Format {
	f := &jsonLines{schema: s, keys: make([][]byte, len(s.Fields))}
	for i := range s.Fields {
		var w jx.Writer
		w.Buf = append(w.Buf, ',')
		if i == 0 {
			w.Buf[0] = '{'
		}
		w.Str(s.Fields[i].Name)
		f.keys[i] = append(w.Buf, ':')
	}
	return f
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
			appendString(out, c.Str(row))
		case event.Double, event.Float:
			v := c.Floats[row]
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("write field %s as JSON: %v is no JSON number", field.Name, v)
			}
			if field.Type == event.Float {
				out.Float32(float32(v))
			} else {
				appendDouble(out, v)
			}
		case event.Boolean:
			out.Bool(c.Ints[row] != 0)
		case event.TimestampMillis:
			out.Buf = appendTime(out.Buf, c.Ints[row])
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

// appendDouble appends the shortest text that reads back equal. Most numbers
// have at most two decimals, and no more than 15 digits tell them from every
// other double: for those that is the decimal itself.
func appendDouble(out *jx.Writer, v float64) {
	const limit = 1e15 // hundredths of 15 digits
	scaled := v * 100
	if !(scaled > -limit && scaled < limit) || v == 0 {
		out.Float64(v) // also for the sign of a negative zero
		return
	}
	n := int64(math.RoundToEven(scaled))
	if float64(n)/100 != v {
		out.Float64(v)
		return
	}
	if n < 0 {
		out.Buf = append(out.Buf, '-')
		n = -n
	}
	out.Buf = strconv.AppendInt(out.Buf, n/100, 10)
	switch cents := int(n % 100); {
	case cents == 0:
	case cents%10 == 0:
		out.Buf = append(out.Buf, '.', digit(cents/10))
	default:
		out.Buf = append(out.Buf, '.', digit(cents/10), digit(cents))
	}
}

// appendString appends a quoted string. The bytes of a String field are UTF-8
// when they come from the decoder; what is not becomes U+FFFD, so that the line
// is JSON whatever comes.
func appendString(out *jx.Writer, s []byte) {
	if utf8.Valid(s) {
		out.ByteStr(s)
	} else {
		out.ByteStrEscape(s)
	}
}

// appendTime appends a quoted time, faster than AppendFormat does.
func appendTime(b []byte, millis int64) []byte {
	t := time.UnixMilli(millis).UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(b, `"2006-01-02T15:04:05.000Z"`)
	}
	hour, minute, second := t.Clock()
	ms := t.Nanosecond() / 1e6
	return append(b, '"',
		digit(year/1000), digit(year/100), digit(year/10), digit(year), '-',
		digit(int(month)/10), digit(int(month)), '-',
		digit(day/10), digit(day), 'T',
		digit(hour/10), digit(hour), ':',
		digit(minute/10), digit(minute), ':',
		digit(second/10), digit(second), '.',
		digit(ms/100), digit(ms/10), digit(ms), 'Z', '"')
}

// digit returns the last decimal digit of n.
func digit(n int) byte { return byte('0' + n%10) }
