package deadletters

import (
	"context"
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/transact"
	"github.com/streaming-etl/streaming-etl/io/kinesisio"
)

// valueOf is the payload, which is never Kafka's null.
func valueOf(e *Entry) []byte {
	if e.Payload == nil {
		return []byte{}
	}
	return e.Payload
}

// sender puts events into the source.
type sender interface {
	// takes tells whether the source takes such an event from anybody.
	takes(e *Entry) bool
	// check tells of a letter that came from elsewhere, before any is sent.
	check(e *Entry) error
	// send returns when the source has all of them but those whose ids it
	// returns: it will not take these. After an error some may be there.
	send(ctx context.Context, list []Entry) (refused []string, _ error)
	close(ctx context.Context) error
}

// keyOf returns the value of a field of the event as text, and whether it has
// one: text as it is, numbers and the rest as they are written.
func keyOf(payload []byte, field string) (string, bool) {
	if field == "" {
		return "", false
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(payload, &fields) != nil {
		return "", false
	}
	raw, ok := fields[field]
	if !ok || string(raw) == "null" {
		return "", false
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, text != ""
	}
	return string(raw), true
}

// kinesisSender has a producer for each stream.
type kinesisSender struct {
	streams map[string]kinesisio.Options // by name
	key     string
	open    map[string]*kinesisio.Producer
}

func newKinesisSender(o kinesisio.Options, key string) *kinesisSender {
	s := &kinesisSender{streams: map[string]kinesisio.Options{}, key: key, open: map[string]*kinesisio.Producer{}}
	for _, each := range o.Streams() {
		s.streams[each.StreamName()] = each
	}
	return s
}

func (s *kinesisSender) check(e *Entry) error {
	if _, ok := s.streams[e.Source]; !ok {
		return fmt.Errorf("dead letter %s came from stream %s, which is not the job's source", e.ID, e.Source)
	}
	return nil
}

// takes leaves out what no stream takes, which may have come in an aggregate.
func (s *kinesisSender) takes(e *Entry) bool {
	n := len(e.Payload)
	return n > 0 && n+len(batch.ResentKey)+len(e.ID) <= kinesisio.MaxRecordBytes
}

// item has the letter's id as its partition key, by which it can be found in
// the stream. The key field's value decides the shard, as it does for events
// that are put with it as partition key.
func (s *kinesisSender) item(e *Entry) *kinesisio.Item {
	it := &kinesisio.Item{PartitionKey: []byte(batch.ResentKey + e.ID), Data: e.Payload}
	if key, ok := keyOf(e.Payload, s.key); ok {
		sum := md5.Sum([]byte(key))
		it.ExplicitHashKey = []byte(new(big.Int).SetBytes(sum[:]).String())
	}
	return it
}

func (s *kinesisSender) send(ctx context.Context, list []Entry) (refused []string, _ error) {
	bundles := map[*kinesisio.Producer]*kinesisio.Bundle{}
	for i := range list {
		p, err := s.producer(ctx, list[i].Source)
		if err != nil {
			return nil, err
		}
		if bundles[p] == nil {
			bundles[p] = p.NewBundle()
		}
		it := s.item(&list[i])
		it.Ref = i
		if err := bundles[p].Put(ctx, it); err != nil {
			return nil, err
		}
	}
	for _, b := range bundles {
		rejected, err := b.Flush(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range rejected {
			refused = append(refused, list[r.Ref].ID)
		}
	}
	return refused, nil
}

func (s *kinesisSender) producer(ctx context.Context, stream string) (*kinesisio.Producer, error) {
	if p := s.open[stream]; p != nil {
		return p, nil
	}
	o := s.streams[stream]
	p, err := kinesisio.NewProducer(ctx, kinesisio.ProducerOptions{
		Stream: o.Stream, Region: o.Region, Endpoint: o.Endpoint, EmulatorCredentials: o.EmulatorCredentials,
		RoleARN: o.RoleARN, MaxRecordBytes: kinesisio.MaxRecordBytes,
	})
	if err != nil {
		return nil, err
	}
	s.open[stream] = p
	return p, nil
}

func (s *kinesisSender) close(ctx context.Context) error {
	var errs []error
	for _, p := range s.open {
		errs = append(errs, p.Close(ctx))
	}
	return errors.Join(errs...)
}

// sourceTopics says which topics a job reads.
func sourceTopics(topic string) (func(string) bool, error) {
	if expr, ok := strings.CutPrefix(topic, "regex:"); ok {
		re, err := regexp.Compile("^(?:" + expr + ")$")
		if err != nil {
			return nil, fmt.Errorf("topics %q: %w", topic, err)
		}
		return re.MatchString, nil
	}
	names := map[string]bool{}
	for name := range strings.SplitSeq(topic, ",") {
		names[strings.TrimSpace(name)] = true
	}
	return func(name string) bool { return names[name] }, nil
}

// kafkaSender writes into topics.
type kafkaSender struct {
	reads    func(topic string) bool
	key      string
	producer *transact.Producer
}

func newKafkaSender(ctx context.Context, o Options, key string) (*kafkaSender, error) {
	reads, err := sourceTopics(o.KafkaSource.Topic)
	if err != nil {
		return nil, err
	}
	p, err := transact.NewProducer(ctx, transact.Options{Brokers: o.KafkaSource.Brokers, Security: o.KafkaSource.Security, MaxMessageBytes: maxMessage}, nil)
	if err != nil {
		return nil, err
	}
	return &kafkaSender{reads: reads, key: key, producer: p}, nil
}

// maxMessage is the largest record that is tried: brokers and topics have limits of their own.
const maxMessage = 16 << 20

func (s *kafkaSender) takes(*Entry) bool { return true } // brokers and topics know

func (s *kafkaSender) check(e *Entry) error { return checkTopic(s.reads, e) }

func checkTopic(reads func(string) bool, e *Entry) error {
	if !reads(e.Source) {
		return fmt.Errorf("dead letter %s came from topic %s, which is not the job's source", e.ID, e.Source)
	}
	return nil
}

func (s *kafkaSender) send(ctx context.Context, list []Entry) (refused []string, _ error) {
	for i := range list {
		e := &list[i]
		r := transact.Record{Topic: e.Source, Value: valueOf(e), Headers: []transact.Header{{Key: batch.ResentHeader, Value: []byte(e.ID)}}}
		if key, ok := keyOf(e.Payload, s.key); ok {
			r.Key = []byte(key)
		}
		if err := s.producer.Put(ctx, r); err != nil {
			return nil, err
		}
	}
	return nil, s.producer.Flush(ctx)
}

func (s *kafkaSender) close(context.Context) error {
	s.producer.Close()
	return nil
}
