package route_test

import (
	"bytes"
	"io"
	"io/fs"
	"testing"

	"github.com/pierrec/lz4/v4"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/testdata"
	"github.com/streaming-etl/streaming-etl/transforms/block/blocktest"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/file"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

// BenchmarkPath is the whole path outside of Beam: payloads are decoded,
// routed and put into blocks, the blocks written as Parquet files. Each round
// is 100,000 trips of one month, as a live stream has them.
func BenchmarkPath(b *testing.B) {
	const path = "pickup_location={pickup_location_id:%03d}/year={pickup_datetime:2006}/month={pickup_datetime:01}"
	r, err := route.New(route.Config{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	parquet, err := file.Parquet(event.TaxiTrip(), file.ParquetOptions{})
	if err != nil {
		b.Fatal(err)
	}
	batches := month(b, 5)
	rows := 0
	start := blocktest.CPU()
	b.ReportAllocs()
	for b.Loop() {
		blocks := map[string][][]byte{}
		emit := func(key string, blk []byte) { blocks[key] = append(blocks[key], blk) }
		for i := range batches {
			rows += r.Add(&batches[i], emit).Events
		}
		r.Flush(emit)
		for _, of := range blocks {
			if _, err := parquet.Write(io.Discard, of, nil); err != nil {
				b.Fatal(err)
			}
		}
	}
	cpu := (blocktest.CPU() - start).Seconds()
	b.ReportMetric(1e6*cpu/float64(rows), "cpu-s/million")
	b.ReportMetric(float64(rows)/cpu, "records/cpu-s")
}

// month returns the sample's first month, 10,000 trips, n times two, in batches.
func month(b testing.TB, n int) []batch.Batch {
	b.Helper()
	names, err := fs.Glob(testdata.Trips(), "*.json.lz4")
	if err != nil || len(names) == 0 {
		names, err = fs.Glob(testdata.Trips(), "*/*.json.lz4")
	}
	if err != nil || len(names) == 0 {
		b.Fatalf("the sample has no files: %v", err)
	}
	f, err := testdata.Trips().Open(names[0])
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(lz4.NewReader(f))
	if err != nil {
		b.Fatal(err)
	}
	var out []batch.Batch
	for range 2 * n {
		m := batch.Batch{JobStart: 1, Seqs: []string{"1"}}
		for line := range bytes.Lines(text) {
			m.Append(bytes.TrimRight(line, "\n"), 0, 0, 0)
		}
		out = append(out, m)
	}
	return out
}
