//go:build linux

package faults

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/stack"
)

// copiesName is the stream that jobs write to.
const copiesName = "copies"

// A streamWatch reads a stream that a job writes to, by the SDK. There a trip comes at least once.
type streamWatch struct {
	client *kinesis.Client
	trips  *trips
	feed   *feed
	// field is what each event has its position in, behind the trip's own; empty if it has none.
	field string
	// mayRepeat are the trips that were under way when something was damaged; each restart may double them.
	mayRepeat []span
	restarts  int

	mu        sync.Mutex
	iterators map[string]*string // by shard
	seen      seen
	doubled   int
	// aggregates are records of many.
	aggregates int
	faults
	// history tells up to which trip all had come, by time.
	history []reached
}

// A reached is a moment, and the first trip that had not come then.
type reached struct {
	at    time.Time
	first int64
}

func startStreamWatch(t *testing.T, r *run, field string) *streamWatch {
	t.Helper()
	endpoint := r.fake.URL()
	w := &streamWatch{
		client: kinesis.New(kinesis.Options{
			BaseEndpoint: &endpoint, Region: stack.Region,
			Credentials: credentials.NewStaticCredentialsProvider(stack.AccessKey, stack.SecretKey, ""),
		}),
		trips: r.lab.trips, feed: r.feed, field: field, seen: seen{newest: -1}, iterators: make(map[string]*string),
	}
	list, err := w.client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String(copiesName)})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list.Shards {
		got, err := w.client.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
			StreamName: aws.String(copiesName), ShardId: s.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
		})
		if err != nil {
			t.Fatal(err)
		}
		w.iterators[*s.ShardId] = got.ShardIterator
	}
	follow(t, func(ctx context.Context) { _, _ = w.look(ctx) }) // the test is over
	return w
}

// look reads what is new and returns how many records that was.
func (w *streamWatch) look(ctx context.Context) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for shard, from := range w.iterators {
		got, err := w.client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: from})
		if err != nil {
			return n, err
		}
		w.iterators[shard] = got.NextShardIterator
		n += len(got.Records)
		for _, r := range got.Records {
			each, aggregated, err := members(r)
			if err != nil {
				w.fault("%s: an aggregate of %d bytes: %v", *r.SequenceNumber, len(r.Data), err)
			}
			if aggregated {
				w.aggregates++
			}
			for i := range each {
				w.check(&each[i])
			}
		}
	}
	next := reached{time.Now(), 0}
	if len(w.history) > 0 {
		next.first = w.history[len(w.history)-1].first
	}
	for next.first < int64(len(w.seen.times)) && w.seen.times[next.first] > 0 {
		next.first++
	}
	w.history = append(w.history, next)
	return n, nil
}

// underWay notes what may be doubled by a damage: what had not come when the last checkpoint before it began, and what
// was sent until all has recovered.
func (w *streamWatch) underWay(t *testing.T, r *run, damage func()) {
	t.Helper()
	var s span
	if last := r.status(t).Checkpoints.Last; last != nil {
		w.mu.Lock()
		for _, h := range w.history {
			if h.at.Before(last.Triggered) {
				s.from = h.first
			}
		}
		w.mu.Unlock()
	}
	damage()
	s.to = w.feed.sent.Load()
	w.mayRepeat = append(w.mayRepeat, s)
	w.restarts = r.status(t).Restarts
}

func (w *streamWatch) check(r *types.Record) {
	id, err := tripNumber(r.Data)
	if err != nil || id < 0 || id >= w.feed.sent.Load() {
		w.fault("%s: %q was not sent (%v)", *r.SequenceNumber, r.Data, err)
		return
	}
	if w.seen.add(id) > 1 {
		w.doubled++
	}
	data := r.Data
	if w.field != "" {
		before, _, _ := bytes.Cut(data, []byte(`,"`+w.field+`":"`+streamName+"/shardId-"))
		data = append(bytes.Clone(before), '}')
	}
	if want := w.trips.line(id); !bytes.Equal(data, want) {
		w.fault("%s: trip %d is\n%s, was sent as\n%s", *r.SequenceNumber, id, r.Data, want)
	}
	if want := tripKey(w.trips, id); *r.PartitionKey != want {
		w.fault("%s: trip %d has partition key %s, want %s", *r.SequenceNumber, id, *r.PartitionKey, want)
	}
}

func (w *streamWatch) tally() tally {
	w.mu.Lock()
	defer w.mu.Unlock()
	return tally{w.seen.delivered, w.seen.newest}
}

// hasDoubles tells whether anything was seen twice so far.
func (w *streamWatch) hasDoubles() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.doubled > 0
}

func (w *streamWatch) report(t *testing.T) {
	t.Helper()
	for n := 1; n > 0; {
		var err error
		if n, err = w.look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	sent := w.feed.sent.Load()
	lost, first := w.seen.lost(sent, poison{})
	if lost > 0 {
		w.always("%d of %d trips are not in the stream, the first of them is %d", lost, sent, first)
	}
	most, allowed, beyond := 0, int64(0), 0
	for _, s := range w.mayRepeat {
		allowed += s.to - s.from
	}
	for id, n := range w.seen.times {
		underWay := slices.ContainsFunc(w.mayRepeat, func(s span) bool { return s.has(int64(id)) })
		if n > 1 && !underWay || int(n) > 1+w.restarts {
			beyond++
			w.fault("trip %d is there %d times (under way at a damage: %t; %d restarts)", id, n, underWay, w.restarts)
		}
		most = max(most, int(n))
	}
	for _, told := range w.told() {
		t.Error(told)
	}
	t.Logf("%d trips in the stream: %d lost, %d doubled of %d that were under way between a damage's last checkpoint and its recovery, %d others doubled; none is there more than %d times, of %d restarts",
		w.seen.delivered, lost, w.doubled, allowed, beyond, most, w.restarts)
}
