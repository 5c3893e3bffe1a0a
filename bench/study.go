package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/streaming-etl/streaming-etl/pipeline"
)

// A study varies one thing in a job's work and leaves the rest.
type study struct {
	// title and varies name the table and its first column.
	title, varies string
	notes         []string
	series        []series
}

// figures measures a study's series and makes its table: what a record costs from each number of records to the next
// larger one, and the memory of the longer run.
func (s study) figures(ctx context.Context, l *lab, o options) ([]table, error) {
	runs, missing, err := l.serve(ctx, o, s.series)
	t := table{
		title: s.title,
		notes: append(slices.Clone(s.notes),
			fmt.Sprintf("The slope between two runs of different length, as in the table of jobs from Kafka; CPU seconds are per million records. Checkpoints and files every %s. "+
				"Peaks are of the longer run and of the processes' whole lives. Pairs of runs: %d of each, of which the middle one by CPU time is shown.", o.checkpoints, o.repeat),
		),
		head: []string{s.varies, "program", "from records", "to records", "records/s", "MB/s", "worker CPU s/M", "TaskManager CPU s/M", "JobManager CPU s/M", "together CPU s/M", "least to most", "servers CPU s/M",
			"worker peak MiB", "TaskManager peak MiB", "together peak MiB", "files", "MB", "others"},
	}
	if missing != nil && o.peer != "" {
		t.notes = append(t.notes, peerNote(missing))
	}
	for _, c := range slopes(runs) {
		t.rows = append(t.rows, c.studyRow())
	}
	return []table{t}, err
}

func (s slope) studyRow() []string {
	ours := s.program == ours
	cpu := s.row()[4:]
	bytes := s.shape.bytes
	if bytes == 0 {
		bytes = tripBytes
	}
	volume := ""
	if d := s.took - s.short.took; d > 0 {
		volume = fmt.Sprintf("%.0f", s.millions()*float64(bytes)/d.Seconds())
	}
	return append(append([]string{s.name, s.program, pipeline.Number(s.short.records), pipeline.Number(s.records), s.row()[3], volume}, cpu...),
		known(ours, mebibytes(s.workerPeak)), known(ours, mebibytes(s.tmPeak)), mebibytes(s.workerPeak+s.tmPeak+s.jmPeak),
		known(s.content.objects > 0, fmt.Sprint(s.content.objects)), known(s.content.bytes > 0, megabytes(s.content.bytes)), fmt.Sprintf("%.2f", s.others))
}

// toParquet is the work that studies vary: from Kafka to Parquet files, two tasks of each step.
func (o options) toParquet(name string) work {
	return work{name: name, source: fromKafka, sink: toFiles, parallelism: 2, every: o.checkpoints}
}

// sizes are those of a short and a long run.
func (o options) sizes(n int64) []int64 { return []int64{max(1, n/sizeRatio), n} }

// scale measures whether a record costs the same however many there are.
func scale(ctx context.Context, l *lab, o options) ([]table, error) {
	w := o.toParquet("Parquet")
	return study{
		title: "Cost by the number of records", varies: "to",
		series: []series{{w, o.scale}},
	}.figures(ctx, l, o)
}

// made measures the same of records that the worker makes: as many as no broker's disk has to hold.
func made(ctx context.Context, l *lab, o options) ([]table, error) {
	w := o.toParquet("Parquet")
	w.source = fromWorker
	return study{
		title: "Cost by the number of records, made in the worker", varies: "to",
		notes:  []string{"The sample's trips again and again, with no source before them: what all that comes behind one costs."},
		series: []series{{w, o.made}},
	}.figures(ctx, l, o)
}

// placesFiles is the age at which part places has files closed: 5,000 files every few seconds would measure the S3 server.
const placesFiles = 30 * time.Second

// places measures what open partitions cost.
func places(ctx context.Context, l *lab, o options) ([]table, error) {
	s := study{
		title: "Cost by open partitions", varies: "open partitions",
		notes: []string{fmt.Sprintf("Trips whose place of pickup is counted through, so that each folder has as many of them: each is open all the time. "+
			"This project's files are closed every %s here, not with each checkpoint: a run's end waits for the last of them, and records per second are good to that.", placesFiles)},
	}
	for _, n := range o.places {
		w := o.toParquet(fmt.Sprint(n))
		w.shape.places, w.files = n, placesFiles
		s.series = append(s.series, series{w, o.sizes(o.kafka)})
	}
	return s.figures(ctx, l, o)
}

// recordsAtMost times the sample's trips of a run is how many records there are at most of small ones.
const recordsAtMost = 4

// recordSizes measures what a record's size costs. All runs have about as many bytes.
func recordSizes(ctx context.Context, l *lab, o options) ([]table, error) {
	s := study{
		title: "Cost by the size of a record", varies: "bytes of a record",
		notes: []string{fmt.Sprintf("Records of %d bytes have four of a trip's fields, those of more than %d a field with random text that compresses to a half.", smallRecord, tripBytes)},
	}
	for _, n := range o.bytes {
		w := o.toParquet(pipeline.Number(int64(n)))
		if n != tripBytes {
			w.shape.bytes = n
		}
		records := min(o.kafka*tripBytes/int64(n), recordsAtMost*o.kafka)
		s.series = append(s.series, series{w, o.sizes(max(sizeRatio, records))})
	}
	return s.figures(ctx, l, o)
}

// mostTasks is the largest parallelism of part tasks.
const mostTasks = 4

// tasks measures what more tasks of each step cost and bring. They share one worker.
func tasks(ctx context.Context, l *lab, o options) ([]table, error) {
	s := study{
		title: "Cost by parallelism", varies: "parallelism",
		notes: []string{"One TaskManager, and so one worker, which all tasks share."},
	}
	for _, n := range []int{1, 2, mostTasks} {
		w := o.toParquet(fmt.Sprint(n))
		w.parallelism = n
		s.series = append(s.series, series{w, o.sizes(o.kafka)})
	}
	return s.figures(ctx, l, o)
}

// ways measures sources and sinks that no peer has.
func ways(ctx context.Context, l *lab, o options) ([]table, error) {
	kinesis, search := o.toParquet("Kinesis to Parquet"), o.toParquet("Kafka to Elasticsearch")
	kinesis.source, search.sink = fromKinesis, toElasticsearch
	return study{
		title: "Kinesis to Parquet, Kafka to Elasticsearch", varies: "way",
		notes: []string{fmt.Sprintf("The stream has %d shards and records that the producer has aggregated; its server is a program of this project, and one of the servers. Elasticsearch is one node, and the limit.", shards)},
		series: []series{
			{kinesis, o.sizes(o.streamed)}, {search, o.sizes(o.kafka / elasticsearchShare)},
		},
	}.figures(ctx, l, o)
}

// numbers parses a flag's whole numbers, in ascending order.
func numbers[N int | int64](flag, text string, least, most N) ([]N, error) {
	var out []N
	for part := range strings.SplitSeq(text, ",") {
		var n N
		if _, err := fmt.Sscanf(part+"\n", "%d\n", &n); err != nil || n < least || n > most {
			return nil, fmt.Errorf("%s: %q is not a number from %d to %d", flag, part, least, most)
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
