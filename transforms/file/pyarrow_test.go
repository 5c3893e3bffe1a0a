package file_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/stack"
	"github.com/streaming-etl/streaming-etl/transforms/block/blocktest"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/file"
)

// arrowScript compares Parquet files with JSON lines of the same rows, value by
// value. It is given the pairs of files and prints for each a line of JSON:
// the columns' names, types and nullability, or what is wrong as a string.
const arrowScript = `
import json, sys
import pyarrow as pa, pyarrow.parquet as pq

def check(path, rows):
    table = pq.read_table(path)
    if table.num_rows != len(rows):
        return f"{table.num_rows} rows, want {len(rows)}"
    for field in table.schema:
        column = table.column(field.name)
        if pa.types.is_timestamp(field.type):
            column = column.cast(pa.int64())
        if pa.types.is_floating(field.type):
            for row in rows:
                if row[field.name] is not None:
                    row[field.name] = float(row[field.name])
        for i, (got, row) in enumerate(zip(column.to_pylist(), rows)):
            if got != row[field.name]:
                return f"{field.name} row {i}: {got!r}, want {row[field.name]!r}"
    # What the statistics exclude, readers never see.
    meta, at = pq.read_metadata(path), 0
    for g in range(meta.num_row_groups):
        group = meta.row_group(g)
        for c in range(group.num_columns):
            chunk = group.column(c)
            name, stats = chunk.path_in_schema, chunk.statistics
            values = [r[name] for r in rows[at:at + group.num_rows] if r[name] is not None]
            values = [v.encode() if isinstance(v, str) else v for v in values]
            if stats.null_count != group.num_rows - len(values):
                return f"{name}: {stats.null_count} nulls in the statistics"
            if values and not stats.has_min_max:
                return f"{name}: no bounds in the statistics"
            if values and not (stats.min_raw <= min(values) and max(values) <= stats.max_raw):
                return f"{name}: bounds {stats.min_raw!r} {stats.max_raw!r}"
        at += group.num_rows
    return [[f.name, str(f.type), f.nullable] for f in table.schema]

for path, lines in zip(sys.argv[1::2], sys.argv[2::2]):
    print(json.dumps(check(path, [json.loads(line) for line in open(lines, encoding="utf-8")])))
`

// TestPyArrowReadsTheSameValues reads the files by another implementation of
// Parquet than the one that wrote them.
func TestPyArrowReadsTheSameValues(t *testing.T) {
	environment := withPyArrow(t)
	trips, err := blocktest.Trips(20_000)
	if err != nil {
		t.Fatal(err)
	}
	all := blocktest.AllTypes()
	distinct, distinctRows := manyDistinct(30_000)
	tests := []struct {
		name    string
		schema  *event.Schema
		rows    []event.Row
		options file.ParquetOptions
	}{
		{"trips", event.TaxiTrip(), trips, file.ParquetOptions{}},
		{"trips in zstd", event.TaxiTrip(), trips[:500], file.ParquetOptions{Compression: "zstd"}},
		{"trips in gzip", event.TaxiTrip(), trips[:500], file.ParquetOptions{Compression: "gzip"}},
		{"trips uncompressed", event.TaxiTrip(), trips[:500], file.ParquetOptions{Compression: "none"}},
		{"all types", all, blocktest.Rows(rand.New(rand.NewPCG(1, 1)), all, 2000), file.ParquetOptions{RowGroupRows: 700}},
		{"all types again", all, blocktest.Rows(rand.New(rand.NewPCG(2, 1)), all, 2000), file.ParquetOptions{RowGroupRows: 700}},
		{"no rows", all, nil, file.ParquetOptions{}},
		{"no repeated values", distinct, distinctRows, file.ParquetOptions{}},
	}
	// One process for all: to import pyarrow takes longer than to read.
	dir := t.TempDir()
	args := []string{"-c", arrowScript}
	for i, tt := range tests {
		data := write(t, newParquet(t, tt.schema, tt.options), blocksOf(tt.schema, tt.rows, 3000), nil, len(tt.rows))
		parquetPath := filepath.Join(dir, fmt.Sprintf("%d.parquet", i))
		jsonPath := filepath.Join(dir, fmt.Sprintf("%d.jsonl", i))
		if err := os.WriteFile(parquetPath, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(jsonPath, plainJSON(t, tt.schema, tt.rows), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, parquetPath, jsonPath)
	}
	var stderr strings.Builder
	cmd := exec.Command("python3", args...)
	cmd.Env = environment
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	results := json.NewDecoder(bytes.NewReader(out))
	for _, tt := range tests {
		var got any
		if err := results.Decode(&got); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		t.Run(tt.name, func(t *testing.T) {
			columns, ok := got.([]any)
			if !ok {
				t.Fatal(got)
			}
			if len(columns) != len(tt.schema.Fields) {
				t.Fatalf("%d columns, want %d", len(columns), len(tt.schema.Fields))
			}
			for i, f := range tt.schema.Fields {
				want := []any{f.Name, arrowTypes[f.Type], f.Nullable}
				if !reflect.DeepEqual(columns[i], want) {
					t.Errorf("column %v, want %v", columns[i], want)
				}
			}
		})
	}
}

// withPyArrow returns the environment in which python3 has pyarrow, that of the
// cache or its own. Where it has none, it skips the test or fails it.
func withPyArrow(t *testing.T) []string {
	t.Helper()
	if os.Getenv(stack.Variable) == "off" {
		t.Skipf("needs pyarrow, and %s=off; the other tests read the files by parquet-go", stack.Variable)
	}
	environment := os.Environ()
	module, missing := stack.PyArrow.Path()
	if missing == nil {
		environment = append(environment, "PYTHONPATH="+filepath.Dir(module))
	}
	cmd := exec.Command("python3", "-c", "import pyarrow.parquet")
	cmd.Env = environment
	switch said, err := cmd.CombinedOutput(); {
	case err == nil:
		return environment
	case missing == nil || os.Getenv(stack.Variable) == "require":
		t.Fatalf("python3 has no pyarrow: %v; %v\n%s", missing, err, said)
	}
	t.Skipf("python3 has no pyarrow: %v; the other tests read the files by parquet-go", missing)
	return nil
}

var arrowTypes = map[event.Type]string{
	event.Int: "int32", event.Long: "int64", event.Float: "float", event.Double: "double",
	event.Boolean: "bool", event.String: "string", event.TimestampMillis: "timestamp[ms, tz=UTC]",
}

// plainJSON writes rows by encoding/json, timestamps as numbers.
func plainJSON(t testing.TB, s *event.Schema, rows []event.Row) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	for _, row := range rows {
		object := map[string]any{}
		for i, f := range s.Fields {
			object[f.Name] = plain(f.Type, row[i])
		}
		if err := enc.Encode(object); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// plain returns a value as encoding/json takes it.
func plain(t event.Type, v event.Value) any {
	if v.Null {
		return nil
	}
	switch t {
	case event.String:
		return string(v.Str)
	case event.Double, event.Float:
		return v.Float()
	case event.Boolean:
		return v.Int() == 1
	default:
		return v.Int()
	}
}
