package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/stack"
)

const (
	// backlogRecords is how far the topic of part memory is kept ahead of the job, so that it never waits for records.
	backlogRecords = 1_000_000
	// memoryCheckpoints is the time between two checkpoints of part memory; files are closed at the default age.
	memoryCheckpoints = 10 * time.Second
	// settledFor is how old a file is before it is counted and removed, to leave room for more.
	settledFor = 20 * time.Second
	// memoryRow is the time of a row of the table.
	memoryRow = time.Minute
)

// memory measures whether the worker's memory stays the same at full speed with many partitions open.
func memory(ctx context.Context, l *lab, o options) ([]table, error) {
	limit := "the default"
	if o.memoryLimit > 0 {
		limit = fmt.Sprintf("%d MB", o.memoryLimit)
	}
	t := table{
		title: "Memory over time",
		notes: []string{fmt.Sprintf("%s at full speed from Kafka to Parquet, exactly once: a topic that is kept about %s records ahead, %d folders, all of them open all the time, files of the default age, a checkpoint every %s, parallelism 2. "+
			"`WorkerMemoryLimitMb` is %s. The worker's resident memory is looked at each second. The files were counted by their footers and removed while the job ran: all records were there, once.",
			o.memory, pipeline.Number(backlogRecords), o.openPlaces, memoryCheckpoints, limit)},
		head: []string{"minute", "records/s", "worker MiB: least", "average", "most", "TaskManager MiB: average", "worker CPU s/M", "TaskManager CPU s/M"},
	}
	l.cluster.Stop()
	b, err := startBroker(ctx, l.dir)
	if err != nil {
		return nil, err
	}
	defer b.stop()
	if err := l.startCluster(ctx); err != nil {
		return nil, err
	}
	defer l.cluster.Stop()

	const topic = "endless"
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	f, err := b.endless(ctx, topic, shape{places: o.openPlaces})
	if err != nil {
		return nil, err
	}
	prefix := l.prefix()
	defer l.clear(prefix)
	args := append(shape{places: o.openPlaces}.properties(),
		"--JobName=bench-"+path.Base(prefix), "--Region="+stack.Region, "--Parallelism=2", fmt.Sprintf("--CheckpointInterval=%d", memoryCheckpoints.Milliseconds()),
		"--InputKafkaBootstrapServers="+b.addresses(), "--InputKafkaTopic="+topic, "--InputKafkaInitialPosition=EARLIEST",
		"--OutputBucket="+bucketName, "--OutputBucketEndpoint="+l.s3.Endpoint(), "--OutputPrefix="+prefix)
	if o.memoryLimit > 0 {
		args = append(args, fmt.Sprintf("--WorkerMemoryLimitMb=%d", o.memoryLimit))
	}
	j, err := l.submit(ctx, "", args)
	if err != nil {
		return nil, err
	}
	defer j.cancel()
	w := memoryWatch{lab: l, job: j, feed: f, dir: filepath.Join(l.s3.Data(), bucketName, filepath.FromSlash(prefix))}
	err = w.run(ctx, o.memory, &t)
	if err == nil {
		err = w.drain(ctx)
	}
	if len(w.averages) > 0 {
		t.notes = append(t.notes, fmt.Sprintf("In all %s records. The worker's average of the first minute was %.0f MiB, of the last %.0f, its peak %s; from the second minute on it grew by %.1f MiB a minute (the slope of a straight line through the averages).",
			pipeline.Number(w.read), w.averages[0], w.averages[len(w.averages)-1], mebibytes(w.peak), growth(w.averages[1:])))
	}
	return []table{t}, err
}

// An endlessFeed keeps a topic ahead of who reads it.
type endlessFeed struct {
	// sent and read are records so far; the reader's count holds the feed back.
	sent, read atomic.Int64
	stopped    chan struct{} // closed to end it
	done       chan struct{}
	err        error // when done is closed
}

// endless starts to fill a topic that keeps little of what was read.
func (b *broker) endless(ctx context.Context, topic string, s shape) (*endlessFeed, error) {
	record, err := s.records()
	if err != nil {
		return nil, err
	}
	if err := b.cluster.MakeTopic(ctx, topic, partitions, map[string]string{"segment.bytes": "67108864", "retention.bytes": "536870912"}); err != nil {
		return nil, err
	}
	f := &endlessFeed{stopped: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		f.err = f.send(ctx, b, topic, record)
	}()
	return f, nil
}

// send produces until it is stopped.
func (f *endlessFeed) send(ctx context.Context, b *broker, topic string, record func(int64) ([]byte, error)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var failed producerFault
	for {
		for i := f.sent.Load(); i < f.read.Load()+backlogRecords; i = f.sent.Add(1) {
			value, err := record(i)
			if err != nil {
				return err
			}
			b.client.Produce(ctx, &kgo.Record{Topic: topic, Value: value}, failed.note)
		}
		if err := failed.get(); err != nil {
			return err
		}
		select {
		case <-f.stopped:
			return errors.Join(b.client.Flush(ctx), failed.get())
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// stop ends the feed and returns how many records there are.
func (f *endlessFeed) stop() (int64, error) {
	close(f.stopped)
	<-f.done
	return f.sent.Load(), f.err
}

// A memoryWatch looks at a running job of part memory.
type memoryWatch struct {
	lab  *lab
	job  *job
	feed *endlessFeed
	dir  string // of the files

	read     int64
	peak     int64     // of the worker
	averages []float64 // of the worker, by minute, in MiB
	counted  content   // what was found and removed
}

// run looks until the time is over and adds a row for each minute.
func (w *memoryWatch) run(ctx context.Context, span time.Duration, t *table) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	began := time.Now()
	row, err := w.begin()
	if err != nil {
		return err
	}
	for time.Since(began) < span {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.feed.done:
			return fmt.Errorf("feed: %w", w.feed.err)
		case <-tick.C:
		}
		if err := w.look(ctx); err != nil {
			return err
		}
		row.worker = append(row.worker, residentMemory(w.lab.cluster.WorkerPIDs()))
		row.taskManager = append(row.taskManager, residentMemory(w.lab.cluster.TaskManagerPIDs()))
		if time.Since(row.from.at) < memoryRow && time.Since(began) < span {
			continue
		}
		if err := w.end(row, t); err != nil {
			return err
		}
		if row, err = w.begin(); err != nil {
			return err
		}
	}
	return nil
}

// look reads the job's counters.
func (w *memoryWatch) look(ctx context.Context) error {
	s, err := w.job.look(ctx)
	if err != nil {
		return err
	}
	p := pipeline.Counted(s.Counters)
	if p.DeadLetters > 0 || s.Restarts > 0 {
		return fmt.Errorf("%d dead letters, %d restarts", p.DeadLetters, s.Restarts)
	}
	w.read = p.Read
	w.feed.read.Store(p.Read)
	return nil
}

// A memoryMinute is what was seen in one.
type memoryMinute struct {
	from                usage
	read                int64
	worker, taskManager []int64
}

func (w *memoryWatch) begin() (memoryMinute, error) {
	u, err := w.lab.usage()
	return memoryMinute{from: u, read: w.read}, err
}

func (w *memoryWatch) end(m memoryMinute, t *table) error {
	now, err := w.lab.usage()
	if err != nil {
		return err
	}
	used, records := now.since(m.from), w.read-m.read
	perMillion := func(d time.Duration) string {
		return known(records > 0, fmt.Sprintf("%.2f", d.Seconds()/(float64(records)/1e6)))
	}
	worker := mean(m.worker)
	w.averages = append(w.averages, worker)
	w.peak = peakMemory(w.lab.cluster.WorkerPIDs())
	cells := []string{fmt.Sprint(len(w.averages)), pipeline.Number(int64(float64(records)/now.at.Sub(m.from.at).Seconds()) / 1000 * 1000),
		mebibytes(slices.Min(m.worker)), fmt.Sprintf("%.0f", worker), mebibytes(slices.Max(m.worker)), fmt.Sprintf("%.0f", mean(m.taskManager)),
		perMillion(used.worker), perMillion(used.taskManager)}
	w.lab.say("%v", cells)
	t.rows = append(t.rows, cells)
	return w.take(time.Now().Add(-settledFor))
}

// drain ends the feed, waits until all of it is in files, and compares.
func (w *memoryWatch) drain(ctx context.Context) error {
	sent, err := w.feed.stop()
	if err != nil {
		return fmt.Errorf("feed: %w", err)
	}
	err = every(ctx, endLook, fmt.Sprintf("%d records delivered", sent), func() (bool, error) {
		s, err := w.job.look(ctx)
		return err == nil && pipeline.Counted(s.Counters).Delivered >= sent, err
	})
	if err != nil {
		return err
	}
	if err := w.take(time.Now()); err != nil {
		return err
	}
	if w.counted.rows != sent {
		return fmt.Errorf("%d rows were in files, of %d records", w.counted.rows, sent)
	}
	return nil
}

// take counts the rows of files that were made before a time, and removes them.
func (w *memoryWatch) take(before time.Time) error {
	return filepath.WalkDir(w.dir, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil || !info.ModTime().Before(before) {
			return err
		}
		rows, err := rowsOf(name, info.Size())
		if err != nil {
			return err
		}
		w.counted.rows += rows
		w.counted.objects++
		return os.Remove(name)
	})
}

// mean returns the average of sizes, in MiB.
func mean(of []int64) float64 {
	var sum int64
	for _, n := range of {
		sum += n
	}
	return float64(sum) / float64(max(1, len(of))) / (1 << 20)
}

// growth returns the slope of a straight line through values at equal distances, by least squares.
func growth(of []float64) float64 {
	n := float64(len(of))
	if n < 2 {
		return 0
	}
	var sx, sy, sxx, sxy float64
	for i, y := range of {
		x := float64(i)
		sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}
