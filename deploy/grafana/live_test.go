//go:build linux

package grafana

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio/esfake"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/runners/flink"
	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
	"github.com/streaming-etl/streaming-etl/runners/flink/submit"
	"github.com/streaming-etl/streaming-etl/stack"
	"github.com/streaming-etl/streaming-etl/stack/process"
)

// gateVariable is that of all tests that need a Flink cluster and a jar.
const gateVariable = "ETL_FLINK_TESTS"

// patience bounds each wait, on a machine that does much else.
const patience = 4 * time.Minute

const schema = `{"type":"record","name":"event","fields":[{"name":"id","type":"string"},{"name":"kind","type":"string"}]}`

// TestPrometheusHasEveryMetric runs jobs that have among them all sources and
// sinks, and asks Prometheus.
func TestPrometheusHasEveryMetric(t *testing.T) {
	if os.Getenv(gateVariable) == "" {
		t.Skipf("needs Flink and Prometheus: runs with %s=1", gateVariable)
	}
	w := newWorld(t)
	c := stack.StartFlink(t, cluster.Options{
		Slots: len(w.jobs()), Prometheus: true, CheckpointInterval: 2 * time.Second,
		Env: []string{"AWS_ACCESS_KEY_ID=any", "AWS_SECRET_ACCESS_KEY=any", "AWS_EC2_METADATA_DISABLED=true",
			"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull},
	})
	rules := filepath.Join(t.TempDir(), "alerts.yaml")
	if err := os.WriteFile(rules, []byte(Alerts()), 0o644); err != nil {
		t.Fatal(err)
	}
	prometheus := stack.StartPrometheus(t, stack.PrometheusOptions{Targets: c.PrometheusTargets(), Rules: []string{rules}})
	jar := filepath.Join(t.TempDir(), "etl.jar")
	if _, err := flink.BuildJar(t.Context(), jar, flink.JarOptions{Package: "github.com/streaming-etl/streaming-etl"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for name, args := range w.jobs() {
		if _, err := submit.Run(ctx, c.REST(), submit.Options{Jar: jar, Args: append(args, "--JobName="+name)}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	w.feed(t)

	await := func(what string, ready func(context.Context) error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := process.Await(ctx, what, ready); err != nil {
			t.Error(err)
		}
	}
	await("the targets", prometheus.Healthy)

	// Every metric is told, and what must have counted has.
	for _, m := range pipeline.Metrics() {
		for _, name := range instances(m) {
			expression := name
			if strings.HasSuffix(name, "_") { // of a reason or shard
				expression = fmt.Sprintf(`{__name__=~"%s.+"}`, name)
			}
			if slices.Contains(counting, strings.TrimPrefix(name, operator)) {
				expression += " > 0"
			}
			await(m.Name, func(ctx context.Context) error { return answers(ctx, prometheus, expression) })
		}
	}
	// And none that is not in the table.
	told, err := prometheus.Query(t.Context(), `group by (__name__) ({__name__=~"`+operator+`(source|decode|dead_letters|s3|kafka|elasticsearch|kinesis|discard)_.+"})`)
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, m := range pipeline.Metrics() {
		known = append(known, instances(m)...)
	}
	for _, s := range told {
		name := s.Labels["__name__"]
		if !slices.ContainsFunc(known, func(k string) bool { return k == name || strings.HasSuffix(k, "_") && strings.HasPrefix(name, k) }) {
			t.Errorf("%s is told, and is not in the table", name)
		}
	}

	// Every query of the dashboard has data, of one of the jobs.
	for _, p := range panels() {
		for _, q := range p.queries {
			await(p.title+", "+q.legend, func(ctx context.Context) error {
				var faults []error
				for name := range w.jobs() {
					err := answers(ctx, prometheus, expand(q.expression, name, "10s"))
					if err == nil {
						return nil
					}
					faults = append(faults, err)
				}
				return errors.Join(faults...)
			})
		}
	}
	await("the names of jobs", func(ctx context.Context) error {
		jobs, err := prometheus.Query(ctx, "group by (job_name) ("+master+"uptime)")
		if err == nil && len(jobs) != len(w.jobs()) {
			err = fmt.Errorf("%d jobs are told: %v", len(jobs), jobs)
		}
		return err
	})

	// The rules are evaluated, and nothing is wrong with these jobs.
	await("the rules", func(ctx context.Context) error {
		firing, err := prometheus.Firing(ctx)
		if err == nil && len(firing) > 0 {
			err = fmt.Errorf("alerts %q", firing)
		}
		return err
	})
}

// counting are metrics that cannot be 0 here.
var counting = []string{
	"source_records", "source_bytes", "source_batches", "source_requests", "source_retries", "source_throttles", "source_doubles",
	"decode_events", "decode_dead_letters", "decode_blocks", "decode_block_bytes", "dead_letters_", "dead_letters_written", "kafka_offset_commits",
	"s3_uploads_opened", "s3_parts_uploaded", "s3_files_uploaded", "s3_bytes_uploaded", "s3_files_committed", "s3_bytes_committed",
	"s3_rows_committed", "s3_dead_letters_committed", "s3_retries", "s3_throttles", "s3_open_files", "s3_oldest_uncommitted_millis",
	"kafka_records_committed", "kafka_dead_letters_committed", "kafka_transactions_committed",
	"kafka_records_written", "elasticsearch_records_written", "kinesis_records_written", "elasticsearch_records_refused",
	"kafka_batches_written", "elasticsearch_batches_written", "kinesis_batches_written",
	"kafka_bytes_written", "elasticsearch_bytes_written", "kinesis_bytes_written",
	"elasticsearch_retries", "elasticsearch_throttles", "kinesis_retries", "kinesis_throttles", "discard_records",
}

// answers returns nil when an expression has a value.
func answers(ctx context.Context, p *stack.PrometheusServer, expression string) error {
	samples, err := p.Query(ctx, expression)
	if err == nil && len(samples) == 0 {
		err = fmt.Errorf("%s has no value", expression)
	}
	return err
}

// A world is the servers, in this process.
type world struct {
	kinesis       *kinesisfake.Server
	s3            *s3fake.Server
	elasticsearch *esfake.Server
	kafka         []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	var err error
	if w.kinesis, err = kinesisfake.New(kinesisfake.SeedStream("in", 2), kinesisfake.SeedStream("copies", 2)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.kinesis.Close() })
	if w.s3, err = s3fake.New(s3fake.Options{Bucket: "lake"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.s3.Close() })
	if w.elasticsearch, err = esfake.Start(esfake.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.elasticsearch.Close)
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "in", "out", "copies"), kfake.SeedTopics(1, "dead-letters"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	w.kafka = kafka.ListenAddrs()
	w.disturb()
	return w
}

// disturb has one request of twenty refused for a limit, and some documents for good.
func (w *world) disturb() {
	var reads, puts, parts, bulks atomic.Int64
	often := func(n *atomic.Int64) bool { return n.Add(1)%20 == 3 }
	w.kinesis.Control("GetRecords", func(*kinesisfake.Request) error {
		if often(&reads) {
			return &kinesisfake.Error{Type: "ProvisionedThroughputExceededException", Message: "Rate exceeded for shard"}
		}
		return nil
	})
	w.kinesis.ControlEntries(func(e kinesisfake.Entry) *kinesisfake.Error {
		if e.Stream == "copies" && often(&puts) {
			return &kinesisfake.Error{Type: "ProvisionedThroughputExceededException", Message: "Rate exceeded for shard"}
		}
		return nil
	})
	w.s3.Inject(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if s3fake.Operation(r) == "UploadPart" && often(&parts) {
			s3fake.Refuse(rw, r, http.StatusServiceUnavailable, "SlowDown")
			return
		}
		next.ServeHTTP(rw, r)
	})
	w.elasticsearch.OnItem(func(i esfake.Item) *esfake.ItemFault {
		switch {
		case strings.HasPrefix(i.ID, "refused"):
			return &esfake.ItemFault{Status: http.StatusBadRequest, Type: "mapper_parsing_exception", Reason: "not of the mapping"}
		case often(&bulks):
			return &esfake.ItemFault{Status: http.StatusTooManyRequests, Type: "es_rejected_execution_exception", Reason: "queue full"}
		}
		return nil
	})
}

// jobs are the arguments of the jobs, which have all sources and sinks.
func (w *world) jobs() map[string][]string {
	common := []string{"--EventSchema=" + schema, "--Parallelism=1", "--InputReaders=2", "--Region=us-east-1"}
	fromKinesis := []string{"--InputKinesisStream=in", "--InputStreamEndpoint=" + w.kinesis.URL(), "--InputStreamInitialPosition=TRIM_HORIZON"}
	fromKafka := []string{"--InputKafkaBootstrapServers=" + strings.Join(w.kafka, ","), "--InputKafkaTopic=in", "--InputKafkaInitialPosition=EARLIEST"}
	toKafka := []string{"--OutputKafkaBootstrapServers=" + strings.Join(w.kafka, ",")}
	return map[string][]string{
		"files": slices.Concat(common, fromKinesis, []string{
			"--InputDeduplicateBy=id",
			"--OutputBucket=lake", "--OutputBucketEndpoint=" + w.s3.URL(), "--OutputPathTemplate=kind={kind}", "--OutputFileRollIntervalMs=2000",
			"--OutputKinesisStream=copies", "--OutputStreamEndpoint=" + w.kinesis.URL(), "--OutputKinesisPartitionKey={id}",
		}),
		"transactions": slices.Concat(common, fromKafka, toKafka, []string{"--OutputKafkaTopic=out", "--OutputKafkaLanes=2"}),
		"documents": slices.Concat(common, fromKafka, toKafka, []string{
			"--InputKafkaGroupId=documents", "--OutputKafkaTopic=copies", "--OutputKafkaDelivery=AT_LEAST_ONCE",
			"--OutputElasticsearchEndpoint=" + w.elasticsearch.URL, "--ElasticsearchIndex={kind}", "--ElasticsearchDocumentId={id}",
		}),
		"discarding": slices.Concat([]string{"--Parallelism=1", "--InputReaders=1", "--InputGeneratedRecords=1000", "--OutputDiscarding"}),
	}
}

// feed puts events into the sources until the test ends: good ones, each a
// second time, one that is no JSON, one that Elasticsearch refuses.
func (w *world) feed(t *testing.T) {
	t.Helper()
	stream := kinesis.New(kinesis.Options{
		BaseEndpoint: aws.String(w.kinesis.URL()), Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("any", "any", ""),
	})
	topic, err := kgo.NewClient(kgo.SeedBrokers(w.kafka...), kgo.DefaultProduceTopic("in"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			events := []string{"no JSON", fmt.Sprintf(`{"id":"refused-%d","kind":"a"}`, n)}
			for i := range 20 {
				e := fmt.Sprintf(`{"id":"%d-%d","kind":"%c"}`, n, i/2, 'a'+i%4/2)
				events = append(events, e)
			}
			in := &kinesis.PutRecordsInput{StreamName: aws.String("in")}
			var records []*kgo.Record
			for _, e := range events {
				in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: []byte(e), PartitionKey: aws.String(e)})
				records = append(records, kgo.StringRecord(e))
			}
			if _, err := stream.PutRecords(ctx, in); err != nil && ctx.Err() == nil {
				return fmt.Errorf("put events: %w", err)
			}
			if err := topic.ProduceSync(ctx, records...).FirstErr(); err != nil && ctx.Err() == nil {
				return fmt.Errorf("produce events: %w", err)
			}
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		topic.Close()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
}
