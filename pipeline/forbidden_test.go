package pipeline

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/stack"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
)

// realKafka is newKafka without topics, for brokers that refuse what a topic's
// settings forbid.
func realKafka(t *testing.T) *kafkaWorld {
	if testing.Short() {
		t.Skip("starts Kafka")
	}
	brokers := stack.StartKafka(t, stack.KafkaOptions{}).Bootstrap()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &kafkaWorld{brokers: strings.Join(brokers, ","), client: client}
}

// Records that a topic's settings forbid stop no job, and nor do their dead
// letters, whose topic has the same settings.
func TestWhatATopicsSettingsForbidIsADeadLetter(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) *kafkaWorld{
		"brokers that take all": func(t *testing.T) *kafkaWorld { return newKafka(t) },
		"real brokers":          realKafka,
	} {
		t.Run(name, func(t *testing.T) {
			k := start(t)
			putForbidden(t, k)
			for delivery, topic := range map[string]string{"EXACTLY_ONCE": "once", "AT_LEAST_ONCE": "twice"} {
				t.Run(delivery, func(t *testing.T) { forbiddenAreLetters(t, k, topic, "--OutputKafkaDelivery="+delivery) })
			}
		})
	}
}

// putForbidden makes the topics, and writes one record that may be written on.
func putForbidden(t *testing.T, k *kafkaWorld) {
	t.Helper()
	compact, hour, never := "compact", "3600000", "9223372036854775807"
	strict := map[string]*string{"cleanup.policy": &compact, "message.timestamp.after.max.ms": &hour, "message.timestamp.before.max.ms": &hour}
	for name, settings := range map[string]map[string]*string{
		"trips": {"message.timestamp.after.max.ms": &never}, "once": strict, "once-letters": strict, "twice": strict, "twice-letters": strict,
	} {
		if _, err := kadm.NewClient(k.client).CreateTopic(t.Context(), 1, 1, settings, name); err != nil {
			t.Fatal(err)
		}
	}
	now, lines := time.Now(), sampleTrips(t, 5)
	k.put(t.Context(), t,
		&kgo.Record{Topic: "trips", Value: []byte(lines[0]), Timestamp: now, Key: []byte("good")},
		&kgo.Record{Topic: "trips", Value: []byte(lines[1]), Timestamp: now},
		&kgo.Record{Topic: "trips", Value: []byte(lines[2]), Timestamp: now.Add(2 * time.Hour), Key: []byte("ahead")},
		&kgo.Record{Topic: "trips", Value: []byte(lines[3]), Timestamp: time.UnixMilli(now.UnixMicro()), Key: []byte("microseconds")},
		&kgo.Record{Topic: "trips", Value: []byte(lines[4]), Timestamp: now.Add(-2 * time.Hour), Key: []byte("old")},
		&kgo.Record{Topic: "trips", Value: []byte("{"), Timestamp: now.Add(2 * time.Hour)},
	)
}

func forbiddenAreLetters(t *testing.T, k *kafkaWorld, topic string, more ...string) {
	t.Helper()
	// Not runDirect: the brokers' host is a goroutine of this process.
	sum, err := RunDirect(t.Context(), configure(t, append(more,
		"--InputKafkaBootstrapServers="+k.brokers, "--InputKafkaTopic=trips", "--InputKafkaInitialPosition=EARLIEST", "--InputKafkaStopAtEnd",
		"--OutputKafkaBootstrapServers="+k.brokers, "--OutputKafkaTopic="+topic, "--OutputKafkaDeadLetterTopic="+topic+"-letters")...),
		DirectOptions{Out: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if p := sum.Progress; p.Delivered != 1 || p.DeadLetters != 5 {
		t.Errorf("%d delivered, %d dead letters; want 1 and 5", p.Delivered, p.DeadLetters)
	}
	got := k.read(t, topic, topic+"-letters")
	if good := got[topic]; len(good) != 1 || string(good[0].Key) != "good" {
		t.Errorf("the topic has %v", good)
	}
	reasons := map[string]int{}
	for _, r := range got[topic+"-letters"] {
		l, err := deadletter.Parse(r.Value)
		if err != nil || string(r.Key) != l.Key() || l.Arrival > time.Now().UnixMilli() {
			t.Errorf("letter %s: %s, %v", r.Key, r.Value, err)
		}
		reasons[l.Reason]++
	}
	if want := map[string]int{"missing_key": 1, "invalid_timestamp": 3, "malformed_json": 1}; !maps.Equal(reasons, want) {
		t.Errorf("the letters are %v", reasons)
	}
}
