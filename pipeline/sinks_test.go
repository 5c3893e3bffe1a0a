package pipeline

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio/esfake"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
)

// tripMessages makes a Kafka record of each line, keyed by trip, with a
// header; lines of one place are of one partition.
func tripMessages(topic string, lines []string) []*kgo.Record {
	var out []*kgo.Record
	for i, r := range tripRecords(lines) {
		out = append(out, &kgo.Record{
			Topic: topic, Key: []byte(r.key), Value: r.data, Timestamp: time.UnixMilli(1_700_000_000_000 + int64(i)),
			Headers: []kgo.RecordHeader{{Key: "line", Value: []byte(strconv.Itoa(i))}},
		})
	}
	return out
}

func TestEverySinkGetsEveryEventOfKafka(t *testing.T) {
	w := newWorld(t, 2, kinesisfake.SeedStream("copies", 2))
	k := newKafka(t, "trips:4", "trips-yellow:3", "trips-green:2")
	es, err := esfake.Start(esfake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(es.Close)
	lines := sampleTrips(t, 3000)
	messages := tripMessages("trips", lines)
	bad := []*kgo.Record{
		{Topic: "trips", Key: []byte("bad"), Value: []byte("no JSON")},
		{Topic: "trips", Key: []byte("gone")}, // a tombstone
	}
	k.put(t.Context(), t, append(slices.Clone(messages), bad...)...)
	put := time.Now()

	c := configure(t,
		"--InputKafkaBootstrapServers="+k.brokers, "--InputKafkaTopic=trips", "--InputKafkaInitialPosition=EARLIEST", "--InputKafkaStopAtEnd",
		"--OutputBucket="+testBucket, "--OutputBucketEndpoint="+w.s3.URL(), "--Region="+testRegion, "--Parallelism=2",
		"--OutputKafkaBootstrapServers="+k.brokers, "--OutputKafkaTopic=trips-{type}", "--OutputKafkaLanes=3",
		"--OutputElasticsearchEndpoint="+es.URL, "--ElasticsearchIndex=trips-{pickup_datetime:2006.01}", "--ElasticsearchVersion=position",
		"--OutputKinesisStream=copies", "--OutputStreamEndpoint="+w.kinesis.URL())
	// The job ends by itself: the topic is read to its end.
	sum, err := runDirect(t.Context(), t, c, DirectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := int64(len(lines))
	want := Progress{Read: n + 2, ReadBytes: sum.Progress.ReadBytes, Delivered: n, DeadLetters: 2, Files: sum.Progress.Files,
		FileBytes: sum.Progress.FileBytes, Sinks: map[string]int64{filesName: n, kafkaName: n, elasticsearchName: n, kinesisName: n}}
	if got := sum.Progress; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the summary says %+v, want %+v", got, want)
	}
	if got := sum.Reasons; got["malformed_json"] != 1 || got["tombstone"] != 1 {
		t.Errorf("dead letters are %v", got)
	}

	t.Run("S3", func(t *testing.T) { w.delivered(t, expect(t, lines), "", put.Add(-time.Minute), time.Now()) })
	t.Run("Kafka", func(t *testing.T) { sameMessages(t, k, messages) })
	t.Run("Elasticsearch", func(t *testing.T) { sameDocuments(t, es, lines) })
	t.Run("Kinesis", func(t *testing.T) {
		got := map[string]int{}
		for _, r := range w.copies(t, "copies") {
			got[*r.PartitionKey+" "+string(r.Data)]++
		}
		for _, r := range tripRecords(lines) {
			if got[r.key+" "+string(r.data)] != 1 {
				t.Fatalf("%s is there %d times", r.data, got[r.key+" "+string(r.data)])
			}
		}
		if len(got) != len(lines) {
			t.Errorf("%d records, want %d", len(got), len(lines))
		}
	})
}

// sameMessages checks that the topics by type hold each message once, with
// its key, header and timestamp, those of a key in order.
func sameMessages(t *testing.T, k *kafkaWorld, want []*kgo.Record) {
	t.Helper()
	byLine := map[string]*kgo.Record{}
	for _, r := range want {
		byLine[string(r.Headers[0].Value)] = r
	}
	last := map[string]int{}
	n := 0
	for topic, records := range k.read(t, "trips-yellow", "trips-green") {
		for _, r := range records {
			n++
			if len(r.Headers) != 1 {
				t.Fatalf("a record has headers %v", r.Headers)
			}
			line := string(r.Headers[0].Value)
			w := byLine[line]
			if w == nil {
				t.Fatalf("line %s is there twice, or was never sent", line)
			}
			delete(byLine, line)
			if !bytes.Equal(r.Key, w.Key) || !bytes.Equal(r.Value, w.Value) || !r.Timestamp.Equal(w.Timestamp) {
				t.Errorf("line %s came as %s = %s of %s", line, r.Key, r.Value, r.Timestamp)
			}
			if !strings.Contains(string(r.Value), `"type":"`+strings.TrimPrefix(topic, "trips-")+`"`) {
				t.Errorf("%s is in %s", r.Value, topic)
			}
			number, err := strconv.Atoi(line)
			if err != nil {
				t.Fatal(err)
			}
			if key := topic + string(r.Key); number < last[key] {
				t.Errorf("line %d of key %s comes after line %d", number, r.Key, last[key])
			} else {
				last[key] = number
			}
		}
	}
	if len(byLine) > 0 {
		t.Errorf("%d of %d messages are missing", len(byLine), len(want))
	}
}

// sameDocuments checks that the indices by month hold each trip as it was received.
func sameDocuments(t *testing.T, es *esfake.Server, lines []string) {
	t.Helper()
	want := map[string]string{}
	for _, line := range lines {
		var trip struct {
			Pickup time.Time `json:"pickup_datetime"`
			ID     int64     `json:"trip_id"`
		}
		if err := json.Unmarshal([]byte(line), &trip); err != nil {
			t.Fatal(err)
		}
		want[fmt.Sprintf("trips-%s/%d", trip.Pickup.Format("2006.01"), trip.ID)] = line
	}
	got := map[string]string{}
	for _, index := range es.Indices() {
		for id, d := range es.Documents(index) {
			got[index+"/"+id] = string(d.Source)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d documents, want %d", len(got), len(want))
	}
}

func TestAtLeastOnceNeedsNoTransactions(t *testing.T) {
	k := newKafka(t, "trips:2", "trips-yellow:2", "trips-green:2", "letters:1")
	lines := sampleTrips(t, 500)
	messages := tripMessages("trips", lines)
	k.put(t.Context(), t, append(slices.Clone(messages), &kgo.Record{Topic: "trips", Value: []byte("no JSON")})...)
	sum, err := runDirect(t.Context(), t, configure(t,
		"--InputKafkaBootstrapServers="+k.brokers, "--InputKafkaTopic=trips", "--InputKafkaInitialPosition=EARLIEST", "--InputKafkaStopAtEnd",
		"--OutputKafkaBootstrapServers="+k.brokers, "--OutputKafkaTopic=trips-{type}", "--OutputKafkaDelivery=AT_LEAST_ONCE",
		"--OutputKafkaDeadLetterTopic=letters"), DirectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if p := sum.Progress; p.Delivered != 500 || p.DeadLetters != 1 {
		t.Errorf("%d delivered, %d dead letters; want 500 and 1", p.Delivered, p.DeadLetters)
	}
	sameMessages(t, k, messages)
	if got := k.read(t, "letters")["letters"]; len(got) != 1 {
		t.Errorf("%d dead letters", len(got))
	}
}

func TestDeadLettersFindAPlaceWithoutABucket(t *testing.T) {
	lines := sampleTrips(t, 20)
	huge := strings.Replace(lines[2], `"type"`, `"padding":"`+strings.Repeat("x", 3000)+`","type"`, 1)
	messages := func() []*kgo.Record {
		return append(tripMessages("trips", lines[:2]),
			&kgo.Record{Topic: "trips", Value: []byte(huge)},
			&kgo.Record{Topic: "trips", Value: []byte("{")},
			&kgo.Record{Topic: "trips", Key: []byte("gone")})
	}

	t.Run("Kafka", func(t *testing.T) {
		k := newKafka(t, "trips:1", "copies:1", "letters:2")
		k.put(t.Context(), t, messages()...)
		sum, err := runDirect(t.Context(), t, configure(t,
			"--InputKafkaBootstrapServers="+k.brokers, "--InputKafkaTopic=trips", "--InputKafkaInitialPosition=EARLIEST", "--InputKafkaStopAtEnd",
			"--OutputKafkaBootstrapServers="+k.brokers, "--OutputKafkaTopic=copies", "--OutputKafkaMaxMessageBytes=2048",
			"--OutputKafkaDeadLetterTopic=letters", "--InputKafkaTombstones=PASS"), DirectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if p := sum.Progress; p.Delivered != 3 || p.DeadLetters != 2 {
			t.Errorf("%d delivered, %d dead letters; want 3 and 2", p.Delivered, p.DeadLetters)
		}
		got := k.read(t, "copies", "letters")
		tombstone := func(r *kgo.Record) bool { return r.Value == nil && string(r.Key) == "gone" }
		if got := got["copies"]; len(got) != 3 || !slices.ContainsFunc(got, tombstone) {
			t.Errorf("%d copies, want two and the tombstone: %v", len(got), got)
		}
		var letters [][]byte
		for _, r := range got["letters"] {
			letters = append(letters, r.Value)
		}
		checkLetters(t, letters, map[string]string{"kafka too_large": huge[:len(huge)/4], " malformed_json": "{"})
	})

	t.Run("Elasticsearch", func(t *testing.T) {
		k := newKafka(t, "trips:1")
		k.put(t.Context(), t, messages()...)
		es, err := esfake.Start(esfake.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(es.Close)
		es.OnItem(func(i esfake.Item) *esfake.ItemFault {
			if i.Index == "yellow" && bytes.Contains(i.Source, []byte("xxx")) {
				return &esfake.ItemFault{Status: 400, Type: "mapper_parsing_exception", Reason: "no padding here"}
			}
			return nil
		})
		sum, err := runDirect(t.Context(), t, configure(t,
			"--InputKafkaBootstrapServers="+k.brokers, "--InputKafkaTopic=trips", "--InputKafkaInitialPosition=EARLIEST", "--InputKafkaStopAtEnd",
			"--OutputElasticsearchEndpoint="+es.URL, "--ElasticsearchDocumentId=", "--ElasticsearchDeadLetterIndex=letters"), DirectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if p := sum.Progress; p.Delivered != 2 || p.DeadLetters != 3 {
			t.Errorf("%d delivered, %d dead letters; want 2 and 3", p.Delivered, p.DeadLetters)
		}
		if got := slices.Sorted(maps.Keys(es.Documents("yellow"))); !slices.Equal(got, []string{"trips/0/0", "trips/0/1"}) {
			t.Errorf("documents are %q", got)
		}
		var letters [][]byte
		for _, d := range es.Documents("letters") {
			letters = append(letters, d.Source)
		}
		checkLetters(t, letters, map[string]string{"elasticsearch mapping": huge, " malformed_json": "{", " tombstone": ""})
	})
}

// What a sink refuses at a bundle's end has its dead letter then: where that
// cannot be written either, the bundle has failed, and the event is not gone.
func TestADeadLetterThatItsTopicNoLongerTakesFailsTheBundle(t *testing.T) {
	k := newKafka(t, "trips:1", "copies:1", "letters:1")
	k.put(t.Context(), t, tripMessages("trips", sampleTrips(t, 1))...)
	es, err := esfake.Start(esfake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(es.Close)
	admin, small := kadm.NewClient(k.client), "300"
	es.OnItem(func(esfake.Item) *esfake.ItemFault {
		if _, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &small}}, "letters"); err != nil {
			t.Error(err)
		}
		return &esfake.ItemFault{Status: 400, Type: "mapper_parsing_exception", Reason: "not here"}
	})
	sum, err := runDirect(t.Context(), t, configure(t,
		"--InputKafkaBootstrapServers="+k.brokers, "--InputKafkaTopic=trips", "--InputKafkaInitialPosition=EARLIEST", "--InputKafkaStopAtEnd",
		"--OutputElasticsearchEndpoint="+es.URL, "--OutputKafkaBootstrapServers="+k.brokers, "--OutputKafkaTopic=copies",
		"--OutputKafkaDeadLetterTopic=letters"), DirectOptions{})
	if err == nil || !strings.Contains(err.Error(), "topic letters") {
		t.Errorf("error %v, %d dead letters", err, sum.Progress.DeadLetters)
	}
}

// checkLetters compares dead letters with the wanted payloads by output and reason.
func checkLetters(t *testing.T, lines [][]byte, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, line := range lines {
		l, err := deadletter.Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		if l.Source != "trips" || l.Shard != "0" {
			t.Errorf("a letter is of %s, partition %s", l.Source, l.Shard)
		}
		got[l.Output+" "+l.Reason] = string(l.Payload)
	}
	if len(lines) != len(want) || !maps.Equal(got, want) {
		t.Errorf("%d letters: %.300q; want %.300q", len(lines), got, want)
	}
}

// One event that names a topic that is not there, or is larger than its topic
// takes, would stop the job for good once its block is numbered.
func TestEventsThatTheirTopicDoesNotTakeAreDeadLetters(t *testing.T) {
	lines := sampleTrips(t, 300)
	var yellow, green int
	typed := strings.NewReplacer(`"type":"yellow"`, `"type":"green"`)
	for i, line := range lines {
		if i%3 == 0 {
			line = typed.Replace(line)
			lines[i] = line
		}
		if strings.Contains(line, `"type":"yellow"`) {
			yellow++
		} else {
			green++
		}
	}
	large := strings.Replace(lines[1], `"type":"yellow"`, `"padding":"`+strings.Repeat("x", 5000)+`","type":"yellow"`, 1)
	for _, delivery := range []string{"EXACTLY_ONCE", "AT_LEAST_ONCE"} {
		for _, made := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, made %t", delivery, made), func(t *testing.T) {
				k := newKafka(t, "trips:2", "trips-yellow:1", "dead-letters:1")
				limit := "4000"
				admin := kadm.NewClient(k.client)
				if _, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &limit}}, "trips-yellow"); err != nil {
					t.Fatal(err)
				}
				k.put(t.Context(), t, append(tripMessages("trips", lines), &kgo.Record{Topic: "trips", Key: []byte("large"), Value: []byte(large)})...)
				c := configure(t, "--InputKafkaBootstrapServers="+k.brokers, "--InputKafkaTopic=trips", "--InputKafkaInitialPosition=EARLIEST", "--InputKafkaStopAtEnd",
					"--Parallelism=2", "--OutputKafkaBootstrapServers="+k.brokers, "--OutputKafkaTopic=trips-{type}", "--OutputKafkaLanes=2",
					"--OutputKafkaDelivery="+delivery, fmt.Sprintf("--OutputKafkaCreateTopic=%t", made))
				sum, err := runDirect(t.Context(), t, c, DirectOptions{})
				if err != nil {
					t.Fatal(err)
				}
				want := map[string]int64{"too_large": 1, "unknown_topic": int64(green)}
				topics := []string{"trips-yellow"}
				if made {
					delete(want, "unknown_topic")
					topics = append(topics, "trips-green")
				}
				if got := sum.Reasons; fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("dead letters are %v, want %v", got, want)
				}
				got := k.read(t, append(topics, "dead-letters")...)
				if n := len(got["trips-yellow"]); n != yellow {
					t.Errorf("%d of %d yellow trips are there", n, yellow)
				}
				if n := len(got["trips-green"]); made && n != green {
					t.Errorf("%d of %d green trips are there", n, green)
				}
				for _, r := range got["dead-letters"] {
					if text := string(r.Value); !strings.Contains(text, "trips-green") && !strings.Contains(text, "the limit of topic trips-yellow is 4000") {
						t.Errorf("a dead letter is %.300s", text)
					}
				}
				if all, err := admin.ListTopics(t.Context(), "trips-green"); err != nil || all.Has("trips-green") != made {
					t.Errorf("topics %v, %v", all.Names(), err)
				}
			})
		}
	}
}

func TestAnEventOf10MiBGoesThroughFromTopicToTopic(t *testing.T) {
	const size, limit = 10 << 20, 11 << 20
	random := make([]byte, size/2)
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	line := strings.Replace(sampleTrips(t, 1)[0], `{`, `{"padding":"`+hex.EncodeToString(random)+`",`, 1)
	for _, topic := range []string{"out", "out-{type}"} {
		t.Run(topic, func(t *testing.T) {
			k := newKafka(t, "trips:1", "out:1", "out-yellow:1", "dead-letters:1")
			raised := strconv.Itoa(limit)
			if _, err := kadm.NewClient(k.client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &raised}}, "trips", "out", "out-yellow", "dead-letters"); err != nil {
				t.Fatal(err)
			}
			client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(k.brokers, ",")...), kgo.ProducerBatchMaxBytes(limit))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "trips", Key: []byte("k"), Value: []byte(line)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			c := configure(t, "--InputKafkaBootstrapServers="+k.brokers, "--InputKafkaTopic=trips", "--InputKafkaInitialPosition=EARLIEST", "--InputKafkaStopAtEnd",
				"--OutputKafkaBootstrapServers="+k.brokers, "--OutputKafkaTopic="+topic, "--OutputKafkaLanes=2", "--OutputKafkaMaxMessageBytes="+raised)
			sum, err := runDirect(t.Context(), t, c, DirectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			to := strings.Replace(topic, "{type}", "yellow", 1)
			if got := k.read(t, to)[to]; sum.Progress.DeadLetters != 0 || len(got) != 1 || string(got[0].Value) != line || string(got[0].Key) != "k" {
				t.Errorf("%d records are there, dead letters %v", len(got), sum.Reasons)
			}
		})
	}
}
