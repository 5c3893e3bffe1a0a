package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/runners/flink/submit"
	"github.com/streaming-etl/streaming-etl/stack"
)

// endLook is the time between two looks at a job from Kafka: rarer than elsewhere, since looking is the JobManager's CPU time.
const endLook = time.Second

// endParallelism is that of all jobs from Kafka, of one TaskManager.
const endParallelism = 2

// What the jobs from Kafka write to.
const (
	toFiles         = "files"
	toTopic         = "topic"
	toNothing       = "discard"
	toElasticsearch = "elasticsearch"
)

// endSinks are all of them, in the order in which they are measured.
var endSinks = []string{toFiles, toTopic, toNothing, toElasticsearch}

// An endRun is one job from Kafka to a sink, from the start of its processes to its last commit.
type endRun struct {
	program string
	sink    string
	records int64

	took time.Duration // see the table's notes
	// worker, taskManager and jobManager are CPU times; a peer has but one process, which is taken for a TaskManager's.
	worker, taskManager, jobManager time.Duration
	servers                         time.Duration
	others                          float64
	workerPeak, tmPeak, jmPeak      int64
	content                         content
}

func (r endRun) cpu() time.Duration { return r.worker + r.taskManager + r.jobManager }

// The programs.
const (
	ours     = "this project"
	peerName = "Flink Java"
)

// kafka measures jobs that read a topic to its end, ours and a peer's in turns. It goes without the lab's cluster: each
// job of ours has one of its own, as each of the peer's is a process of its own.
func kafka(ctx context.Context, l *lab, o options) ([]table, error) {
	l.cluster.Stop()
	l.say("starting a Kafka broker")
	b, err := startBroker(ctx, l.dir)
	if err != nil {
		return nil, err
	}
	defer b.stop()
	p, missing := findPeer(o.peer)
	if p != nil {
		if err := p.warmUp(ctx, l, b); err != nil {
			return nil, err
		}
	}
	var runs []endRun
	for _, sink := range o.sinks {
		sizes := []int64{o.kafka / sizeRatio, o.kafka}
		if sink == toElasticsearch {
			for i := range sizes {
				sizes[i] /= elasticsearchShare
			}
		}
		for _, records := range sizes {
			topic := fmt.Sprintf("trips-%d", records)
			if !slices.ContainsFunc(runs, func(r endRun) bool { return r.records == records }) {
				l.say("filling topic %s", topic)
				if err := b.fill(ctx, topic, records); err != nil {
					return nil, err
				}
			}
			measures := []func(context.Context, *lab, *broker, string, endRun) (endRun, error){measureOurs}
			if p != nil && p.writes(sink) {
				measures = append(measures, p.measure)
			}
			for _, measure := range measures {
				r, err := measure(ctx, l, b, topic, endRun{sink: sink, records: records})
				if err != nil {
					return endTables(runs, o, missing), fmt.Errorf("%d records from Kafka to %s, %s: %w", records, sink, r.program, err)
				}
				l.say("%v", r.row())
				runs = append(runs, r)
			}
		}
	}
	return endTables(runs, o, missing), nil
}

const (
	// sizeRatio is how many times the records of a short run a long one has.
	sizeRatio = 10
	// elasticsearchShare is how many times fewer records go to Elasticsearch, which needs that much longer for each.
	elasticsearchShare = 10
)

// measureOurs runs the job on a cluster that is started for it.
func measureOurs(ctx context.Context, l *lab, b *broker, topic string, r endRun) (endRun, error) {
	r.program = ours
	prefix := l.prefix()
	name := "bench-" + path.Base(prefix)
	args := []string{
		"--JobName=" + name, "--Region=" + stack.Region, fmt.Sprintf("--Parallelism=%d", endParallelism), "--CheckpointInterval=5000",
		"--InputKafkaBootstrapServers=" + b.addresses(), "--InputKafkaTopic=" + topic, "--InputKafkaInitialPosition=EARLIEST",
	}
	var count func() (content, error)
	switch r.sink {
	case toFiles:
		args = append(args, "--OutputBucket="+bucketName, "--OutputBucketEndpoint="+l.s3.Endpoint(), "--OutputPrefix="+prefix, "--OutputFileRollIntervalMs=5000")
		defer l.clear(prefix)
		count = func() (content, error) { return l.content(prefix) }
	case toTopic:
		if err := b.cluster.MakeTopic(ctx, name, partitions, nil); err != nil {
			return r, err
		}
		defer func() { l.note(b.remove(context.WithoutCancel(ctx), name)) }()
		args = append(args, "--OutputKafkaBootstrapServers="+b.addresses(), "--OutputKafkaTopic="+name)
		count = func() (content, error) { return b.content(ctx, name) }
	case toNothing:
		args = append(args, "--OutputDiscarding=true")
		count = func() (content, error) { return content{rows: r.records}, nil } // the job's counter is all there is
	case toElasticsearch:
		e, err := startElasticsearch(ctx, l.dir)
		if err != nil {
			return r, err
		}
		defer e.stop()
		args = append(args, "--OutputElasticsearchEndpoint="+e.server.Endpoint(), "--ElasticsearchIndex="+name, "--ElasticsearchDocumentId={trip_id}")
		count = func() (content, error) { return e.content(ctx, name) }
	}
	before, err := l.servers()
	if err != nil {
		return r, err
	}
	if err := l.startCluster(ctx); err != nil {
		return r, err
	}
	defer l.cluster.Stop()
	j, err := l.submit(ctx, "", args)
	if err != nil {
		return r, err
	}
	defer j.cancel()
	var after serverUsage
	err = every(ctx, endLook, fmt.Sprintf("%d records delivered", r.records), func() (bool, error) {
		s, err := j.look(ctx)
		if err != nil {
			return false, err
		}
		p := pipeline.Counted(s.Counters)
		if p.DeadLetters > 0 || s.Restarts > 0 {
			return false, fmt.Errorf("%d dead letters, %d restarts", p.DeadLetters, s.Restarts)
		}
		if r.delivered(s, p) < r.records {
			return false, nil
		}
		r.took = time.Since(j.running)
		return true, l.readCluster(&r, &after)
	})
	if err != nil {
		return r, err
	}
	r.charge(before, after)
	return r, r.counted(count())
}

func (r *endRun) delivered(s submit.Status, p pipeline.Progress) int64 {
	if r.sink == toNothing {
		return s.Counters[pipeline.CounterRead]
	}
	return p.Delivered
}

// readCluster reads what the cluster's processes have used in their lives.
func (l *lab) readCluster(r *endRun, after *serverUsage) error {
	u, err := l.usage()
	if err != nil {
		return err
	}
	if *after, err = l.servers(); err != nil {
		return err
	}
	r.worker, r.taskManager, r.jobManager = u.worker, u.taskManager, u.jobManager
	r.workerPeak, r.tmPeak = peakMemory(l.cluster.WorkerPIDs()), peakMemory(l.cluster.TaskManagerPIDs())
	r.jmPeak = peakMemory([]int{l.cluster.JobManagerPID()})
	return nil
}

// charge tells the servers and others what was used while the job ran, apart from its own.
func (r *endRun) charge(before, after serverUsage) {
	r.servers = after.servers - before.servers
	rest := (after.machine - before.machine) - (after.self - before.self) - r.servers - r.cpu()
	r.others = max(0, rest.Seconds()/after.at.Sub(before.at).Seconds())
}

// counted takes what was found where the job has written to.
func (r *endRun) counted(c content, err error) error {
	r.content = c
	if err == nil && c.rows != r.records {
		err = fmt.Errorf("%d records have arrived, of %d", c.rows, r.records)
	}
	return err
}

func (r endRun) row() []string {
	apart := func(of func() string) string {
		if r.program != ours {
			return ""
		}
		return of()
	}
	return []string{r.program, sinkNames[r.sink], pipeline.Number(r.records), secs(r.took),
		apart(func() string { return secs(r.worker) }), apart(func() string { return secs(r.taskManager) }), apart(func() string { return secs(r.jobManager) }),
		secs(r.cpu()), secs(r.servers),
		apart(func() string { return mebibytes(r.workerPeak) }), apart(func() string { return mebibytes(r.tmPeak) }), apart(func() string { return mebibytes(r.jmPeak) }),
		mebibytes(r.workerPeak + r.tmPeak + r.jmPeak), known(r.content.objects > 0, fmt.Sprint(r.content.objects)),
		known(r.content.bytes > 0, megabytes(r.content.bytes)), fmt.Sprintf("%.2f", r.others)}
}

// known is the text, or nothing where there is no such figure.
func known(is bool, text string) string {
	if !is {
		return ""
	}
	return text
}

var sinkNames = map[string]string{
	toFiles: "Parquet, exactly once", toTopic: "Kafka, exactly once", toNothing: "nowhere", toElasticsearch: "Elasticsearch",
}

// endTables are the slopes between short and long runs, and the runs.
func endTables(runs []endRun, o options, missing error) []table {
	slopes := table{
		title: "From Kafka, a record's cost",
		notes: []string{
			fmt.Sprintf("The slope between a run of %s and one of %s records (to Elasticsearch a %dth of both), from the table below: what a record costs once all is running, without the start of processes and most of what their compilers do. "+
				"CPU seconds are per million records. Of what is timed an end may wait for a checkpoint, of which there is one every 5 s, so that records per second are good to some 5 s of the long run's time.",
				pipeline.Number(o.kafka/sizeRatio), pipeline.Number(o.kafka), elasticsearchShare),
			"Together is without servers: the broker, and the S3 server or Elasticsearch, which share the processors.",
		},
		head: []string{"program", "from Kafka to", "records/s", "worker CPU s/M", "TaskManager CPU s/M", "JobManager CPU s/M", "together CPU s/M", "servers CPU s/M"},
	}
	for i, long := range runs {
		at := slices.IndexFunc(runs[:i], func(r endRun) bool { return r.program == long.program && r.sink == long.sink })
		if at >= 0 {
			slopes.rows = append(slopes.rows, slope(runs[at], long))
		}
	}
	all := table{
		title: "From Kafka, the runs",
		notes: []string{
			fmt.Sprintf("The sample's trips again and again, each with an id of its own, in JSON of some %d bytes, from a topic of %d partitions on one broker (lz4); parallelism %d, checkpoints and files every 5 s.", tripBytes, partitions, endParallelism),
			"This project: each job on a cluster started for it, with one TaskManager of 3 GiB; Parquet with snappy to an S3 server over HTTP. The time is from when all tasks were seen running until the job's counters, which are asked for each second, said that all was committed; " +
				"CPU time and peak memory are of the processes' whole lives. To nowhere records are counted, not decoded.",
			peerNote(missing),
			"The records that arrived were counted: in the files' footers, by a consumer of what is committed, in the index. There was no dead letter. Others: how many processors were busy, on average, with what is no part of the measurement.",
		},
		head: []string{"program", "from Kafka to", "records", "s", "worker CPU s", "TaskManager CPU s", "JobManager CPU s", "together CPU s", "servers CPU s",
			"worker peak MiB", "TaskManager peak MiB", "JobManager peak MiB", "together peak MiB", "files", "MB", "others"},
	}
	for _, r := range runs {
		all.rows = append(all.rows, r.row())
	}
	return []table{slopes, all}
}

func slope(short, long endRun) []string {
	more := float64(long.records-short.records) / 1e6
	cpu := func(of func(endRun) time.Duration) string {
		return fmt.Sprintf("%.2f", (of(long)-of(short)).Seconds()/more)
	}
	apart := func(of func(endRun) time.Duration) string { return known(long.program == ours, cpu(of)) }
	rate := "-"
	if d := long.took - short.took; d > 0 {
		rate = pipeline.Number(int64(more*1e3/d.Seconds()) * 1000)
	}
	return []string{long.program, sinkNames[long.sink], rate,
		apart(func(r endRun) time.Duration { return r.worker }), apart(func(r endRun) time.Duration { return r.taskManager }),
		apart(func(r endRun) time.Duration { return r.jobManager }), cpu(endRun.cpu), cpu(func(r endRun) time.Duration { return r.servers })}
}

// note tells an error of what is done at the end, which must not hide what was measured.
func (l *lab) note(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		l.say("%v", err)
	}
}
