package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/runners/flink/submit"
	"github.com/streaming-etl/streaming-etl/stack"
)

const (
	// searchRate is the records a second for Elasticsearch: less than half of what its node took in a run at full speed.
	searchRate = 5000
	// countInterval is the time between two counts of an index's documents.
	countInterval = 100 * time.Millisecond
)

// visible measures how long records from Kafka take until somebody can see them.
func visible(ctx context.Context, l *lab, o options) ([]table, error) {
	t := table{
		title: "From sending to visibility",
		notes: []string{
			fmt.Sprintf("From the moment a record is handed to Kafka's producer (which waits 20ms for more) until it is seen: in an object that is in a listing of the bucket (listed every %s), by a consumer of what is committed, "+
				"or among the documents that a search counts (counted every %s; the n-th document that was counted is taken for the n-th that was sent; the index is refreshed each second, Elasticsearch's default). "+
				"%s at a steady rate, the first %s left out, parallelism 1, a checkpoint every %s.", watchInterval, countInterval, o.latency, warmUp, o.checkpoints),
			"Others: how many processors were busy, on average, with what is no part of the measurement.",
		},
		head: []string{"from Kafka to", "records/s", "records", "average s", "p50 s", "p99 s", "max s", "others"},
	}
	l.cluster.Stop()
	b, err := startBroker(ctx, l.dir)
	if err != nil {
		return nil, err
	}
	defer b.stop()
	for _, c := range []struct {
		sink string
		roll time.Duration // the age at which files are closed
	}{{toFiles, 2 * time.Second}, {toFiles, 500 * time.Millisecond}, {toTopic, 0}, {toElasticsearch, 0}} {
		name := sinkNames[c.sink]
		if c.roll > 0 {
			name += fmt.Sprintf(", a file every %s", c.roll)
		}
		l.say("visibility in %s", name)
		row, err := l.visible(ctx, b, c.sink, c.roll, o)
		if err != nil {
			return []table{t}, fmt.Errorf("%s: %w", name, err)
		}
		row = append([]string{name}, row...)
		l.say("%v", row)
		t.rows = append(t.rows, row)
	}
	return []table{t}, nil
}

// A sighting says when a record was seen that was sent at a time.
type sighting struct{ sent, seen time.Time }

// visible measures one sink with a cluster of its own. Files are closed at the age of roll.
func (l *lab) visible(ctx context.Context, b *broker, sink string, roll time.Duration, o options) ([]string, error) {
	if err := l.startCluster(ctx); err != nil {
		return nil, err
	}
	defer l.cluster.Stop()
	prefix := l.prefix()
	defer l.clear(prefix)
	name, rate := "visible-"+path.Base(prefix), int64(feedRate)
	if err := b.cluster.MakeTopic(ctx, name, partitions, nil); err != nil {
		return nil, err
	}
	args := []string{
		"--JobName=" + name, "--Region=" + stack.Region, "--Parallelism=1", fmt.Sprintf("--CheckpointInterval=%d", o.checkpoints.Milliseconds()),
		"--InputKafkaBootstrapServers=" + b.addresses(), "--InputKafkaTopic=" + name, "--InputKafkaInitialPosition=EARLIEST",
	}
	// seen returns what was seen so far; it is asked again until all are there.
	var seen func(sent []time.Time) ([]sighting, error)
	switch sink {
	case toFiles:
		w := l.watch(ctx, prefix)
		defer w.end()
		args = append(args, "--OutputBucket="+bucketName, "--OutputBucketEndpoint="+l.s3.Endpoint(), "--OutputPrefix="+prefix, "--OutputPathTemplate="+fewFolders,
			fmt.Sprintf("--OutputFileRollIntervalMs=%d", roll.Milliseconds()))
		seen = func([]time.Time) ([]sighting, error) { return w.sightings() }
	case toTopic:
		out := name + "-out"
		if err := b.cluster.MakeTopic(ctx, out, partitions, nil); err != nil {
			return nil, err
		}
		w, err := b.watch(ctx, out)
		if err != nil {
			return nil, err
		}
		defer w.end()
		args = append(args, "--OutputKafkaBootstrapServers="+b.addresses(), "--OutputKafkaTopic="+out)
		seen = func([]time.Time) ([]sighting, error) { return w.sightings() }
	case toElasticsearch:
		e, err := startElasticsearch(ctx, l.dir)
		if err != nil {
			return nil, err
		}
		defer e.stop()
		rate = searchRate
		w := e.watch(ctx, name)
		defer w.end()
		args = append(args, "--OutputElasticsearchEndpoint="+e.server.Endpoint(), "--ElasticsearchIndex="+name, "--ElasticsearchDocumentId={trip_id}")
		seen = w.sightings
	}
	j, err := l.submit(ctx, "", args)
	if err != nil {
		return nil, err
	}
	defer j.cancel()
	before, err := l.usage()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	sent, err := b.steady(ctx, name, rate, o.latency)
	if err != nil {
		return nil, fmt.Errorf("feed: %w", err)
	}
	var all []sighting
	err = wait(ctx, fmt.Sprintf("%d records seen", len(sent)), func() (bool, error) {
		var failed error
		if err := j.follow(ctx, "the job's state", func(s submit.Status) bool {
			if s.Restarts > 0 {
				failed = errors.New("the job was restarted")
			}
			return true
		}); err != nil || failed != nil {
			return false, errors.Join(err, failed)
		}
		var err error
		all, err = seen(sent)
		return len(all) >= len(sent), err
	})
	if err != nil {
		return nil, err
	}
	if len(all) > len(sent) {
		return nil, fmt.Errorf("%d records were seen, %d were sent", len(all), len(sent))
	}
	after, err := l.usage()
	if err != nil {
		return nil, err
	}
	var delays []time.Duration
	for _, s := range all {
		if s.sent.After(began.Add(warmUp)) {
			delays = append(delays, s.seen.Sub(s.sent))
		}
	}
	if len(delays) == 0 {
		return nil, errors.New("nothing was sent after the warm-up")
	}
	slices.Sort(delays)
	at := func(percent int) string { return hundredths(delays[min(len(delays)-1, len(delays)*percent/100)]) }
	return []string{pipeline.Number(rate), pipeline.Number(int64(len(delays))), hundredths(average(delays)), at(50), at(99), at(100), fmt.Sprintf("%.2f", after.others(before))}, nil
}

func hundredths(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()) }

// steady sends trips that begin now at a rate, and returns when each was sent.
func (b *broker) steady(ctx context.Context, topic string, rate int64, span time.Duration) ([]time.Time, error) {
	lines, err := sampleTrips()
	if err != nil {
		return nil, err
	}
	var failed producerFault
	var sent []time.Time
	tick := time.NewTicker(feedInterval)
	defer tick.Stop()
	for began := time.Now(); ; {
		elapsed := min(time.Since(began), span)
		for due := int(elapsed.Seconds() * float64(rate)); len(sent) < due; {
			line, err := numbered(lines[len(sent)%len(lines)], idField, int64(len(sent)))
			if err != nil {
				return nil, err
			}
			if line, err = now(line); err != nil {
				return nil, err
			}
			sent = append(sent, time.Now())
			b.client.Produce(ctx, &kgo.Record{Topic: topic, Value: line}, failed.note)
		}
		if elapsed == span {
			return sent, errors.Join(b.client.Flush(ctx), failed.get())
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// sentAt reads the time at which a trip was sent out of its line.
func sentAt(line []byte) (time.Time, error) {
	_, rest, ok := bytes.Cut(line, []byte(pickupField))
	text, _, ended := bytes.Cut(rest, []byte(`"`))
	if !ok || !ended {
		return time.Time{}, fmt.Errorf("no %s in %s", pickupField, line)
	}
	return time.Parse(time.RFC3339Nano, string(text))
}

// sightings are those of the objects that have appeared.
func (w *watch) sightings() ([]sighting, error) {
	var all []sighting
	for _, o := range w.objectsSeen() {
		for _, sent := range o.sent {
			all = append(all, sighting{sent, o.seen})
		}
	}
	_, err := w.rowsSeen()
	return all, err
}

// A background watches something until it is ended.
type background struct {
	stop context.CancelFunc
	done chan struct{}

	mu  sync.Mutex
	err error
}

// start runs look again and again.
func (w *background) start(ctx context.Context, look func(context.Context) error) {
	ctx, w.stop = context.WithCancel(ctx)
	w.done = make(chan struct{})
	go func() {
		defer close(w.done)
		for ctx.Err() == nil {
			if err := look(ctx); err != nil && ctx.Err() == nil {
				w.mu.Lock()
				w.err = err
				w.mu.Unlock()
				return
			}
		}
	}()
}

func (w *background) end() {
	w.stop()
	<-w.done
}

// A topicWatch reads what is committed to a topic as it appears.
type topicWatch struct {
	background
	client *kgo.Client
	all    []sighting
}

func (b *broker) watch(ctx context.Context, topic string) (*topicWatch, error) {
	in, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.Bootstrap()...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return nil, err
	}
	w := &topicWatch{client: in}
	w.start(ctx, w.look)
	return w, nil
}

func (w *topicWatch) look(ctx context.Context) error {
	fetches := w.client.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		return err
	}
	seen := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for r := range fetches.RecordsAll() {
		sent, err := sentAt(r.Value)
		if err != nil {
			return err
		}
		w.all = append(w.all, sighting{sent, seen})
	}
	return nil
}

func (w *topicWatch) sightings() ([]sighting, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.all), w.err
}

func (w *topicWatch) end() {
	w.background.end()
	w.client.Close()
}

// An indexWatch counts an index's documents as searches find them.
type indexWatch struct {
	background
	server *searchServer
	index  string
	// seen has a time for each document that was counted.
	seen []time.Time
}

func (s *searchServer) watch(ctx context.Context, index string) *indexWatch {
	w := &indexWatch{server: s, index: index}
	w.start(ctx, w.look)
	return w
}

func (w *indexWatch) look(ctx context.Context) error {
	var count int
	if err := w.server.count(ctx, w.index, &count); err != nil {
		return err
	}
	at := time.Now()
	w.mu.Lock()
	for len(w.seen) < count {
		w.seen = append(w.seen, at)
	}
	w.mu.Unlock()
	return pause.Sleep(ctx, countInterval)
}

// sightings takes the n-th document that was counted for the n-th that was sent.
func (w *indexWatch) sightings(sent []time.Time) ([]sighting, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []sighting
	for i, seen := range w.seen[:min(len(w.seen), len(sent))] {
		all = append(all, sighting{sent[i], seen})
	}
	return all, w.err
}
