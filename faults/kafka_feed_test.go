//go:build linux

package faults

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A topicSender sends trips into a topic, those of a key in order.
type topicSender struct {
	trips *trips
	poison
	client *kgo.Client
	failed atomic.Pointer[error] // the first
}

func newTopicSender(t *testing.T, s *trips, p poison, bootstrap []string, topic string) *topicSender {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.DefaultProduceTopic(topic),
		kgo.ProducerLinger(feedInterval/5))
	if err != nil {
		t.Fatal(err)
	}
	return &topicSender{trips: s, poison: p, client: client}
}

// firstTimestamp is that of trip 0, in milliseconds; each trip's is one more. Brokers delete what is a week old.
var firstTimestamp = time.Now().UnixMilli()

// numberHeader is the header that has the trip's number.
const numberHeader = "number"

func (s *topicSender) send(ctx context.Context, from, to int64) error {
	for id := from; id < to; id++ {
		s.client.Produce(ctx, &kgo.Record{
			Key: []byte(tripKey(s.trips, id)), Value: s.line(s.trips, id), Timestamp: time.UnixMilli(firstTimestamp + id),
			Headers: []kgo.RecordHeader{{Key: numberHeader, Value: strconv.AppendInt(nil, id, 10)}},
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				s.failed.CompareAndSwap(nil, &err)
			}
		})
	}
	return s.err()
}

func (s *topicSender) err() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *topicSender) close(ctx context.Context) error {
	defer s.client.Close()
	if err := s.client.Flush(ctx); err != nil {
		return err
	}
	return s.err()
}

// keyTemplate makes the key of a trip in Kafka and elsewhere: about a thousand, each of which several trips have.
const keyTemplate = "{pickup_location_id}-{passenger_count}-{payment_type}"

func tripKey(s *trips, id int64) string {
	row := &s.rows[id%int64(len(s.rows))]
	return fmt.Sprintf("%d-%d-%d", row.PickupLocationID, row.PassengerCount, row.PaymentType)
}
