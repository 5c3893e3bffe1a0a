package transact

import (
	"hash/crc32"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/streaming-etl/streaming-etl/stack"
)

// hang has a broker that does not verify transactions take a record of one that its coordinator knows nothing of, by the
// producer of a lane.
func (c *cluster) hang(t *testing.T, id, topic string, partition int32, value string) {
	t.Helper()
	// Newer requests have brokers tell the coordinator.
	client, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.MaxVersions(kversion.V3_3_0()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	all, err := kadm.NewClient(client).DescribeTransactions(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	record := kmsg.Record{Key: []byte("0"), Value: []byte(value)}
	record.Length = int32(len(record.AppendTo(nil)) - 1) // of what follows the length, which takes a byte
	batch := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: 0x10, // of a transaction
		ProducerID: all[id].ProducerID, ProducerEpoch: all[id].ProducerEpoch, NumRecords: 1, Records: record.AppendTo(nil),
	}
	const untilLength, untilCRC = 12, 21 // bytes of a batch up to its length's end, and to its checksum's
	batch.Length = int32(len(batch.AppendTo(nil)) - untilLength)
	batch.CRC = int32(crc32.Checksum(batch.AppendTo(nil)[untilCRC:], crc32.MakeTable(crc32.Castagnoli)))

	req := kmsg.NewPtrProduceRequest()
	req.TransactionID, req.Acks, req.TimeoutMillis = &id, -1, 10_000
	rt, rp := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	rt.Topic, rp.Partition, rp.Records = topic, partition, batch.AppendTo(nil)
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := client.Broker(0).Request(t.Context(), req)
	if err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		t.Fatalf("have a transaction hang in %s/%d: %v", topic, partition, err)
	}
}

// What hangs keeps a lane from reading how far it is; and records that were never committed would become visible with
// the next transaction that writes to their partition.
func TestRealBrokerLeavesTransactionsHanging(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Kafka")
	}
	k := stack.StartKafka(t, stack.KafkaOptions{Settings: map[string]string{"transaction.partition.verification.enable": "false"}})
	for name, where := range map[string]struct{ marker, data bool }{
		"among-the-markers": {marker: true}, "in-the-topic": {data: true}, "in-both": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := &cluster{brokers: k.Bootstrap(), name: name}
			o := c.options()
			prepare(t, o)
			mustCommit(t, newCommitter(t, o), 0, 1, 0, c.block("job", 1, 0))
			c.wantStable(t, c.name)
			c.wantStable(t, o.MarkerTopic)
			id := o.transactionalID(0)
			if where.marker {
				c.hang(t, id, o.MarkerTopic, 0, "stale")
			}
			if where.data {
				for p := range int32(o.Partitions) {
					c.hang(t, id, c.name, p, "stale")
				}
			}
			w := newCommitter(t, o)
			mustCommit(t, w, 0, 1, 0, c.block("job", 2, 0))
			mustCommit(t, w, 0, 1, 0, c.block("job", 3, 0))
			c.wantBlocks(t, "job", 1, 2, 3)
			c.wantStable(t, c.name)
			c.wantStable(t, o.MarkerTopic)
			for _, r := range c.committed(t, c.name) {
				if string(r.Value) == "stale" {
					t.Errorf("a record that was never committed is visible in partition %d", r.Partition)
				}
			}
		})
	}
}
