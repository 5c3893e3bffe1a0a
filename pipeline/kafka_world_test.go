package pipeline

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaWorld is a Kafka cluster in this process, with three brokers.
type kafkaWorld struct {
	cluster *kfake.Cluster
	brokers string
	client  *kgo.Client
}

// newKafka makes a cluster with topics, each given as "name:partitions".
func newKafka(t testing.TB, topics ...string) *kafkaWorld {
	t.Helper()
	return newKafkaOf(t, "one", topics...)
}

// newKafkaOf is newKafka for a cluster of another id.
func newKafkaOf(t testing.TB, id string, topics ...string) *kafkaWorld {
	t.Helper()
	options := []kfake.Opt{kfake.NumBrokers(3), kfake.ClusterID(id)}
	for _, topic := range topics {
		name, partitions, _ := strings.Cut(topic, ":")
		var n int32
		if _, err := fmt.Sscan(partitions, &n); err != nil {
			t.Fatal(err)
		}
		options = append(options, kfake.SeedTopics(n, name))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	k := &kafkaWorld{cluster: cluster, brokers: strings.Join(cluster.ListenAddrs(), ",")}
	if k.client, err = kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.client.Close)
	return k
}

// put writes records in order.
func (k *kafkaWorld) put(ctx context.Context, t testing.TB, records ...*kgo.Record) {
	t.Helper()
	if err := k.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// read returns the committed records of topics, by topic, those of a partition in order.
func (k *kafkaWorld) read(t testing.TB, topics ...string) map[string][]*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(k.brokers, ",")...), kgo.ConsumeTopics(topics...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends := k.ends(t, topics...)
	out := map[string][]*kgo.Record{}
	for left := len(ends); left > 0; {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				out[r.Topic] = append(out[r.Topic], r)
			}
			at := partitionOf{r.Topic, r.Partition}
			if end, ok := ends[at]; ok && r.Offset+1 >= end {
				delete(ends, at)
				left--
			}
		})
	}
	return out
}

type partitionOf struct {
	topic     string
	partition int32
}

// ends returns where the partitions that hold anything end.
func (k *kafkaWorld) ends(t testing.TB, topics ...string) map[partitionOf]int64 {
	t.Helper()
	listed, err := kadm.NewClient(k.client).ListEndOffsets(t.Context(), topics...)
	if err != nil {
		t.Fatal(err)
	}
	out := map[partitionOf]int64{}
	listed.Each(func(o kadm.ListedOffset) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if o.Offset > 0 {
			out[partitionOf{o.Topic, o.Partition}] = o.Offset
		}
	})
	return out
}
