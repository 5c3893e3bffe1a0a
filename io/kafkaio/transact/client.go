package transact

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// requestDeadline is how long the client itself tries one request again.
	requestDeadline = 15 * time.Second
	// linger lets batches fill while a block's records come; a flush ends it.
	linger = 5 * time.Millisecond
	// metadataAge is how old the client's picture of the cluster is at least before
	// it looks again, as it does before a batch that brokers refused is sent again.
	metadataAge = 250 * time.Millisecond
	// refusedWithin is about how long a transaction's batch is sent again that
	// brokers refuse: only then does the client tell why.
	refusedWithin = 16 * time.Second
	// Records and bytes that a client holds at most before Produce waits. The
	// bytes are those of the blocks, which are in memory anyway; the bound is
	// for compressed batches and requests.
	maxBufferedRecords = 32 << 10
	maxBufferedBytes   = 32 << 20
)

// clientOptions are common to all clients: those that write and the one that
// asks.
func (o Options) clientOptions(ctx context.Context) ([]kgo.Opt, error) {
	opts, err := o.Security.Options(ctx)
	if err != nil {
		return nil, err
	}
	return append(opts,
		kgo.SeedBrokers(o.Brokers...),
		kgo.ClientID("streaming-etl"),
		kgo.RetryTimeout(requestDeadline),
		// After a leader's change the default of 5 s is a long stop.
		kgo.MetadataMinAge(metadataAge),
		kgo.DisableClientMetrics(),
	), nil
}

// producerOptions are those of clients that write. topics know of those whose
// batches must be smaller; nil knows of none.
func (o Options) producerOptions(topics *Topics) []kgo.Opt {
	return []kgo.Opt{
		codecs[o.Compression](),
		kgo.ProducerBatchMaxBytesFn(func(topic string) int32 { return int32(topics.batchLimit(topic, o.MaxMessageBytes)) }),
		kgo.ProducerLinger(linger),
		kgo.MaxBufferedRecords(maxBufferedRecords),
		kgo.MaxBufferedBytes(max(maxBufferedBytes, 2*o.MaxMessageBytes)),
		kgo.RecordPartitioner(partitioner{o.MarkerTopic}),
	}
}

// refusals is how often a batch of a transaction may be refused: that for
// refusedWithin, and well within the time of the transaction and of all attempts.
func (o Options) refusals() int {
	within := min(refusedWithin, o.TransactionTimeout/4, o.RetryDeadline/4)
	return max(1, int(within/metadataAge))
}

// partitioner sends markers to the partition of their lane, and records as
// Kafka's own clients do: by murmur2 of the key, without one in turns.
type partitioner struct{ markers string }

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	if topic == p.markers {
		return kgo.ManualPartitioner().ForTopic(topic)
	}
	return kgo.UniformBytesPartitioner(64<<10, true, true, nil).ForTopic(topic)
}
