package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/runners/flink/submit"
	"github.com/streaming-etl/streaming-etl/stack"
)

// endLook is the time between two looks at a job from Kafka: rarer than elsewhere, since looking is the JobManager's CPU time.
const endLook = time.Second

// What the jobs from Kafka write to.
const (
	toFiles         = "files"
	toTopic         = "topic"
	toNothing       = "discard"
	toElasticsearch = "elasticsearch"
)

// endSinks are all of them, in the order in which they are measured.
var endSinks = []string{toFiles, toTopic, toNothing, toElasticsearch}

// Where the jobs read from.
const (
	fromKafka   = "Kafka"
	fromKinesis = "Kinesis"
	// fromWorker are records that the worker makes: they need no server's disk.
	fromWorker = "the worker"
)

// A work is what a job does, but for the number of records.
type work struct {
	// name tells works of one study apart.
	name         string
	source, sink string
	shape        shape
	parallelism  int
	every        time.Duration // the checkpoints
	files        time.Duration // the age at which files are closed; 0 is every
}

// A series is a work that is done with several numbers of records, in ascending order.
type series struct {
	work
	sizes []int64
}

// An endRun is one job, from the start of its processes to its last commit.
type endRun struct {
	work
	program string
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

// kafka measures jobs that read a topic to its end, ours and peers' in turns.
func kafka(ctx context.Context, l *lab, o options) ([]table, error) {
	var all []series
	for _, sink := range o.sinks {
		for _, parallelism := range o.parallelism {
			s := series{work{source: fromKafka, sink: sink, parallelism: parallelism, every: o.checkpoints}, []int64{o.kafka / sizeRatio, o.kafka}}
			if sink == toElasticsearch {
				for i := range s.sizes {
					s.sizes[i] /= elasticsearchShare
				}
			}
			all = append(all, s)
		}
	}
	runs, missing, err := l.serve(ctx, o, all)
	if len(runs) == 0 || err != nil {
		return endTables(runs, o, missing), err
	}
	return endTables(runs, o, missing), writePicture(o.svg, slopes(runs))
}

// serve runs all series, each of them o.repeat times, and returns the runs that there were and why peers are missing.
// It goes without the lab's cluster: each job of ours has one of its own, as each of a peer's is a process of its own.
func (l *lab) serve(ctx context.Context, o options, all []series) (runs []endRun, missing error, err error) {
	l.cluster.Stop()
	l.say("starting a Kafka broker")
	b, err := startBroker(ctx, l.dir)
	if err != nil {
		return nil, nil, err
	}
	defer b.stop()
	p, missing := findPeer(o.peer)
	if p != nil {
		if err := p.warmUp(ctx, l, b); err != nil {
			return nil, missing, err
		}
	}
	filled := map[string]bool{}
	var errs []error
	for _, s := range all {
		some, err := l.serveOne(ctx, o, b, p, s, filled)
		runs = append(runs, some...)
		if ctx.Err() != nil {
			return runs, missing, err
		}
		if err != nil { // the others are measured all the same
			l.say("%v", err)
			errs = append(errs, err)
		}
	}
	return runs, missing, errors.Join(errs...)
}

// serveOne runs one series, and returns the runs that there were. The peer may be nil.
func (l *lab) serveOne(ctx context.Context, o options, b *broker, p *peer, s series, filled map[string]bool) (runs []endRun, err error) {
	var inputs []string
	for i, records := range s.sizes {
		input, err := l.fill(ctx, b, s.work, i, records, filled)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, input)
	}
	for range o.repeat {
		for i, records := range s.sizes {
			measures := []func(context.Context, *lab, *broker, string, endRun) (endRun, error){measureOurs}
			if p != nil && p.does(s.work) {
				measures = append(measures, p.measure)
			}
			for _, measure := range measures {
				r, err := measure(ctx, l, b, inputs[i], endRun{work: s.work, records: records})
				if err != nil {
					return runs, fmt.Errorf("%d records from %s to %s, %s: %w", records, s.source, s.sink, r.program, err)
				}
				l.say("%s: %v", s.name, r.row())
				runs = append(runs, r)
			}
		}
	}
	return runs, nil
}

// fill returns the topic or stream with so many of a work's records, if it has one, which it fills if no work before it
// has. The i-th size of a work has a stream of its own: streams are made by their server when it starts.
func (l *lab) fill(ctx context.Context, b *broker, w work, i int, records int64, filled map[string]bool) (string, error) {
	if w.source == fromWorker {
		return "", nil
	}
	name := fmt.Sprintf("trips-%d-%s", records, w.shape)
	if w.source == fromKinesis {
		if i >= len(seriesStreams) {
			return "", fmt.Errorf("%d sizes are more than there are streams", i+1)
		}
		name = seriesStreams[i]
	}
	if filled[name] {
		return name, nil
	}
	filled[name] = true
	l.say("filling %s with %s records", name, pipeline.Number(records))
	if w.source == fromKinesis {
		return name, l.kinesis.fill(ctx, name, records, true)
	}
	return name, b.fill(ctx, name, records, w.shape)
}

const (
	// sizeRatio is how many times the records of a short run a long one has.
	sizeRatio = 10
	// elasticsearchShare is how many times fewer records go to Elasticsearch, which needs that much longer for each.
	elasticsearchShare = 10
)

// slowest is fewer records a second than any work has.
const slowest = 5000

// measureOurs runs the job on a cluster that is started for it.
func measureOurs(ctx context.Context, l *lab, b *broker, input string, r endRun) (endRun, error) {
	r.program = ours
	prefix := l.prefix()
	name := "bench-" + path.Base(prefix)
	args := []string{
		"--JobName=" + name, "--Region=" + stack.Region, fmt.Sprintf("--Parallelism=%d", r.parallelism), fmt.Sprintf("--CheckpointInterval=%d", r.every.Milliseconds()),
	}
	switch r.source {
	case fromWorker:
		args = append(args, fmt.Sprintf("--InputGeneratedRecords=%d", r.records))
	case fromKinesis:
		args = append(args, "--InputKinesisStream="+input, "--InputStreamEndpoint="+l.kinesis.url, "--InputStreamInitialPosition=TRIM_HORIZON")
	default:
		args = append(args, "--InputKafkaBootstrapServers="+b.addresses(), "--InputKafkaTopic="+input, "--InputKafkaInitialPosition=EARLIEST")
	}
	args = append(args, r.shape.properties()...)
	var count func() (content, error)
	switch r.sink {
	case toFiles:
		args = append(args, "--OutputBucket="+bucketName, "--OutputBucketEndpoint="+l.s3.Endpoint(), "--OutputPrefix="+prefix, fmt.Sprintf("--OutputFileRollIntervalMs=%d", cmp.Or(r.files, r.every).Milliseconds()))
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
	most := patience + time.Duration(r.records/slowest)*time.Second
	err = within(ctx, most, endLook, fmt.Sprintf("%d records delivered", r.records), func() (bool, error) {
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
	return []string{r.program, sinkNames[r.sink], fmt.Sprint(r.parallelism), pipeline.Number(r.records), secs(r.took),
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
	cost := table{
		title: "From Kafka, a record's cost",
		notes: []string{
			fmt.Sprintf("The slope between a run of %s and one of %s records (to Elasticsearch a %dth of both), from the table below: what a record costs once all is running, without the start of processes and most of what their compilers do. "+
				"CPU seconds are per million records. Of what is timed an end may wait for a checkpoint, of which there is one every %s, so that records per second are good to so much of the long run's time.",
				pipeline.Number(o.kafka/sizeRatio), pipeline.Number(o.kafka), elasticsearchShare, o.checkpoints),
			fmt.Sprintf("Pairs of runs: %d of each. The figures are those of the pair with the middle one of all CPU times together, beside the least and the most of these.", o.repeat),
			"Together is without servers: the broker, and the S3 server or Elasticsearch, which share the processors.",
		},
		head: []string{"program", "from Kafka to", "parallelism", "records/s", "worker CPU s/M", "TaskManager CPU s/M", "JobManager CPU s/M", "together CPU s/M", "least to most", "servers CPU s/M"},
	}
	for _, s := range slopes(runs) {
		cost.rows = append(cost.rows, s.row())
	}
	all := table{
		title: "From Kafka, the runs",
		notes: []string{
			fmt.Sprintf("The sample's trips again and again, each with an id of its own, in JSON of some %d bytes, from a topic of %d partitions on one broker (lz4); checkpoints and files every %s.", tripBytes, partitions, o.checkpoints),
			"This project: each job on a cluster started for it, with one TaskManager of 3 GiB, whose JVMs have these flags more: " + cmp.Or(o.jvm, "none") + "; Parquet with snappy to an S3 server over HTTP. The time is from when all tasks were seen running until the job's counters, which are asked for each second, said that all was committed; " +
				"CPU time and peak memory are of the processes' whole lives. To nowhere records are counted, not decoded.",
			peerNote(missing),
			"The records that arrived were counted: in the files' footers, by a consumer of what is committed, in the index. There was no dead letter. Others: how many processors were busy, on average, with what is no part of the measurement.",
		},
		head: []string{"program", "from Kafka to", "parallelism", "records", "s", "worker CPU s", "TaskManager CPU s", "JobManager CPU s", "together CPU s", "servers CPU s",
			"worker peak MiB", "TaskManager peak MiB", "JobManager peak MiB", "together peak MiB", "files", "MB", "others"},
	}
	for _, r := range runs {
		all.rows = append(all.rows, r.row())
	}
	return []table{cost, all}
}

// A slope is what more records cost, of pairs of a short and a long run.
type slope struct {
	endRun // the long run of the pair in the middle
	short  endRun
	// least and most are those of all pairs, in CPU seconds per million records.
	least, most float64
}

// slopes are those of each program's works from each number of records to the next larger one, in the order of the runs.
func slopes(runs []endRun) []slope {
	type key struct {
		work
		program string
	}
	var order []key
	by := map[key]map[int64][]endRun{}
	for _, r := range runs {
		k := key{r.work, r.program}
		if by[k] == nil {
			order = append(order, k)
			by[k] = map[int64][]endRun{}
		}
		by[k][r.records] = append(by[k][r.records], r)
	}
	var all []slope
	for _, k := range order {
		sizes := slices.Sorted(maps.Keys(by[k]))
		for i := 1; i < len(sizes); i++ {
			all = append(all, middle(by[k][sizes[i-1]], by[k][sizes[i]]))
		}
	}
	return all
}

// middle returns the slope of the pair with the middle one of all CPU times: the i-th short run goes with the i-th long one.
func middle(shorts, longs []endRun) slope {
	var pairs []slope
	for i := range min(len(shorts), len(longs)) {
		pairs = append(pairs, slope{endRun: longs[i], short: shorts[i]})
	}
	slices.SortFunc(pairs, func(a, b slope) int { return cmp.Compare(a.per(endRun.cpu), b.per(endRun.cpu)) })
	s := pairs[len(pairs)/2]
	s.least, s.most = pairs[0].per(endRun.cpu), pairs[len(pairs)-1].per(endRun.cpu)
	return s
}

// per returns what a million records cost more.
func (s slope) per(of func(endRun) time.Duration) float64 {
	return (of(s.endRun) - of(s.short)).Seconds() / s.millions()
}

func (s slope) millions() float64 { return float64(s.records-s.short.records) / 1e6 }

// The parts of a run's CPU time.
func workerCPU(r endRun) time.Duration      { return r.worker }
func taskManagerCPU(r endRun) time.Duration { return r.taskManager }
func jobManagerCPU(r endRun) time.Duration  { return r.jobManager }
func serversCPU(r endRun) time.Duration     { return r.servers }

func (s slope) row() []string {
	cpu := func(of func(endRun) time.Duration) string { return fmt.Sprintf("%.2f", s.per(of)) }
	apart := func(of func(endRun) time.Duration) string { return known(s.program == ours, cpu(of)) }
	rate := "-"
	if d := s.took - s.short.took; d > 0 {
		rate = pipeline.Number(int64(s.millions()*1e3/d.Seconds()) * 1000)
	}
	return []string{s.program, sinkNames[s.sink], fmt.Sprint(s.parallelism), rate, apart(workerCPU), apart(taskManagerCPU), apart(jobManagerCPU),
		cpu(endRun.cpu), fmt.Sprintf("%.2f to %.2f", s.least, s.most), cpu(serversCPU)}
}

// note tells an error of what is done at the end, which must not hide what was measured.
func (l *lab) note(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		l.say("%v", err)
	}
}
