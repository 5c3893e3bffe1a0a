package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// verify asks the leader, for partitions that have another one than before,
// where in its log the epoch ends of which a record was read last. If that is
// before the position, what was read was cut off by an unclean change of
// leaders and others have been written in its place: they would be skipped
// without a word, since there is something at the position (KIP-320). It returns
// the partitions to read on. An error is permanent.
func (f *fetcher) verify(ctx context.Context, batch []asked) ([]asked, error) {
	if !slices.ContainsFunc(batch, func(a asked) bool { return a.verify }) {
		return batch, nil // nearly always
	}
	var doubtful, ready []asked
	for _, a := range batch {
		if a.verify {
			doubtful = append(doubtful, a)
		} else {
			ready = append(ready, a)
		}
	}
	ends, err := f.r.client.epochEnds(ctx, f.broker, doubtful)
	switch {
	case errors.Is(err, kerr.UnsupportedVersion): // of before Kafka 2.1
		ends = nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, f.failed(batch, err)
	}
	for _, a := range doubtful {
		end, ok := ends[a.key]
		switch {
		case ends != nil && !ok:
			err = errors.New("the broker's answer leaves the partition out")
		case end.err != nil:
			err = end.err
		case ok && end.offset >= 0 && end.offset < a.next:
			err = f.r.reset(ctx, a.p, a.place, fmt.Errorf("%w: an unclean change of leaders cut the partition off at offset %d, before what was read last, and what is behind it now are others", ErrLost, end.offset))
			if err == nil {
				continue // it is asked for anew
			}
			if errors.Is(err, ErrLost) {
				return nil, err
			}
		default:
			f.verified(&a)
			ready = append(ready, a)
			continue
		}
		if err := f.failed([]asked{a}, err); err != nil {
			return nil, err
		}
	}
	return ready, nil
}

// verified keeps that the leader that was asked need not be asked again.
func (f *fetcher) verified(a *asked) {
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	if a.p.leader == a.leader && a.p.epoch == a.epoch {
		a.p.unverified = false
	}
}

// epochEnd is where an epoch ends in a leader's log, -1 if it does not know it.
type epochEnd struct {
	offset int64
	err    error
}

// epochEnds asks a leader for the ends of the epochs that were read last.
func (c *client) epochEnds(ctx context.Context, broker int32, asked []asked) (map[partitionKey]epochEnd, error) {
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.ReplicaID = -1 // a consumer's
	for i := range asked {
		a := &asked[i]
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != a.key.topic {
			t := kmsg.NewOffsetForLeaderEpochRequestTopic()
			t.Topic = a.key.topic
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = a.key.number, a.epoch, a.lastEpoch-1
		t := &req.Topics[len(req.Topics)-1]
		t.Partitions = append(t.Partitions, p)
	}
	resp, err := request[*kmsg.OffsetForLeaderEpochResponse](ctx, c, broker, req, 2, 4)
	if err != nil {
		return nil, err
	}
	out := make(map[partitionKey]epochEnd, len(asked))
	for _, rt := range resp.Topics {
		for _, rp := range rt.Partitions {
			out[partitionKey{rt.Topic, rp.Partition}] = epochEnd{rp.EndOffset, kerr.ErrorForCode(rp.ErrorCode)}
		}
	}
	return out, nil
}
