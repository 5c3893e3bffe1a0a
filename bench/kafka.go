package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/stack"
)

const (
	// partitions are those of each topic: two for each of the job's tasks at parallelism 2.
	partitions = 4
	// letterTopic is the job's default for dead letters, of which there must be none.
	letterTopic = "dead-letters"
)

// A broker is the one Kafka broker of the lab, and what fills and reads its topics.
type broker struct {
	cluster *stack.KafkaCluster
	client  *kgo.Client
	admin   *kadm.Client
}

func startBroker(ctx context.Context, dir string) (*broker, error) {
	k, err := stack.RunKafka(ctx, filepath.Join(dir, "kafka"), stack.KafkaOptions{HeapMB: 1024})
	if err != nil {
		return nil, err
	}
	b := &broker{cluster: k}
	b.client, err = kgo.NewClient(kgo.SeedBrokers(k.Bootstrap()...), kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.ProducerLinger(20*time.Millisecond), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		k.Stop()
		return nil, err
	}
	b.admin = kadm.NewClient(b.client)
	if err := k.MakeTopic(ctx, letterTopic, 1, nil); err != nil {
		b.stop()
		return nil, err
	}
	return b, nil
}

func (b *broker) addresses() string { return strings.Join(b.cluster.Bootstrap(), ",") }

func (b *broker) stop() {
	b.client.Close()
	b.cluster.Stop()
}

// fill makes a topic and sends so many records of a shape into it.
func (b *broker) fill(ctx context.Context, topic string, records int64, s shape) error {
	record, err := s.records()
	if err != nil {
		return err
	}
	if err := b.cluster.MakeTopic(ctx, topic, partitions, nil); err != nil {
		return err
	}
	var failed producerFault
	for i := range records {
		value, err := record(i)
		if err != nil {
			return err
		}
		b.client.Produce(ctx, &kgo.Record{Topic: topic, Value: value}, failed.note)
	}
	if err := errors.Join(b.client.Flush(ctx), failed.get()); err != nil {
		return fmt.Errorf("fill topic %s: %w", topic, err)
	}
	return nil
}

// A producerFault keeps the first error of records that were sent in the background.
type producerFault struct{ first atomic.Pointer[error] }

// note is told of each record.
func (f *producerFault) note(_ *kgo.Record, err error) {
	if err != nil {
		f.first.CompareAndSwap(nil, &err)
	}
}

func (f *producerFault) get() error {
	if err := f.first.Load(); err != nil {
		return *err
	}
	return nil
}

// content counts what of a topic is committed, and what its log takes.
func (b *broker) content(ctx context.Context, topic string) (content, error) {
	var c content
	ends, err := b.admin.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return c, fmt.Errorf("ask for the ends of %s: %w", topic, err)
	}
	left := make(map[int32]int64)
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	// A transaction's marker is its partition's last record, so that those have to be seen too.
	in, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.Bootstrap()...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return c, err
	}
	defer in.Close()
	for len(left) > 0 {
		fetches := in.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return c, fmt.Errorf("read topic %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				c.rows++
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	dirs, err := b.admin.DescribeAllLogDirs(ctx, nil)
	if err != nil {
		return c, fmt.Errorf("ask for the size of %s: %w", topic, err)
	}
	dirs.Each(func(d kadm.DescribedLogDir) {
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			if p.Topic == topic {
				c.bytes += p.Size
			}
		})
	})
	return c, nil
}

// remove deletes a topic.
func (b *broker) remove(ctx context.Context, topic string) error {
	answers, err := b.admin.DeleteTopics(ctx, topic)
	if err != nil {
		return fmt.Errorf("remove topic %s: %w", topic, err)
	}
	return answers.Error()
}
