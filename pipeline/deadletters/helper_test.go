package deadletters_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio"
	"github.com/streaming-etl/streaming-etl/io/elasticsearchio/esfake"
	"github.com/streaming-etl/streaming-etl/io/kafkaio"
	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
	"github.com/streaming-etl/streaming-etl/pipeline/deadletters"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
)

// letter is the n-th of a test: its reason alternates.
func letter(n int) deadletter.Letter {
	return deadletter.Letter{
		Reason: []string{"out_of_range", "malformed_json"}[n%2], Field: []string{"vendor_id", ""}[n%2], Source: "trips", Shard: "shard-0", Seq: fmt.Sprint(n),
		Arrival: time.Date(2018, 3, 1, 0, n, 0, 0, time.UTC).UnixMilli(), Payload: fmt.Appendf(nil, `{"trip_id":%d}`, n),
	}
}

func lettersOf(n int) []deadletter.Letter {
	list := make([]deadletter.Letter, n)
	for i := range list {
		list[i] = letter(i)
	}
	return list
}

// payloads are what the first n letters have, sorted.
func payloads(numbers ...int) []string {
	var out []string
	for _, n := range numbers {
		l := letter(n)
		out = append(out, string(l.Payload))
	}
	slices.Sort(out)
	return out
}

func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// bucket is an S3 server with letters in two objects per reason.
type bucket struct {
	server *s3fake.Server
	opts   s3io.Options
}

func newBucket(t *testing.T, list []deadletter.Letter) *bucket {
	t.Helper()
	server, err := s3fake.New(s3fake.Options{Bucket: "lake"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Inject(nil)
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bucket{server, s3io.Options{Bucket: "lake", Endpoint: server.URL(), Anonymous: true, MaxAttempts: 2}}
	objects := map[string][]byte{}
	for i := range list {
		key := fmt.Sprintf("raw/dead-letters/job_start=1/reason=%s/part-%d.jsonl", list[i].Reason, i%4/2)
		objects[key] = list[i].AppendJSON(objects[key])
	}
	for key, body := range objects {
		b.put(t, key, body)
	}
	return b
}

func (b *bucket) put(t *testing.T, key string, body []byte) {
	t.Helper()
	store, err := s3io.New(t.Context(), b.opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.PutNew(t.Context(), key, body); err != nil {
		t.Fatal(err)
	}
}

func (b *bucket) place() *deadletters.S3Place {
	return &deadletters.S3Place{Store: b.opts, Prefix: "raw/"}
}

// stream is a Kinesis server with the stream trips of two shards.
type stream struct {
	server *kinesisfake.Server
	opts   kinesisio.Options
	client *kinesis.Client
}

func newStream(t *testing.T) *stream {
	t.Helper()
	server, err := kinesisfake.New(kinesisfake.SeedStream("trips", 2))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &stream{server: server, opts: kinesisio.Options{Stream: "trips", Region: "us-east-1", Endpoint: server.URL(), EmulatorCredentials: true}}
	if s.client, err = kinesisio.NewClient(t.Context(), s.opts); err != nil {
		t.Fatal(err)
	}
	return s
}

// records returns all that the stream has.
func (s *stream) records(t *testing.T) []types.Record {
	t.Helper()
	return slices.Concat(s.shards(t)...)
}

// shards returns what each shard has, in the order of their hash keys.
func (s *stream) shards(t *testing.T) [][]types.Record {
	t.Helper()
	shards, err := s.client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("trips")})
	if err != nil {
		t.Fatal(err)
	}
	var out [][]types.Record
	for _, shard := range shards.Shards {
		it, err := s.client.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
			StreamName: aws.String("trips"), ShardId: shard.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, got.Records)
	}
	return out
}

func (s *stream) payloads(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, r := range s.records(t) {
		out = append(out, string(r.Data))
	}
	slices.Sort(out)
	return out
}

// kafka is a cluster with topics of two partitions.
type kafka struct {
	brokers []string
	client  *kgo.Client
}

func newKafka(t *testing.T, topics ...string) *kafka {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	k := &kafka{brokers: cluster.ListenAddrs()}
	if k.client, err = kgo.NewClient(kgo.SeedBrokers(k.brokers...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.client.Close)
	return k
}

func (k *kafka) putLetters(t *testing.T, topic string, list []deadletter.Letter) {
	t.Helper()
	for i := range list {
		value := list[i].AppendJSON(nil)
		if err := k.client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: value[:len(value)-1]}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// records returns the committed records of a topic up to a mark that is written behind them.
func (k *kafka) records(t *testing.T, topic string) []*kgo.Record {
	t.Helper()
	reader, err := kgo.NewClient(kgo.SeedBrokers(k.brokers...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	marker, err := kgo.NewClient(kgo.SeedBrokers(k.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer marker.Close()
	for partition := range int32(2) {
		if err := marker.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: partition, Value: []byte("mark")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	var out []*kgo.Record
	for marks := 0; marks < 2; {
		fetches := reader.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if string(r.Value) == "mark" {
				marks++
				return
			}
			out = append(out, r)
		})
	}
	return out
}

func (k *kafka) payloads(t *testing.T, topic string) []string {
	t.Helper()
	var out []string
	for _, r := range k.records(t, topic) {
		out = append(out, string(r.Value))
	}
	slices.Sort(out)
	return out
}

func (k *kafka) source() *kafkaio.Options {
	return &kafkaio.Options{Brokers: k.brokers, Topic: "trips"}
}

// newElasticsearch returns a server with letters, behind a proxy that scrolls:
// three documents at a time.
func newElasticsearch(t *testing.T, list []deadletter.Letter) *deadletters.ElasticsearchPlace {
	t.Helper()
	server, err := esfake.Start(esfake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&scroller{to: httputil.NewSingleHostReverseProxy(target)})
	t.Cleanup(proxy.Close)
	p := &deadletters.ElasticsearchPlace{Client: elasticsearchio.Options{Endpoints: []string{proxy.URL}}, Index: "letters"}
	client, err := elasticsearchio.New(t.Context(), p.Client)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var ids []string
	var sources []json.RawMessage
	for i := range list {
		ids, sources = append(ids, fmt.Sprintf("letter-%03d", i)), append(sources, list[i].AppendJSON(nil))
		sources[i] = bytes.TrimSpace(sources[i])
	}
	if len(ids) > 0 {
		if _, err := client.CreateAll(t.Context(), p.Index, ids, sources); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// scroller makes searches by page out of searches that scroll.
type scroller struct{ to http.Handler }

const scrolled = 3

func (s *scroller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	index, from := "", 0
	switch {
	case r.Method == http.MethodDelete && r.URL.Path == "/_search/scroll":
		w.WriteHeader(http.StatusOK)
		return
	case r.URL.Path == "/_search/scroll":
		var request struct {
			ID string `json:"scroll_id"`
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if _, err := fmt.Sscanf(request.ID, "%d-%s", &from, &index); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	case r.URL.Query().Has("scroll"):
		index = strings.Split(r.URL.Path, "/")[1]
	default:
		s.to.ServeHTTP(w, r)
		return
	}
	inner := httptest.NewRequestWithContext(r.Context(), http.MethodGet, fmt.Sprintf("/%s/_search?from=%d&size=%d", index, from, scrolled), nil)
	got := httptest.NewRecorder()
	s.to.ServeHTTP(got, inner)
	var answer map[string]any
	if err := json.Unmarshal(got.Body.Bytes(), &answer); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	answer["_scroll_id"] = fmt.Sprintf("%d-%s", from+scrolled, index)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.WriteHeader(got.Code)
	_ = json.NewEncoder(w).Encode(answer)
}

func open(t *testing.T, o deadletters.Options) *deadletters.Box {
	t.Helper()
	b, err := deadletters.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func resend(t *testing.T, b *deadletters.Box, o deadletters.ResendOptions) deadletters.Resent {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := b.Resend(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s has %d: %q\nwant %d: %q", what, len(got), got, len(want), want)
	}
}

// refusing has a server refuse what is asked for by a path with this in it.
func refusing(part string) s3fake.Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, part) {
			_, _ = io.Copy(io.Discard, r.Body)
			s3fake.Refuse(w, r, http.StatusForbidden, "AccessDenied")
			return
		}
		next.ServeHTTP(w, r)
	}
}
