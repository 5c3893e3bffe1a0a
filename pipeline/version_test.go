package pipeline

import (
	"bytes"
	"runtime/debug"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/file"
)

func TestParquetFilesTellTheVersionOfTheProgram(t *testing.T) {
	for _, test := range []struct {
		built string
		ok    bool
		want  string
	}{
		{"v1.2.3", true, "streaming-etl version 1.2.3(build )"},
		{"v0.0.0-20260102030405-0123456789ab+dirty", true, "streaming-etl version 0.0.0-20260102030405-0123456789ab+dirty(build )"},
		{"(devel)", true, "streaming-etl version 0(build )"},
		{"", true, "streaming-etl version 0(build )"},
		{"v1.2.3", false, "streaming-etl version 0(build )"},
	} {
		options := Config{Compression: "snappy"}.parquet(&debug.BuildInfo{Main: debug.Module{Version: test.built}}, test.ok)
		format, err := file.Parquet(event.TaxiTrip(), options)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if _, err := format.Write(&out, nil, nil); err != nil {
			t.Fatal(err)
		}
		f, err := parquet.OpenFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Metadata().CreatedBy; got != test.want {
			t.Errorf("a program of version %q, known: %v, writes files created by %q, want %q", test.built, test.ok, got, test.want)
		}
	}
}
