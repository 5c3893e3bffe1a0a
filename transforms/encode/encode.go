// Package encode writes events as JSON, typed by their schema: what is read
// back by transforms/decode. Files of JSON lines and documents share its texts.
package encode

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-faster/jx"

	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// Encoder writes rows of one schema as JSON objects. It is for one goroutine at a time.
type Encoder struct {
	schema *event.Schema
	keys   [][]byte // what precedes each field's value
	out    jx.Writer
}

// New returns an encoder of rows of the schema.
func New(s *event.Schema) *Encoder { return &Encoder{schema: s, keys: Keys(s)} }

// Keys returns what precedes the value of each of the schema's fields in an
// object: the brace or the comma, the name and the colon.
func Keys(s *event.Schema) [][]byte {
	keys := make([][]byte, len(s.Fields))
	for i := range s.Fields {
		var w jx.Writer
		w.Buf = append(w.Buf, ',')
		if i == 0 {
			w.Buf[0] = '{'
		}
		w.Str(s.Fields[i].Name)
		keys[i] = append(w.Buf, ':')
	}
	return keys
}

// Append appends the row as an object with all fields in the schema's order.
// Timestamps are ISO-8601 with milliseconds in UTC, numbers the shortest text
// that reads back equal, nulls null.
func (e *Encoder) Append(dst []byte, row event.Row) []byte {
	out := &e.out
	out.Buf = dst
	for i := range e.keys {
		out.Buf = append(out.Buf, e.keys[i]...)
		v := &row[i]
		if v.Null {
			out.Null()
			continue
		}
		switch e.schema.Fields[i].Type {
		case event.String:
			String(out, v.Str)
		case event.Float:
			out.Float32(float32(v.Float()))
		case event.Double:
			Double(out, v.Float())
		case event.Boolean:
			out.Bool(v.Int() != 0)
		case event.TimestampMillis:
			out.Buf = Time(out.Buf, v.Int())
		default:
			out.Buf = strconv.AppendInt(out.Buf, v.Int(), 10)
		}
	}
	if len(e.keys) == 0 {
		out.Buf = append(out.Buf, '{')
	}
	dst, out.Buf = append(out.Buf, '}'), nil
	return dst
}

// Double appends the shortest text that reads back equal. Most numbers
// have at most two decimals, and no more than 15 digits tell them from every
// other double: for those that is the decimal itself.
func Double(out *jx.Writer, v float64) {
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

// String appends a quoted string. The bytes of a String field are UTF-8
// when they come from the decoder; what is not becomes U+FFFD, so that the line
// is JSON whatever comes.
func String(out *jx.Writer, s []byte) {
	if utf8.Valid(s) {
		out.ByteStr(s)
	} else {
		out.ByteStrEscape(s)
	}
}

// Time appends a quoted time of milliseconds since 1970: ISO-8601 with
// milliseconds in UTC. It is faster than AppendFormat.
func Time(b []byte, millis int64) []byte {
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
