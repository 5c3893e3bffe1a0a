package kafkaio

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// endEpochs has the fake cluster answer that epochs end at an offset, and
// returns what it was asked for: the epoch of the last question, and how many.
func (c *cluster) endEpochs(offset int64) (epoch *atomic.Int32, questions *atomic.Int64) {
	epoch, questions = &atomic.Int32{}, &atomic.Int64{}
	c.fake.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		q := req.(*kmsg.OffsetForLeaderEpochRequest)
		resp := q.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		for _, t := range q.Topics {
			rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
				rp.Partition, rp.LeaderEpoch, rp.EndOffset = p.Partition, p.LeaderEpoch, offset
				rt.Partitions = append(rt.Partitions, rp)
				epoch.Store(p.LeaderEpoch)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		questions.Add(1)
		return resp, nil, true
	})
	return epoch, questions
}

// lead gives the test's one partition another leader, and so its next epoch.
func (c *cluster) lead() {
	c.t.Helper()
	leader := c.fake.LeaderFor(c.topic, 0)
	if err := c.fake.MoveTopicPartition(c.topic, 0, (leader+1)%3); err != nil {
		c.t.Fatal(err)
	}
}

// TestRecordsThatOthersWereWrittenInPlaceOfFollowThePolicy reads on behind an
// unclean change of leaders, after which there is something at the position.
func TestRecordsThatOthersWereWrittenInPlaceOfFollowThePolicy(t *testing.T) {
	for _, policy := range []OffsetReset{ResetFail, ResetEarliest} {
		for name, restored := range map[string]bool{"running": false, "restored": true} {
			t.Run(string(policy)+" "+name, func(t *testing.T) {
				c := newFake(t, 1)
				c.opts.OffsetReset = policy
				c.lead()
				next := map[string]int{}
				c.put(c.topic, 10, 1, next)
				r := c.open(one(), nil)
				got := collect(t)
				got.drain(10, r)
				epoch, _ := c.endEpochs(5)
				if restored {
					_, at, _, err := r.Drain(1)
					if err != nil {
						t.Fatal(err)
					}
					r.Close()
					r = c.open(one(), at)
				} else {
					c.lead()
				}
				c.put(c.topic, 10, 1, next)
				if policy == ResetFail {
					err := failure(t, r)
					if !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "cut the partition off at offset 5") || !strings.Contains(err.Error(), "partition 0 of topic trips") {
						t.Errorf("error is %v", err)
					}
				} else {
					got = collect(t)
					got.drain(20, r)
					if n := r.Stats().Resets; n != 1 {
						t.Errorf("begun anew %d times", n)
					}
				}
				if epoch.Load() != 1 {
					t.Errorf("asked for epoch %d", epoch.Load())
				}
			})
		}
	}
}

func TestALeaderThatHasWhatWasReadIsAskedOnce(t *testing.T) {
	c := newFake(t, 1)
	next := map[string]int{}
	c.put(c.topic, 10, 1, next)
	r := c.open(one(), nil)
	got := collect(t)
	got.drain(10, r)
	_, questions := c.endEpochs(20)
	c.put(c.topic, 10, 1, next)
	got.drain(20, r)
	if n := questions.Load(); n != 0 {
		t.Errorf("the same leader was asked %d times", n)
	}
	_, at, _, err := r.Drain(1)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	c.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.KafkaStorageError, Count: 3})
	r = c.open(one(), at)
	c.put(c.topic, 10, 1, next)
	got.drain(30, r)
	if n := questions.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	got.once(next)
}

func TestFaultsOfAskingALeaderAreWaitedOut(t *testing.T) {
	for _, fault := range []*kerr.Error{kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.NotLeaderForPartition, kerr.UnknownTopicOrPartition} {
		t.Run(fault.Message, func(t *testing.T) {
			t.Parallel()
			c := newFake(t, 1)
			next := map[string]int{}
			c.put(c.topic, 10, 1, next)
			r := c.open(one(), nil)
			got := collect(t)
			got.drain(10, r)
			h := c.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetForLeaderEpoch}, Err: fault, Count: 3})
			c.lead()
			c.put(c.topic, 10, 1, next)
			got.drain(20, r)
			got.quiet(r)
			got.once(next)
			if h.Hits() != 3 {
				t.Errorf("met %d times", h.Hits())
			}
		})
	}
}

func TestBrokersThatKnowNoEpochsAreRead(t *testing.T) {
	for name, v := range map[string]*kversion.Versions{"of leaders": kversion.V2_0_0(), "nor ids": kversion.V2_7_0()} {
		t.Run(name, func(t *testing.T) {
			c := newFake(t, 1, kfake.MaxVersions(v))
			next := map[string]int{}
			c.put(c.topic, 10, 1, next)
			r := c.open(one(), nil)
			got := collect(t)
			got.drain(10, r)
			c.lead()
			c.put(c.topic, 10, 1, next)
			got.drain(20, r)
			got.quiet(r)
			got.once(next)
		})
	}
}
