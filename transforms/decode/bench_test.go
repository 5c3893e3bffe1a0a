//go:build unix

package decode

import (
	"syscall"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// BenchmarkDecodeTrips decodes one real trip after another. It reports the
// records per second of processor time, which other work on the machine
// changes less than the time per operation.
func BenchmarkDecodeTrips(b *testing.B) {
	all := sample(b)
	s := event.TaxiTrip()
	d, row := New(s), make(event.Row, len(s.Fields))
	var size int64
	for _, p := range all {
		size += int64(len(p))
	}
	b.SetBytes(size / int64(len(all)))
	b.ReportAllocs()
	start := processorTime(b)
	for i := 0; b.Loop(); i++ {
		if err := d.Decode(all[i%len(all)], row); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/(processorTime(b)-start).Seconds(), "records/cpu-s")
}

// BenchmarkFindTrips finds the id of one real trip after another.
func BenchmarkFindTrips(b *testing.B) {
	all := sample(b)
	b.ReportAllocs()
	start := processorTime(b)
	for i := 0; b.Loop(); i++ {
		if Find(all[i%len(all)], "trip_id") == nil {
			b.Fatal("not found")
		}
	}
	b.ReportMetric(float64(b.N)/(processorTime(b)-start).Seconds(), "records/cpu-s")
}

// processorTime is what the process has used so far.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
