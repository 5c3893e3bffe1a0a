package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topic is what the cluster says of one topic.
type topic struct {
	name string
	id   topicID
	// err is why nothing is known of it: it is not there, or not to be seen.
	err        error
	partitions []partitionInfo
}

// place is where a partition of the topic is asked for.
func (t *topic) place(p partitionInfo) place {
	return place{key: partitionKey{t.name, p.number}, id: t.id, leader: p.leader, epoch: p.epoch}
}

// partitionInfo is what the cluster says of one partition.
type partitionInfo struct {
	number int32
	// leader is the broker that has it, noLeader where none has just now.
	leader, epoch int32
}

const noLeader = int32(-1)

// topics asks the cluster for the selection's topics, in the order of names.
// A named topic that it does not know comes with an error; of an expression
// only those that are there come.
func (c *client) topics(ctx context.Context, sel selection) ([]topic, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = nil // all
	for _, name := range sel.names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		req.Topics = append(req.Topics, t)
	}
	// Version 12 tells topic ids; 4 is the first that lets a topic not be made.
	resp, err := request[*kmsg.MetadataResponse](ctx, c, anyBroker, req, 4, 12)
	if err != nil {
		return nil, &Error{Op: "list topics", Partition: -1, Broker: c.name(anyBroker), Err: err}
	}
	c.learn(resp.Brokers)
	var out []topic
	for i := range resp.Topics {
		rt := &resp.Topics[i]
		if rt.Topic == nil || !sel.has(*rt.Topic) || sel.expr != nil && rt.IsInternal {
			continue
		}
		t := topic{name: *rt.Topic, id: rt.TopicID, err: kerr.ErrorForCode(rt.ErrorCode)}
		for j := range rt.Partitions {
			p := &rt.Partitions[j]
			info := partitionInfo{number: p.Partition, leader: p.Leader, epoch: p.LeaderEpoch}
			// A replica that is offline is no reason not to read from the leader.
			if err := kerr.ErrorForCode(p.ErrorCode); err == kerr.LeaderNotAvailable || info.leader < 0 {
				info.leader = noLeader
			}
			t.partitions = append(t.partitions, info)
		}
		slices.SortFunc(t.partitions, func(a, b partitionInfo) int { return int(a.number) - int(b.number) })
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b topic) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// ClusterID asks what the brokers' cluster calls itself. No two clusters have
// one id, but a cluster's servers may have several names.
func (o Options) ClusterID(ctx context.Context) (string, error) {
	c, err := newClient(ctx, o)
	if err != nil {
		return "", err
	}
	defer c.close()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // none
	resp, err := request[*kmsg.MetadataResponse](ctx, c, anyBroker, req, 4, 12)
	if err != nil {
		return "", &Error{Op: "ask for the cluster's id", Partition: -1, Broker: c.name(anyBroker), Err: err}
	}
	if resp.ClusterID == nil {
		return "", nil
	}
	return *resp.ClusterID, nil
}

// gone asks for topics by their ids and returns those that are no more. None
// are where the brokers cannot be asked so (before Kafka 3.1).
func (c *client) gone(ctx context.Context, ids map[topicID]bool) (map[topicID]bool, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	req := kmsg.NewPtrMetadataRequest()
	for id := range ids {
		t := kmsg.NewMetadataRequestTopic()
		t.TopicID = id
		req.Topics = append(req.Topics, t)
	}
	resp, err := request[*kmsg.MetadataResponse](ctx, c, anyBroker, req, 12, 12)
	if errors.Is(err, kerr.UnsupportedVersion) {
		return nil, nil
	}
	if err != nil {
		return nil, &Error{Op: "look for topics by their ids", Partition: -1, Broker: c.name(anyBroker), Err: err}
	}
	out := map[topicID]bool{}
	for i := range resp.Topics {
		// Of one that is hidden they say that the user is not authorised.
		if rt := &resp.Topics[i]; ids[rt.TopicID] && kerr.ErrorForCode(rt.ErrorCode) == kerr.UnknownTopicID {
			out[rt.TopicID] = true
		}
	}
	return out, nil
}

// listError tells why nothing is known of a topic.
func (c *client) listError(t topic) error {
	return &Error{Op: "list the partitions", Topic: t.name, Partition: -1, Broker: c.name(anyBroker), Err: t.err}
}

// learn keeps the brokers' addresses, for errors to name.
func (c *client) learn(brokers []kmsg.MetadataResponseBroker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range brokers {
		c.addresses[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
}

// coordinator finds the broker that keeps a group's offsets.
func (c *client) coordinator(ctx context.Context, group string) (int32, error) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKey = group
	resp, err := request[*kmsg.FindCoordinatorResponse](ctx, c, anyBroker, req, 0, 3)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return 0, &Error{Op: fmt.Sprintf("find the coordinator of group %s", group), Partition: -1, Broker: c.name(anyBroker), Err: err}
	}
	return resp.NodeID, nil
}
