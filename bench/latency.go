package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/streaming-etl/streaming-etl/internal/pause"
)

// warmUp is how long after the first record the latency begins to count.
const warmUp = 15 * time.Second

// steadyFlags are the job's properties for a steady trickle of records.
func steadyFlags(prefix string, checkpoint, roll time.Duration) []string {
	return []string{
		"--Parallelism=1", "--OutputPrefix=" + prefix, "--OutputPathTemplate=" + fewFolders,
		"--InputKinesisStream=" + steadyStream, "--InputStreamInitialPosition=LATEST",
		fmt.Sprintf("--CheckpointInterval=%d", checkpoint.Milliseconds()), fmt.Sprintf("--OutputFileRollIntervalMs=%d", roll.Milliseconds()),
	}
}

func latency(ctx context.Context, l *lab, o options) ([]table, error) {
	t := table{
		title: "Latency",
		notes: []string{fmt.Sprintf("From the moment a record is handed to the producer until an object that holds it is in a listing of the bucket (listed every %s): %d records a second for %s "+
			"through a Kinesis stream of %d shards, the first %s left out, parallelism 1, one folder.", watchInterval, feedRate, o.latency, shards, warmUp)},
		head: []string{"checkpoints every", "files every", "records", "average s", "p50 s", "p99 s", "max s", "oldest of an object: average s", "max s", "newest of an object: average s", "max s", "objects", "others"},
	}
	for _, c := range []struct{ checkpoint, roll time.Duration }{
		{5 * time.Second, 2 * time.Second},
		{time.Second, 500 * time.Millisecond},
	} {
		l.say("latency with checkpoints every %s and files every %s", c.checkpoint, c.roll)
		row, err := l.latency(ctx, o.latency, c.checkpoint, c.roll)
		if err != nil {
			return []table{t}, err
		}
		l.say("%v", row)
		t.rows = append(t.rows, row)
	}
	return []table{t}, nil
}

func (l *lab) latency(ctx context.Context, span, checkpoint, roll time.Duration) ([]string, error) {
	prefix := l.prefix()
	defer l.clear(prefix)
	j, err := l.run(ctx, "", steadyFlags(prefix, checkpoint, roll)...)
	if err != nil {
		return nil, err
	}
	defer j.cancel()
	w := l.watch(ctx, prefix)
	defer w.end()
	if err := l.reading(ctx, j); err != nil {
		return nil, err
	}
	before, err := l.usage()
	if err != nil {
		return nil, err
	}
	f, err := l.kinesis.steady(ctx)
	if err != nil {
		return nil, err
	}
	err = pause.Sleep(ctx, span)
	sent, feedErr := f.end()
	if err != nil {
		return nil, err
	}
	if feedErr != nil {
		return nil, feedErr
	}
	if err := l.arrived(ctx, w, sent); err != nil {
		return nil, err
	}
	after, err := l.usage()
	if err != nil {
		return nil, err
	}

	var all, oldest, newest []time.Duration
	for _, o := range w.objectsSeen() {
		if o.oldest.Before(f.began.Add(warmUp)) {
			continue
		}
		for _, sent := range o.sent {
			all = append(all, o.seen.Sub(sent))
		}
		oldest = append(oldest, o.seen.Sub(o.oldest))
		newest = append(newest, o.seen.Sub(o.newest))
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no object holds only records from after the first %s", warmUp)
	}
	slices.Sort(all)
	return []string{
		checkpoint.String(), roll.String(), fmt.Sprint(len(all)), secs(average(all)), secs(all[len(all)/2]), secs(all[len(all)*99/100]), secs(all[len(all)-1]),
		secs(average(oldest)), secs(slices.Max(oldest)), secs(average(newest)), secs(slices.Max(newest)), fmt.Sprint(len(oldest)),
		fmt.Sprintf("%.2f", after.others(before)),
	}, nil
}

// reading waits until the job has completed two checkpoints, and so has all its readers at work: what is sent from then
// on is read though they begin at the stream's latest record.
func (l *lab) reading(ctx context.Context, j *job) error {
	return wait(ctx, "two checkpoints", func() (bool, error) {
		c, err := l.cluster.REST().Checkpoints(ctx, j.id)
		return c.Completed >= 2, err
	})
}

// arrived waits until so many records are in the bucket.
func (l *lab) arrived(ctx context.Context, w *watch, sent int64) error {
	var rows int64
	err := wait(ctx, fmt.Sprintf("%d records in the bucket", sent), func() (bool, error) {
		var err error
		rows, err = w.rowsSeen()
		return rows >= sent, err
	})
	if err == nil && rows > sent {
		err = fmt.Errorf("%d records are in the bucket, %d were sent", rows, sent)
	}
	return err
}

func average(of []time.Duration) time.Duration {
	var sum time.Duration
	for _, d := range of {
		sum += d
	}
	return sum / time.Duration(len(of))
}
