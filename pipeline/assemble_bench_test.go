package pipeline

import (
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/block/blocktest"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

// BenchmarkAssemble closes the files of all open partitions in one bundle, as
// a worker does when their age is up: 200,000 trips in blocks, as they come out
// of the state, into Parquet files on a server in this process. Beside time it
// reports the most memory that the process had at a time, above that of the
// blocks themselves.
func BenchmarkAssemble(b *testing.B) {
	const rows = 200_000
	for _, partitions := range []int{1, 260, 5000} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			w := newWorld(b, 1)
			files := blocksOf(b, rows, partitions)
			f := newAssembleFn(configure(b, w.flags("--OutputBucket="+testBucket)...))
			if err := f.Setup(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { endProcess(f.Config.JobID) })
			debug.FreeOSMemory()
			m := watchMemory()
			for b.Loop() {
				f.StartBundle(b.Context(), nil)
				for p, blocks := range files {
					key := route.Key{Stream: route.Events, Path: fmt.Sprintf("p=%04d", p)}.String()
					if err := f.start(b.Context(), key, blocks); err != nil {
						b.Fatal(err)
					}
				}
				var tokens []s3io.Token
				if err := f.FinishBundle(b.Context(), func(t s3io.Token) { tokens = append(tokens, t) }); err != nil {
					b.Fatal(err)
				}
				if len(tokens) != partitions {
					b.Fatalf("%d files of %d", len(tokens), partitions)
				}
				b.StopTimer()
				f.abort(b.Context(), tokens) // the server holds them in this process
				b.StartTimer()
			}
			b.ReportMetric(m.stop(), "peak-MiB")
			b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// blocksOf returns rows of so many partitions in four blocks each, as so many bundles make them.
func blocksOf(b *testing.B, rows, partitions int) [][][]byte {
	trips, err := blocktest.Trips(20_000)
	if err != nil {
		b.Fatal(err)
	}
	const blocks = 4
	each := rows / partitions / blocks
	files := make([][][]byte, partitions)
	builder := block.NewBuilder(event.TaxiTrip())
	next := 0
	for p := range files {
		for range blocks {
			for range each {
				builder.Append(trips[next%len(trips)])
				next++
				if builder.Full() {
					files[p] = append(files[p], builder.Encode(nil))
				}
			}
			if builder.Rows() > 0 {
				files[p] = append(files[p], builder.Encode(nil))
			}
		}
	}
	return files
}

// A memoryWatch looks at the memory that the runtime has from the system and has not given back.
type memoryWatch struct {
	done chan struct{}
	most chan uint64
	base uint64
}

func watchMemory() *memoryWatch {
	m := &memoryWatch{done: make(chan struct{}), most: make(chan uint64), base: held()}
	go func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for most := uint64(0); ; {
			most = max(most, held())
			select {
			case <-tick.C:
			case <-m.done:
				m.most <- most
				return
			}
		}
	}()
	return m
}

// stop returns the most that was held beyond what was held at first, in MiB.
func (m *memoryWatch) stop() float64 {
	close(m.done)
	return (float64(<-m.most) - float64(m.base)) / (1 << 20)
}

func held() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}
