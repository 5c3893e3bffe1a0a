package main

import (
	"context"
	"fmt"
	"time"

	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/runners/flink/submit"
)

// The folders that files are spread over.
const (
	manyFolders = "" // the job's default: of the sample, 254
	fewFolders  = "month={pickup_datetime:2006-01}"
)

// A load is what a throughput run is given.
type load struct {
	source      string
	stream      string // "" generates
	records     int64
	parallelism int
	blockKb     int // 0 is the job's default
	template    string
}

func (o load) properties(prefix string) []string {
	p := []string{
		fmt.Sprintf("--Parallelism=%d", o.parallelism), "--OutputPrefix=" + prefix,
		"--CheckpointInterval=5000", "--OutputFileRollIntervalMs=5000",
	}
	if o.stream == "" {
		p = append(p, fmt.Sprintf("--InputGeneratedRecords=%d", o.records))
	} else {
		p = append(p, "--InputKinesisStream="+o.stream, "--InputStreamInitialPosition=TRIM_HORIZON")
	}
	if o.blockKb > 0 {
		p = append(p, fmt.Sprintf("--OutputBlockKb=%d", o.blockKb))
	}
	if o.template != "" {
		p = append(p, "--OutputPathTemplate="+o.template)
	}
	return p
}

// A measured is what came of a load.
type measured struct {
	load
	read, committed  time.Duration // since all tasks were running
	used             usage
	others           float64
	workerRSS, tmRSS int64
	checkpoints      sizes
	content          content
}

// generated measures what comes behind a source, with records that the worker makes.
func generated(ctx context.Context, l *lab, o options) ([]table, error) {
	var runs []load
	for _, template := range []string{fewFolders, manyFolders} {
		for _, parallelism := range []int{1, 2} {
			for _, kb := range []int{64, 256, 1024} {
				runs = append(runs, load{source: "generated", records: o.generated, parallelism: parallelism, blockKb: kb, template: template})
			}
		}
	}
	return l.throughput(ctx, runs, table{
		title: "Throughput and CPU time, generated records",
		notes: append([]string{
			fmt.Sprintf("%s records a run, made in the worker of the sample's trips, %d bytes each, again and again: files of them are small, since Parquet's dictionaries find the repetitions.",
				pipeline.Number(o.generated), tripBytes),
		}, throughputNotes...),
	})
}

// streamed measures the job with the real source.
func streamed(ctx context.Context, l *lab, o options) ([]table, error) {
	var runs []load
	for _, stream := range []string{aggregatedStream, plainStream} {
		l.say("filling stream %s", stream)
		if err := l.kinesis.fill(ctx, stream, o.streamed, stream == aggregatedStream); err != nil {
			return nil, err
		}
		for _, parallelism := range []int{1, 2} {
			run := load{source: stream, stream: stream, records: o.streamed, parallelism: parallelism, template: fewFolders}
			for _, run.blockKb = range []int{64, 256, 0} {
				runs = append(runs, run)
			}
			run.template = manyFolders
			runs = append(runs, run)
		}
	}
	return l.throughput(ctx, runs, table{
		title: "Throughput and CPU time, Kinesis",
		notes: append([]string{
			fmt.Sprintf("%s of the sample's trips a run, from a stream of %d shards that was filled before: aggregated as the Kinesis Producer Library does it, or a record each. "+
				"The stream's server is a program of this project that shares the processors; its CPU time is in no figure but its own.", pipeline.Number(o.streamed), shards),
		}, throughputNotes...),
	})
}

// tripBytes is the size of a trip's line in the sample, on average.
const tripBytes = 421

var throughputNotes = []string{
	"Checkpoints and files every 5 s, Parquet with snappy, one TaskManager, and so one worker. Records per second: until the job's counter said that all were read, and until the last object was there, " +
		"both since all tasks ran; the counters are up to 1 s and a bundle old, and the second figure holds up to 10 s of waiting for the file's age and the checkpoint. " +
		"CPU seconds are per million records, up to the last commit. Two jobs ran before the first, for the JVM to warm up. Every run's rows were counted in the bucket: all were there. The TaskManager's peak is of its whole life.",
	"Others: how many processors were busy, on average, with what is no part of the measurement.",
}

// throughput measures the runs one after the other.
func (l *lab) throughput(ctx context.Context, runs []load, t table) ([]table, error) {
	t.head = []string{"source", "parallelism", "block KiB", "folders", "read records/s", "to last commit records/s",
		"worker CPU s/M", "TaskManager CPU s/M", "S3 CPU s/M", "Kinesis CPU s/M", "worker peak MiB", "TaskManager peak MiB",
		"checkpoint max s", "last s", "checkpoint max MB", "last MB", "objects", "MB", "others"}
	if err := l.warmUp(ctx, runs[0].records); err != nil {
		return nil, err
	}
	for i, run := range runs {
		m, err := l.measure(ctx, run)
		if err != nil {
			return []table{t}, fmt.Errorf("%+v: %w", run, err)
		}
		t.rows = append(t.rows, m.row())
		l.say("%d of %d: %v", i+1, len(runs), m.row())
	}
	return []table{t}, nil
}

// warmUp gives the JVM's compiler something to do, once: small blocks into many folders are the most calls.
func (l *lab) warmUp(ctx context.Context, records int64) error {
	if l.warm {
		return nil
	}
	l.warm = true
	for i := range 2 {
		l.say("warm-up %d of 2", i+1)
		if _, err := l.measure(ctx, load{records: records, parallelism: 2, blockKb: 64}); err != nil {
			return fmt.Errorf("warm-up: %w", err)
		}
	}
	return nil
}

// measure runs a load and counts what is in the bucket after it.
func (l *lab) measure(ctx context.Context, o load) (m measured, err error) {
	m.load = o
	prefix := l.prefix()
	defer l.clear(prefix)
	j, err := l.run(ctx, "", o.properties(prefix)...)
	if err != nil {
		return m, err
	}
	defer j.cancel()
	before, err := l.usage()
	if err != nil {
		return m, err
	}
	var end usage
	err = j.follow(ctx, fmt.Sprintf("%d records delivered", o.records), func(s submit.Status) bool {
		m.checkpoints.add(s)
		if m.read == 0 && s.Counters[pipeline.CounterRead] >= o.records {
			m.read = time.Since(j.running)
		}
		if s.Restarts > 0 || s.Counters[pipeline.CounterDelivered]+s.Counters[pipeline.CounterDead] < o.records {
			return false
		}
		end, err = l.usage()
		m.workerRSS, m.tmRSS = peakMemory(l.cluster.WorkerPIDs()), peakMemory(l.cluster.TaskManagerPIDs())
		return true
	})
	if err != nil {
		return m, err
	}
	m.used, m.others = end.since(before), end.others(before)
	if m.content, err = l.content(prefix); err != nil {
		return m, err
	}
	if m.content.rows != o.records {
		return m, fmt.Errorf("%d rows are in the bucket, of %d records", m.content.rows, o.records)
	}
	m.committed = m.content.last.Sub(j.running)
	// The checkpoint after the last commit holds nothing but positions.
	last := m.checkpoints.list[len(m.checkpoints.list)-1].ID
	err = j.follow(ctx, "another checkpoint", func(s submit.Status) bool {
		m.checkpoints.add(s)
		return m.checkpoints.list[len(m.checkpoints.list)-1].ID > last
	})
	if err != nil {
		return m, err
	}
	return m, nil
}

func (m measured) row() []string {
	million := float64(m.records) / 1e6
	cpu := func(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()/million) }
	rate := func(d time.Duration) string {
		return pipeline.Number(int64(float64(m.records)/d.Seconds()) / 1000 * 1000)
	}
	block, kinesis, folders := "1024 (default)", "", fmt.Sprintf("by pickup zone and month (default), %d", m.content.folders)
	if m.blockKb > 0 {
		block = fmt.Sprint(m.blockKb)
	}
	if m.stream != "" {
		kinesis = cpu(m.used.kinesis)
	}
	if m.template == fewFolders {
		folders = fmt.Sprintf("by month, %d", m.content.folders)
	}
	last := m.checkpoints.list[len(m.checkpoints.list)-1]
	return []string{m.source, fmt.Sprint(m.parallelism), block, folders, rate(m.read), rate(m.committed),
		cpu(m.used.worker), cpu(m.used.taskManager), cpu(m.used.s3), kinesis, mebibytes(m.workerRSS), mebibytes(m.tmRSS),
		secs(m.checkpoints.duration()), secs(last.Duration), megabytes(m.checkpoints.size()), megabytes(last.Size),
		fmt.Sprint(m.content.objects), megabytes(m.content.bytes), fmt.Sprintf("%.2f", m.others)}
}
