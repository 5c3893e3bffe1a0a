//go:build linux

package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/stack"
)

// A topicWatch follows topics, one for each type of trips or one for all, to see how far a job has come. What it says in the end is
// of another reader: Kafka's own console consumer.
type topicWatch struct {
	kafka  *stack.KafkaCluster
	prefix string
	types  []string
	trips  *trips
	feed   *feed

	mu   sync.Mutex
	seen seen
	// again are the trips that may be there again.
	again span
	origin
	poison
}

// An origin is what trips are read from. Those of a stream have no headers, timestamps of their arrival, and no order
// by key where they were not sent by key.
type origin int

const (
	fromTopic origin = iota
	fromStream
	fromKeyedStream
)

// A span are trips by number.
type span struct{ from, to int64 }

func (s span) has(id int64) bool { return id >= s.from && id < s.to }

// repeats says that trips may be there again.
func (w *topicWatch) repeats(from, to int64) { w.again = span{from, to} }

// complete returns the number of the first trip that has not come.
func (w *topicWatch) complete() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, n := range w.seen.times {
		if n == 0 {
			return int64(id)
		}
	}
	return int64(len(w.seen.times))
}

// seen are the numbers of trips that have come.
type seen struct {
	times     []uint8 // by number
	delivered int64   // different ones
	newest    int64
}

// add notes a trip and returns how often it has come now.
func (s *seen) add(id int64) int {
	for int64(len(s.times)) <= id {
		s.times = append(s.times, make([]uint8, id+1)...)
	}
	if s.times[id] == 0 {
		s.delivered++
	}
	s.times[id]++
	s.newest = max(s.newest, id)
	return int(s.times[id])
}

// lost returns how many trips below a number have not come, of those that are not poison, and the first of them.
func (s *seen) lost(sent int64, p poison) (n, first int64) {
	for id := range sent {
		if p.kind(id) == wholesome && (id >= int64(len(s.times)) || s.times[id] == 0) {
			if n == 0 {
				first = id
			}
			n++
		}
	}
	return n, first
}

func startTopicWatch(t *testing.T, r *run, prefix string, types []string) *topicWatch {
	t.Helper()
	w := &topicWatch{kafka: r.lab.theKafka(t), prefix: prefix, types: types, trips: r.lab.trips, feed: r.feed, seen: seen{newest: -1}}
	client, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.Bootstrap()...), kgo.ConsumeTopics(w.topics()...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { stop(); <-done; client.Close() })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			fetches := client.PollFetches(ctx) // its errors pass: a broker is away
			w.mu.Lock()
			fetches.EachRecord(func(record *kgo.Record) {
				if id, err := tripNumber(record.Value); err == nil && id < w.feed.sent.Load() {
					w.seen.add(id)
				}
			})
			w.mu.Unlock()
		}
	}()
	return w
}

func (w *topicWatch) topics() []string {
	var topics []string
	for _, typ := range w.types {
		topics = append(topics, w.prefix+typ)
	}
	return topics
}

// tally counts what is in no topic, as dead letters are to have it, as delivered.
func (w *topicWatch) tally() tally {
	w.mu.Lock()
	defer w.mu.Unlock()
	got := tally{w.seen.delivered, w.seen.newest}
	if got.newest >= 0 {
		got.delivered += w.poisoned(w.feed.sent.Load())
	}
	return got
}

// report reads all anew by the console consumer and compares.
func (w *topicWatch) report(t *testing.T) {
	t.Helper()
	v := &topicVerdict{trips: w.trips, sent: w.feed.sent.Load(), again: w.again, origin: w.origin, poison: w.poison, last: make(map[string]position)}
	for _, typ := range w.types {
		records, err := w.kafka.Consume(t.Context(), w.prefix+typ)
		if err != nil {
			t.Fatal(err)
		}
		for i := range records {
			v.check(typ, &records[i])
		}
	}
	for _, f := range v.verdict() {
		t.Error(f)
	}
	t.Logf("%d trips of %d keys in topics: %d lost, %d doubled, %d out of order", v.seen.delivered, len(v.last), v.lost, v.doubled, v.disordered)
	if v.repeated > 0 {
		t.Logf("%d of the %d trips that may be there again are", v.repeated, v.again.to-v.again.from)
	}
	letters, err := w.kafka.Consume(t.Context(), w.prefix+lettersName)
	if err != nil {
		t.Fatal(err)
	}
	l := &letterVerdict{trips: w.trips, sent: v.sent, poison: w.poison}
	for i := range letters {
		l.check(letters[i].Value)
	}
	l.report(t)
}

// A topicVerdict compares records with what was sent.
type topicVerdict struct {
	trips *trips
	sent  int64
	seen  seen
	last  map[string]position // by topic and key
	faults
	again span
	origin
	poison
	lost                int64
	doubled, disordered int
	repeated            int // and may be
}

// A position is where the last record of a key was.
type position struct {
	partition int32
	number    int64
}

// check takes the next record of a topic, whose records come in order by partition.
func (v *topicVerdict) check(typ string, r *stack.KafkaRecord) {
	at := fmt.Sprintf("%s, partition %d, offset %d", typ, r.Partition, r.Offset)
	id, err := tripNumber(r.Value)
	if err != nil || id < 0 || id >= v.sent || v.kind(id) != wholesome {
		v.fault("%s: %q was not sent, or is poison (%v)", at, r.Value, err)
		return
	}
	repeated := v.seen.add(id) > 1
	switch {
	case repeated && v.again.has(id):
		v.repeated++
	case repeated:
		v.doubled++
		v.fault("%s: trip %d is there again", at, id)
		return
	}
	if want := v.trips.line(id); !bytes.Equal(r.Value, want) {
		v.fault("%s: trip %d is\n%s, was sent as\n%s", at, id, r.Value, want)
	}
	if want := v.trips.row(id).Type; typ != want && typ != allTypes {
		v.fault("%s: trip %d is of type %s", at, id, want)
	}
	key := tripKey(v.trips, id)
	if string(r.Key) != key {
		v.fault("%s: trip %d has key %q, want %q", at, id, r.Key, key)
	}
	v.checkOrigin(at, id, r)
	last, known := v.last[typ+key]
	switch {
	case known && last.partition != r.Partition:
		v.fault("%s: trip %d of key %s is in another partition than trip %d", at, id, key, last.number)
	case known && last.number > id && !repeated && v.origin != fromStream:
		v.disordered++
		v.fault("%s: trip %d of key %s comes after trip %d", at, id, key, last.number)
	}
	v.last[typ+key] = position{r.Partition, id}
}

// checkOrigin compares what a record has of the one that it was made of.
func (v *topicVerdict) checkOrigin(at string, id int64, r *stack.KafkaRecord) {
	if v.origin != fromTopic {
		if len(r.Headers) > 0 {
			v.fault("%s: trip %d has headers %q", at, id, r.Headers)
		}
		return
	}
	if r.Timestamp != firstTimestamp+id {
		v.fault("%s: trip %d has timestamp %d, want %d", at, id, r.Timestamp, firstTimestamp+id)
	}
	if len(r.Headers) != 1 || r.Headers[0].Key != numberHeader || string(r.Headers[0].Value) != strconv.FormatInt(id, 10) {
		v.fault("%s: trip %d has headers %q", at, id, r.Headers)
	}
}

// verdict returns all that is wrong when nothing is to come any more.
func (v *topicVerdict) verdict() []string {
	var first int64
	if v.lost, first = v.seen.lost(v.sent, v.poison); v.lost > 0 {
		v.always("%d of %d trips are in no topic, the first of them is %d", v.lost, v.sent, first)
	}
	return v.told()
}

// tripNumber reads the number of a trip's line.
func tripNumber(line []byte) (int64, error) {
	_, rest, ok := bytes.Cut(line, []byte(`"trip_id":`))
	end := bytes.IndexAny(rest, ",}")
	if !ok || end < 0 {
		return 0, errors.New("no trip_id")
	}
	return strconv.ParseInt(string(rest[:end]), 10, 64)
}
