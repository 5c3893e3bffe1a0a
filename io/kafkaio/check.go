package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/internal/pause"
)

const (
	// checkTimeout bounds Check.
	checkTimeout = 25 * time.Second
	// checkRetry is how long Check gives faults that pass, such as a leader
	// that is being elected.
	checkRetry = 5 * time.Second
	// checkPause is the time between its attempts.
	checkPause = 500 * time.Millisecond
	// checkedLeaders bounds how many partitions of a topic are read to try it,
	// checkedPartitions how many of all topics.
	checkedLeaders    = 16
	checkedPartitions = 64
)

// Check tells within 30 s whether the topics can be read: whether a broker
// answers and takes the login, the topics exist, the leaders of their
// partitions can be reached and let the user read, and, with GROUP_OFFSETS,
// the group's offsets too. Call it before a job is started.
// It returns where the partitions end, for Options.Ends of a job that begins there;
// nil where it does not.
func (o Options) Check(ctx context.Context) (*Ends, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	sel, err := o.selection()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	c, err := newClient(ctx, o)
	if err != nil {
		return nil, err
	}
	defer c.close()
	for begin := time.Now(); ; {
		topics, last := c.check(ctx, &o, sel)
		// An attempt that the end of the time cut short says less than the one before.
		if last != nil && ctx.Err() != nil && err != nil {
			return nil, err
		}
		if err = last; err == nil {
			if !o.beginsLatest() {
				return nil, nil
			}
			return c.ends(ctx, &o, topics), nil
		}
		if !passing(err) || time.Since(begin) > checkRetry || pause.Sleep(ctx, checkPause) != nil {
			return nil, err
		}
	}
}

// check makes one attempt, and returns the topics.
func (c *client) check(ctx context.Context, o *Options, sel selection) ([]topic, error) {
	topics, err := c.topics(ctx, sel)
	if err != nil {
		return nil, err
	}
	if len(topics) == 0 {
		return nil, fmt.Errorf("no topic matches %s: %w", o.Topic, ErrNoTopic)
	}
	var (
		missing []error
		places  []place
	)
	for _, t := range topics {
		if t.err != nil {
			if unknownTopic(t.err) {
				t.err = fmt.Errorf("%w, or the user may not describe it", ErrNoTopic)
			}
			missing = append(missing, c.listError(t))
			continue
		}
		places = append(places, leaders(t)...)
	}
	if len(missing) > 0 {
		return nil, errors.Join(missing...)
	}
	places = places[:min(len(places), checkedPartitions)]
	for _, p := range places {
		if err := c.checkRead(ctx, o, p); err != nil {
			return nil, err
		}
	}
	if o.InitialPosition == GroupOffsets {
		if _, err := c.committed(ctx, o.GroupID, places); err != nil && !errors.Is(err, kerr.UnstableOffsetCommit) {
			return nil, err
		}
	}
	return topics, nil
}

// leaders returns a partition of each of the topic's leaders.
func leaders(t topic) (out []place) {
	seen := map[int32]bool{}
	for _, p := range t.partitions {
		if seen[p.leader] || len(out) == checkedLeaders {
			continue
		}
		seen[p.leader] = true
		out = append(out, t.place(p))
	}
	return out
}

// checkRead asks for a partition's end and for what is there, which is nothing yet.
func (c *client) checkRead(ctx context.Context, o *Options, p place) error {
	end, err := c.listOffsets(ctx, o, []place{p}, timeLatest)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrFetchRequest()
	req.MinBytes, req.MaxBytes, req.SessionEpoch, req.IsolationLevel = 0, 1, -1, o.isolation()
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic = p.key.topic
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.CurrentLeaderEpoch, rp.FetchOffset, rp.PartitionMaxBytes = p.key.number, p.epoch, end[p.key], 1
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := request[*kmsg.FetchResponse](ctx, c, p.leader, req, 4, 12)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err == nil {
		for _, rt := range resp.Topics {
			for _, got := range rt.Partitions {
				err = errors.Join(err, kerr.ErrorForCode(got.ErrorCode))
			}
		}
	}
	if errors.Is(err, kerr.OffsetOutOfRange) {
		return nil // there, allowed, and deleting
	}
	if err != nil {
		return &Error{Op: "read records", Topic: p.key.topic, Partition: p.key.number, Broker: c.name(p.leader), Err: err}
	}
	return nil
}
