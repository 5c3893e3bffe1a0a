package deadletters_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio"
	"github.com/streaming-etl/streaming-etl/io/kafkaio"
	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/pipeline/deadletters"
	"github.com/streaming-etl/streaming-etl/stack"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
)

// realLetters are three pages of Elasticsearch, and three batches.
const realLetters = 1200

// lettersFrom are letters of a topic.
func lettersFrom(source string) []deadletter.Letter {
	list := lettersOf(realLetters)
	for i := range list {
		list[i].Source = source
	}
	return list
}

// realKafka returns a cluster with the topics.
func realKafka(t *testing.T, topics ...string) *kafka {
	t.Helper()
	cluster := stack.StartKafka(t, stack.KafkaOptions{})
	k := &kafka{brokers: cluster.Bootstrap()}
	for _, topic := range topics {
		if err := cluster.MakeTopic(t.Context(), topic, 2, nil); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if k.client, err = kgo.NewClient(kgo.SeedBrokers(k.brokers...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.client.Close)
	return k
}

// Conditional writes, scrolling over more than a page, transactions: with real
// servers as with those of the process.
func TestRealServersHaveEachLetterSentOnce(t *testing.T) {
	k := realKafka(t, "from-s3", "from-elasticsearch", "from-kafka", "letters")
	for name, place := range map[string]func(t *testing.T, list []deadletter.Letter) deadletters.Options{
		"s3": realS3, "elasticsearch": realElasticsearch,
		"kafka": func(t *testing.T, list []deadletter.Letter) deadletters.Options {
			k.putLetters(t, "letters", list)
			return deadletters.Options{Kafka: &deadletters.KafkaPlace{Brokers: k.brokers, Topic: "letters"}}
		},
	} {
		t.Run("from "+name, func(t *testing.T) {
			source := "from-" + name
			o := place(t, lettersFrom(source))
			o.KafkaSource = &kafkaio.Options{Brokers: k.brokers, Topic: source}
			b := open(t, o)
			awaitLetters(t, b)
			if r := resend(t, b, deadletters.ResendOptions{}); r.Sent != realLetters || len(r.InDoubt) > 0 {
				t.Errorf("first call: %d sent, %d in doubt", r.Sent, len(r.InDoubt))
			}
			if r := resend(t, b, deadletters.ResendOptions{}); r.Sent != 0 {
				t.Errorf("second call: %d sent", r.Sent)
			}
			equal(t, "the topic", k.payloads(t, source), payloads(upTo(realLetters)...))
		})
	}
}

func realS3(t *testing.T, list []deadletter.Letter) deadletters.Options {
	server := stack.StartS3(t, "lake")
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": stack.AccessKey, "AWS_SECRET_ACCESS_KEY": stack.SecretKey, "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(name, value)
	}
	lake := &bucket{opts: s3io.Options{Bucket: "lake", Endpoint: server.Endpoint(), Region: "us-east-1"}}
	var lines []byte
	for i := range list {
		lines = list[i].AppendJSON(lines)
	}
	lake.put(t, "raw/dead-letters/job_start=1/reason=any/part-1.jsonl", lines)
	return deadletters.Options{S3: lake.place()}
}

func realElasticsearch(t *testing.T, list []deadletter.Letter) deadletters.Options {
	p := &deadletters.ElasticsearchPlace{Client: elasticsearchio.Options{Endpoints: []string{stack.StartElasticsearch(t).Endpoint()}}, Index: "letters"}
	client, err := elasticsearchio.New(t.Context(), p.Client)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var ids []string
	var sources []json.RawMessage
	for i := range list {
		text := list[i].AppendJSON(nil)
		ids, sources = append(ids, fmt.Sprint(i)), append(sources, text[:len(text)-1])
	}
	if _, err := client.CreateAll(t.Context(), p.Index, ids, sources); err != nil {
		t.Fatal(err)
	}
	return deadletters.Options{Elasticsearch: p}
}

// awaitLetters waits until the place shows all letters, which Elasticsearch does after a while.
func awaitLetters(t *testing.T, b *deadletters.Box) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		groups, _, err := b.Count(t.Context(), deadletters.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, g := range groups {
			n += int(g.Count)
		}
		if n == realLetters {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%d letters", n)
		case <-tick.C:
		}
	}
}
