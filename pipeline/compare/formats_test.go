package compare_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/streaming-etl/streaming-etl/pipeline/compare"
	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/file"
)

func TestNumbersOfBothFormatsAreEqual(t *testing.T) {
	s, err := event.Parse([]byte(`{"type":"record","name":"Number","fields":[
		{"name":"n","type":"int"},{"name":"f","type":"float"},{"name":"d","type":"double"},{"name":"l","type":"long"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	numbers := []float64{
		0, math.Copysign(0, -1), 0.1, 1e-6, 1e-7, 123456789, 1<<53 - 1, 1 << 53, 1<<53 + 2, 1e15, 1e16, 1e17, -1e17, 1e20, 1e21, 1e22,
		math.Nextafter(1e21, 0), math.Nextafter(1e21, 1e22), 1 << 63, math.MaxFloat32, math.MaxFloat64, math.SmallestNonzeroFloat64,
	}
	for range 10_000 {
		numbers = append(numbers, math.Float64frombits(random.Uint64()), math.Trunc(random.NormFloat64()*math.Pow10(random.IntN(24))))
	}
	rows := block.NewBuilder(s)
	var blocks [][]byte
	for i, d := range numbers {
		f := float32(d)
		if i > 100 && i%2 == 1 {
			f = math.Float32frombits(random.Uint32())
		}
		if f != f || math.IsInf(float64(f), 0) {
			f = 1
		}
		if d != d || math.IsInf(d, 0) { // JSON has none of them
			continue
		}
		rows.Append(event.Row{event.IntValue(int64(i)), event.FloatValue(float64(f)), event.FloatValue(d), event.IntValue(int64(random.Uint64()))})
		if rows.Full() {
			blocks = append(blocks, rows.Encode(nil))
		}
	}
	blocks = append(blocks, rows.Encode(nil))
	columns, err := file.Parquet(s, file.ParquetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	write := func(f file.Format) string {
		var out bytes.Buffer
		if _, err := f.Write(&out, blocks, nil); err != nil {
			t.Fatal(err)
		}
		return put(t, map[string][]byte{"part" + f.Extension(): out.Bytes()})
	}
	r := run(t, compare.Options{A: write(columns), B: write(file.JSONLines(s)), Show: 10})
	if !r.Equal || r.Common < 10_000 {
		t.Errorf("%+v", r)
	}
}
