package kinesisio

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

// BenchmarkRead measures the way from the server's socket to Drain: HTTP,
// JSON, base64, batches. The fake server's share of the time is in it.
func BenchmarkRead(b *testing.B) {
	for _, aggregated := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "aggregated"}[aggregated], func(b *testing.B) {
			s := newFake(b, 4)
			const records, size = 40_000, 420 // a taxi trip's size
			next := map[int]int{}
			if aggregated {
				s.aggregates(records, 1000, size, 0, next)
			} else {
				putPlain(b, s, records, size)
			}
			b.SetBytes(records * size)
			b.ReportAllocs()
			before := cpuSeconds(b)
			for b.Loop() {
				r := s.open(one(), nil)
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
			}
			b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric((cpuSeconds(b)-before)/float64(b.N)/records*1e6, "cpu-s/million")
		})
	}
}

// putPlain puts so many records of a size into the stream, each by itself.
func putPlain(b *testing.B, s *stream, records, size int) {
	b.Helper()
	p := s.producer(nil)
	text := []byte(strings.Repeat("x", size))
	for i := range records {
		if err := p.Put(b.Context(), Record{PartitionKey: fmt.Sprint(i), Data: text}); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkReadAtLimits measures what shards give one reader, as it is set by
// default: 2 MiB and five answers a second each. What they had saved up at the
// start is not counted. Run it with -benchtime 1x.
func BenchmarkReadAtLimits(b *testing.B) {
	const size, perShard = 420, 120_000 // 50 MB, more than a shard gives meanwhile
	for _, shards := range []int{1, 8} {
		b.Run(fmt.Sprintf("shards=%d", shards), func(b *testing.B) {
			s := newFake(b, shards)
			putPlain(b, s, shards*perShard, size)
			s.fake.SetEnforceLimits(true)
			o := &s.opts
			o.PollInterval, o.CallInterval, o.DiscoveryInterval, o.RetryBackoff, o.RetryBackoffMax = 0, 0, 0, 0, 0
			for b.Loop() {
				r := s.open(one(), nil)
				// From an arrival to an arrival: answers are large and far between.
				var begin, last time.Time
				var cpu float64
				n := 0
				for opened := time.Now(); begin.IsZero() || last.Sub(begin) < 10*time.Second; {
					batches, _, more, err := r.Drain(64 << 20)
					if err != nil {
						b.Fatal(err)
					}
					switch {
					case len(batches) == 0:
					case !begin.IsZero():
						last = time.Now()
						for i := range batches {
							n += batches[i].Len()
						}
					case time.Since(opened) > 2*time.Second:
						begin, cpu = time.Now(), cpuSeconds(b)
					}
					if !more {
						time.Sleep(10 * time.Millisecond)
					}
				}
				d := last.Sub(begin).Seconds()
				b.ReportMetric(float64(n)*size/d/float64(shards)/(1<<20), "MiB/s/shard")
				b.ReportMetric((cpuSeconds(b)-cpu)/d, "cpus")
				b.ReportMetric(float64(r.Stats().Throttles), "refused")
				r.Close()
			}
		})
	}
}

// BenchmarkFetch measures one GetRecords answer of 5,000 records from its JSON
// text to batches: what a fetcher costs without network and server.
func BenchmarkFetch(b *testing.B) {
	s := newFake(b, 1)
	const records, size = 5000, 420
	putPlain(b, s, records, size)
	r := s.open(one(), nil)
	r.Close()
	first, err := r.iterator(b.Context(), "shardId-000000000000", position{})
	if err != nil {
		b.Fatal(err)
	}
	var answer []byte
	record := kinesis.NewFromConfig(aws.Config{}, func(k *kinesis.Options) {
		*k = r.client.Options()
		inner := k.HTTPClient
		k.HTTPClient = doer(func(q *http.Request) (*http.Response, error) {
			out, err := inner.Do(q)
			if err != nil {
				return nil, err
			}
			defer out.Body.Close()
			answer, err = io.ReadAll(out.Body)
			out.Body = io.NopCloser(bytes.NewReader(answer))
			return out, err
		})
	})
	in := &kinesis.GetRecordsInput{ShardIterator: &first}
	if _, err := record.GetRecords(b.Context(), in); err != nil {
		b.Fatal(err)
	}
	r.client = kinesis.NewFromConfig(aws.Config{}, func(k *kinesis.Options) {
		*k = r.client.Options()
		k.HTTPClient = doer(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(answer)), ContentLength: int64(len(answer))}, nil
		})
	})
	b.SetBytes(records * size)
	b.ReportAllocs()
	before := cpuSeconds(b)
	for b.Loop() {
		it := iterator{first, time.Now()}
		got, err := r.getRecords(b.Context(), &shard{id: "shardId-000000000000"}, &it, new(position), new(pacer))
		if err != nil {
			b.Fatal(err)
		}
		if n := len(got.chunks[0].batch.Records); n == 0 || got.records != records {
			b.Fatalf("%d records", got.records)
		}
		r.budget.Release(got.reserved)
	}
	b.ReportMetric((cpuSeconds(b)-before)/float64(b.N)/records*1e6, "cpu-s/million")
}

type doer func(*http.Request) (*http.Response, error)

func (f doer) Do(r *http.Request) (*http.Response, error) { return f(r) }

// cpuSeconds is what the process has used, system time included.
func cpuSeconds(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

func BenchmarkDeaggregate(b *testing.B) {
	a, err := NewAggregator(1, 0)
	if err != nil {
		b.Fatal(err)
	}
	var full []Record
	text := []byte(strings.Repeat("x", 420))
	for i := 0; len(full) == 0; i++ {
		if full, err = a.Add(fmt.Sprint(i), "", text); err != nil {
			b.Fatal(err)
		}
	}
	var subs [][]byte
	b.SetBytes(int64(len(full[0].Data)))
	b.ReportAllocs()
	for b.Loop() {
		var ok bool
		if subs, ok = deaggregate(full[0].Data, subs[:0]); !ok {
			b.Fatal("not aggregated")
		}
	}
	b.ReportMetric(float64(len(subs))*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkAggregate(b *testing.B) {
	a, err := NewAggregator(4, 0)
	if err != nil {
		b.Fatal(err)
	}
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint(i)
	}
	text := []byte(strings.Repeat("x", 420))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := a.Add(keys[i%len(keys)], "", text); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkPut measures the producer; the fake server's share is in it.
func BenchmarkPut(b *testing.B) {
	s := newFake(b, 4)
	p := s.producer(nil)
	text := []byte(strings.Repeat("x", 420))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	before := cpuSeconds(b)
	i := 0
	for b.Loop() {
		if err := p.Put(b.Context(), Record{PartitionKey: fmt.Sprint(i), Data: text}); err != nil {
			b.Fatal(err)
		}
		i++
	}
	if err := p.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric((cpuSeconds(b)-before)/float64(i)*1e6, "cpu-s/million")
}

// BenchmarkPutAtLimits measures what 16 shards take of one producer, each 1,000
// records and 1 MiB a second: 16,000 records/s is all that they give plain. What
// they had saved up at the start is not counted. Run it with -benchtime 1x.
func BenchmarkPutAtLimits(b *testing.B) {
	const shards, size = 16, 420
	for _, aggregate := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "aggregated"}[aggregate], func(b *testing.B) {
			s := newFake(b, shards, kinesisfake.EnforceLimits())
			p := s.producer(func(o *ProducerOptions) {
				o.Aggregate = aggregate
				o.RetryBackoff, o.RetryBackoffMax = 0, 0
			})
			ctx, cancel := context.WithCancel(b.Context())
			var wg sync.WaitGroup
			for w := range 4 {
				wg.Go(func() {
					bundle := p.NewBundle()
					data := []byte(strings.Repeat("x", size))
					key := make([]byte, 0, 20)
					for i := w; ; i += 4 {
						key = strconv.AppendInt(key[:0], int64(i), 10)
						if bundle.Put(ctx, &Item{PartitionKey: key, Data: data}) != nil {
							return
						}
					}
				})
			}
			for b.Loop() {
				time.Sleep(3 * time.Second)
				begin, before, cpu := time.Now(), p.Stats(), cpuSeconds(b)
				time.Sleep(5 * time.Second)
				after, d := p.Stats(), time.Since(begin).Seconds()
				n := float64(after.Payloads - before.Payloads)
				b.ReportMetric(n/d, "records/s")
				b.ReportMetric(float64(after.Bytes-before.Bytes)/d/1e6, "MB/s")
				b.ReportMetric(float64(after.Throttles-before.Throttles)/float64(after.Records-before.Records), "refused/record")
				b.ReportMetric(float64(after.Bytes-before.Bytes)/float64(after.Records-before.Records), "bytes/record")
				b.ReportMetric((cpuSeconds(b)-cpu)/n*1e6, "cpu-s/million")
			}
			cancel()
			wg.Wait()
		})
	}
}
