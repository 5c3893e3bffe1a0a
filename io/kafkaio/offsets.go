package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/logging"
)

// Times that ListOffsets takes for the ends of a partition.
const (
	timeLatest   = int64(-1)
	timeEarliest = int64(-2)
)

// noOffset is what brokers answer where no record is as young, and no offset committed.
const noOffset = int64(-1)

// place is where a partition is to be asked for.
type place struct {
	key    partitionKey
	id     topicID
	leader int32
	epoch  int32
}

// isolation is the isolation level as requests have it.
func (o *Options) isolation() int8 {
	if o.ReadUncommitted {
		return 0
	}
	return 1
}

// listOffsets asks the leaders for the offsets of a time. What could not be
// told is left out, with the first error.
func (c *client) listOffsets(ctx context.Context, o *Options, places []place, at int64) (map[partitionKey]int64, error) {
	const op = "look up an offset"
	var first error
	note := func(p place, err error) {
		if first == nil || passing(first) && !passing(err) {
			first = &Error{Op: op, Topic: p.key.topic, Partition: p.key.number, Broker: c.name(p.leader), Err: err}
		}
	}
	byLeader := map[int32][]place{}
	for _, p := range places {
		if p.leader == noLeader {
			note(p, kerr.LeaderNotAvailable)
			continue
		}
		byLeader[p.leader] = append(byLeader[p.leader], p)
	}
	out := make(map[partitionKey]int64, len(places))
	for leader, asked := range byLeader {
		req := kmsg.NewPtrListOffsetsRequest()
		req.IsolationLevel = o.isolation()
		byTopic := map[string][]kmsg.ListOffsetsRequestTopicPartition{}
		for _, p := range asked {
			rp := kmsg.NewListOffsetsRequestTopicPartition()
			rp.Partition, rp.CurrentLeaderEpoch, rp.Timestamp = p.key.number, p.epoch, at
			byTopic[p.key.topic] = append(byTopic[p.key.topic], rp)
		}
		for name, parts := range byTopic {
			rt := kmsg.NewListOffsetsRequestTopic()
			rt.Topic, rt.Partitions = name, parts
			req.Topics = append(req.Topics, rt)
		}
		resp, err := request[*kmsg.ListOffsetsResponse](ctx, c, leader, req, 2, 6)
		if err != nil {
			note(asked[0], err)
			continue
		}
		got := map[partitionKey]error{}
		for _, rt := range resp.Topics {
			for _, rp := range rt.Partitions {
				k := partitionKey{rt.Topic, rp.Partition}
				err := kerr.ErrorForCode(rp.ErrorCode)
				got[k] = err
				if err == nil {
					out[k] = rp.Offset
				}
			}
		}
		for _, p := range asked {
			if err, ok := got[p.key]; !ok {
				note(p, errors.New("the broker's answer leaves the partition out"))
			} else if err != nil {
				note(p, err)
			}
		}
	}
	return out, first
}

// committed asks for a group's offsets; partitions without one are left out.
func (c *client) committed(ctx context.Context, group string, places []place) (map[partitionKey]int64, error) {
	coordinator, err := c.coordinator(ctx, group)
	if err != nil {
		return nil, err
	}
	fault := func(k partitionKey, err error) error {
		return &Error{Op: fmt.Sprintf("read the offsets of group %s", group), Topic: k.topic, Partition: k.number, Broker: c.name(coordinator), Err: err}
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	// Offsets that an open transaction is about to commit are waited for.
	req.RequireStable = true
	byTopic := map[string][]int32{}
	for _, p := range places {
		byTopic[p.key.topic] = append(byTopic[p.key.topic], p.key.number)
	}
	for name, numbers := range byTopic {
		rt := kmsg.NewOffsetFetchRequestTopic()
		rt.Topic, rt.Partitions = name, numbers
		req.Topics = append(req.Topics, rt)
	}
	resp, err := request[*kmsg.OffsetFetchResponse](ctx, c, coordinator, req, 2, 7)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil // it has committed nothing
	}
	if err != nil {
		return nil, fault(partitionKey{number: -1}, err)
	}
	out := make(map[partitionKey]int64, len(places))
	for _, rt := range resp.Topics {
		for _, rp := range rt.Partitions {
			k := partitionKey{rt.Topic, rp.Partition}
			// The error first: with one the offset says nothing.
			if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
				return nil, fault(k, err)
			}
			if rp.Offset != noOffset {
				out[k] = rp.Offset
			}
		}
	}
	return out, nil
}

// sinceStart moves ends back to the first records of the job's start, which a
// restart finds where there was no checkpoint yet, or a slot that opens late:
// they are the job's to read. A record whose time is still to come says nothing
// of what was written since, and would bring all that follows it. What could not
// be told is left out, with the first error.
func (c *client) sinceStart(ctx context.Context, o *Options, places []place, ends map[partitionKey]int64, jobStart int64) (map[partitionKey]int64, error) {
	found, err := c.listOffsets(ctx, o, places, jobStart)
	earlier := false
	for k, n := range found {
		end, ok := ends[k]
		switch {
		case !ok:
			delete(found, k)
		case n == noOffset || end < n:
			found[k] = end
		case n < end:
			earlier = true
		}
	}
	if !earlier || err != nil {
		return found, err
	}
	future, err := c.listOffsets(ctx, o, places, time.Now().Add(clockSkew).UnixMilli())
	for k, n := range found {
		ahead, ok := future[k]
		switch {
		case !ok:
			delete(found, k)
		case ahead == n && n < ends[k]:
			slog.WarnContext(ctx, "kafka: a record has a time that is still to come: LATEST begins at the partition's present end, and events since the job's start may be missing",
				logging.Topic, k.topic, logging.Partition, k.number, "offset", n, "begin", ends[k])
			found[k] = ends[k]
		}
	}
	return found, err
}

// clockSkew is how far clocks of producers may be ahead.
const clockSkew = 5 * time.Minute

// begin finds out where the partitions begin, and end where the reading is
// bounded. Those for which it could not are left out, with the first error.
// Latest is no later than jobStart, unless that is 0.
func (c *client) begin(ctx context.Context, o *Options, places []place, at InitialPosition, jobStart int64) (map[partitionKey]position, error) {
	var (
		next  map[partitionKey]int64
		first error
	)
	// Ends come first: what is written meanwhile is not this reading's.
	var ends map[partitionKey]int64
	if o.StopAtEnd || at == Latest || at == Timestamp {
		ends, first = c.listOffsets(ctx, o, places, timeLatest)
	}
	note := func(err error) {
		if first == nil || err != nil && passing(first) && !passing(err) {
			first = err
		}
	}
	var err error
	switch at {
	case Latest:
		next, err = c.latest(ctx, o, places, ends, jobStart)
	case Timestamp:
		next, err = c.listOffsets(ctx, o, places, max(0, o.InitialTimestamp.UnixMilli()))
		for k, n := range next {
			if n != noOffset {
				continue
			}
			delete(next, k)
			if end, ok := ends[k]; ok {
				next[k] = end
			}
		}
	case GroupOffsets:
		if next, err = c.committed(ctx, o.GroupID, places); err != nil {
			return nil, err
		}
		var rest []place
		for _, p := range places {
			if _, ok := next[p.key]; !ok {
				rest = append(rest, p)
			}
		}
		fallback := timeEarliest
		if o.GroupFallback == Latest {
			fallback = timeLatest
		}
		if len(rest) > 0 {
			var more map[partitionKey]int64
			more, err = c.listOffsets(ctx, o, rest, fallback)
			if o.GroupFallback == Latest {
				note(err)
				more, err = c.latest(ctx, o, rest, more, jobStart)
			}
			if next == nil {
				next = more
			}
			for k, n := range more {
				next[k] = n
			}
		}
	default:
		next, err = c.listOffsets(ctx, o, places, timeEarliest)
	}
	note(err)
	out := make(map[partitionKey]position, len(places))
	for _, p := range places {
		n, ok := next[p.key]
		if !ok {
			continue
		}
		at := position{id: p.id, next: n, stop: noStop}
		if o.StopAtEnd {
			if at.stop, ok = ends[p.key]; !ok {
				continue
			}
		}
		out[p.key] = at
	}
	return out, first
}
