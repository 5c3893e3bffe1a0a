package transact

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// during calls what once while the block's records are walked for the first
// time, after half of them; so much is written before that some of it is sent.
func (c *cluster) during(b Block, what func()) Block {
	var once sync.Once
	return blockOf(b.Job, b.Number, b.Attempt, func(yield func(Record, error) bool) {
		for r, err := range b.Records {
			if !yield(r, err) {
				return
			}
		}
		for range 3 {
			if !yield(Record{Topic: c.name, Key: []byte("filler"), Value: make([]byte, 700_000)}, nil) {
				return
			}
		}
		once.Do(what)
		for range 3 {
			if !yield(Record{Topic: c.name, Key: []byte("filler"), Value: make([]byte, 700_000)}, nil) {
				return
			}
		}
	})
}

func TestCommitFollowsCoordinatorsAndLeaders(t *testing.T) {
	for name, move := range map[string]func(*kfake.Cluster){
		"coordinators": (*kfake.Cluster).RehashCoordinators,
		"leaders":      (*kfake.Cluster).ShufflePartitionLeaders,
	} {
		t.Run(name, func(t *testing.T) {
			c := newFake(t, "trips")
			o := c.options()
			prepare(t, o)
			k := newCommitter(t, o)
			numbers := []int{}
			for n := range 6 {
				mustCommit(t, k, 0, 1, 0, c.during(c.block("job", int64(n+1), 0), func() { move(c.fake) }))
				numbers = append(numbers, n+1)
			}
			c.wantBlocks(t, "job", numbers...)
			c.wantStable(t, c.name)
			if got := len(c.committed(t, c.name)); got != 6*(5+6) {
				t.Errorf("%d records", got)
			}
		})
	}
}

func TestCommitOverARestartInMidTransaction(t *testing.T) {
	dir := t.TempDir()
	start := func(ports ...int) *kfake.Cluster {
		opts := []kfake.Opt{kfake.NumBrokers(1), kfake.DataDir(dir)}
		if len(ports) > 0 {
			opts = append(opts, kfake.Ports(ports...))
		}
		fake, err := kfake.NewCluster(opts...)
		if err != nil {
			t.Fatal(err)
		}
		return fake
	}
	fake := start()
	_, port, err := net.SplitHostPort(fake.ListenAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{brokers: fake.ListenAddrs(), name: "trips"}
	t.Cleanup(func() { fake.Close() })
	o := c.options()
	prepare(t, o)
	k := newCommitter(t, o)
	mustCommit(t, k, 0, 1, 0, c.block("job", 1, 0))
	out := mustCommit(t, k, 0, 1, 0, c.during(c.block("job", 2, 0), func() {
		fake.Close()
		fake = start(number)
	}))
	t.Logf("%d retries", out.Retries)
	mustCommit(t, k, 0, 1, 0, c.block("job", 3, 0))
	c.wantBlocks(t, "job", 1, 2, 3)
	c.wantStable(t, c.name)
	if got := len(c.committed(t, c.name)); got != 3*5+6 {
		t.Errorf("%d records", got)
	}
}

// Answers that brokers give in hard times: each is borne, and nothing is lost
// or doubled by it.
func TestCommitBearsPassingErrors(t *testing.T) {
	for _, test := range []struct {
		key  kmsg.Key
		code *kerr.Error
	}{
		{kmsg.InitProducerID, kerr.CoordinatorNotAvailable},
		{kmsg.InitProducerID, kerr.CoordinatorLoadInProgress},
		{kmsg.InitProducerID, kerr.ConcurrentTransactions},
		{kmsg.InitProducerID, kerr.NotCoordinator},
		{kmsg.EndTxn, kerr.CoordinatorNotAvailable},
		{kmsg.EndTxn, kerr.NotCoordinator},
		{kmsg.EndTxn, kerr.ConcurrentTransactions},
		{kmsg.EndTxn, kerr.UnknownServerError},
		{kmsg.EndTxn, kerr.TransactionAbortable},
		{kmsg.EndTxn, kerr.InvalidTxnState},
		{kmsg.EndTxn, kerr.InvalidProducerIDMapping},
		{kmsg.ListOffsets, kerr.OffsetNotAvailable},
		{kmsg.ListOffsets, kerr.LeaderNotAvailable},
		{kmsg.Fetch, kerr.NotLeaderForPartition},
		{kmsg.Fetch, kerr.UnknownTopicOrPartition},
		{kmsg.Produce, kerr.NotEnoughReplicas},
		{kmsg.Produce, kerr.NotLeaderForPartition},
		{kmsg.Produce, kerr.KafkaStorageError},
		{kmsg.Produce, kerr.OutOfOrderSequenceNumber},
		{kmsg.Produce, kerr.UnknownProducerID},
	} {
		t.Run(test.key.Name()+" "+test.code.Message, func(t *testing.T) {
			c := newFake(t, "trips")
			o := c.options()
			prepare(t, o)
			mustCommit(t, newCommitter(t, o), 0, 1, 0, c.block("job", 1, 0))
			k := newCommitter(t, o)
			// Twice at first, and once more later.
			var left, hits atomic.Int32
			c.fake.ControlKey(int16(test.key), func(req kmsg.Request) (kmsg.Response, error, bool) {
				c.fake.KeepControl()
				if left.Load() == 0 {
					return nil, nil, false
				}
				left.Add(-1)
				hits.Add(1)
				return answerWith(req, test.code.Code), nil, true
			})
			left.Store(2)
			mustCommit(t, k, 0, 1, 1, c.block("job", 1, 0), c.block("job", 2, 0))
			if hits.Load() == 0 {
				t.Fatal("the error did not come")
			}
			left.Store(1)
			mustCommit(t, k, 0, 1, 0, c.block("job", 3, 0))
			mustCommit(t, newCommitter(t, o), 0, 1, 1, c.block("job", 3, 0), c.block("job", 4, 0))
			c.wantBlocks(t, "job", 1, 2, 3, 4)
			c.wantStable(t, c.name)
		})
	}
}

// answerWith is the answer to a request that has failed with a code.
func answerWith(req kmsg.Request, code int16) kmsg.Response {
	resp := req.ResponseKind()
	switch req := req.(type) {
	case *kmsg.InitProducerIDRequest:
		resp.(*kmsg.InitProducerIDResponse).ErrorCode = code
	case *kmsg.SASLAuthenticateRequest:
		resp.(*kmsg.SASLAuthenticateResponse).ErrorCode = code
	case *kmsg.EndTxnRequest:
		resp.(*kmsg.EndTxnResponse).ErrorCode = code
	case *kmsg.ListOffsetsRequest:
		for _, t := range req.Topics {
			topic := kmsg.NewListOffsetsResponseTopic()
			topic.Topic = t.Topic
			for _, p := range t.Partitions {
				partition := kmsg.NewListOffsetsResponseTopicPartition()
				partition.Partition, partition.ErrorCode = p.Partition, code
				topic.Partitions = append(topic.Partitions, partition)
			}
			resp.(*kmsg.ListOffsetsResponse).Topics = append(resp.(*kmsg.ListOffsetsResponse).Topics, topic)
		}
	case *kmsg.FetchRequest:
		for _, t := range req.Topics {
			topic := kmsg.NewFetchResponseTopic()
			topic.Topic, topic.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				partition := kmsg.NewFetchResponseTopicPartition()
				partition.Partition, partition.ErrorCode = p.Partition, code
				topic.Partitions = append(topic.Partitions, partition)
			}
			resp.(*kmsg.FetchResponse).Topics = append(resp.(*kmsg.FetchResponse).Topics, topic)
		}
	case *kmsg.ProduceRequest:
		for _, t := range req.Topics {
			topic := kmsg.NewProduceResponseTopic()
			topic.Topic, topic.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				partition := kmsg.NewProduceResponseTopicPartition()
				partition.Partition, partition.ErrorCode = p.Partition, code
				topic.Partitions = append(topic.Partitions, partition)
			}
			resp.(*kmsg.ProduceResponse).Topics = append(resp.(*kmsg.ProduceResponse).Topics, topic)
		}
	default:
		panic(fmt.Sprintf("no answer to %T", req))
	}
	return resp
}

// Compaction leaves the last marker, wherever in the partition it is, and
// transactions that were ended without one may follow it.
func TestMarkerIsFoundFarBeforeTheEnd(t *testing.T) {
	c := newCluster(t)
	o := c.options()
	prepare(t, o)
	k := newCommitter(t, o)
	mustCommit(t, k, 0, 1, 0, c.block("job", 1, 0))
	broken := errors.New("broken block")
	l, err := k.lane(0)
	if err != nil {
		t.Fatal(err)
	}
	k.busy.Done()
	for range 2 * firstSpan {
		if l.now == nil {
			if err := k.open(t.Context(), l); err != nil {
				t.Fatal(err)
			}
		}
		// A marker that is written and then given up.
		if err := l.now.client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		m := marker{Job: "job", Number: 99, Runs: []run{{1, 0}}, Owner: k.owner}
		value, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		r, promise := l.now.slabs.take()
		r.Topic, r.Key, r.Value = o.MarkerTopic, markerKey(0), value
		l.now.client.Produce(t.Context(), r, promise)
		if err := l.now.client.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.drop(t.Context(), broken)
	}
	mustCommit(t, newCommitter(t, o), 0, 1, 1, c.block("job", 1, 0), c.block("job", 2, 0))
	c.wantBlocks(t, "job", 1, 2)
}

// unanswered has the brokers give so many answers that tell nothing to fetches of
// markers from an offset on. Before it they give a batch at a time.
type unanswered struct {
	from int64
	left atomic.Int32
}

func (u *unanswered) use(c *cluster, answer func(*kmsg.FetchRequest) *kmsg.FetchResponse) {
	c.fake.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		f := req.(*kmsg.FetchRequest)
		if len(f.Topics) == 0 || f.SessionEpoch != -1 {
			return nil, nil, false // of a reader of the topic
		}
		if p := &f.Topics[0].Partitions[0]; p.FetchOffset < u.from {
			p.PartitionMaxBytes, f.MaxBytes = 1, 1
			return nil, nil, false
		}
		if u.left.Add(-1) < 0 {
			return nil, nil, false
		}
		return answer(f), nil, true
	})
}

// throttled is the answer of a broker whose quota is used up.
func throttled(f *kmsg.FetchRequest) *kmsg.FetchResponse {
	resp := f.ResponseKind().(*kmsg.FetchResponse)
	resp.ThrottleMillis = 10
	return resp
}

// emptyUpTo answers that there are no records, and how far those are that all
// replicas have.
func emptyUpTo(end int64) func(*kmsg.FetchRequest) *kmsg.FetchResponse {
	return func(f *kmsg.FetchRequest) *kmsg.FetchResponse {
		resp := answerWith(f, 0).(*kmsg.FetchResponse)
		p := &resp.Topics[0].Partitions[0]
		p.HighWatermark, p.LastStableOffset = end, end
		return resp
	}
}

// An answer that tells nothing, as that of a broker over its quota or of a new
// leader that does not know yet what is committed, is not the markers' end: the
// blocks would be written again, or taken for lost.
func TestMarkersAreReadToTheirEndWhateverIsNotAnswered(t *testing.T) {
	answers := map[string]func(*kmsg.FetchRequest) *kmsg.FetchResponse{
		"throttled": throttled,
		"a partition that is left out": func(f *kmsg.FetchRequest) *kmsg.FetchResponse {
			return f.ResponseKind().(*kmsg.FetchResponse)
		},
		"a high watermark that lags": emptyUpTo(2),
	}
	for name, answer := range answers {
		for _, from := range []int64{0, 4} {
			t.Run(fmt.Sprintf("%s from offset %d on", name, from), func(t *testing.T) {
				c := newFake(t, "trips")
				o := c.options()
				prepare(t, o)
				k := newCommitter(t, o)
				for n := range 5 {
					mustCommit(t, k, 0, 1, 0, c.block("job", int64(n+1), 0))
				}
				u := &unanswered{from: from}
				u.use(c, answer)
				for _, read := range []func(*markers, context.Context, int) (*marker, error){(*markers).last, (*markers).lastNow} {
					u.left.Store(5)
					if m, err := read(&k.markers, t.Context(), 0); err != nil || m == nil || m.Number != 5 {
						t.Errorf("the marker is %+v, %v", m, err)
					}
				}
				u.left.Store(5)
				mustCommit(t, newCommitter(t, o), 0, 1, 5, c.block("job", 1, 0), c.block("job", 2, 0), c.block("job", 3, 0),
					c.block("job", 4, 0), c.block("job", 5, 0), c.block("job", 6, 0))
				c.wantBlocks(t, "job", 1, 2, 3, 4, 5, 6)
			})
		}
	}
}

func TestMarkersThatAreNeverAnsweredAreAPassingFault(t *testing.T) {
	c := newFake(t, "trips")
	o := c.options()
	prepare(t, o)
	k := newCommitter(t, o)
	mustCommit(t, k, 0, 1, 0, c.block("job", 1, 0))
	u := new(unanswered)
	u.left.Store(math.MaxInt32)
	u.use(c, throttled)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	m, err := k.markers.last(ctx, 0)
	if m != nil || err == nil || classify(t.Context(), err) != transient {
		t.Errorf("the marker is %+v, %v", m, err)
	}
}

// Compaction may leave nothing behind the last marker, up to the end.
func TestWhatCompactionHasTakenFromTheEndIsNotWaitedFor(t *testing.T) {
	c := newFake(t, "trips")
	o := c.options()
	prepare(t, o)
	k := newCommitter(t, o)
	for n := range 2 {
		mustCommit(t, k, 0, 1, 0, c.block("job", int64(n+1), 0))
	}
	u := &unanswered{from: 3}
	u.left.Store(math.MaxInt32)
	u.use(c, emptyUpTo(4))
	mustCommit(t, newCommitter(t, o), 0, 1, 2, c.block("job", 1, 0), c.block("job", 2, 0), c.block("job", 3, 0))
}

func TestCommitGivesUpAtItsDeadline(t *testing.T) {
	c := newFake(t, "trips")
	o := c.options()
	prepare(t, o)
	o.RetryDeadline = 1 // ns
	var over atomic.Bool
	c.fake.ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		if over.Load() {
			return nil, nil, false
		}
		return answerWith(req, kerr.InvalidTxnState.Code), nil, true
	})
	k := newCommitter(t, o)
	_, err := k.Commit(t.Context(), 0, []Block{c.block("job", 1, 0)})
	if !errors.Is(err, kerr.InvalidTxnState) || isPermanent(err) {
		t.Fatalf("error %v (permanent: %t)", err, isPermanent(err))
	}
	over.Store(true)
	mustCommit(t, k, 0, 1, 0, c.block("job", 1, 0))
	c.wantBlocks(t, "job", 1)
}
