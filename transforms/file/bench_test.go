package file_test

import (
	"io"
	"testing"

	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/block/blocktest"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/file"
)

func benchmarkWrite(b *testing.B, f file.Format) {
	rows, err := blocktest.Trips(20_000)
	if err != nil {
		b.Fatal(err)
	}
	var blocks [][]byte
	builder := block.NewBuilder(event.TaxiTrip())
	for range 5 {
		for i, row := range rows {
			builder.Append(row)
			if builder.Full() || i == len(rows)-1 {
				blocks = append(blocks, builder.Encode(nil))
			}
		}
	}
	var size counter
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		size = 0
		if _, err := f.Write(&size, blocks, nil); err != nil {
			b.Fatal(err)
		}
		n += 5 * len(rows)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(size)/float64(5*len(rows)), "B/row")
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

var _ io.Writer = (*counter)(nil)

// BenchmarkParquetWrite writes files of 100,000 trips, decoding their blocks.
func BenchmarkParquetWrite(b *testing.B) {
	for _, compression := range []string{"snappy", "zstd", "gzip", "none"} {
		b.Run(compression, func(b *testing.B) {
			benchmarkWrite(b, newParquet(b, event.TaxiTrip(), file.ParquetOptions{Compression: compression}))
		})
	}
}

func BenchmarkJSONLinesWrite(b *testing.B) { benchmarkWrite(b, file.JSONLines(event.TaxiTrip())) }
