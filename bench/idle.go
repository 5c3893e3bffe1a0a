package main

import (
	"context"
	"fmt"
	"time"

	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/runners/flink/submit"
)

// settle is how long an idle job runs before its state is looked at.
const settle = 20 * time.Second

func idle(ctx context.Context, l *lab, o options) ([]table, error) {
	t := table{
		title: "Idling",
		notes: []string{fmt.Sprintf("A job at parallelism 1 whose Kinesis stream of %d shards is empty, with checkpoints every 5 s, looked at %s after its start and %s later.", shards, settle, o.idle)},
		head: []string{"idle for", "checkpoint bytes: at first", "after a third", "after two thirds", "at last", "growth bytes/min", "checkpoints", "checkpoint max s",
			"worker % of a processor", "TaskManager % of a processor", "worker peak MiB", "others"},
	}
	l.say("idling for %s", o.idle)
	j, err := l.run(ctx, "", "--Parallelism=1", "--OutputPrefix="+l.prefix(), "--InputKinesisStream="+idleStream, "--InputStreamInitialPosition=LATEST", "--CheckpointInterval=5000")
	if err != nil {
		return nil, err
	}
	defer j.cancel()
	if err := l.reading(ctx, j); err != nil {
		return nil, err
	}
	if err := pause.Sleep(ctx, settle); err != nil {
		return nil, err
	}
	before, err := l.usage()
	if err != nil {
		return nil, err
	}
	var all sizes
	for began := time.Now(); time.Since(began) < o.idle; {
		if err := j.follow(ctx, "another checkpoint", func(s submit.Status) bool {
			n := len(all.list)
			all.add(s)
			return len(all.list) > n
		}); err != nil {
			return nil, err
		}
		if err := pause.Sleep(ctx, time.Second); err != nil {
			return nil, err
		}
	}
	after, err := l.usage()
	if err != nil {
		return nil, err
	}
	first, last := all.list[0], all.list[len(all.list)-1]
	span := last.Triggered.Sub(first.Triggered)
	growth := "-"
	if span > 0 {
		growth = fmt.Sprintf("%.0f", float64(last.Size-first.Size)/span.Minutes())
	}
	used, wall := after.since(before), after.at.Sub(before.at).Seconds()
	percent := func(d time.Duration) string { return fmt.Sprintf("%.1f", 100*d.Seconds()/wall) }
	n := len(all.list) - 1
	t.add(o.idle.String(), fmt.Sprint(first.Size), fmt.Sprint(all.list[n/3].Size), fmt.Sprint(all.list[2*n/3].Size), fmt.Sprint(last.Size), growth, fmt.Sprint(len(all.list)), secs(all.duration()),
		percent(used.worker), percent(used.taskManager), mebibytes(peakMemory(l.cluster.WorkerPIDs())), fmt.Sprintf("%.2f", after.others(before)))
	return []table{t}, nil
}
