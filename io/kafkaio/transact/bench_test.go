//go:build unix

package transact

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// processCPU is the time that this process has run, brokers in it included.
func processCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// trips returns records of about size bytes that compress as JSON lines do.
func trips(n, size int) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	lines := make([][]byte, n)
	for i := range lines {
		line := fmt.Appendf(nil, `{"type":"trip","id":%d,"pickup":"2024-01-%02dT%02d:%02d:%02dZ"`, r.Uint64(), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60))
		for f := 0; len(line) < size-24; f++ {
			line = fmt.Appendf(line, `,"field_%d":%.2f`, f, r.Float64()*100)
		}
		lines[i] = append(line, '}')
	}
	return lines
}

// BenchmarkCommit writes 100,000 records of 420 bytes in blocks of 2,000 with
// one call, as from one bundle. With TEST_KAFKA_BOOTSTRAP the processor's time
// is the writer's alone, else that of the brokers' stand-ins is in it.
func BenchmarkCommit(b *testing.B) {
	const records, perBlock = 100_000, 2_000
	lines := trips(records, 420)
	keys := make([][]byte, records)
	for i := range keys {
		keys[i] = fmt.Append(nil, i%5000)
	}
	at := time.Now().UnixMilli()
	for _, compression := range []string{"lz4", "none"} {
		b.Run(compression, func(b *testing.B) {
			c := newCluster(b, benchOptions()...)
			o := c.options()
			o.Compression, o.Partitions = compression, 4
			prepare(b, o)
			k := newCommitter(b, o)
			block := func(number int64, from int) Block {
				return blockOf("job", number, 0, func(yield func(Record, error) bool) {
					for i := from; i < from+perBlock; i++ {
						if !yield(Record{Topic: c.name, Key: keys[i], Value: lines[i], Timestamp: at}, nil) {
							return
						}
					}
				})
			}
			number := int64(0)
			round := func() {
				var blocks []Block
				for from := 0; from < records; from += perBlock {
					number++
					blocks = append(blocks, block(number, from))
				}
				mustCommit(b, k, 0, len(blocks), 0, blocks...)
			}
			round() // the lane's initialisation, and buffers
			b.ReportAllocs()
			before := processCPU(b)
			b.ResetTimer()
			for range b.N {
				round()
			}
			b.StopTimer()
			n := float64(b.N) * records
			b.ReportMetric((processCPU(b)-before).Seconds()/n*1e6, "cpu-s/M")
			b.ReportMetric(n/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// benchOptions keep the brokers' stand-ins from storing what is written; real
// brokers take no options.
func benchOptions() []kfake.Opt {
	if realBrokers() != "" {
		return nil
	}
	return []kfake.Opt{kfake.NumBrokers(1)}
}
