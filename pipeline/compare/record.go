package compare

import (
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-faster/jx"
)

// reader makes canonical texts of the records of one output. A canonical text
// is a JSON object: names sorted, nulls left out, each number and time in one
// spelling, so that a record of a Parquet file and of JSON lines have the same.
// It is safe for concurrent use.
type reader struct {
	only map[string]bool // nil for all columns

	mu sync.Mutex
	// seen are the columns that are there: whether they may have a value
	// other than null.
	seen map[string]bool
}

func newReader(columns []string) *reader {
	r := &reader{seen: map[string]bool{}}
	if len(columns) > 0 {
		r.only = map[string]bool{}
		for _, c := range columns {
			r.only[c] = true
		}
	}
	return r
}

func (r *reader) wants(column string) bool { return r.only == nil || r.only[column] }

// note remembers the columns of a file.
func (r *reader) note(columns map[string]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, valued := range columns {
		r.seen[name] = r.seen[name] || valued
	}
}

// columns returns those that may have a value, sorted.
func (r *reader) columns() []string {
	out := []string{}
	for name, valued := range r.seen {
		if valued {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// has says whether a column is there, be it null in all records.
func (r *reader) has(column string) bool {
	_, found := r.seen[column]
	return found
}

// appendText appends a string as JSON; bytes that are no text are hexadecimal
// in a form that no JSON has.
func appendText(b []byte, text []byte) []byte {
	if !utf8.Valid(text) {
		return append(append(append(b, `x"`...), hex.EncodeToString(text)...), '"')
	}
	w := jx.Writer{Buf: b}
	w.ByteStr(text)
	return w.Buf
}

// appendNumber appends a JSON number in its one spelling: whole ones as such,
// others as the shortest text that reads back as the same float64. Of whole ones
// with a point or an exponent it is the shortest too, with zeros behind it.
func appendNumber(b []byte, text string) []byte {
	if !strings.ContainsAny(text, ".eE") {
		if text == "-0" {
			return append(b, '0')
		}
		return append(b, text...) // JSON knows no leading zeros
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return append(b, text...) // out of range: only the same text is the same
	}
	return appendFloat(b, f, 64)
}

const (
	// exactInts is below which every whole float64 is that number alone.
	exactInts = 1 << 53
	// plainFloats is below which this job's JSON, as most, has whole numbers without an exponent.
	plainFloats = 1e21
)

// appendFloat appends a float as appendNumber does with its text in this job's JSON.
func appendFloat(b []byte, f float64, bits int) []byte {
	if bits == 32 {
		// Its shortest text is that of another float64.
		f, _ = strconv.ParseFloat(strconv.FormatFloat(f, 'g', -1, 32), 64)
	}
	whole, size := f == math.Trunc(f), math.Abs(f)
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return append(append(append(b, '"'), strconv.FormatFloat(f, 'g', -1, 64)...), '"')
	case whole && size < exactInts:
		return strconv.AppendInt(b, int64(f), 10)
	case whole && size < plainFloats:
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}
