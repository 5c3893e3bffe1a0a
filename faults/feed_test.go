//go:build linux

package faults

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/stack"
)

const (
	streamName = "trips"
	// shards are as many as the job has readers by default, so that each has one.
	shards = 8
)

// A feed sends trips into a stream at a steady rate until it is stopped. They are numbered from 0.
type feed struct {
	sent  atomic.Int64 // all trips with lower numbers are sent or about to be
	began time.Time
	stop  context.CancelFunc
	group errgroup.Group
}

const feedInterval = 50 * time.Millisecond

func startFeed(t *testing.T, s *trips, endpoint string, rate int) *feed {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	f := &feed{stop: stop, began: time.Now()}
	t.Cleanup(func() {
		stop()
		_ = f.group.Wait() // reported by end, if the test got there
	})
	producer, err := kinesisio.NewProducer(t.Context(), kinesisio.ProducerOptions{
		Stream: streamName, Region: stack.Region, Endpoint: endpoint, EmulatorCredentials: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	packer, err := kinesisio.NewAggregator(shards, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.group.Go(func() error {
		tick := time.NewTicker(feedInterval)
		defer tick.Stop()
		for turn := 0; ; turn++ {
			select {
			case <-ctx.Done():
				return producer.Close(context.WithoutCancel(ctx))
			case <-tick.C:
			}
			n := rate * int(feedInterval/time.Millisecond) / 1000
			if err := f.send(context.WithoutCancel(ctx), producer, packer, s, n, turn%2 == 0); err != nil {
				return err
			}
		}
	})
	return f
}

// send sends the next n trips, as records of their own or packed into aggregates: producers do either.
func (f *feed) send(ctx context.Context, p *kinesisio.Producer, packer *kinesisio.Aggregator, s *trips, n int, packed bool) error {
	from := f.sent.Load()
	f.sent.Store(from + int64(n))
	for id := from; id < from+int64(n); id++ {
		key := strconv.FormatInt(id, 10)
		records := []kinesisio.Record{{PartitionKey: key, Data: s.line(id)}}
		if packed {
			var err error
			if records, err = packer.Add(key, "", records[0].Data); err != nil {
				return err
			}
		}
		if err := put(ctx, p, records); err != nil {
			return err
		}
	}
	return put(ctx, p, packer.Flush())
}

func put(ctx context.Context, p *kinesisio.Producer, records []kinesisio.Record) error {
	for _, r := range records {
		if err := p.Put(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// end stops the feed and returns how many trips the stream has taken.
func (f *feed) end(t *testing.T) int64 {
	t.Helper()
	f.stop()
	if err := f.group.Wait(); err != nil {
		t.Fatalf("feed: %v", err)
	}
	return f.sent.Load()
}
