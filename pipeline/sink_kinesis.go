package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"fmt"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/route"
	"github.com/streaming-etl/streaming-etl/transforms/template"
)

// KinesisSink says what becomes of events as records of a stream. It is data only.
type KinesisSink struct {
	Producer kinesisio.ProducerOptions
	// PartitionKey and ExplicitHashKey are templates; the latter may be empty.
	PartitionKey, ExplicitHashKey string
	// PositionField names a field that is added to events; empty adds none.
	PositionField string
}

// writeKinesis reads the properties of the Kinesis sink.
func (c *Config) writeKinesis(p *property.Set) {
	if !p.Given("OutputKinesisStream") {
		return
	}
	k := &KinesisSink{
		Producer: kinesisio.ProducerOptions{
			Stream: p.Get("OutputKinesisStream"), Region: streamRegion(p, "OutputKinesisStream", "OutputStreamRegion"), Endpoint: p.Get("OutputStreamEndpoint"),
			Aggregate: p.Bool("OutputKinesisAggregation"), RoleARN: p.Get("OutputRoleArn"),
			MaxRecordBytes: int(p.Size("OutputKinesisMaxRecordMb")),
		},
		PartitionKey: p.Get("OutputKinesisPartitionKey"), ExplicitHashKey: p.Get("OutputKinesisExplicitHashKey"),
		PositionField: p.Get("OutputKinesisPositionField"),
	}
	if p.Valid("OutputKinesisStream") {
		addFault(p, "OutputKinesisStream", k.Producer.Validate())
	}
	c.KinesisSink = k
}

// keepStreamsApart refuses a stream that the job reads too.
func (c *Config) keepStreamsApart(p *property.Set) {
	if !p.Given("InputKinesisStream") || c.KinesisSink == nil || !p.Valid("InputKinesisStream") || !p.Valid("OutputKinesisStream") ||
		!c.KinesisSink.Producer.ReadBy(c.Kinesis) {
		return
	}
	p.Add(property.Mistake{Property: "OutputKinesisStream", Problem: "is " + c.KinesisSink.Producer.Stream + ", which InputKinesisStream reads: the job would read what it writes, forever",
		Allowed: "a stream that InputKinesisStream does not name, or the ARNs of both where they are of two accounts"})
}

func (k *KinesisSink) check(ctx context.Context) error { return k.Producer.Check(ctx) }

// stream is the Kinesis sink.
type stream struct {
	options   kinesisio.ProducerOptions
	producer  *kinesisio.Producer
	ctx       context.Context
	bundle    *kinesisio.Bundle
	records   bundleRecords
	err       error
	key, hash *template.Template // hash may be nil
	keyText   []byte
	hashText  []byte
	// field is the name of the position's, in quotes and with its colon, or nil.
	field []byte
	data  []byte
	item  kinesisio.Item
}

// newStream compiles the sink's templates.
func newStream(c KinesisSink, schema *event.Schema, source route.Source) (*stream, error) {
	s := &stream{options: c.Producer}
	if c.PositionField != "" {
		s.field = []byte(`"` + c.PositionField + `":"`)
	}
	var err error
	if s.key, err = template.Compile(c.PartitionKey, schema, source.Variables()...); err != nil {
		return nil, fmt.Errorf("partition key: %w", err)
	}
	if c.ExplicitHashKey != "" {
		if s.hash, err = template.Compile(c.ExplicitHashKey, schema, source.Variables()...); err != nil {
			return nil, fmt.Errorf("explicit hash key: %w", err)
		}
	}
	return s, nil
}

func (s *stream) Name() string          { return kinesisName }
func (s *stream) TakesTombstones() bool { return false }

func (s *stream) Templates() []*template.Template {
	if s.hash == nil {
		return []*template.Template{s.key}
	}
	return []*template.Template{s.key, s.hash}
}

func (s *stream) start(ctx context.Context) {
	s.ctx, s.bundle, s.err = ctx, s.producer.NewBundle(), nil
	s.records.reset()
}

// Add puts the event; it waits while the producer is full.
func (s *stream) Add(b *batch.Batch, i int, row event.Row, vars []string) error {
	if err := s.fill(b, i, row, vars); err != nil {
		return err
	}
	s.item.Ref = s.records.add(b, i)
	s.err = cmp.Or(s.err, s.bundle.Put(s.ctx, &s.item))
	return nil
}

// refuses returns why the event can be no record, as far as the service is not
// needed to tell.
func (s *stream) refuses(b *batch.Batch, i int, row event.Row, vars []string) error {
	if err := s.fill(b, i, row, vars); err != nil {
		return err
	}
	return refusal(s.options.Refusal(&s.item))
}

// fill makes the event's record in s.item.
func (s *stream) fill(b *batch.Batch, i int, row event.Row, vars []string) (err error) {
	if s.keyText, err = s.key.Append(s.keyText[:0], row, vars); err != nil {
		return err
	}
	s.item = kinesisio.Item{PartitionKey: s.keyText, Data: b.Payload(i)}
	if s.hash != nil {
		if s.hashText, err = s.hash.Append(s.hashText[:0], row, vars); err != nil {
			return err
		}
		s.item.ExplicitHashKey = s.hashText
	}
	if s.field != nil {
		s.data = s.withPosition(s.data[:0], b, i)
		s.item.Data = s.data
	}
	return nil
}

// withPosition appends the event with its position as the last field. Names of
// streams, topics and shards need no escapes in JSON.
func (s *stream) withPosition(dst []byte, b *batch.Batch, i int) []byte {
	payload := bytes.TrimRight(b.Payload(i), " \t\r\n")
	payload = payload[:len(payload)-1] // the brace: it was decoded as an object
	dst = append(dst, payload...)
	if last := bytes.TrimRight(payload, " \t\r\n"); last[len(last)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(dst, s.field...)
	dst = route.AppendPosition(dst, b, i)
	return append(dst, '"', '}')
}

// letter is never called: dead letters have no place in a stream.
func (s *stream) letter(context.Context, *deadletter.Letter) {}

func (s *stream) flush(ctx context.Context) ([]refusedRecord, error) {
	if s.err != nil {
		return nil, s.err
	}
	rejections, err := s.bundle.Flush(ctx)
	if err != nil {
		return nil, err
	}
	var out []refusedRecord
	for _, r := range rejections {
		out = append(out, refusedRecord{s.records.list[r.Ref], r.Reason, r.Detail})
	}
	return out, nil
}
