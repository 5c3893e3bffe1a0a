package replay

import (
	"errors"
	"fmt"
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

// BenchmarkReplay sends the sample into a stream, as fast as it goes; the
// answering server's share is in it.
func BenchmarkReplay(b *testing.B) {
	for name, aggregate := range map[string]bool{"plain": false, "aggregated": true} {
		for _, shards := range []int{1, 4, 100} {
			b.Run(fmt.Sprintf("%s/%d", name, shards), func(b *testing.B) {
				b.ReportAllocs()
				records, requests := int64(0), int64(0)
				for b.Loop() {
					server := startKinesis(b, shards)
					to, err := OpenKinesis(b.Context(), KinesisOptions{Stream: "trips", Endpoint: server.URL(), EmulatorCredentials: true, Aggregate: aggregate})
					if err != nil {
						b.Fatal(err)
					}
					stats, err := Run(b.Context(), Options{Files: testdata.Trips(), Repeat: 10}, to)
					if err = errors.Join(err, to.Close(b.Context()), server.Close()); err != nil {
						b.Fatal(err)
					}
					records += stats.Records
					requests += stats.Sender.Requests
				}
				b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
				b.ReportMetric(float64(records)/float64(requests), "records/request")
			})
		}
	}
}
