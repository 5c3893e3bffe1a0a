package block_test

import (
	"testing"

	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/block/blocktest"
	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// blockRows is how many trips make a block of about block.TargetSize.
const blockRows = 6000

func BenchmarkBlockEncode(b *testing.B) {
	rows, err := blocktest.Trips(blockRows)
	if err != nil {
		b.Fatal(err)
	}
	builder := block.NewBuilder(event.TaxiTrip())
	var out []byte
	n := 0
	b.ReportAllocs()
	start := blocktest.CPU()
	for b.Loop() {
		for _, row := range rows {
			builder.Append(row)
		}
		out = builder.Encode(out[:0])
		n += len(rows)
	}
	b.ReportMetric(float64(n)/(blocktest.CPU()-start).Seconds(), "rows/cpu-s")
	b.ReportMetric(float64(len(out))/float64(len(rows)), "B/row")
}

func BenchmarkBlockDecode(b *testing.B) {
	rows, err := blocktest.Trips(blockRows)
	if err != nil {
		b.Fatal(err)
	}
	s := event.TaxiTrip()
	blk := encode(s, rows)
	var columns block.Columns
	n := 0
	b.ReportAllocs()
	start := blocktest.CPU()
	for b.Loop() {
		if err := block.Decode(&columns, s, blk); err != nil {
			b.Fatal(err)
		}
		n += len(rows)
	}
	b.ReportMetric(float64(n)/(blocktest.CPU()-start).Seconds(), "rows/cpu-s")
}
