package file_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/block/blocktest"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/file"
)

// benchmarkWrite writes files of n trips.
func benchmarkWrite(b *testing.B, f file.Format, n int) {
	rows, err := blocktest.Trips(min(n, 20_000))
	if err != nil {
		b.Fatal(err)
	}
	var blocks [][]byte
	builder := block.NewBuilder(event.TaxiTrip())
	for i := range n {
		builder.Append(rows[i%len(rows)])
		if builder.Full() || i == n-1 {
			blocks = append(blocks, builder.Encode(nil))
		}
	}
	var size counter
	total := 0
	b.ReportAllocs()
	start := blocktest.CPU()
	for b.Loop() {
		size = 0
		if _, err := f.Write(&size, blocks, nil); err != nil {
			b.Fatal(err)
		}
		total += n
	}
	b.ReportMetric(float64(total)/(blocktest.CPU()-start).Seconds(), "rows/cpu-s")
	b.ReportMetric(float64(size)/float64(n), "B/row")
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
			benchmarkWrite(b, newParquet(b, event.TaxiTrip(), file.ParquetOptions{Compression: compression}), 100_000)
		})
	}
}

// BenchmarkParquetWriteSmall writes files of few trips.
func BenchmarkParquetWriteSmall(b *testing.B) {
	for _, n := range []int{40, 1000} {
		b.Run(fmt.Sprintf("rows=%d", n), func(b *testing.B) {
			benchmarkWrite(b, newParquet(b, event.TaxiTrip(), file.ParquetOptions{}), n)
		})
	}
}

// BenchmarkJSONLinesWrite writes files of 100,000 trips, decoding their blocks.
func BenchmarkJSONLinesWrite(b *testing.B) {
	benchmarkWrite(b, file.JSONLines(event.TaxiTrip()), 100_000)
}
