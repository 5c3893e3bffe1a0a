//go:build linux

package faults

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/stack"
)

// brokers are enough for records to be in sync on two of three.
const brokers = 3

// theKafka returns the lab's Kafka, which the first test that needs it starts.
func (l *lab) theKafka(t *testing.T) *stack.KafkaCluster {
	t.Helper()
	if l.kafka != nil {
		return l.kafka
	}
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	k, err := stack.RunKafka(ctx, filepath.Join(l.dir, "kafka"), stack.KafkaOptions{Brokers: brokers, ShortLived: true})
	if err != nil {
		t.Fatal(err)
	}
	l.kafka = k
	return k
}

// Partitions of the topics that tests read from and write to.
const (
	sourcePartitions = 8
	sinkPartitions   = 4
)

// topicName is a name of a topic of the test's own.
func topicName(t *testing.T, what string) string {
	return strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()) + "-" + what
}

// makeTopic makes a topic of the test's own and returns its name.
func (r *run) makeTopic(t *testing.T, what string, partitions int) string {
	t.Helper()
	name := topicName(t, what)
	if err := r.lab.theKafka(t).MakeTopic(t.Context(), name, partitions, nil); err != nil {
		t.Fatal(err)
	}
	return name
}

func (r *run) bootstrap(t *testing.T) string {
	t.Helper()
	return strings.Join(r.lab.theKafka(t).Bootstrap(), ",")
}

// kafkaAdmin returns a client that asks and sets, until the test ends.
func (r *run) kafkaAdmin(t *testing.T) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(r.lab.theKafka(t).Bootstrap()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

// markerTopic is where the job of toTopics notes what it has committed.
func markerTopic(t *testing.T) string { return topicName(t, "lanes") + "-markers" }

// fromTopic has the job read a topic that trips are sent into.
func (r *run) fromTopic(t *testing.T, p poison) {
	t.Helper()
	topic := r.makeTopic(t, "source", sourcePartitions)
	r.source = []string{"--InputKafkaBootstrapServers=" + r.bootstrap(t), "--InputKafkaTopic=" + topic, "--InputKafkaInitialPosition=EARLIEST", "--InputKafkaGroupId=" + topic}
	r.feed = startFeed(t, newTopicSender(t, r.lab.trips, p, r.lab.theKafka(t).Bootstrap(), topic), number(t, rateVariable, defaultKafkaRate))
}

// defaultKafkaRate is what all brokers and the job can do on two processors, with room to catch up.
const defaultKafkaRate = 2000

// toTopics has the job write to a topic for each type of trips, exactly once.
func (r *run) toTopics(t *testing.T) {
	t.Helper()
	r.toTopicsOf(t, "{type}", tripTypes)
}

// lettersName is the topic of dead letters, which a job without a bucket writes, as exactly once as the others.
const lettersName = "letters"

// allTypes is the topic of trips of all types.
const allTypes = "all"

// toTopic has the job write all trips to one topic, which it need not ask the brokers for while it runs.
func (r *run) toTopic(t *testing.T) {
	t.Helper()
	r.toTopicsOf(t, allTypes, []string{allTypes})
}

func (r *run) toTopicsOf(t *testing.T, template string, types []string) {
	t.Helper()
	for _, typ := range types {
		r.makeTopic(t, typ, sinkPartitions)
	}
	prefix := topicName(t, "")
	r.sinks = append(r.sinks, "--OutputKafkaBootstrapServers="+r.bootstrap(t), "--OutputKafkaTopic="+prefix+template,
		"--OutputKafkaKey="+keyTemplate, "--OutputKafkaTransactionalIdPrefix="+prefix+"lanes",
		"--OutputKafkaDeadLetterTopic="+r.makeTopic(t, lettersName, 1))
	r.topics = startTopicWatch(t, r, prefix, types)
	r.outlets = append(r.outlets, r.topics)
}

// newTopicRun is a run from a topic to topics.
func newTopicRun(t *testing.T, p poison) *run {
	t.Helper()
	r := &run{lab: theLab(t)}
	r.fromTopic(t, p)
	r.toTopics(t)
	r.topics.poison = p
	r.cancelAtEnd(t)
	return r
}

// startBrokers starts those brokers that a test has left dead.
func startBrokers(t *testing.T, k *stack.KafkaCluster) {
	for i := range brokers {
		_ = k.Start(context.Background(), i) // it runs
	}
	if err := k.AwaitReady(context.Background()); err != nil {
		t.Error(err)
	}
}
