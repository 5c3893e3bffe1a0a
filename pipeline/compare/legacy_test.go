package compare_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/streaming-etl/streaming-etl/pipeline/compare"
)

// asOlderWriters takes the logical types out of a Parquet file's footer, which
// then has the converted types alone, as parquet-avro wrote it before 1.11.
// Groups of a repeated "array" become its lists.
func asOlderWriters(t *testing.T, file []byte) []byte {
	t.Helper()
	end := len(file) - 8
	begin := end - int(binary.LittleEndian.Uint32(file[end:]))
	var footer format.FileMetaData
	if err := thrift.Unmarshal(&thrift.CompactProtocol{}, file[begin:end], &footer); err != nil {
		t.Fatal(err)
	}
	converted := 0
	for i := range footer.Schema {
		e := &footer.Schema[i]
		if e.Name == "array" {
			footer.Schema[i-1].ConvertedType = thrift.New(deprecated.List)
		}
		e.LogicalType = format.LogicalType{}
		if e.ConvertedType.Valid {
			converted++
		}
	}
	if converted == 0 {
		t.Fatal("no column has a converted type")
	}
	text, err := thrift.Marshal(&thrift.CompactProtocol{}, &footer)
	if err != nil {
		t.Fatal(err)
	}
	out := append(bytes.Clone(file[:begin]), text...)
	return append(binary.LittleEndian.AppendUint32(out, uint32(len(text))), "PAR1"...)
}

func TestTypesOfOlderWritersAreThoseOfToday(t *testing.T) {
	today := parquetOf(t, rides(50))
	a := put(t, map[string][]byte{"a": today})
	b := put(t, map[string][]byte{"b": asOlderWriters(t, today)})
	if r := run(t, compare.Options{A: a, B: b, Show: 1}); !r.Equal || r.Common != 50 {
		t.Errorf("%+v", r)
	}
}

// tagged has its list before the flat column, and another number of values in
// each row.
type tagged struct {
	A    int64 `parquet:"a"`
	List struct {
		Array []string `parquet:"array"`
	} `parquet:"list"`
	Z int64 `parquet:"z"`
}

func TestFlatColumnsBesideAListAreCompared(t *testing.T) {
	rows := make([]tagged, 4)
	var lines strings.Builder
	for i := range rows {
		rows[i].A, rows[i].Z = int64(i), int64(10*i)
		rows[i].List.Array = []string{"x", "y", "z"}[:i%3+i/3]
		fmt.Fprintf(&lines, "{\"a\":%d,\"z\":%d}\n", rows[i].A, rows[i].Z)
	}
	var file bytes.Buffer
	if err := parquet.Write(&file, rows); err != nil {
		t.Fatal(err)
	}
	a := put(t, map[string][]byte{"a": []byte(lines.String())})
	for name, content := range map[string][]byte{"today's": file.Bytes(), "older": asOlderWriters(t, file.Bytes())} {
		b := put(t, map[string][]byte{"b": content})
		if r := run(t, compare.Options{A: a, B: b, Columns: []string{"a", "z"}, Show: 5}); !r.Equal || r.Common != 4 {
			t.Errorf("%s: %+v", name, r)
		}
		if _, err := compare.Run(t.Context(), compare.Options{A: a, B: b}); err == nil || !strings.Contains(err.Error(), "column list.array is nested") {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}
