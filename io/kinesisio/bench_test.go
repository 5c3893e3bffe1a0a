package kinesisio

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkRead measures the way from the server's socket to Drain: HTTP,
// the SDK's JSON, base64, batches. The fake server's share of the time is in it.
func BenchmarkRead(b *testing.B) {
	for _, aggregated := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "aggregated"}[aggregated], func(b *testing.B) {
			s := newFake(b, 4)
			const records, size = 40_000, 420 // a taxi trip's size
			next := map[int]int{}
			if aggregated {
				s.aggregates(records, 1000, size, 0, next)
			} else {
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
			b.SetBytes(records * size)
			b.ReportAllocs()
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
		})
	}
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
}
