package elasticsearchio

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// trip is a taxi trip of 420 bytes with numbers of its own.
func trip(r *rand.Rand) string {
	return fmt.Sprintf(`{"vendor_id":%d,"pickup_datetime":"2018-%02d-%02dT%02d:%02d:%02d.000Z","dropoff_datetime":"2018-01-01T00:%02d:%02d.000Z",`+
		`"passenger_count":%d,"trip_distance":%.2f,"ratecode_id":1,"store_and_fwd_flag":"N","pickup_location_id":%d,"dropoff_location_id":%d,`+
		`"payment_type":1,"fare_amount":%.2f,"extra":0.5,"mta_tax":0.5,"tip_amount":%.2f,"tolls_amount":0,"improvement_surcharge":0.3,"total_amount":%.2f,`+
		`"trip_id":%d,"type":"yellow"}`,
		r.IntN(2)+1, r.IntN(12)+1, r.IntN(28)+1, r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(60), r.IntN(60), r.IntN(6), r.Float64()*20,
		r.IntN(264), r.IntN(264), r.Float64()*90, r.Float64()*20, r.Float64()*120, r.Uint64()>>1)
}

// BenchmarkWrite writes trips to a server that reads and forgets, in bundles
// of 20,000, and reports the process's time per million documents, that of the
// server included where it is in the process. It writes to the cluster that
// TEST_ELASTICSEARCH_ENDPOINT names if that is set.
func BenchmarkWrite(b *testing.B) {
	endpoint := os.Getenv("TEST_ELASTICSEARCH_ENDPOINT")
	if endpoint == "" {
		sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, `{"errors":false,"took":1,"items":[]}`)
		}))
		b.Cleanup(sink.Close)
		endpoint = sink.URL
	}
	random := rand.New(rand.NewPCG(1, 2))
	trips := make([][]byte, 5000)
	for i := range trips {
		trips[i] = []byte(trip(random))
	}
	index := fmt.Appendf(nil, "bench-%x", time.Now().UnixNano())
	for _, c := range []struct {
		name    string
		options Options
	}{
		{"5MB", Options{MaxActions: 1 << 20}},
		{"1000Actions", Options{}},
		{"5MBUncompressed", Options{MaxActions: 1 << 20, Uncompressed: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.options.Endpoints = strings.Split(endpoint, ",")
			client := newClient(b, c.options)
			bulk := client.NewBulk()
			d := &Document{Index: index, ID: make([]byte, 16), Version: 1}
			var binaryID [8]byte
			b.ReportAllocs()
			b.SetBytes(int64(len(trips[0])))
			before := cpu(b)
			b.ResetTimer()
			for i := range b.N {
				binary.BigEndian.PutUint64(binaryID[:], uint64(i))
				hex.Encode(d.ID, binaryID[:])
				d.Source, d.Ref = trips[i%len(trips)], i
				if err := bulk.Add(b.Context(), d); err != nil {
					b.Fatal(err)
				}
				if i%20_000 == 19_999 || i == b.N-1 {
					if rejections, err := bulk.Flush(b.Context()); err != nil || len(rejections) > 0 {
						b.Fatal(rejections, err)
					}
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "documents/s")
			b.ReportMetric((cpu(b)-before).Seconds()/float64(b.N)*1e6, "cpu-s/million")
		})
	}
}

// cpu is the time that this process has taken of the processors.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
