//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/chaos/check"
	"github.com/streaming-etl/streaming-etl/chaos/history"
	"github.com/streaming-etl/streaming-etl/chaos/record"
)

// The origins of records, by which their jobs are named too.
const (
	fromKinesis = check.Kinesis
	fromKafka   = check.Kafka
)

func origins() []string { return []string{fromKinesis, fromKafka} }

// ticksPerSecond is how often a feed sends.
const ticksPerSecond = 20

// A feed sends the records of an origin, at a steady rate, in the order of their numbers.
type feed struct {
	origin string
	sent   atomic.Int64 // all records with lower numbers are sent or about to be
	stop   context.CancelFunc
	done   chan struct{}
	err    error // when done is closed
}

// A sender takes records to where a job reads them.
type sender interface {
	send(ctx context.Context, from, to int64) error
	// close waits until all of them are there.
	close(ctx context.Context) error
}

func startFeed(ctx context.Context, origin string, s sender, rate int) *feed {
	ctx, stop := context.WithCancel(ctx)
	f := &feed{origin: origin, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		if err := f.run(ctx, s, rate); err != nil {
			f.err = fmt.Errorf("send records to %s: %w", origin, err)
		}
	}()
	return f
}

func (f *feed) run(ctx context.Context, s sender, rate int) error {
	tick := time.NewTicker(time.Second / ticksPerSecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.close(context.WithoutCancel(ctx))
		case <-tick.C:
		}
		from := f.sent.Load()
		to := from + int64(rate/ticksPerSecond)
		f.sent.Store(to)
		if err := s.send(context.WithoutCancel(ctx), from, to); err != nil {
			return errors.Join(err, s.close(context.WithoutCancel(ctx)))
		}
	}
}

// failed returns why the feed has ended, if it has.
func (f *feed) failed() error {
	select {
	case <-f.done:
		return f.err
	default:
		return nil
	}
}

// end stops the feed and waits until all it has sent is there.
func (f *feed) end() error {
	f.stop()
	<-f.done
	return f.err
}

// A streamSender sends into the source stream, past the proxy. All the same its client, which has got no answer on a busy
// machine, may send again what is there: the check reads the source too, and wants in each sink what is in there.
type streamSender struct{ lab *lab }

// maxPut is the most records of a PutRecords.
const maxPut = 500

func (s *streamSender) send(ctx context.Context, from, to int64) error {
	for ; from < to; from += maxPut {
		var entries []types.PutRecordsRequestEntry
		for n := from; n < min(from+maxPut, to); n++ {
			entries = append(entries, types.PutRecordsRequestEntry{
				PartitionKey: aws.String(record.Key(n)), Data: s.lab.sample.Line(fromKinesis, n),
			})
		}
		out, err := s.lab.stream.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String(sourceName), Records: entries})
		if err != nil {
			return err
		}
		if n := aws.ToInt32(out.FailedRecordCount); n > 0 {
			return fmt.Errorf("%d of %d records were refused, and the order of keys would be lost by sending them again", n, len(entries))
		}
	}
	return nil
}

func (s *streamSender) close(context.Context) error { return nil }

// A topicSender sends into the source topic, past the proxies.
type topicSender struct {
	lab    *lab
	client *kgo.Client
	failed atomic.Pointer[error] // the first

	mu         sync.Mutex
	partitions int
	next       int64 // the number of the record to be sent next
}

func newTopicSender(l *lab) (*topicSender, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(l.kafka.Bootstrap()...), kgo.DefaultProduceTopic(sourceName),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond),
		kgo.MetadataMaxAge(2*time.Second), kgo.MetadataMinAge(250*time.Millisecond))
	if err != nil {
		return nil, err
	}
	return &topicSender{lab: l, client: client, partitions: sourcePartitions}, nil
}

func (s *topicSender) send(ctx context.Context, from, to int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := from; n < to; n++ {
		s.client.Produce(ctx, &kgo.Record{
			Key: []byte(record.Key(n)), Value: s.lab.sample.Line(fromKafka, n), Partition: int32(record.Partition(n, s.partitions)),
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				s.failed.CompareAndSwap(nil, &err)
			}
		})
	}
	s.next = to
	return s.err()
}

// spread has records sent to more partitions from now on, which the client must know of.
func (s *topicSender) spread(partitions int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.partitions = partitions
	s.lab.history.Add(history.Event{Kind: history.Partitions, Partitions: &history.Partition{From: s.next, Partitions: partitions}})
}

// knows tells whether the client knows the leader of a partition.
func (s *topicSender) knows(partition int) bool {
	leader, _, err := s.client.PartitionLeader(sourceName, int32(partition))
	return err == nil && leader >= 0
}

func (s *topicSender) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.partitions
}

func (s *topicSender) err() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *topicSender) close(ctx context.Context) error {
	defer s.client.Close()
	if err := s.client.Flush(ctx); err != nil {
		return err
	}
	return s.err()
}
