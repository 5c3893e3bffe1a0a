package replay

import (
	"errors"
	"io"
	"testing"

	"github.com/streaming-etl/streaming-etl/testdata"
)

// BenchmarkRead decompresses, scans and merges the sample: what a replay does
// for each record but for sending it.
func BenchmarkRead(b *testing.B) {
	o := Options{Files: testdata.Trips()}.withDefaults()
	src, err := openSource(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	names, err := src.list(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	records := 0
	for b.Loop() {
		m := newMerger(src, names, o)
		for {
			if _, err := m.next(b.Context()); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
			records++
		}
		m.close()
	}
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
}
