//go:build linux

package faults

import (
	"context"
	"math"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/stack"
)

const (
	streamName = "trips"
	// shards are as many as the job has readers by default, so that each has one.
	shards = 8
)

// A feed sends trips at a steady rate until it is stopped, unless it is too far ahead of the job: a machine that is slow
// to start a job, or whose job takes less than the rate, has no more to catch up with after each damage than others. They
// are numbered from 0.
type feed struct {
	sent      atomic.Int64 // all trips with lower numbers are sent or about to be
	delivered atomic.Int64 // how many the job has delivered, as far as is known
	lead      atomic.Int64 // the most that are sent and not delivered
	began     time.Time
	stop      context.CancelFunc
	done      chan struct{}
	err       error // when done is closed
}

// A sender takes trips to where a job reads them.
type sender interface {
	// send sends the trips from a number up to another one, in order.
	send(ctx context.Context, from, to int64) error
	// close waits until all of them are there.
	close(ctx context.Context) error
}

const (
	feedInterval = 50 * time.Millisecond
	// feedLead is how long a feed goes on while nothing is delivered.
	feedLead = 30 * time.Second
)

func startFeed(t *testing.T, s sender, rate int) *feed {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	f := &feed{stop: stop, began: time.Now(), done: make(chan struct{})}
	f.lead.Store(int64(rate) * int64(feedLead/time.Second))
	t.Cleanup(func() {
		stop()
		<-f.done
	})
	go func() {
		defer close(f.done)
		f.err = f.run(ctx, s, rate)
	}()
	return f
}

func (f *feed) run(ctx context.Context, s sender, rate int) error {
	tick := time.NewTicker(feedInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.close(context.WithoutCancel(ctx))
		case <-tick.C:
		}
		from := f.sent.Load()
		if from-f.delivered.Load() > f.lead.Load() {
			continue
		}
		to := from + int64(rate)*feedInterval.Milliseconds()/1000
		f.sent.Store(to)
		if err := s.send(context.WithoutCancel(ctx), from, to); err != nil {
			return err
		}
	}
}

// unbound has the feed go on however long nothing is delivered.
func (f *feed) unbound() { f.lead.Store(math.MaxInt64) }

// check fails the test when the feed has failed.
func (f *feed) check(t *testing.T) {
	t.Helper()
	select {
	case <-f.done:
		if f.err != nil {
			t.Fatalf("feed: %v", f.err)
		}
	default:
	}
}

// A streamSender sends trips into a stream.
type streamSender struct {
	trips    *trips
	producer *kinesisio.Producer
	packer   *kinesisio.Aggregator
	packed   bool
}

func newStreamSender(t *testing.T, s *trips, endpoint string) *streamSender {
	t.Helper()
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
	return &streamSender{trips: s, producer: producer, packer: packer}
}

// send sends trips as records of their own and packed into aggregates in turn: producers do either.
func (s *streamSender) send(ctx context.Context, from, to int64) error {
	s.packed = !s.packed
	for id := from; id < to; id++ {
		key := strconv.FormatInt(id, 10)
		records := []kinesisio.Record{{PartitionKey: key, Data: s.trips.line(id)}}
		if s.packed {
			var err error
			if records, err = s.packer.Add(key, "", records[0].Data); err != nil {
				return err
			}
		}
		if err := put(ctx, s.producer, records); err != nil {
			return err
		}
	}
	return put(ctx, s.producer, s.packer.Flush())
}

func (s *streamSender) close(ctx context.Context) error { return s.producer.Close(ctx) }

func put(ctx context.Context, p *kinesisio.Producer, records []kinesisio.Record) error {
	for _, r := range records {
		if err := p.Put(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// end stops the feed and returns how many trips were sent.
func (f *feed) end(t *testing.T) int64 {
	t.Helper()
	f.stop()
	<-f.done
	f.check(t)
	return f.sent.Load()
}
