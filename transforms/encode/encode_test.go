package encode_test

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"reflect"
	"testing"

	"github.com/pierrec/lz4/v4"

	"github.com/streaming-etl/streaming-etl/testdata"
	"github.com/streaming-etl/streaming-etl/transforms/decode"
	"github.com/streaming-etl/streaming-etl/transforms/encode"
	"github.com/streaming-etl/streaming-etl/transforms/event"
)

func TestRowsReadBackEqual(t *testing.T) {
	schema := event.TaxiTrip()
	d, e := decode.New(schema), encode.New(schema)
	first, second := make(event.Row, len(schema.Fields)), make(event.Row, len(schema.Fields))
	names, err := fs.Glob(testdata.Trips(), "*.json.lz4")
	if err != nil || len(names) == 0 {
		t.Fatalf("the sample has no files: %v", err)
	}
	f, err := testdata.Trips().Open(names[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(lz4.NewReader(f))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	for _, line := range lines[:1000] {
		if err := d.Decode(line, first); err != nil {
			t.Fatal(err)
		}
		out := e.Append([]byte("x"), first)[1:]
		again := decode.New(schema)
		if err := again.Decode(out, second); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("%s became %s", line, out)
		}
	}
}

func TestValuesOfEachTypeAreJSON(t *testing.T) {
	schema, err := event.Parse([]byte(`{"type":"record","name":"E","fields":[
		{"name":"s","type":"string"},{"name":"f","type":"float"},{"name":"b","type":"boolean"},{"name":"n","type":["null","int"]},
		{"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"d","type":"double"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	row := make(event.Row, len(schema.Fields))
	in := `{"s":"a\"\u0001ü","f":0.1,"b":true,"n":null,"t":"2018-01-02T03:04:05.006Z","d":-12.50}`
	if err := decode.New(schema).Decode([]byte(in), row); err != nil {
		t.Fatal(err)
	}
	out := encode.New(schema).Append(nil, row)
	var got map[string]any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	want := map[string]any{"s": "a\"\u0001ü", "f": 0.1, "b": true, "n": nil, "t": "2018-01-02T03:04:05.006Z", "d": -12.5}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
