package transact

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/logging"
)

// A transaction hangs when its records are in partitions while the coordinator
// knows nothing of it, so that nobody will end it. Brokers are to prevent that
// (KIP-890), and yet a broker of Kafka 4.4 that stood still for longer than
// its session, in the middle of a transaction, has left one now and then.
// Readers of committed data stop there. Worse, what ends the producer's next
// transaction ends it too: with a commit, records become visible whose blocks
// are written again.
//
// Once a transactional id is initialised its producer has no transaction of an
// older epoch open. So one that the brokers tell of, in a partition that was
// not written to since, hangs. (A newer epoch is that of another worker, which
// has taken the lane over.) It is ended by a transaction into the same
// partitions that is aborted.

// producer is what a transactional id stands for once it was initialised.
type producer struct {
	id    int64
	epoch int16
}

// hangingError tells where a transaction of the lane's producer hangs.
type hangingError struct{ partitions kadm.TopicsSet }

func (e *hangingError) Error() string {
	var places []string
	for _, t := range e.partitions.IntoList() {
		for _, p := range t.Partitions {
			places = append(places, fmt.Sprintf("%s/%d", t.Topic, p))
		}
	}
	return "a transaction that no coordinator knows hangs in " + strings.Join(places, ", ")
}

// look returns a *hangingError if a transaction of the producer, of an epoch
// before this one, hangs in the partitions; none of a topic stand for all.
// Where brokers cannot be asked (before Kafka 2.8, or without the permission
// READ) it returns nil.
func (c *Committer) look(ctx context.Context, p producer, partitions kadm.TopicsSet) error {
	answers, err := kadm.NewClient(c.markers.client).DescribeProducers(ctx, partitions)
	if err == nil {
		err = ctx.Err()
	}
	hanging := make(kadm.TopicsSet)
	for _, topic := range answers {
		for _, partition := range topic.Partitions {
			if partition.Err != nil {
				err = partition.Err
			}
			for _, a := range partition.ActiveProducers {
				if a.ProducerID == p.id && a.ProducerEpoch < p.epoch && a.CurrentTxnStartOffset >= 0 {
					hanging.Add(topic.Topic, partition.Partition)
				}
			}
		}
	}
	var code *kerr.Error
	switch {
	case len(hanging) > 0:
		return &hangingError{hanging}
	case err == nil:
		return nil
	case ctx.Err() != nil, kgo.IsRetryableBrokerErr(err), errors.As(err, &code) && code.Retriable:
		return fmt.Errorf("look for hanging transactions in %s: %w", strings.Join(slices.Sorted(maps.Keys(partitions)), ", "), err)
	}
	slog.WarnContext(ctx, "kafka: cannot check for hanging transactions; grant READ on the topics that are written to",
		"topics", slices.Sorted(maps.Keys(partitions)), logging.Error, err)
	return nil
}

// endHanging ends what hangs, as aborted.
func (c *Committer) endHanging(ctx context.Context, l *lane, h *hangingError) error {
	ctx, cancel := context.WithTimeout(ctx, initDeadline)
	defer cancel()
	s, err := c.newLaneSession(ctx, l, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer s.client.Close()
	if err := s.client.BeginTransaction(); err != nil {
		return fmt.Errorf("end a hanging transaction: %w", err)
	}
	var records []*kgo.Record
	for topic, partitions := range h.partitions {
		for p := range partitions {
			// With a key, which compacted topics insist on.
			records = append(records, &kgo.Record{Topic: topic, Partition: p, Key: markerKey(l.number)})
		}
	}
	if err := s.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("end a hanging transaction: %w", s.errors.because(err))
	}
	if err := s.client.EndTransaction(ctx, kgo.TryAbort); err != nil {
		return fmt.Errorf("end a hanging transaction: %w", s.errors.because(err))
	}
	return nil
}
