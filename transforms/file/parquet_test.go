package file_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/block/blocktest"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/file"
)

// blocksOf cuts rows into blocks of n.
func blocksOf(s *event.Schema, rows []event.Row, n int) [][]byte {
	var blocks [][]byte
	b := block.NewBuilder(s)
	for i, row := range rows {
		b.Append(row)
		if b.Rows() == n || i == len(rows)-1 {
			blocks = append(blocks, b.Encode(nil))
		}
	}
	return blocks
}

func newParquet(t testing.TB, s *event.Schema, o file.ParquetOptions) file.Format {
	t.Helper()
	f, err := file.Parquet(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t testing.TB, f file.Format, blocks [][]byte, meta map[string]string, wantRows int) []byte {
	t.Helper()
	var out bytes.Buffer
	n, err := f.Write(&out, blocks, meta)
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(wantRows) {
		t.Fatalf("%d rows written, want %d", n, wantRows)
	}
	return out.Bytes()
}

func open(t testing.TB, data []byte) *parquet.File {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// readBack reads all rows of a Parquet file.
func readBack(t testing.TB, data []byte) []parquet.Row {
	t.Helper()
	var rows []parquet.Row
	for _, group := range open(t, data).RowGroups() {
		r := group.Rows()
		buf := make([]parquet.Row, 100)
		for {
			n, err := r.ReadRows(buf)
			for _, row := range buf[:n] {
				rows = append(rows, row.Clone())
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return rows
}

func sameRows(t testing.TB, s *event.Schema, want []event.Row, got []parquet.Row) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d rows in the file, want %d", len(got), len(want))
	}
	for i := range want {
		if len(got[i]) != len(s.Fields) {
			t.Fatalf("row %d has %d values, want %d", i, len(got[i]), len(s.Fields))
		}
		for j, f := range s.Fields {
			if w, g := want[i][j], got[i][j]; !equal(f.Type, w, g) {
				t.Fatalf("row %d field %s: %v, want %+v", i, f.Name, g, w)
			}
		}
	}
}

func equal(t event.Type, want event.Value, got parquet.Value) bool {
	if want.Null || got.IsNull() {
		return want.Null == got.IsNull()
	}
	switch t {
	case event.Int:
		return got.Kind() == parquet.Int32 && int64(got.Int32()) == want.Int()
	case event.Boolean:
		return got.Kind() == parquet.Boolean && got.Boolean() == (want.Int() == 1)
	case event.Float:
		return got.Kind() == parquet.Float && math.Float64bits(float64(got.Float())) == want.Bits
	case event.Double:
		return got.Kind() == parquet.Double && math.Float64bits(got.Double()) == want.Bits
	case event.String:
		return got.Kind() == parquet.ByteArray && bytes.Equal(got.ByteArray(), want.Str)
	default:
		return got.Kind() == parquet.Int64 && got.Int64() == want.Int()
	}
}

func TestParquetHoldsEveryTrip(t *testing.T) {
	rows, err := blocktest.Trips(20_000)
	if err != nil {
		t.Fatal(err)
	}
	s := event.TaxiTrip()
	for _, compression := range []string{"", "snappy", "zstd", "gzip", "none"} {
		t.Run("compression "+compression, func(t *testing.T) {
			rows := rows
			if compression != "" {
				rows = rows[:3000]
			}
			f := newParquet(t, s, file.ParquetOptions{Compression: compression})
			data := write(t, f, blocksOf(s, rows, 3000), nil, len(rows))
			sameRows(t, s, rows, readBack(t, data))
			t.Logf("%.1f bytes a row", float64(len(data))/float64(len(rows)))
		})
	}
}

func TestParquetHoldsAllTypesAndNulls(t *testing.T) {
	s := blocktest.AllTypes()
	f := newParquet(t, s, file.ParquetOptions{RowGroupRows: 700})
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		rows := blocktest.Rows(rnd, s, []int{0, 1, 5, 699, 700, 701, 3000}[seed%7])
		data := write(t, f, blocksOf(s, rows, 1+rnd.IntN(900)), nil, len(rows))
		sameRows(t, s, rows, readBack(t, data))
		for i, group := range open(t, data).RowGroups() {
			if group.NumRows() > 700 {
				t.Errorf("row group %d has %d rows", i, group.NumRows())
			}
		}
	}
}

func TestParquetSchemaIsTheEventSchema(t *testing.T) {
	s := blocktest.AllTypes()
	got := open(t, write(t, newParquet(t, s, file.ParquetOptions{}), nil, nil, 0)).Schema()
	want := `message AllTypes {
	required int32 z1_required (INT(32,true));
	optional int32 a1_nullable (INT(32,true));
	required int64 z2_required (INT(64,true));
	optional int64 a2_nullable (INT(64,true));
	required float z3_required;
	optional float a3_nullable;
	required double z4_required;
	optional double a4_nullable;
	required boolean z5_required;
	optional boolean a5_nullable;
	required binary z6_required (STRING);
	optional binary a6_nullable (STRING);
	required int64 z7_required (TIMESTAMP(isAdjustedToUTC=true,unit=MILLIS));
	optional int64 a7_nullable (TIMESTAMP(isAdjustedToUTC=true,unit=MILLIS));
}`
	if got.String() != want {
		t.Errorf("schema:\n%s\nwant:\n%s", got, want)
	}
}

// manyDistinct returns rows whose dictionaries outgrow their limit.
func manyDistinct(n int) (*event.Schema, []event.Row) {
	s := &event.Schema{Name: "distinct", Fields: []event.Field{
		{Name: "text", Type: event.String},
		{Name: "maybe", Type: event.String, Nullable: true},
		{Name: "number", Type: event.Double},
		{Name: "int", Type: event.Int},
	}}
	rows := make([]event.Row, n)
	for i := range rows {
		text := event.StringValue(fmt.Appendf(nil, "a text that occurs only once, number %d", i))
		maybe := text
		if i%3 == 0 {
			maybe = event.Value{Null: true}
		}
		rows[i] = event.Row{text, maybe, event.FloatValue(math.Sqrt(float64(i))), event.IntValue(int64(int32(i * 7919)))}
	}
	return s, rows
}

func TestParquetWithoutRepeatedValues(t *testing.T) {
	s, rows := manyDistinct(150_000)
	f := newParquet(t, s, file.ParquetOptions{})
	data := write(t, f, blocksOf(s, rows, 8000), nil, len(rows))
	sameRows(t, s, rows, readBack(t, data))
}

func TestParquetMetadata(t *testing.T) {
	s := event.TaxiTrip()
	f := newParquet(t, s, file.ParquetOptions{Version: "1.2.3"})
	for _, meta := range []map[string]string{
		{"job": "first", "version": "1"},
		{"job": "second", "version": "2"},
		{"job": "third"},
		nil,
		{"other": "key"},
	} {
		got := open(t, write(t, f, nil, meta, 0)).Metadata()
		if want := "streaming-etl version 1.2.3(build )"; got.CreatedBy != want {
			t.Errorf("created by %q, want %q", got.CreatedBy, want)
		}
		values := map[string]string{}
		for _, kv := range got.KeyValueMetadata {
			values[kv.Key] = kv.Value
		}
		if values[file.SchemaKey] != s.Text() {
			t.Errorf("%s is %q", file.SchemaKey, values[file.SchemaKey])
		}
		delete(values, file.SchemaKey)
		if fmt.Sprint(values) != fmt.Sprint(meta) {
			t.Errorf("metadata %v, want %v", values, meta)
		}
	}
}

func TestParquetRowGroupsAreBoundedInBytes(t *testing.T) {
	s, rows := manyDistinct(2000)
	blocks := blocksOf(s, rows, 100)
	f := newParquet(t, s, file.ParquetOptions{RowGroupBytes: 30_000})
	data := write(t, f, blocks, nil, len(rows))
	sameRows(t, s, rows, readBack(t, data))
	for i, group := range open(t, data).RowGroups() {
		// A row takes more than 100 bytes; the limit is passed by at most a block.
		if n := group.NumRows(); n > 400 {
			t.Errorf("row group %d has %d rows", i, n)
		}
	}
}

// Spark and Athena find columns by this path; parquet-go itself does not.
func TestParquetNamesItsColumnsInEveryFile(t *testing.T) {
	s := blocktest.AllTypes()
	f := newParquet(t, s, file.ParquetOptions{RowGroupRows: 10})
	rows := blocktest.Rows(rand.New(rand.NewPCG(9, 9)), s, 25)
	for n := range 3 {
		groups := open(t, write(t, f, blocksOf(s, rows, 10), nil, len(rows))).Metadata().RowGroups
		if len(groups) != 3 {
			t.Fatalf("%d row groups of at most 10 rows hold 25", len(groups))
		}
		for g, group := range groups {
			for i, c := range group.Columns {
				if got := c.MetaData.PathInSchema; len(got) != 1 || got[0] != s.Fields[i].Name {
					t.Errorf("file %d row group %d: path of column %s is %q", n, g, s.Fields[i].Name, got)
				}
			}
		}
	}
}

func TestParquetIsSafeForConcurrentUse(t *testing.T) {
	s := blocktest.AllTypes()
	f := newParquet(t, s, file.ParquetOptions{RowGroupRows: 500})
	var wg sync.WaitGroup
	for seed := range uint64(8) {
		wg.Go(func() {
			rows := blocktest.Rows(rand.New(rand.NewPCG(seed, 2)), s, 1200)
			for range 3 {
				var out bytes.Buffer
				if _, err := f.Write(&out, blocksOf(s, rows, 300), nil); err != nil {
					t.Error(err)
					return
				}
				sameRows(t, s, rows, readBack(t, out.Bytes()))
			}
		})
	}
	wg.Wait()
}

func TestParquetOptionsAreChecked(t *testing.T) {
	s := event.TaxiTrip()
	if _, err := file.Parquet(s, file.ParquetOptions{Compression: "lzma", RowGroupRows: -1, RowGroupBytes: -2}); err == nil {
		t.Error("accepted")
	} else {
		for _, part := range []string{"lzma", "-1", "-2"} {
			if !bytes.Contains([]byte(err.Error()), []byte(part)) {
				t.Errorf("%q does not name %s", err, part)
			}
		}
	}
	if _, err := file.Parquet(&event.Schema{Name: "empty"}, file.ParquetOptions{}); err == nil {
		t.Error("a schema without fields is accepted")
	}
}
