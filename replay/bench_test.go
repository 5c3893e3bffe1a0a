package replay

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
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
// answering server's share is in it. The far one answers after 200 ms.
func BenchmarkReplay(b *testing.B) {
	for _, c := range []struct {
		name      string
		aggregate bool
		shards    int
		delay     time.Duration
		passes    int
	}{
		{"plain/1", false, 1, 0, 10}, {"plain/4", false, 4, 0, 10}, {"plain/100", false, 100, 0, 10},
		{"aggregated/1", true, 1, 0, 10}, {"aggregated/4", true, 4, 0, 10}, {"aggregated/100", true, 100, 0, 10},
		{"aggregated/1/far", true, 1, 200 * time.Millisecond, 1},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			records, requests := int64(0), int64(0)
			for b.Loop() {
				server := startKinesis(b, c.shards)
				server.Control("PutRecords", func(*kinesisfake.Request) error { time.Sleep(c.delay); return nil })
				to, err := OpenKinesis(b.Context(), KinesisOptions{Stream: "trips", Endpoint: server.URL(), EmulatorCredentials: true, Aggregate: c.aggregate})
				if err != nil {
					b.Fatal(err)
				}
				stats, err := Run(b.Context(), Options{Files: testdata.Trips(), Repeat: c.passes}, to)
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
