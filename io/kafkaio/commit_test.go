package kafkaio

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/io/slots"
)

func (c *cluster) committer() *OffsetCommitter {
	c.t.Helper()
	c.opts.GroupID = "group-of-" + c.topic
	o, err := NewOffsetCommitter(c.t.Context(), c.opts)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(o.Close)
	return o
}

func TestPositionsAreCommittedToTheGroup(t *testing.T) {
	c := newCluster(t, 4)
	o := c.committer()
	c.put(c.topic, 40, 4, map[string]int{})
	var readers []*Reader
	for i := range 2 {
		readers = append(readers, c.open(slots.Slot{Index: i, Count: 2}, nil))
	}
	got := collect(t)
	got.drain(40, readers...)
	var slots [][]byte
	for _, r := range readers {
		_, at, _, err := r.Drain(1)
		if err != nil {
			t.Fatal(err)
		}
		slots = append(slots, at)
	}
	if err := o.Commit(t.Context(), slots...); err != nil {
		t.Fatal(err)
	}
	offsets, err := c.admin.FetchOffsets(t.Context(), c.opts.GroupID)
	if err != nil {
		t.Fatal(err)
	}
	for p := range int32(4) {
		if at, ok := offsets.Lookup(c.topic, p); !ok || at.At != 10 {
			t.Errorf("partition %d is committed at %+v", p, at)
		}
	}
}

func TestCommitsWaitPassingFaultsOut(t *testing.T) {
	c := newFake(t, 1)
	o := c.committer()
	at := positions{rule: c.topic, count: 1, partitions: map[partitionKey]position{{c.topic, 0}: {next: 7, stop: noStop}}}
	for _, fault := range []kfake.Fault{
		{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.NotCoordinator, Count: 2},
		{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.CoordinatorLoadInProgress, Count: 2},
		{Keys: []kmsg.Key{kmsg.FindCoordinator}, Err: kerr.CoordinatorNotAvailable, Count: 2},
	} {
		h := c.fake.Fault(fault)
		if err := o.Commit(t.Context(), at.encode()); err != nil || h.Hits() == 0 && fault.Keys[0] == kmsg.OffsetCommit {
			t.Errorf("%s: error is %v after %d faults", fault.Err.Message, err, h.Hits())
		}
		h.Remove()
	}
}

func TestCommitsThatCannotBeFail(t *testing.T) {
	c := newCluster(t, 1)
	o := c.committer()
	if err := o.Commit(t.Context(), []byte{1, 2}); !errors.Is(err, ErrCorruptPositions) {
		t.Errorf("error is %v", err)
	}
	at := positions{rule: c.topic, count: 1, partitions: map[partitionKey]position{{c.topic, 0}: {next: 7, stop: noStop}}}

	// A group whose members share the partitions among themselves.
	member := c.client(kgo.ConsumerGroup(c.opts.GroupID), kgo.ConsumeTopics(c.topic))
	c.eventually("the group has a member", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		member.PollFetches(ctx)
		g, err := c.admin.DescribeGroups(t.Context(), c.opts.GroupID)
		return err == nil && g[c.opts.GroupID].State == "Stable"
	})
	err := o.Commit(t.Context(), at.encode())
	if err == nil || !strings.Contains(err.Error(), c.opts.GroupID) || !strings.Contains(err.Error(), "members of its own") {
		t.Errorf("error is %v", err)
	}
	c.opts.GroupID = ""
	if _, err := NewOffsetCommitter(t.Context(), c.opts); err == nil {
		t.Error("no group was taken")
	}
}

func TestDeletedTopicsDoNotHoldCommits(t *testing.T) {
	c := newCluster(t, 1)
	o := c.committer()
	at := positions{count: 1, partitions: map[partitionKey]position{{c.topic, 0}: {next: 7, stop: noStop}, {"gone-" + c.topic, 0}: {next: 7, stop: noStop}}}
	if err := o.Commit(t.Context(), at.encode()); err != nil {
		t.Error(err)
	}
	offsets, err := c.admin.FetchOffsets(t.Context(), c.opts.GroupID)
	if at, ok := offsets.Lookup(c.topic, 0); err != nil || !ok || at.At != 7 {
		t.Errorf("committed at %+v, error %v", at, err)
	}
}
