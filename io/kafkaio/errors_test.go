package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
	"github.com/streaming-etl/streaming-etl/io/secret"
)

func TestLeadersAreFollowed(t *testing.T) {
	c := newFake(t, 6)
	r := c.open(one(), nil)
	next := map[string]int{}
	got := collect(t)
	for range 20 {
		c.put(c.topic, 60, 6, next)
		c.fake.ShufflePartitionLeaders()
		got.drain(got.seen+30, r)
	}
	got.drain(1200, r)
	got.quiet(r)
	got.once(next)
	if r.Stats().Retries == 0 {
		t.Error("no leader was asked that was none")
	}
}

func TestPassingFaultsAreWaitedOut(t *testing.T) {
	for _, fault := range []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.LeaderNotAvailable,
		kerr.ReplicaNotAvailable, kerr.KafkaStorageError, kerr.OffsetNotAvailable, kerr.UnknownTopicOrPartition,
		kerr.UnknownTopicID, kerr.InconsistentTopicID, kerr.UnknownServerError, kerr.RequestTimedOut, kerr.CorruptMessage,
	} {
		t.Run(fault.Message, func(t *testing.T) {
			t.Parallel()
			c := newFake(t, 3)
			next := map[string]int{}
			c.put(c.topic, 30, 3, next)
			h := c.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Partitions: []int32{1}, Err: fault, Count: 5})
			r := c.open(one(), nil)
			got := collect(t)
			got.drain(30, r)
			got.quiet(r)
			got.once(next)
			if h.Hits() != 5 {
				t.Errorf("met %d times", h.Hits())
			}
		})
	}
}

func TestFaultsOfLookingUpAreWaitedOut(t *testing.T) {
	for _, fault := range []kfake.Fault{
		{Keys: []kmsg.Key{kmsg.Metadata}, Err: kerr.LeaderNotAvailable, Topic: "trips", Count: 3},
		{Keys: []kmsg.Key{kmsg.Metadata}, Err: kerr.UnknownTopicOrPartition, Topic: "trips", Count: 3},
		{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.NotLeaderForPartition, Count: 4},
		{Keys: []kmsg.Key{kmsg.FindCoordinator}, Err: kerr.CoordinatorNotAvailable, Count: 2},
		{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.UnstableOffsetCommit, Count: 2},
	} {
		t.Run(fmt.Sprint(fault.Keys[0].Name(), " ", fault.Err.Message), func(t *testing.T) {
			t.Parallel()
			c := newFake(t, 3)
			next := map[string]int{}
			c.put(c.topic, 30, 3, next)
			c.opts.GroupID = "g"
			for _, from := range []InitialPosition{GroupOffsets, Earliest} {
				c.opts.InitialPosition = from
				h := c.fake.Fault(fault)
				r := c.open(one(), nil)
				got := collect(t)
				got.drain(30, r)
				got.quiet(r)
				got.once(next)
				if from == GroupOffsets && h.Hits() == 0 {
					t.Error("was not met")
				}
				h.Remove()
			}
		})
	}
}

func TestPermanentFaultsFailLoudly(t *testing.T) {
	for _, fault := range []*kerr.Error{kerr.TopicAuthorizationFailed, kerr.InvalidTopicException, kerr.UnsupportedCompressionType} {
		t.Run(fault.Message, func(t *testing.T) {
			c := newFake(t, 1)
			c.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: fault, Count: -1})
			r := c.open(one(), nil)
			err := failure(t, r)
			if !errors.Is(err, fault) || !strings.Contains(err.Error(), "partition 0 of topic trips") || !strings.Contains(err.Error(), "127.0.0.1:") {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestAFaultThatLastsFailsAfterTheDeadline(t *testing.T) {
	for name, fault := range map[string]kfake.Fault{
		"fetch":    {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.KafkaStorageError, Count: -1},
		"offsets":  {Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.NotLeaderForPartition, Count: -1},
		"metadata": {Keys: []kmsg.Key{kmsg.Metadata}, Topic: "trips", Err: kerr.UnknownTopicOrPartition, Count: -1},
	} {
		t.Run(name, func(t *testing.T) {
			c := newFake(t, 1)
			c.opts.RetryDeadline = 200 * time.Millisecond
			c.fake.Fault(fault)
			err := failure(t, c.open(one(), nil))
			if !strings.Contains(err.Error(), "trips") {
				t.Errorf("error is %v", err)
			}
		})
	}
}

// gate stands before a cluster's brokers and can shut.
type gate struct {
	shut atomic.Bool
	refs atomic.Int64
}

type gatedConn struct {
	net.Conn
	g *gate
}

func (c gatedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.g.shut.Load() {
		c.g.refs.Add(1)
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

type gatedListener struct {
	net.Listener
	g *gate
}

func (l gatedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return gatedConn{conn, l.g}, nil
}

func (g *gate) option() kfake.Opt {
	return kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		return gatedListener{l, g}, err
	})
}

func TestTheFlowGoesOnWhenTheBrokersAreBack(t *testing.T) {
	var g gate
	c := newFake(t, 4, g.option())
	next := map[string]int{}
	c.put(c.topic, 40, 4, next)
	r := c.open(one(), nil)
	got := collect(t)
	got.drain(40, r)
	g.shut.Store(true)
	c.eventually("requests are refused", func() bool { return r.Stats().Retries > 10 && g.refs.Load() > 10 })
	g.shut.Store(false)
	c.put(c.topic, 40, 4, next)
	got.drain(80, r)
	got.quiet(r)
	got.once(next)
}

func TestUnreachableBrokersFailAfterTheDeadline(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	for _, from := range []InitialPosition{Earliest, Latest} {
		o := Options{Brokers: []string{address}, Topic: "trips", InitialPosition: from, RetryDeadline: 300 * time.Millisecond, RetryBackoff: time.Millisecond}
		opened, err := o.Open(t.Context(), one(), nil)
		if err == nil {
			defer opened.Close()
			err = failure(t, opened.(*Reader))
		}
		if !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: error is %v", from, err)
		}
	}
}

func TestExpiredOffsetsFollowThePolicy(t *testing.T) {
	for _, policy := range []OffsetReset{"", ResetEarliest, ResetLatest} {
		t.Run(string(policy), func(t *testing.T) {
			c := newCluster(t, 1)
			next := map[string]int{}
			c.put(c.topic, 100, 1, next)
			at := positions{rule: c.topic, count: 1, partitions: map[partitionKey]position{{c.topic, 0}: {next: 10, stop: noStop}}}
			c.trim(c.topic, 60)
			c.opts.OffsetReset = policy
			r := c.open(one(), at.encode())
			if policy == "" {
				err := failure(t, r)
				for _, want := range []string{"offset 10", "partition 0 of topic " + c.topic, "oldest record has offset 60", "EARLIEST", "LATEST"} {
					if !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), want) {
						t.Errorf("error is %v, without %q", err, want)
					}
				}
				return
			}
			from := 60
			if policy == ResetLatest {
				from = 100
				collect(t).until("begun anew", func() bool { return r.Stats().Resets == 1 }, r)
			}
			c.put(c.topic, 10, 1, next)
			var want []string
			for i := from; i < 110; i++ {
				want = append(want, fmt.Sprintf("%s/0/%d", c.topic, i))
			}
			got := collect(t)
			got.drain(len(want), r)
			got.quiet(r)
			got.exactly(want)
		})
	}
}

// trim deletes the records of partition 0 below the offset.
func (c *cluster) trim(topic string, offset int64) {
	c.t.Helper()
	req := kmsg.NewPtrDeleteRecordsRequest()
	rt := kmsg.NewDeleteRecordsRequestTopic()
	rt.Topic = topic
	rt.Partitions = []kmsg.DeleteRecordsRequestTopicPartition{{Offset: offset}}
	req.Topics = append(req.Topics, rt)
	req.TimeoutMillis = 10_000
	resp, err := req.RequestWith(c.t.Context(), c.kgo)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func TestOffsetsBeyondTheEndFollowThePolicy(t *testing.T) {
	c := newCluster(t, 1)
	c.put(c.topic, 10, 1, map[string]int{})
	at := positions{rule: c.topic, count: 1, partitions: map[partitionKey]position{{c.topic, 0}: {next: 50, stop: noStop}}}
	err := failure(t, c.open(one(), at.encode()))
	if !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "ends at offset 10") {
		t.Errorf("error is %v", err)
	}
}

func TestARecreatedTopicFollowsThePolicy(t *testing.T) {
	for _, policy := range []OffsetReset{ResetFail, ResetEarliest, ResetLatest} {
		for _, down := range []bool{false, true} {
			t.Run(fmt.Sprint(policy, " while down ", down), func(t *testing.T) {
				c := newCluster(t, 1)
				topic := c.topic + "-again"
				c.create(topic, 2, nil)
				c.opts.Topic, c.opts.OffsetReset = topic, policy
				c.put(topic, 20, 2, map[string]int{})
				r := c.open(one(), nil)
				got := collect(t)
				got.drain(20, r)
				_, at, _, err := r.Drain(1)
				if err != nil {
					t.Fatal(err)
				}
				if down {
					r.Close()
				}
				c.remove(topic)
				c.create(topic, 2, nil)
				// As many as there were: the offsets alone tell nothing.
				next := map[string]int{topic + "/0": 1000, topic + "/1": 1000}
				cl := c.client()
				put := func(n int) {
					for i := range n {
						key := fmt.Sprintf("%s/%d", topic, i%2)
						c.produce(cl, &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: fmt.Appendf(nil, "%s/%d", key, next[key])})
						next[key]++
					}
				}
				put(30)
				if down {
					r = c.open(one(), at)
				}
				if policy == ResetFail {
					err := failure(t, r)
					if !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "deleted and made again") || !strings.Contains(err.Error(), topic) {
						t.Errorf("error is %v", err)
					}
					return
				}
				got = collect(t)
				if policy == ResetLatest {
					got.until("begun anew", func() bool { return r.Stats().Resets == 2 }, r)
					got.quiet(r)
					skipped := 30 - got.seen // what came between making and finding it
					if down && skipped != 30 {
						t.Errorf("%d records of before came", got.seen)
					}
					put(10)
					got.drain(40-skipped, r)
				} else {
					got.drain(30, r)
				}
				got.quiet(r)
				for v, n := range got.times {
					if n != 1 || !strings.Contains(v, "/10") {
						t.Errorf("%s came %d times", v, n)
					}
				}
				if r.Stats().Resets != 2 {
					t.Errorf("%d partitions were begun anew", r.Stats().Resets)
				}
			})
		}
	}
}

func TestADeletedTopicFailsTheReader(t *testing.T) {
	c := newCluster(t, 1)
	topic := c.topic + "-deleted"
	c.create(topic, 1, nil)
	c.opts.Topic, c.opts.RetryDeadline = topic, 2*time.Second
	r := c.open(one(), nil)
	c.put(topic, 10, 1, map[string]int{})
	collect(t).drain(10, r)
	c.remove(topic)
	err := failure(t, r)
	if !strings.Contains(err.Error(), topic) || !errors.Is(err, ErrNoTopic) || !strings.Contains(err.Error(), "deleted") {
		t.Errorf("error is %v", err)
	}
}

func TestADeletedTopicOfAnExpressionIsForgotten(t *testing.T) {
	c := newCluster(t, 1)
	for _, topic := range []string{c.topic + "-x", c.topic + "-y"} {
		c.create(topic, 2, nil)
	}
	next := map[string]int{}
	c.put(c.topic+"-x", 10, 2, next)
	c.put(c.topic+"-y", 10, 2, next)
	c.opts.Topic, c.opts.RetryDeadline = "regex:"+c.topic+"-.", 3*time.Second
	r := c.open(one(), nil)
	got := collect(t)
	got.drain(20, r)
	c.remove(c.topic + "-x")
	got.until("forgotten", func() bool { return r.Stats().Partitions == 2 }, r)
	_, at, _, err := r.Drain(1)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := decodePositions(at); err != nil || len(p.partitions) != 2 {
		t.Errorf("positions are %+v, error %v", p, err)
	}
	// The name again is a new topic.
	c.create(c.topic+"-x", 2, nil)
	for i := range 4 {
		c.produce(c.client(), &kgo.Record{Topic: c.topic + "-x", Partition: int32(i % 2), Value: fmt.Append(nil, "new", i)})
	}
	got = collect(t)
	got.drain(4, r)
	for i := range 4 {
		if got.times[fmt.Sprint("new", i)] != 1 {
			t.Errorf("record %d came %d times", i, got.times[fmt.Sprint("new", i)])
		}
	}
}

func TestAMissingTopicIsToldByName(t *testing.T) {
	c := newCluster(t, 1)
	for _, from := range []InitialPosition{Earliest, Latest} {
		c.opts.Topic, c.opts.RetryDeadline, c.opts.InitialPosition = c.topic+",nothere", 500*time.Millisecond, from
		opened, err := c.opts.Open(t.Context(), one(), nil)
		if err == nil {
			defer opened.Close()
			err = failure(t, opened.(*Reader))
		}
		if !errors.Is(err, ErrNoTopic) || !strings.Contains(err.Error(), "topic nothere") {
			t.Errorf("%s: error is %v", from, err)
		}
	}
}

// answerFetch has the fake cluster answer fetches with what change makes of
// the record batches, as often as it returns true.
func (c *cluster) answerFetch(change func(batches []byte) bool) {
	saved := map[int64][]byte{}
	c.fake.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		q := req.(*kmsg.FetchRequest)
		at := q.Topics[0].Partitions[0].FetchOffset
		if saved[at] == nil {
			return nil, nil, false
		}
		in := append([]byte{}, saved[at]...)
		if !change(in) {
			return nil, nil, false
		}
		resp := q.ResponseKind().(*kmsg.FetchResponse)
		rt := kmsg.NewFetchResponseTopic()
		rt.Topic, rt.TopicID = q.Topics[0].Topic, q.Topics[0].TopicID
		rp := kmsg.NewFetchResponseTopicPartition()
		rp.HighWatermark, rp.LastStableOffset, rp.RecordBatches = 1000, 1000, in
		rt.Partitions = append(rt.Partitions, rp)
		resp.Topics = append(resp.Topics, rt)
		return resp, nil, true
	})
	// As the broker has them.
	req := kmsg.NewPtrFetchRequest()
	req.SessionEpoch, req.MaxBytes, req.MinBytes = -1, 1<<20, 1
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID = c.topic, c.fake.TopicInfo(c.topic).TopicID
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.PartitionMaxBytes = 1 << 20
	rp.CurrentLeaderEpoch = -1
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := c.kgo.Broker(int(c.fake.LeaderFor(c.topic, 0))).Request(c.t.Context(), req)
	if err != nil {
		c.t.Fatal(err)
	}
	saved[0] = resp.(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches
	if len(saved[0]) == 0 {
		c.t.Fatal("nothing was fetched")
	}
}

func TestADamagedBatchIsAskedForAgain(t *testing.T) {
	c := newFake(t, 1)
	next := map[string]int{}
	c.put(c.topic, 100, 1, next)
	var damaged atomic.Int64
	c.answerFetch(func(in []byte) bool {
		in[len(in)/2]++
		return damaged.Add(1) <= corruptTries-1
	})
	r := c.open(one(), nil)
	got := collect(t)
	got.drain(100, r)
	got.quiet(r)
	got.once(next)
	if damaged.Load() < corruptTries-1 {
		t.Errorf("%d were damaged", damaged.Load())
	}
}

func TestABatchThatStaysDamagedFailsTheReader(t *testing.T) {
	c := newFake(t, 1)
	c.put(c.topic, 100, 1, map[string]int{})
	c.answerFetch(func(in []byte) bool { in[len(in)/2]++; return true })
	err := failure(t, c.open(one(), nil))
	if !strings.Contains(err.Error(), "checksum") || !strings.Contains(err.Error(), "offset 0") {
		t.Errorf("error is %v", err)
	}
}

func TestOldMessageFormatsAreRefused(t *testing.T) {
	c := newFake(t, 1)
	c.put(c.topic, 1, 1, map[string]int{})
	c.answerFetch(func(in []byte) bool { in[atMagic] = 1; return true })
	err := failure(t, c.open(one(), nil))
	if !strings.Contains(err.Error(), "message format 1") || !strings.Contains(err.Error(), "Kafka 0.11") {
		t.Errorf("error is %v", err)
	}
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	c := newFake(t, 4)
	c.put(c.topic, 100, 4, map[string]int{})
	r := c.open(one(), nil)
	collect(t).drain(100, r)
	r.Close()
	var b strings.Builder
	defer func() {
		if t.Failed() {
			t.Log(b.String())
		}
	}()
	c.eventually("all goroutines of the reader end", func() bool {
		b.Reset()
		if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		return !strings.Contains(text, "kafkaio.(*Reader)") && !strings.Contains(text, "kafkaio.(*fetcher)") && !strings.Contains(text, "segmentio/kafka-go")
	})
}

func TestReaderOutlivesTheContextOfOpen(t *testing.T) {
	c := newFake(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := c.opts.Open(ctx, one(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cancel()
	next := map[string]int{}
	c.put(c.topic, 10, 1, next)
	got := collect(t)
	got.drain(10, r.(*Reader))
	got.once(next)
}

func TestCheckTellsWhatIsWrong(t *testing.T) {
	t.Setenv("GOOD_PASSWORD", "secret")
	t.Setenv("BAD_PASSWORD", "wrong")
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_ = closed.Close()
	c := newFake(t, 3, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "secret"),
		kfake.User("SCRAM-SHA-512", "reader", "secret", kfake.ACL{
			Resource: kmsg.ACLResourceTypeTopic, Name: "trips", Pattern: kmsg.ACLResourcePatternTypeLiteral,
			Operation: kmsg.ACLOperationRead, Allow: true,
		}, kfake.ACL{
			Resource: kmsg.ACLResourceTypeTopic, Name: "described", Pattern: kmsg.ACLResourcePatternTypeLiteral,
			Operation: kmsg.ACLOperationDescribe, Allow: true,
		}), kfake.SeedTopics(1, "described", "forbidden"))
	login := security.Config{Protocol: security.SASLPlaintext, Mechanism: security.ScramSHA512, Username: "reader", Password: secret.Secret{Env: "GOOD_PASSWORD"}}
	root := security.Config{Protocol: security.SASLPlaintext, Mechanism: security.Plain, Username: "root", Password: secret.Secret{Env: "GOOD_PASSWORD"}}
	c.opts.Security = login
	c.opts.GroupID = "mine"
	for name, test := range map[string]struct {
		change func(*Options)
		want   []string
	}{
		"all is well":          {func(*Options) {}, nil},
		"a wrong password":     {func(o *Options) { o.Security.Password.Env = "BAD_PASSWORD" }, []string{"login", "password"}},
		"no login":             {func(o *Options) { o.Security = security.Config{} }, []string{c.opts.Brokers[0]}},
		"nobody listens":       {func(o *Options) { o.Brokers = []string{closed.Addr().String()} }, []string{closed.Addr().String(), "refused"}},
		"nobody answers":       {func(o *Options) { o.Brokers = []string{silent.Addr().String()} }, []string{silent.Addr().String()}},
		"a missing topic":      {func(o *Options) { o.Topic, o.Security = "trips,nothere", root }, []string{"topic nothere", "does not exist"}},
		"no topic matches":     {func(o *Options) { o.Topic = "regex:nothere.*" }, []string{"regex:nothere.*"}},
		"a topic not seen":     {func(o *Options) { o.Topic = "forbidden" }, []string{"topic forbidden", "ACL"}},
		"a topic not read":     {func(o *Options) { o.Topic = "described" }, []string{"topic described", "ACL"}},
		"a group not let in":   {func(o *Options) { o.InitialPosition = GroupOffsets }, []string{"group mine", "ACL"}},
		"no broker that is":    {func(o *Options) { o.Brokers = []string{"nothere.invalid:9092"} }, []string{"nothere.invalid"}},
		"mistakes in a string": {func(o *Options) { o.Topic = "a b" }, []string{`"a b"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := c.opts
			test.change(&o)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_, err := o.Check(ctx)
			if ctx.Err() != nil {
				t.Errorf("told only at the deadline: %v", err)
			}
			if test.want == nil {
				if err != nil {
					t.Errorf("error is %v", err)
				}
				return
			}
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error is %v, without %q", err, want)
				}
			}
		})
	}
}

func TestCheckTakesAClusterThatIsWell(t *testing.T) {
	c := newCluster(t, 3)
	c.put(c.topic, 10, 3, map[string]int{})
	c.opts.GroupID = "group-of-" + c.topic
	for _, from := range []InitialPosition{Earliest, GroupOffsets} {
		c.opts.InitialPosition = from
		if _, err := c.opts.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	c.opts.Topic += ",nothere"
	_, err := c.opts.Check(t.Context())
	if !errors.Is(err, ErrNoTopic) || !strings.Contains(err.Error(), "topic nothere") || strings.Contains(err.Error(), c.topic) {
		t.Errorf("error is %v", err)
	}
}

func TestBrokersMayLeaveAndOthersCome(t *testing.T) {
	c := newFake(t, 6)
	r := c.open(one(), nil)
	next := map[string]int{}
	got := collect(t)
	c.put(c.topic, 60, 6, next)
	got.drain(60, r)
	for node := range int32(2) {
		if _, _, err := c.fake.AddNode(100+node, 0); err != nil {
			t.Fatal(err)
		}
		if err := c.fake.RemoveNode(node); err != nil {
			t.Fatal(err)
		}
		c.put(c.topic, 60, 6, next)
		got.drain(got.seen+60, r)
	}
	got.quiet(r)
	got.once(next)
}

func TestATopicThatIsNotReadyIsWaitedFor(t *testing.T) {
	c := newFake(t, 1)
	h := c.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "trips", Err: kerr.LeaderNotAvailable, Count: -1})
	c.opts.RetryDeadline = 300 * time.Millisecond
	err := failure(t, c.open(one(), nil))
	if !errors.Is(err, kerr.LeaderNotAvailable) || !strings.Contains(err.Error(), "topic trips") {
		t.Errorf("error is %v", err)
	}
	h.Remove()
}

func TestBrokersAreNotAskedForTopicsThatAreNotRead(t *testing.T) {
	c := newFake(t, 2)
	var all, named atomic.Int64
	c.fake.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		switch q := req.(*kmsg.MetadataRequest); {
		case q.Topics == nil:
			all.Add(1)
		case len(q.Topics) > 0:
			named.Add(1)
		}
		return nil, nil, false
	})
	r := c.open(one(), nil)
	c.eventually("some looks", func() bool { return named.Load() > 5 && r.Stats().Partitions == 2 })
	if n := all.Load(); n > 0 {
		t.Errorf("all topics were asked for %d times", n)
	}
}

// refuseLogins has the fake cluster refuse logins as real brokers do, while
// refuse is set.
func (c *cluster) refuseLogins(refuse *atomic.Bool) {
	c.fake.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		if !refuse.Load() {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return resp, nil, true
	})
}

func TestALoginThatIsRefusedLaterIsTriedAgain(t *testing.T) {
	t.Setenv("PASSWORD", "secret")
	var (
		g      gate
		refuse atomic.Bool
	)
	c := newFake(t, 2, g.option(), kfake.EnableSASL(), kfake.Superuser("PLAIN", "reader", "secret"))
	login := security.Config{Protocol: security.SASLPlaintext, Mechanism: security.Plain, Username: "reader", Password: secret.Secret{Env: "PASSWORD"}}
	options, err := login.Options(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.opts.Security = login
	c.kgo = c.client(options...)
	c.refuseLogins(&refuse)
	next := map[string]int{}
	c.put(c.topic, 10, 2, next)
	r := c.open(one(), nil)
	got := collect(t)
	got.drain(10, r)

	refuse.Store(true)
	g.shut.Store(true)
	c.eventually("connections are cut", func() bool { return r.Stats().Retries > 0 })
	g.shut.Store(false)
	before := r.Stats().Retries
	c.eventually("logins are refused", func() bool {
		if _, _, _, err := r.Drain(1); err != nil {
			t.Fatal(err)
		}
		return r.Stats().Retries > before+10
	})
	refuse.Store(false)
	c.put(c.topic, 10, 2, next)
	got.drain(20, r)
	got.quiet(r)
	got.once(next)
}

func TestALoginThatIsRefusedAtTheStartFailsAtOnce(t *testing.T) {
	t.Setenv("PASSWORD", "wrong")
	c := newFake(t, 1, kfake.EnableSASL(), kfake.Superuser("PLAIN", "reader", "secret"))
	c.opts.Security = security.Config{Protocol: security.SASLPlaintext, Mechanism: security.Plain, Username: "reader", Password: secret.Secret{Env: "PASSWORD"}}
	var refuse atomic.Bool
	refuse.Store(true)
	c.refuseLogins(&refuse)
	err := failure(t, c.open(one(), nil))
	if !security.Refused(err) || !strings.Contains(err.Error(), "password") {
		t.Errorf("error is %v", err)
	}
}
