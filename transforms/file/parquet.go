package file

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// Defaults of ParquetOptions.
const (
	DefaultRowGroupRows  = 128 << 10
	DefaultRowGroupBytes = 64 << 20
)

// SchemaKey is the key of the file's metadata under which the schema's text
// is, as other writers of Avro data into Parquet name it.
const SchemaKey = "avro.schema"

// createdBy is the application in a file's created_by.
const createdBy = "streaming-etl"

// ParquetOptions configure Parquet. The zero value means the defaults.
type ParquetOptions struct {
	// Compression of the pages: "snappy" (the default), "zstd" (smaller files,
	// somewhat more work), "gzip" (for old readers) or "none".
	Compression string
	// RowGroupRows is the largest number of rows of a row group, 128 Ki by
	// default. Readers skip and parallelize by row groups; the writer holds one
	// in memory, encoded and compressed.
	RowGroupRows int
	// RowGroupBytes is the size of a row group, in bytes before encoding, at
	// which it is ended though it has fewer rows, 64 MiB by default: it bounds
	// the memory for events of long strings. It may be exceeded by one block.
	RowGroupBytes int
	// Version is the program's version, for the file's created_by; "0" by default.
	Version string
}

// Validate returns all mistakes in the options.
func (o ParquetOptions) Validate() error {
	var errs []error
	if _, ok := codec(o.Compression); !ok {
		errs = append(errs, fmt.Errorf("compression of Parquet files %q: must be one of snappy, zstd, gzip, none", o.Compression))
	}
	if o.RowGroupRows < 0 {
		errs = append(errs, fmt.Errorf("rows of a Parquet row group, %d: must be positive", o.RowGroupRows))
	}
	if o.RowGroupBytes < 0 {
		errs = append(errs, fmt.Errorf("bytes of a Parquet row group, %d: must be positive", o.RowGroupBytes))
	}
	return errors.Join(errs...)
}

func codec(name string) (compress.Codec, bool) {
	switch name {
	case "", "snappy":
		return &parquet.Snappy, true
	case "zstd":
		return &parquet.Zstd, true
	case "gzip":
		return &parquet.Gzip, true
	case "none":
		return &parquet.Uncompressed, true
	}
	return nil, false
}

// Parquet returns the format of Parquet files with a column for each field of
// s, of the same name and order: Int as INT32, Long as INT64, TimestampMillis
// as TIMESTAMP(MILLIS, adjusted to UTC), Float, Double and Boolean as such,
// String as STRING; optional if the field is nullable, else required. The
// schema's text and meta are the file's key-value metadata.
func Parquet(s *event.Schema, o ParquetOptions) (Format, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if len(s.Fields) == 0 {
		return nil, fmt.Errorf("schema %q has no fields: a Parquet file needs at least one column", s.Name)
	}
	o.RowGroupRows = cmp.Or(o.RowGroupRows, DefaultRowGroupRows)
	o.RowGroupBytes = cmp.Or(o.RowGroupBytes, DefaultRowGroupBytes)
	o.Version = cmp.Or(o.Version, "0")
	compression, _ := codec(o.Compression)
	options := []parquet.WriterOption{
		parquetSchema(s),
		parquet.Compression(compression),
		parquet.DictionaryMaxBytes(maxDictionary),
		parquet.WriteBufferSize(writeBuffer),
		// Bounds are in the column index and in the chunk's metadata; in each
		// page's header as well they would be computed twice.
		parquet.DataPageStatistics(false),
		parquet.CreatedBy(createdBy, o.Version, ""),
		parquet.KeyValueMetadata(SchemaKey, s.Text()),
	}
	// Tried here, since NewWriter panics.
	if _, err := parquet.NewWriterConfig(options...); err != nil {
		return nil, fmt.Errorf("configure the Parquet writer: %w", err)
	}
	return &parquetFormat{schema: s, groupRows: o.RowGroupRows, groupBytes: o.RowGroupBytes, fileOptions: options}, nil
}

// maxDictionary is the size in bytes beyond which a column chunk's dictionary
// does not pay: further pages are written plain.
const maxDictionary = 1 << 20

// writeBuffer is the size in bytes of what collects small writes: pages go past
// it, and uploads have memory of their own.
const writeBuffer = 4 << 10

type parquetFormat struct {
	schema      *event.Schema
	groupRows   int // limits of a row group
	groupBytes  int
	fileOptions []parquet.WriterOption
	writers     sync.Pool // of *parquetWriter
}

func (*parquetFormat) Extension() string   { return ".parquet" }
func (*parquetFormat) ContentType() string { return "application/vnd.apache.parquet" }

func (f *parquetFormat) Write(w io.Writer, blocks [][]byte, meta map[string]string) (rows int64, err error) {
	pw, ok := f.writers.Get().(*parquetWriter)
	if !ok {
		pw = &parquetWriter{format: f, values: make([]parquet.Value, batch)}
	}
	defer f.writers.Put(pw)
	file, err := f.newFile(w, blocks, meta)
	if err != nil {
		return 0, err
	}
	pw.file, pw.rows, pw.bytes = file, 0, 0
	defer func() { pw.file = nil }()
	for i, blk := range blocks {
		if err := block.Decode(&pw.columns, f.schema, blk); err != nil {
			return rows, fmt.Errorf("read block %d of %d: %w", i+1, len(blocks), err)
		}
		if err := pw.writeColumns(); err != nil {
			return rows, fmt.Errorf("write Parquet: %w", err)
		}
		rows += int64(pw.columns.Rows)
	}
	if err := file.Close(); err != nil {
		return rows, fmt.Errorf("write Parquet: %w", err)
	}
	return rows, nil
}

// newFile returns a writer of one file. A writer is not used again by
// Reset: the columns of its second file have no path in the footer (issue 602
// of parquet-go, in v0.32.0), and Spark and Athena refuse such a file.
func (f *parquetFormat) newFile(w io.Writer, blocks [][]byte, meta map[string]string) (*parquet.GenericWriter[any], error) {
	rows, size := 0, 0
	for i, blk := range blocks {
		n, err := block.RowsOf(blk)
		if err != nil {
			return nil, fmt.Errorf("read block %d of %d: %w", i+1, len(blocks), err)
		}
		rows += n
		size += len(blk)
	}
	options := append(slices.Clone(f.fileOptions), parquet.PageBufferSize(pageSize(rows, size)))
	for k, v := range meta {
		options = append(options, parquet.KeyValueMetadata(k, v))
	}
	return parquet.NewGenericWriter[any](w, options...), nil
}

// pageSize returns the size of the buffer that each column of a file has, for
// rows in blocks of so many bytes together: a file of few rows does not pay
// for large ones. A column of long strings is not cut into a page for each.
func pageSize(rows, size int) int {
	const smallest, few, largest = 1 << 10, 16 << 10, parquet.DefaultPageBufferSize
	return min(max(smallest, 8*rows, min(size, few)), largest)
}

// parquetWriter is the memory of one Write.
type parquetWriter struct {
	format  *parquetFormat
	columns block.Columns
	values  []parquet.Value
	file    *parquet.GenericWriter[any]
	rows    int // of the file's current row group so far
	bytes   int
}

// batch is the number of values handed to a column at once: few enough for
// the processor's cache.
const batch = 512

// writeColumns writes the rows of the block in pw.columns.
func (pw *parquetWriter) writeColumns() error {
	for from := 0; from < pw.columns.Rows; {
		to := min(pw.columns.Rows, from+pw.format.groupRows-pw.rows)
		for i, column := range pw.file.ColumnWriters() {
			if err := pw.writeColumn(column, i, from, to); err != nil {
				return fmt.Errorf("column %s: %w", pw.format.schema.Fields[i].Name, err)
			}
		}
		pw.rows += to - from
		from = to
		if pw.rows == pw.format.groupRows {
			if err := pw.endGroup(); err != nil {
				return err
			}
		}
	}
	// A block's bytes are counted to the row group of its last row.
	pw.bytes += pw.columns.Size()
	if pw.bytes >= pw.format.groupBytes && pw.rows > 0 {
		return pw.endGroup()
	}
	return nil
}

func (pw *parquetWriter) endGroup() error {
	pw.rows, pw.bytes = 0, 0
	if err := pw.file.Flush(); err != nil {
		return fmt.Errorf("row group: %w", err)
	}
	return nil
}

// writeColumn writes rows from up to to of one column.
func (pw *parquetWriter) writeColumn(w *parquet.ColumnWriter, i, from, to int) error {
	c, field := &pw.columns.Fields[i], &pw.format.schema.Fields[i]
	for from < to {
		n := min(batch, to-from)
		values := pw.values[:n]
		setValues(values, c, field.Type, from)
		if field.Nullable {
			setLevels(values, c, from)
		}
		if _, err := w.WriteRowValues(values); err != nil {
			return err
		}
		from += n
	}
	return nil
}

// setValues sets values to c's from row from on.
func setValues(values []parquet.Value, c *block.Column, t event.Type, from int) {
	switch t {
	case event.Int:
		for j, v := range c.Ints[from : from+len(values)] {
			values[j] = parquet.Int32Value(int32(v))
		}
	case event.Long, event.TimestampMillis:
		for j, v := range c.Ints[from : from+len(values)] {
			values[j] = parquet.Int64Value(v)
		}
	case event.Boolean:
		for j, v := range c.Ints[from : from+len(values)] {
			values[j] = parquet.BooleanValue(v != 0)
		}
	case event.Float:
		for j, v := range c.Floats[from : from+len(values)] {
			values[j] = parquet.FloatValue(float32(v))
		}
	case event.Double:
		for j, v := range c.Floats[from : from+len(values)] {
			values[j] = parquet.DoubleValue(v)
		}
	case event.String:
		for j := range values {
			values[j] = parquet.ByteArrayValue(c.Str(from + j))
		}
	}
}

// setLevels makes values those of an optional column: definition level 1 for
// what is there, 0 for null. Values of required columns have level 0 as they
// are made; to set it would double the time of the whole file.
func setLevels(values []parquet.Value, c *block.Column, from int) {
	for j := range values {
		if c.Null(from + j) {
			values[j] = parquet.NullValue()
		} else {
			values[j] = values[j].Level(0, 1, 0)
		}
	}
}

// parquetSchema returns the Parquet schema of s, with the encodings that pay
// for what such fields hold: numbers and strings of few distinct values
// (dictionary), times and ids that lie near the one before (delta).
func parquetSchema(s *event.Schema) *parquet.Schema {
	root := orderedGroup{Group: parquet.Group{}}
	for i := range s.Fields {
		f := &s.Fields[i]
		node := parquetNode(f.Type)
		if f.Nullable {
			node = parquet.Optional(node)
		}
		root.Group[f.Name] = node
	}
	fields := map[string]parquet.Field{}
	for _, f := range root.Group.Fields() {
		fields[f.Name()] = f
	}
	for i := range s.Fields {
		root.fields = append(root.fields, fields[s.Fields[i].Name])
	}
	// The name of the root is free; some readers take it for a class name.
	return parquet.NewSchema(s.Name[strings.LastIndexByte(s.Name, '.')+1:], root)
}

func parquetNode(t event.Type) parquet.Node {
	switch t {
	case event.Int:
		return parquet.Encoded(parquet.Leaf(parquet.Int32Type), &parquet.RLEDictionary)
	case event.Long:
		return parquet.Encoded(parquet.Leaf(parquet.Int64Type), &parquet.DeltaBinaryPacked)
	case event.TimestampMillis:
		return parquet.Encoded(parquet.Timestamp(parquet.Millisecond), &parquet.DeltaBinaryPacked)
	case event.Float:
		return parquet.Encoded(parquet.Leaf(parquet.FloatType), &parquet.RLEDictionary)
	case event.Double:
		return parquet.Encoded(parquet.Leaf(parquet.DoubleType), &parquet.RLEDictionary)
	case event.Boolean:
		return parquet.Leaf(parquet.BooleanType)
	default:
		return parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
	}
}

// orderedGroup is a group whose fields are in the schema's order; those of a
// parquet.Group are sorted by name.
type orderedGroup struct {
	parquet.Group
	fields []parquet.Field
}

func (g orderedGroup) Fields() []parquet.Field { return g.fields }
