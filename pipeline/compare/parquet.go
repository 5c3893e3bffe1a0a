package compare

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/streaming-etl/streaming-etl/transforms/encode"
)

// column is one of a Parquet file that is compared.
type column struct {
	index  int
	name   string // as JSON, with the colon
	append func(b []byte, v parquet.Value) []byte
}

// rowsAtOnce is how many rows are decoded at a time.
const rowsAtOnce = 256

// parquet reads the rows of a Parquet file of so many bytes.
func (r *reader) parquet(f io.ReaderAt, size int64, do func(row int64, record []byte) error) (err error) {
	defer func() {
		// The library panics on some files that are damaged.
		if cause := recover(); cause != nil {
			err = fmt.Errorf("damaged Parquet file: %v", cause)
		}
	}()
	if err := footerFits(f, size); err != nil {
		return fmt.Errorf("open Parquet file: %w", err)
	}
	p, err := parquet.OpenFile(f, size)
	if err != nil {
		return fmt.Errorf("open Parquet file: %w", err)
	}
	columns, err := r.parquetColumns(p.Schema())
	if err != nil {
		return err
	}
	row := int64(0)
	var record []byte
	for _, group := range p.RowGroups() {
		err := func() error {
			rows := group.Rows()
			defer rows.Close()
			buf := make([]parquet.Row, rowsAtOnce)
			for {
				n, err := rows.ReadRows(buf)
				for _, values := range buf[:n] {
					row++
					record = appendRow(record[:0], columns, values)
					if err := do(row, record); err != nil {
						return err
					}
				}
				switch {
				case errors.Is(err, io.EOF):
					return nil
				case err != nil:
					return fmt.Errorf("after row %d: %w", row, err)
				}
			}
		}()
		if err != nil {
			return err
		}
	}
	if want := p.NumRows(); row != want {
		return fmt.Errorf("%d rows were read, and the footer has %d", row, want)
	}
	return nil
}

// footerFits refuses a file whose footer would be longer than the file: the
// library would take that much memory before it looks. The end of a file is
// the footer's length in 4 bytes, little-endian, and "PAR1" (Apache Parquet's
// "File format"); an encrypted footer ends in another word, which the library refuses.
func footerFits(f io.ReaderAt, size int64) error {
	const begin, end = 4, 8
	if size < begin+end {
		return fmt.Errorf("a file of %d bytes is too short", size)
	}
	var tail [end]byte
	if _, err := f.ReadAt(tail[:], size-end); err != nil {
		return fmt.Errorf("read its end: %w", err)
	}
	if footer := int64(binary.LittleEndian.Uint32(tail[:])); footer > size-begin-end {
		return fmt.Errorf("a footer of %d bytes in a file of %d", footer, size)
	}
	return nil
}

// appendRow appends the columns, which are sorted by name. values are those of
// the file's columns in their order: one of each, but of a nested one, which is
// left out here, as many as it has elements.
func appendRow(b []byte, columns []column, values parquet.Row) []byte {
	b = append(b, '{')
	first := true
	for i := range columns {
		c := &columns[i]
		at := c.index
		for values[at].Column() != c.index {
			at++
		}
		v := values[at]
		if v.IsNull() {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, c.name...)
		b = c.append(b, v)
	}
	return append(b, '}')
}

func (r *reader) parquetColumns(schema *parquet.Schema) ([]column, error) {
	var out []column
	seen := map[string]bool{}
	var nested error
	for i, path := range schema.Columns() {
		name := strings.Join(path, ".")
		if !r.wants(path[0]) && !r.wants(name) {
			continue
		}
		leaf, _ := schema.Lookup(path...)
		if len(path) > 1 || leaf.Node.Repeated() {
			nested = fmt.Errorf("column %s is nested, and only flat columns can be compared: name those with --columns", name)
			continue
		}
		seen[name] = true
		out = append(out, column{index: i, name: string(append(appendText(nil, []byte(name)), ':')), append: valueOf(leaf.Node.Type())})
	}
	if nested != nil {
		return nil, nested
	}
	slices.SortFunc(out, func(a, b column) int { return cmp.Compare(a.name, b.name) })
	r.note(seen)
	return out, nil
}

// valueOf is how a column's values are written. Values of types that JSON
// lines have no counterpart of are told by their bytes.
func valueOf(t parquet.Type) func([]byte, parquet.Value) []byte {
	switch t.Kind() {
	case parquet.Boolean:
		return func(b []byte, v parquet.Value) []byte { return strconv.AppendBool(b, v.Boolean()) }
	case parquet.Int32:
		return wholeOf(t, func(v parquet.Value) int64 { return int64(v.Int32()) }, func(v parquet.Value) uint64 { return uint64(v.Uint32()) })
	case parquet.Int64:
		return wholeOf(t, parquet.Value.Int64, parquet.Value.Uint64)
	case parquet.Float:
		return func(b []byte, v parquet.Value) []byte { return appendFloat(b, float64(v.Float()), 32) }
	case parquet.Double:
		return func(b []byte, v parquet.Value) []byte { return appendFloat(b, v.Double(), 64) }
	case parquet.ByteArray:
		return func(b []byte, v parquet.Value) []byte { return appendText(b, v.ByteArray()) }
	}
	return func(b []byte, v parquet.Value) []byte {
		return append(append(append(b, `x"`...), hex.EncodeToString(v.Bytes())...), '"')
	}
}

// wholeOf is how the whole numbers of a column are written.
func wholeOf(t parquet.Type, signed func(parquet.Value) int64, unsigned func(parquet.Value) uint64) func([]byte, parquet.Value) []byte {
	var logical format.LogicalTypeValue
	if l := t.LogicalType(); l != nil {
		logical = l.Value
	}
	switch l := logical.(type) {
	case *format.TimestampType:
		moment := time.UnixMilli
		switch l.Unit.Value.(type) {
		case *format.MicroSeconds:
			moment = time.UnixMicro
		case *format.NanoSeconds:
			moment = func(n int64) time.Time { return time.Unix(0, n) }
		}
		return func(b []byte, v parquet.Value) []byte { return appendTime(b, moment(signed(v))) }
	case *format.DecimalType:
		return func(b []byte, v parquet.Value) []byte { return fmt.Appendf(b, `"%de-%d"`, signed(v), l.Scale) }
	case *format.IntType:
		if !l.IsSigned {
			return func(b []byte, v parquet.Value) []byte { return strconv.AppendUint(b, unsigned(v), 10) }
		}
	}
	return func(b []byte, v parquet.Value) []byte { return strconv.AppendInt(b, signed(v), 10) }
}

// appendTime appends a time as this job's JSON lines have it: with
// milliseconds, or with all digits where it has more.
func appendTime(b []byte, t time.Time) []byte {
	if t.Nanosecond()%int(time.Millisecond) == 0 {
		return encode.Time(b, t.UnixMilli())
	}
	return append(t.UTC().AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}
