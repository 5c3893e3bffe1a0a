package pipeline

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// Kind says how a metric's value is to be taken.
type Kind string

const (
	// Sum is a counter: it begins at nothing when the tasks are started, and only
	// grows. Its values are to be added over subtasks.
	Sum Kind = "counter"
	// Highest is a gauge of which the highest value over subtasks is the job's.
	Highest Kind = "gauge, maximum"
	// PerProcess is a gauge that each subtask of a worker process may tell for
	// all of that process: the highest of a TaskManager, added over TaskManagers.
	PerProcess Kind = "gauge, per TaskManager"
)

// Metric is one of the job's own metrics. There are no distributions among
// them: of those Beam's Flink runner makes objects, which most of Flink's
// reporters cannot tell.
type Metric struct {
	// Name is "namespace/name". A part in capital letters stands for any.
	Name string
	Kind Kind
	// Of says which jobs have it.
	Of string
	// Help is a sentence that says what is counted, and in which unit.
	Help string
}

// Metrics are the job's own metrics, in the order of the steps.
func Metrics() []Metric {
	const (
		every, kinesis, kafka = "every job", "Kinesis source", "Kafka source"
		files, lanes          = "S3", "Kafka, exactly once"
		atOnce                = "Kafka at least once, Elasticsearch, Kinesis"
		letters               = "jobs with dead letters"
	)
	return []Metric{
		{CounterRead, Sum, every, "records that the source gave"},
		{"source/bytes", Sum, every, "their payloads, in bytes"},
		{"source/batches", Sum, every, "batches in which they came"},
		{counterDoubles, Sum, "`InputDeduplicateBy`", "records that were dropped as duplicates; they are not among `source/records`"},
		{"source/requests", Sum, every, "calls to Kinesis; answers of Kafka's brokers to fetches"},
		{"source/retries", Sum, every, "requests that were made again"},
		{"source/throttles", Sum, every, "requests that a limit refused or held back"},
		{counterPassed, Sum, every, "positions from which reading could not continue, since retention had deleted what came next, and partitions whose reading was started again: records of each may be missing"},
		{counterShardsLost, Sum, every, "shards that retention deleted before they were read to their end: the rest of their records is missing"},
		{"source/event_time_lag_millis", Highest, every, "how old the oldest record of the last second's batches was when it was read, by the time that Kinesis or the Kafka record gives; 0 when everything is read"},
		{"source/millis_behind_latest_max", Highest, kinesis, "how far the shard that is furthest behind is behind its newest record, in milliseconds"},
		{"source/millis_behind_latest.STREAM.SHARD", Highest, kinesis, "the same for each shard"},
		{"source/offsets_behind_latest_max", Highest, kafka, "how far the partition that is furthest behind is behind its end, in offsets"},
		{"source/offsets_behind_latest.TOPIC.PARTITION", Highest, kafka, "the same for each partition"},
		{"kafka/offset_commits", Sum, "`InputKafkaCommitOffsets`", "commits of positions to the consumer group"},
		{"kafka/offset_commits_failed", Sum, "`InputKafkaCommitOffsets`", "those that the group's coordinator did not take"},

		{"decode/events", Sum, every, "events that were decoded"},
		{"decode/dead_letters", Sum, every, "dead letters that were found, by decoding and by all sinks"},
		{"decode/blocks", Sum, "S3; " + lanes, "blocks of events on their way to a file or a transaction"},
		{"decode/block_bytes", Sum, "S3; " + lanes, "their size, compressed"},
		{"dead_letters/REASON", Sum, letters, "dead letters by reason"},
		{counterDeadWritten, Sum, "dead letters to Kafka at least once or Elasticsearch", "dead letters that are written"},

		{"s3/open_files", PerProcess, files, "partitions with events in no file yet that the process knows of: after a restart, those that have received something since"},
		{"s3/oldest_uncommitted_millis", Highest, files, "how long the oldest events that are read but in no visible file have been waiting, since they came to their partition or, if that was before a restart, since the next events did"},
		{"s3/uploads_opened", Sum, files, "uploads that were begun"},
		{"s3/parts_uploaded", Sum, files, "parts of uploads"},
		{"s3/files_uploaded", Sum, files, "files that are uploaded and wait for the checkpoint that completes them"},
		{"s3/bytes_uploaded", Sum, files, "their size"},
		{"s3/uploads_aborted", Sum, files, "uploads that were given up; their events are in others"},
		{counterFiles, Sum, files, "uploads that were completed: files that are visible"},
		{"s3/bytes_committed", Sum, files, "their size"},
		{CounterDelivered, Sum, files, "events in them"},
		{CounterDead, Sum, files, "dead letters in them"},
		{"s3/commits_repeated", Sum, files, "commits that turned out to be done already"},
		{"s3/retries", Sum, files, "requests that were made again"},
		{"s3/throttles", Sum, files, "those of them that S3 had refused because requests came too fast"},

		{"kafka/oldest_uncommitted_millis", Highest, lanes, "how long the oldest events that wait for their transaction have been waiting, since they came to their lane"},
		{counterKafka, Sum, lanes, "events in committed transactions"},
		{counterKafkaDead, Sum, lanes, "dead letters in them"},
		{"kafka/transactions_committed", Sum, lanes, "transactions"},
		{"kafka/blocks_repeated", Sum, lanes, "blocks that turned out to be committed already"},

		{"SINK/records_written", Sum, atOnce, "events that the sink has taken"},
		{"SINK/records_refused", Sum, atOnce, "events that it refused for good, which became dead letters"},
		{"elasticsearch/conflicts", Sum, "Elasticsearch", "documents that it already had, or had in a newer version"},
		{"SINK/batches_written", Sum, "every sink but S3", "batches: Kafka's record batches, bulk requests, `PutRecords` calls"},
		{"SINK/bytes_written", Sum, "every sink but S3", "bytes: record batches and bulk requests as sent, compressed; the data of Kinesis records"},
		{"SINK/retries", Sum, "every sink but S3", "what was sent again: Kafka's requests and transactions, documents, Kinesis records"},
		{"SINK/throttles", Sum, "every sink but S3", "what a limit held back: Kafka's answers with a quota's delay, bulk requests answered 429, Kinesis records"},

		{"discard/records", Sum, "`OutputDiscarding`", "records that were read and dropped"},
	}
}

// prometheusPrefix is what Flink's Prometheus reporter has before the names of
// an operator's metrics.
const prometheusPrefix = "flink_taskmanager_job_task_operator_"

// Prometheus returns the metric's name in Prometheus. A part that stands for
// any is in small letters there if it is, and has _ for all other signs.
func (m Metric) Prometheus() string {
	return prometheusPrefix + strings.NewReplacer("/", "_", ".", "_").Replace(m.Name)
}

// WriteMetrics writes the metrics as a table in Markdown.
func WriteMetrics(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| Metric | Kind | Jobs | Meaning |\n|---|---|---|---|\n")
	for _, m := range Metrics() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, m.Of, m.Help)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// meter tells the counts of something that outlives bundles, such as a client:
// each count once, by whichever bundle ends next. It is safe for concurrent use.
type meter struct {
	counters []beam.Counter

	mu   sync.Mutex
	told []int64
}

func newMeter(namespace string, names ...string) *meter {
	m := &meter{told: make([]int64, len(names))}
	for _, name := range names {
		m.counters = append(m.counters, beam.NewCounter(namespace, name))
	}
	return m
}

// tell adds what the totals, in the order of the names, have grown by. Totals
// that another bundle has told meanwhile add nothing; the counter is there
// with its first telling, also at 0.
func (m *meter) tell(ctx context.Context, totals ...int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, total := range totals {
		m.counters[i].Inc(ctx, max(0, total-m.told[i]))
		m.told[i] = max(m.told[i], total)
	}
}

// meter returns the process's one meter of that namespace and these names.
func (p *process) meter(namespace string, names ...string) *meter {
	m, _ := share(p, "meter "+namespace, func() (*meter, func(), error) { // opening fails never
		return newMeter(namespace, names...), nil, nil
	})
	return m
}
