//go:build unix

package transact

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"testing"
	"time"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/streaming-etl/streaming-etl/testdata"
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

// trips returns n lines of the sample of real trips, which it repeats.
func trips(b *testing.B, n int) [][]byte {
	b.Helper()
	var sample [][]byte
	names, err := fs.Glob(testdata.Trips(), "*.lz4")
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range names {
		f, err := testdata.Trips().Open(name)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		text, err := io.ReadAll(lz4.NewReader(f))
		if err != nil {
			b.Fatal(err)
		}
		sample = append(sample, bytes.Split(bytes.TrimSpace(text), []byte("\n"))...)
	}
	lines := make([][]byte, n)
	for i := range lines {
		lines[i] = sample[i%len(sample)]
	}
	return lines
}

// BenchmarkCommit writes 100,000 trips of some 420 bytes in blocks of 2,000 with
// one call, as from one bundle. With TEST_KAFKA_BOOTSTRAP the processor's time
// is the writer's alone, else that of the brokers' stand-ins is in it.
func BenchmarkCommit(b *testing.B) {
	const records, perBlock = 100_000, 2_000
	lines := trips(b, records)
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
