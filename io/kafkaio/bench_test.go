package kafkaio

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/io/slots"
)

// trip is a record of a taxi trip's size and kind.
func trip(dice *rand.Rand, i int) []byte {
	v := fmt.Appendf(nil, `{"vendor_id":%d,"pickup_datetime":"2018-01-%02dT%02d:%02d:%02d.000Z","dropoff_datetime":"2018-01-%02dT%02d:%02d:%02d.000Z",`+
		`"passenger_count":%d,"trip_distance":%.2f,"ratecode_id":1,"store_and_fwd_flag":"N","pickup_location_id":%d,"dropoff_location_id":%d,"payment_type":%d,`+
		`"fare_amount":%.2f,"extra":0.5,"mta_tax":0.5,"tip_amount":%.2f,"tolls_amount":0,"improvement_surcharge":0.3,"total_amount":%.2f,"trip_id":%d,"type":"yellow"}`,
		1+dice.IntN(2), 1+dice.IntN(31), dice.IntN(24), dice.IntN(60), dice.IntN(60), 1+dice.IntN(31), dice.IntN(24), dice.IntN(60), dice.IntN(60),
		1+dice.IntN(6), dice.Float64()*20, dice.IntN(265), dice.IntN(265), 1+dice.IntN(4), dice.Float64()*90, dice.Float64()*9, dice.Float64()*99, i)
	return v
}

var benchCodecs = []struct {
	name  string
	codec kgo.CompressionCodec
}{
	{"none", kgo.NoCompression()}, {"lz4", kgo.Lz4Compression()}, {"snappy", kgo.SnappyCompression()},
	{"zstd", kgo.ZstdCompression()}, {"gzip", kgo.GzipCompression()},
}

// fill writes n trips to the topic's partitions in batches of about 256 KiB
// before compression.
func (c *cluster) fill(n, partitions int, codec kgo.CompressionCodec) (bytes int64) {
	c.t.Helper()
	cl := c.client(kgo.ProducerBatchCompression(codec), kgo.ProducerBatchMaxBytes(256<<10), kgo.ProducerLinger(20*time.Millisecond), kgo.MaxBufferedRecords(50_000))
	dice := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		v := trip(dice, i)
		bytes += int64(len(v))
		cl.Produce(c.t.Context(), &kgo.Record{Topic: c.topic, Partition: int32(i / 600 % partitions), Value: v}, func(_ *kgo.Record, err error) {
			if err != nil {
				c.t.Error(err)
			}
		})
	}
	if err := cl.Flush(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	return bytes
}

// BenchmarkRead measures the way from the broker's socket to Drain. With the
// fake cluster its share of the time is in it; a broker of its own is named by
// TEST_KAFKA_BOOTSTRAP.
func BenchmarkRead(b *testing.B) {
	const records, partitions = 200_000, 4
	for _, codec := range benchCodecs {
		b.Run(codec.name, func(b *testing.B) {
			c := newCluster(b, partitions)
			c.opts.MaxWait = DefaultMaxWait
			b.SetBytes(c.fill(records, partitions, codec.codec))
			measure(b, records, func() {
				r := c.open(slots.Slot{Count: 1}, nil)
				for seen := 0; seen < records; {
					batches, _, more, err := r.Drain(64 << 20)
					if err != nil {
						b.Fatal(err)
					}
					for i := range batches {
						seen += batches[i].Len()
					}
					if !more {
						time.Sleep(100 * time.Microsecond)
					}
				}
				r.Close()
			})
		})
	}
}

// BenchmarkUnpack measures an answer from its bytes to batches: what a fetcher
// costs without network and server.
func BenchmarkUnpack(b *testing.B) {
	const records = 10_000
	for _, codec := range benchCodecs {
		b.Run(codec.name, func(b *testing.B) {
			c := newFake(b, 1)
			size := c.fill(records, 1, codec.codec)
			req := kmsg.NewPtrFetchRequest()
			req.SessionEpoch, req.MaxBytes, req.MinBytes = -1, 64<<20, 1
			rt := kmsg.NewFetchRequestTopic()
			rt.Topic, rt.TopicID = c.topic, c.fake.TopicInfo(c.topic).TopicID
			rp := kmsg.NewFetchRequestTopicPartition()
			rp.PartitionMaxBytes, rp.CurrentLeaderEpoch = 64<<20, -1
			rt.Partitions = append(rt.Partitions, rp)
			req.Topics = append(req.Topics, rt)
			resp, err := c.kgo.Broker(int(c.fake.LeaderFor(c.topic, 0))).Request(b.Context(), req)
			if err != nil {
				b.Fatal(err)
			}
			answer := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
			r := &Reader{
				opts: Options{}.withDefaults(), budget: budget{limit: 1 << 40}, partitions: map[partitionKey]*partition{},
				positions: positions{partitions: map[partitionKey]position{}},
			}
			k := partitionKey{"trips", 0}
			p := r.add(k, position{stop: noStop})
			f := newFetcher(r, 1)
			defer f.close()
			b.SetBytes(size)
			measure(b, records, func() {
				p.at.next = 0
				if err := f.unpack(b.Context(), &asked{p: p, place: place{key: k}, stop: noStop}, &answer); err != nil {
					b.Fatal(err)
				}
				batches, _, _, err := r.Drain(1 << 30)
				if n := 0; err == nil {
					for i := range batches {
						n += batches[i].Len()
					}
					if n != records {
						b.Fatalf("%d records", n)
					}
				}
			})
		})
	}
}

// measure runs once in the benchmark's loop, and reports what a record costs.
func measure(b *testing.B, records int, once func()) {
	var before, after runtime.MemStats
	b.ReportAllocs()
	runtime.ReadMemStats(&before)
	cpu := cpuSeconds(b)
	for b.Loop() {
		once()
	}
	cpu = cpuSeconds(b) - cpu
	runtime.ReadMemStats(&after)
	n := float64(b.N) * float64(records)
	b.ReportMetric(n/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(cpu/n*1e6, "cpu-s/million")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/n, "allocs/record")
}

// cpuSeconds is what the process has used, system time included.
func cpuSeconds(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
