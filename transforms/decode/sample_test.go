package decode

import (
	"bufio"
	"os"
	"path/filepath"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// trips are such as are replayed: two real ones, and one made of what is rare
// there, money that is negative, a trip of no length, padding.
var trips = []string{
	`{"vendor_id":2,"pickup_datetime":"2018-04-30T23:54:59.000Z","dropoff_datetime":"2018-05-01T00:15:18.000Z","passenger_count":1,"trip_distance":8.92,"ratecode_id":1,"store_and_fwd_flag":"N","pickup_location_id":138,"dropoff_location_id":49,"payment_type":1,"fare_amount":27.0,"extra":0.5,"mta_tax":0.5,"tip_amount":5.66,"tolls_amount":0.0,"improvement_surcharge":0.3,"total_amount":33.96,"trip_id":4295007296,"type":"yellow"}`,
	`{"vendor_id":2,"pickup_datetime":"2018-05-01T00:05:44.000Z","dropoff_datetime":"2018-05-01T00:16:25.000Z","passenger_count":3,"trip_distance":2.37,"ratecode_id":1,"store_and_fwd_flag":"N","pickup_location_id":43,"dropoff_location_id":43,"payment_type":2,"fare_amount":10.5,"extra":0.5,"mta_tax":0.5,"tip_amount":0.0,"tolls_amount":0.0,"improvement_surcharge":0.3,"total_amount":11.8,"trip_id":4295007297,"type":"yellow"}`,
	`{"vendor_id":1,"pickup_datetime":"2018-01-01T00:09:41.000Z","dropoff_datetime":"2018-01-01T00:09:41.123Z","passenger_count":0,"trip_distance":0.0,"ratecode_id":99,"store_and_fwd_flag":"Y","pickup_location_id":264,"dropoff_location_id":1,"payment_type":4,"fare_amount":-2.5,"extra":-0.5,"mta_tax":-0.5,"tip_amount":0.01,"tolls_amount":5.76,"improvement_surcharge":-0.3,"total_amount":-3.8,"trip_id":1,"type":"green","padding":"AAAA"}`,
}

// sample returns the literal trips and, where there are any, those of the
// large data set beside the checkout or of the sample in it.
func sample(tb testing.TB) [][]byte {
	tb.Helper()
	var all [][]byte
	for _, t := range trips {
		all = append(all, []byte(t))
	}
	for _, pattern := range []string{"../../../shared/taxi/*/*/*.json.lz4", "../../testdata/*/*.json.lz4", "../../testdata/*.json.lz4"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			tb.Fatal(err)
		}
		found := false
		for _, name := range names {
			if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
				continue
			}
			found = true
			all = append(all, lines(tb, name)...)
		}
		if found {
			break
		}
	}
	return all
}

func lines(tb testing.TB, name string) [][]byte {
	tb.Helper()
	f, err := os.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var all [][]byte
	in := bufio.NewScanner(lz4.NewReader(f))
	for in.Scan() {
		all = append(all, append([]byte(nil), in.Bytes()...))
	}
	if err := in.Err(); err != nil {
		tb.Fatalf("read %s: %v", name, err)
	}
	return all
}
