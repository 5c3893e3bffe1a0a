package compare

import (
	"bytes"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// FuzzParquetIsReadOrRefused has damaged files be errors, not panics, and what
// is read be as many rows as were told.
func FuzzParquetIsReadOrRefused(f *testing.F) {
	type row struct {
		ID   int64    `parquet:"id"`
		At   int64    `parquet:"at,timestamp(microsecond)"`
		Name *string  `parquet:"name,optional,dict"`
		X    float32  `parquet:"x"`
		B    [16]byte `parquet:"b,uuid"`
	}
	name := "n"
	var out bytes.Buffer
	if err := parquet.Write(&out, []row{{ID: 1, At: 1_514_800_000_000_001, Name: &name, X: 0.1}, {ID: 2}}); err != nil {
		f.Fatal(err)
	}
	whole := out.Bytes()
	f.Add(whole)
	f.Add(whole[:len(whole)-9])
	f.Add(append([]byte("PAR1"), whole[len(whole)-8:]...))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows := int64(0)
		err := newReader(nil).parquet(bytes.NewReader(data), int64(len(data)), func(row int64, record []byte) error {
			if rows++; row != rows || len(record) < 2 {
				t.Errorf("row %d after %d: %q", row, rows-1, record)
			}
			return nil
		})
		if bytes.Equal(data, whole) && (err != nil || rows != 2) {
			t.Errorf("%d rows, %v", rows, err)
		}
	})
}

// FuzzJSONLinesHaveOneText has a record's text be read as the same text again.
func FuzzJSONLinesHaveOneText(f *testing.F) {
	for _, line := range []string{`{"a":1.50,"b":null,"c":[1e2,{"z":"\\u00e9"}]}`, `{"n":-0,"m":12345678901234567890,"x":1e400}`, `{"a":1,"a":2}`, "[]", "{"} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		text := func(in []byte) (out []string, err error) {
			err = newReader(nil).jsonLines(bytes.NewReader(in), func(_ int64, record []byte) error {
				out = append(out, string(record))
				return nil
			})
			return out, err
		}
		first, err := text(line)
		if err != nil {
			return
		}
		for _, record := range first {
			again, err := text([]byte(record))
			if err != nil || len(again) != 1 || again[0] != record {
				t.Errorf("%q is read as %q: %v", record, again, err)
			}
		}
	})
}

func TestFooterLongerThanTheFileTakesNoMemory(t *testing.T) {
	for _, file := range []string{"", "PAR1", "PAR1\x04\x00\x00\x00PAR1", "PAR1 and more \xff\xff\xff\xffPAR1"} {
		err := newReader(nil).parquet(strings.NewReader(file), int64(len(file)), func(int64, []byte) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "too short") && !strings.Contains(err.Error(), "a footer of") {
			t.Errorf("%q: %v", file, err)
		}
	}
}
