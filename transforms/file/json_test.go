package file_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/block/blocktest"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/file"
)

// oneOfEach has a row of each type whose text is to be exact.
func oneOfEach() (*event.Schema, event.Row) {
	s := &event.Schema{Name: "s", Fields: []event.Field{
		{Name: "time", Type: event.TimestampMillis},
		{Name: "double", Type: event.Double},
		{Name: "float", Type: event.Float},
		{Name: "bool", Type: event.Boolean},
		{Name: "int", Type: event.Int},
		{Name: "long", Type: event.Long},
		{Name: "text", Type: event.String},
		{Name: "null", Type: event.Long, Nullable: true},
	}}
	return s, event.Row{
		event.IntValue(1_514_764_800_007), event.FloatValue(0.1), event.FloatValue(float64(float32(0.1))),
		event.IntValue(1), event.IntValue(math.MinInt32), event.IntValue(math.MaxInt64),
		event.StringValue([]byte("<a> \"b\" \\ \n \x01 ü/")), {Null: true},
	}
}

func TestJSONLinesText(t *testing.T) {
	s, row := oneOfEach()
	got := string(write(t, file.JSONLines(s), blocksOf(s, []event.Row{row, row}, 10), nil, 2))
	line := `{"time":"2018-01-01T00:00:00.007Z","double":0.1,"float":0.1,"bool":true,"int":-2147483648,` +
		`"long":9223372036854775807,"text":"<a> \"b\" \\ \n \u0001 ü/","null":null}` + "\n"
	if got != line+line {
		t.Errorf("got:\n%swant twice:\n%s", got, line)
	}
}

func TestJSONLinesTimes(t *testing.T) {
	s := &event.Schema{Name: "s", Fields: []event.Field{{Name: "t", Type: event.TimestampMillis}}}
	for _, text := range []string{
		"1970-01-01T00:00:00.000Z", "1969-12-31T23:59:59.999Z", "2018-12-31T23:59:59.120Z",
		"2020-02-29T12:34:56.789Z", "0000-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z",
	} {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		rows := []event.Row{{event.IntValue(at.UnixMilli())}}
		got := string(write(t, file.JSONLines(s), blocksOf(s, rows, 1), nil, 1))
		if want := `{"t":"` + text + "\"}\n"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestJSONLinesDoublesAreTheShortestText(t *testing.T) {
	s := &event.Schema{Name: "s", Fields: []event.Field{{Name: "d", Type: event.Double}}}
	values := []float64{
		0, math.Copysign(0, -1), 1, -1, 0.5, 0.05, -0.01, 12.3, 12.34, 12.345, 99.99, 100, 1e12, 123456789012.34,
		9999999999999.99, 99999999999999.98, 1e13, 1e14 / 3, 1e20, 1e21, 1e-7, 0.1 + 0.2, math.Nextafter(12.34, 13),
		1<<53 + 2, math.MaxFloat64, math.SmallestNonzeroFloat64,
	}
	rnd := rand.New(rand.NewPCG(5, 5))
	for range 10_000 {
		values = append(values, float64(rnd.Int64N(1<<(1+rnd.IntN(55))))/100, rnd.NormFloat64())
	}
	rows := make([]event.Row, len(values))
	for i, v := range values {
		rows[i] = event.Row{event.FloatValue(v)}
	}
	lines := strings.Split(string(write(t, file.JSONLines(s), blocksOf(s, rows, 1000), nil, len(rows))), "\n")
	for i, v := range values {
		want, err := json.Marshal(map[string]float64{"d": v})
		if err != nil {
			t.Fatal(err)
		}
		if lines[i] != string(want) {
			t.Errorf("got %s, want %s", lines[i], want)
		}
	}
}

func TestJSONLinesReadBackEqual(t *testing.T) {
	s := blocktest.AllTypes()
	// Times are texts in JSON: compared by TestJSONLinesTimes.
	s.Fields = s.Fields[:12]
	for seed := range uint64(10) {
		rows := blocktest.Rows(rand.New(rand.NewPCG(seed, 3)), s, 700)
		lines := bytes.Split(write(t, file.JSONLines(s), blocksOf(s, rows, 300), nil, len(rows)), []byte("\n"))
		if len(lines) != len(rows)+1 {
			t.Fatalf("%d lines of %d rows", len(lines)-1, len(rows))
		}
		for i, row := range rows {
			sameObject(t, s, row, lines[i])
		}
	}
}

func sameObject(t *testing.T, s *event.Schema, row event.Row, line []byte) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	var got map[string]any
	if err := dec.Decode(&got); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	if len(got) != len(s.Fields) {
		t.Fatalf("%d fields, want %d: %s", len(got), len(s.Fields), line)
	}
	for i, f := range s.Fields {
		want := plain(f.Type, row[i])
		v := got[f.Name]
		if n, ok := v.(json.Number); ok {
			v = number(t, f.Type, n)
		}
		if v != want {
			t.Fatalf("field %s: %v (%T), want %v: %s", f.Name, v, v, want, line)
		}
	}
}

func number(t *testing.T, typ event.Type, n json.Number) any {
	t.Helper()
	if typ == event.Int || typ == event.Long {
		v, err := n.Int64()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	v, err := n.Float64()
	if err != nil {
		t.Fatal(err)
	}
	if typ == event.Float {
		v = float64(float32(v))
	}
	return v
}

func TestJSONLinesOfBytesThatAreNoText(t *testing.T) {
	s := &event.Schema{Name: "s", Fields: []event.Field{{Name: "t", Type: event.String}}}
	rows := []event.Row{{event.StringValue([]byte("a\xffb"))}}
	got := write(t, file.JSONLines(s), blocksOf(s, rows, 1), nil, 1)
	var object struct{ T string }
	if err := json.Unmarshal(got, &object); err != nil || object.T != "a\ufffdb" {
		t.Errorf("%s reads %q, %v", got, object.T, err)
	}
}

func TestJSONLinesRefuseWhatIsNoNumber(t *testing.T) {
	s := &event.Schema{Name: "s", Fields: []event.Field{{Name: "ratio", Type: event.Double}}}
	for _, v := range []float64{math.NaN(), math.Inf(1)} {
		var out bytes.Buffer
		_, err := file.JSONLines(s).Write(&out, blocksOf(s, []event.Row{{event.FloatValue(v)}}, 1), nil)
		if err == nil || !strings.Contains(err.Error(), "ratio") {
			t.Errorf("%v: error %v does not name the field", v, err)
		}
	}
}

func TestLinesAreConcatenated(t *testing.T) {
	blocks := [][]byte{
		block.EncodeLines(nil, []byte("one\ntwo\n"), 2),
		block.EncodeLines(nil, nil, 0),
		block.EncodeLines(nil, []byte("three\n"), 1),
	}
	if got := string(write(t, file.Lines(), blocks, nil, 3)); got != "one\ntwo\nthree\n" {
		t.Errorf("got %q", got)
	}
}

// failing is a writer that fails after some bytes.
type failing int

var errFull = errors.New("no space")

func (f *failing) Write(p []byte) (int, error) {
	if *f -= failing(len(p)); *f < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestFormatsPassErrorsOn(t *testing.T) {
	s := blocktest.AllTypes()
	good := blocksOf(s, blocktest.Rows(rand.New(rand.NewPCG(1, 4)), s, 500), 100)
	text := [][]byte{block.EncodeLines(nil, []byte("text\n"), 1)}
	damaged := append(append([][]byte{}, good...), good[0][:50])
	otherSchema := blocksOf(event.TaxiTrip(), nil, 1)
	b := block.NewBuilder(event.TaxiTrip())
	otherSchema = append(otherSchema, b.Encode(nil))

	formats := map[string]struct {
		format file.Format
		good   [][]byte
	}{
		"parquet": {newParquet(t, s, file.ParquetOptions{}), good},
		"json":    {file.JSONLines(s), good},
		"lines":   {file.Lines(), text},
	}
	for name, f := range formats {
		t.Run(name, func(t *testing.T) {
			full := failing(3)
			if _, err := f.format.Write(&full, f.good, nil); !errors.Is(err, errFull) {
				t.Errorf("full disk: %v", err)
			}
			for what, blocks := range map[string][][]byte{
				"damaged block": damaged, "flush marker": {block.FlushMarker()},
			} {
				if _, err := f.format.Write(&bytes.Buffer{}, blocks, nil); !errors.Is(err, block.ErrCorrupt) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if name != "lines" {
				if _, err := f.format.Write(&bytes.Buffer{}, otherSchema, nil); !errors.Is(err, block.ErrSchema) {
					t.Errorf("block of another schema: %v", err)
				}
			}
			// An error leaves nothing behind that harms the next file.
			var first, second bytes.Buffer
			for _, out := range []*bytes.Buffer{&first, &second} {
				if _, err := f.format.Write(out, f.good, nil); err != nil {
					t.Fatal(err)
				}
			}
			if first.Len() == 0 || !bytes.Equal(first.Bytes(), second.Bytes()) {
				t.Errorf("two files of the same blocks differ: %d and %d bytes", first.Len(), second.Len())
			}
		})
	}
}
