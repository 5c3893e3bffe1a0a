package transact

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/internal/pause"
)

// Bounds of reading a lane's last marker.
const (
	// firstSpan is how far before its end a partition is read first. A commit
	// leaves two offsets there, the marker's and that of the transaction's
	// end, and so does one that was ended without.
	firstSpan = 64
	// markerFetchBytes is the size of one fetch.
	markerFetchBytes = 1 << 20
	// markerFetchWait is how long the broker waits for something to send;
	// there always is, except where compaction left nothing, and at a new leader.
	markerFetchWait = 200 * time.Millisecond
	// emptyFetches in a row say that compaction has left nothing up to the end.
	emptyFetches = 3
	// Waits between two looks at the last stable offset, and between two fetches
	// where the first told nothing.
	stableWait, stableWaitMax = 2 * time.Millisecond, 200 * time.Millisecond
)

// markers reads the marker topic.
type markers struct {
	client *kgo.Client
	topic  string
}

// last returns the last committed marker of a lane, nil if there is none. It
// waits until no transaction is open on the lane's partition; after the
// lane's transactional id was initialised there can be no new one of others.
func (m *markers) last(ctx context.Context, lane int) (*marker, error) {
	return m.read(ctx, lane, m.stableEnd)
}

// lastNow is last without the wait: a marker may follow from a transaction
// that is open.
func (m *markers) lastNow(ctx context.Context, lane int) (*marker, error) {
	return m.read(ctx, lane, func(ctx context.Context, lane int) (int64, error) {
		return m.offset(ctx, lane, offsetLatest, readCommitted)
	})
}

func (m *markers) read(ctx context.Context, lane int, endOf func(context.Context, int) (int64, error)) (*marker, error) {
	found, err := m.readTo(ctx, lane, endOf)
	if err != nil {
		return nil, fmt.Errorf("read the marker of lane %d from topic %s: %w", lane, m.topic, err)
	}
	return found, nil
}

func (m *markers) readTo(ctx context.Context, lane int, endOf func(context.Context, int) (int64, error)) (*marker, error) {
	end, err := endOf(ctx, lane)
	if err != nil {
		return nil, err
	}
	start, err := m.offset(ctx, lane, offsetEarliest, readUncommitted)
	if err != nil {
		return nil, err
	}
	for span := int64(firstSpan); ; span *= 16 {
		from := max(start, end-span)
		found, err := m.scan(ctx, lane, from, end)
		if err != nil || found != nil || from == start {
			return found, err
		}
	}
}

// Values of ListOffsets' timestamp and isolation level.
const (
	offsetLatest   = -1
	offsetEarliest = -2

	readUncommitted = 0
	readCommitted   = 1
)

// stableEnd waits until the last stable offset is the partition's end, and
// returns it.
func (m *markers) stableEnd(ctx context.Context, lane int) (int64, error) {
	for attempt := 1; ; attempt++ {
		// In this order: the end only grows, so a stable offset that reaches
		// it was not passed by a later transaction.
		end, err := m.offset(ctx, lane, offsetLatest, readUncommitted)
		if err != nil {
			return 0, err
		}
		stable, err := m.offset(ctx, lane, offsetLatest, readCommitted)
		if err != nil {
			return 0, err
		}
		if stable >= end {
			return stable, nil
		}
		if err := pause.Sleep(ctx, stableWait+pause.Backoff(attempt, stableWait, stableWaitMax)); err != nil {
			return 0, fmt.Errorf("a transaction is open from offset %d on: %w", stable, err)
		}
	}
}

func (m *markers) offset(ctx context.Context, lane int, timestamp int64, isolation int8) (int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	req.IsolationLevel = isolation
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = m.topic
	partition := kmsg.NewListOffsetsRequestTopicPartition()
	partition.Partition = int32(lane)
	partition.Timestamp = timestamp
	topic.Partitions = append(topic.Partitions, partition)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, m.client)
	if err != nil {
		return 0, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return 0, kerr.UnknownTopicOrPartition
	}
	got := resp.Topics[0].Partitions[0]
	return got.Offset, kerr.ErrorForCode(got.ErrorCode)
}

// scan returns the last committed marker between two offsets, nil if none is
// there. It goes on until all of them are told of: what is missing would be
// written again, or taken for lost. Ends of transactions count, so the only
// offsets that are told of without a batch are those that compaction has removed.
func (m *markers) scan(ctx context.Context, lane int, from, end int64) (*marker, error) {
	if from >= end {
		return nil, nil
	}
	leader, id, err := m.leader(ctx, lane)
	if err != nil {
		return nil, err
	}
	var last *kgo.Record
	for silent, empty := 0, 0; from < end && empty < emptyFetches; {
		got, err := m.fetch(ctx, lane, leader, id, from)
		if err != nil {
			return nil, err
		}
		for _, r := range got.records {
			if r.Offset < end && r.Value != nil {
				last = r
			}
		}
		if got.next > from {
			from, silent, empty = got.next, 0, 0
			continue
		}
		silent, empty = silent+1, empty+1
		if got.emptyTo < end {
			empty = 0
		}
		if err := pause.Sleep(ctx, stableWait+pause.Backoff(silent, stableWait, stableWaitMax)); err != nil {
			return nil, fmt.Errorf("offsets %d to %d are not answered: %w", from, end-1, err)
		}
	}
	if last == nil {
		return nil, nil
	}
	found, err := decodeMarker(lane, last.Key, last.Value)
	if err != nil {
		return nil, fault{fmt.Errorf("the record at offset %d of partition %d is not a marker (%w): is the topic used for something else?", last.Offset, lane, err)}
	}
	return &found, nil
}

// leader returns the broker that has the lane's partition, and the topic's id,
// by which newer brokers want it named.
func (m *markers) leader(ctx context.Context, lane int) (int32, [16]byte, error) {
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &m.topic
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, m.client)
	if err != nil {
		return 0, [16]byte{}, err
	}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return 0, [16]byte{}, err
		}
		for _, p := range t.Partitions {
			if p.Partition != int32(lane) {
				continue
			}
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return 0, [16]byte{}, err
			}
			return p.Leader, t.TopicID, nil
		}
	}
	return 0, [16]byte{}, kerr.UnknownTopicOrPartition
}

// fetched is what an answer tells of a partition.
type fetched struct {
	records []*kgo.Record
	// next is where to go on. It is where the fetch began if the answer tells
	// nothing, which a broker over its quota does.
	next int64
	// emptyTo is the offset up to which the answer says that there are no batches.
	emptyTo int64
}

// fetch returns what a broker tells of the committed records from an offset on.
func (m *markers) fetch(ctx context.Context, lane int, leader int32, id [16]byte, from int64) (fetched, error) {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID = -1
	req.MaxWaitMillis = int32(markerFetchWait.Milliseconds())
	req.MinBytes = 1
	// Above the partition's own limit, so that only the latter ends an answer.
	req.MaxBytes = 2 * markerFetchBytes
	req.IsolationLevel = readCommitted
	req.SessionEpoch = -1 // no session
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = m.topic, id
	partition := kmsg.NewFetchRequestTopicPartition()
	partition.Partition = int32(lane)
	partition.CurrentLeaderEpoch = -1
	partition.FetchOffset = from
	partition.PartitionMaxBytes = markerFetchBytes
	topic.Partitions = append(topic.Partitions, partition)
	req.Topics = append(req.Topics, topic)
	answer, err := m.client.Broker(int(leader)).RetriableRequest(ctx, req)
	if err != nil {
		return fetched{}, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return fetched{}, err
	}
	out := fetched{next: from}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return out, nil
	}
	told := &resp.Topics[0].Partitions[0]
	got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: from, IsolationLevel: kgo.ReadCommitted(), Topic: m.topic, Partition: int32(lane),
	}, told, kgo.DefaultDecompressor(), nil)
	out.records, out.next = got.Records, next
	if len(told.RecordBatches) == 0 && resp.ThrottleMillis == 0 {
		// A leader that is new may know of less than was told before: it sends
		// nothing of what is behind these.
		out.emptyTo = min(told.HighWatermark, told.LastStableOffset)
	}
	return out, got.Err
}
