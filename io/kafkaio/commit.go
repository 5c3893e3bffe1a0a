package kafkaio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/internal/pause"
)

// OffsetCommitter copies positions to a consumer group, where tools look for
// its lag. Nothing is read back from there by a job that has positions, so a
// failed commit costs nothing but a figure that is old. It is safe for
// concurrent use.
type OffsetCommitter struct {
	opts   Options
	client *client

	mu sync.Mutex
	// coordinator is the broker that took the last commit, anyBroker if unknown.
	coordinator int32
}

// NewOffsetCommitter returns a committer for Options.GroupID, which must be
// set. It sends nothing yet.
func NewOffsetCommitter(ctx context.Context, o Options) (*OffsetCommitter, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.GroupID == "" {
		return nil, errors.New("commit offsets: no group id is named")
	}
	c, err := newClient(ctx, o)
	if err != nil {
		return nil, err
	}
	return &OffsetCommitter{opts: o.withDefaults(), client: c, coordinator: anyBroker}, nil
}

// Close gives the connections back.
func (c *OffsetCommitter) Close() { c.client.close() }

// Commit writes positions, as the Drain of each slot's Reader returned them, as
// the group's offsets; those of other slots stay. All go in one request. Faults
// that pass are retried until ctx ends or the retry deadline. Call it when the
// positions are stable.
func (c *OffsetCommitter) Commit(ctx context.Context, slots ...[]byte) error {
	at := map[partitionKey]position{}
	for _, encoded := range slots {
		slot, err := decodePositions(encoded)
		if err != nil {
			return fmt.Errorf("commit offsets to group %s: %w", c.opts.GroupID, err)
		}
		for k, p := range slot.partitions { // no partition is of two slots
			if !p.away {
				at[k] = p
			}
		}
	}
	if len(at) == 0 {
		return nil
	}
	var f failing
	var before error
	for {
		err := c.commit(ctx, at)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			// An attempt that was cut short says less than the one before.
			return cmp.Or(before, err)
		}
		before = err
		wait, over := f.failed(&c.opts, time.Now())
		if over || !passing(err) {
			return err
		}
		if pause.Sleep(ctx, wait) != nil {
			return err
		}
	}
}

func (c *OffsetCommitter) commit(ctx context.Context, at map[partitionKey]position) error {
	c.mu.Lock()
	coordinator := c.coordinator
	c.mu.Unlock()
	if coordinator == anyBroker {
		var err error
		if coordinator, err = c.client.coordinator(ctx, c.opts.GroupID); err != nil {
			return err
		}
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = c.opts.GroupID
	req.Generation = -1 // of no member
	topics := map[string]int{}
	for k, p := range at {
		i, ok := topics[k.topic]
		if !ok {
			i = len(req.Topics)
			topics[k.topic] = i
			rt := kmsg.NewOffsetCommitRequestTopic()
			rt.Topic = k.topic
			req.Topics = append(req.Topics, rt)
		}
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset = k.number, p.next
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rp)
	}
	resp, err := request[*kmsg.OffsetCommitResponse](ctx, c.client, coordinator, req, 2, 8)
	if err != nil {
		return c.forget(coordinator, partitionKey{number: -1}, err)
	}
	var first error
	for _, rt := range resp.Topics {
		for _, rp := range rt.Partitions {
			switch err := kerr.ErrorForCode(rp.ErrorCode); {
			case err == nil, errors.Is(err, kerr.UnknownTopicOrPartition): // deleted since
			case first == nil || passing(first) && !passing(err):
				first = c.forget(coordinator, partitionKey{rt.Topic, rp.Partition}, err)
			}
		}
	}
	if first == nil {
		c.mu.Lock()
		c.coordinator = coordinator
		c.mu.Unlock()
	}
	return first
}

// forget makes the next attempt look for the coordinator, and tells the error in words.
func (c *OffsetCommitter) forget(coordinator int32, k partitionKey, err error) error {
	c.mu.Lock()
	c.coordinator = anyBroker
	c.mu.Unlock()
	if errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration) {
		err = fmt.Errorf("%w: the group has members of its own, give the job another group id", err)
	}
	return &Error{
		Op: fmt.Sprintf("commit offsets to group %s", c.opts.GroupID), Topic: k.topic, Partition: k.number,
		Broker: c.client.name(coordinator), Err: err,
	}
}
