package pipeline

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/pipeline/deadletters"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

// DeadLetters says where the job's dead letters are and what its source is, for
// reading them and for sending them again.
func (c Config) DeadLetters() (deadletters.Options, error) {
	var o deadletters.Options
	switch c.Letters {
	case lettersToFiles:
		bucket, prefix := c.letterBucket()
		o.S3 = &deadletters.S3Place{Store: bucket, Prefix: prefix}
	case lettersToLanes, kafkaName:
		o.Kafka = &deadletters.KafkaPlace{Brokers: c.KafkaSink.Brokers, Security: c.KafkaSink.Security, Topic: c.DeadLetterTopic}
	case elasticsearchName:
		o.Elasticsearch = &deadletters.ElasticsearchPlace{Client: c.Elasticsearch.Client, Index: c.Elasticsearch.DeadLetterIndex}
	default:
		return o, errors.New("the job has no place for dead letters: it discards its events")
	}
	switch {
	case c.Generate > 0:
	case c.Route.Source == route.Kafka:
		o.KafkaSource = &c.Kafka
	default:
		o.Kinesis = &c.Kinesis
	}
	return o, nil
}

// Refuses returns what tells whether the job would make a dead letter of a
// letter's event that comes again with m beside it, and for which reason, or
// "". It decodes and routes as the job does, and asks no service, so that it
// does not know what those refuse. It is for one goroutine at a time.
func (c Config) Refuses() (func(l *deadletter.Letter, m *batch.Meta) (reason string), error) {
	schema, err := c.Route.LoadSchema()
	if err != nil {
		return nil, fmt.Errorf("event schema: %w", err)
	}
	outputs, err := c.trials(schema)
	if err != nil {
		return nil, err
	}
	router, err := route.New(c.Route, outputs...)
	if err != nil {
		return nil, err
	}
	var first string
	router.SendLetters(func(l *deadletter.Letter, _ *batch.Batch) {
		if first == "" {
			first = l.Reason
		}
	})
	return func(l *deadletter.Letter, m *batch.Meta) string {
		b := batch.Batch{Source: l.Source, Shard: l.Shard, JobStart: 1}
		if offset, err := strconv.ParseInt(l.Seq, 10, 64); err == nil && c.Route.Source == route.Kafka {
			b.Base = offset
		} else {
			b.Seqs = []string{l.Seq}
		}
		b.AppendMeta(l.Payload, m, 0, l.Sub, l.Arrival)
		first = ""
		router.Add(&b, func(string, []byte) {})
		return first
	}, nil
}

// trials are the job's outputs beside the files, to be added to and written nowhere.
func (c Config) trials(schema *event.Schema) ([]route.Output, error) {
	var out []route.Output
	if c.ToKafka {
		l, err := route.NewLanes(kafkaName, c.Lanes, schema, c.Route.Source)
		if err != nil {
			return nil, err
		}
		l.Start(func(int, []byte, int, bool) {}, nil)
		out = append(out, l)
	}
	if c.Elasticsearch != nil {
		d, err := newDocuments(*c.Elasticsearch, schema, c.Route.Source)
		if err != nil {
			return nil, err
		}
		out = append(out, trial{d, d.refuses})
	}
	if c.KinesisSink != nil {
		s, err := newStream(*c.KinesisSink, schema, c.Route.Source)
		if err != nil {
			return nil, err
		}
		out = append(out, trial{s, s.refuses})
	}
	return out, nil
}

// trial is an output that is asked what it would refuse.
type trial struct {
	route.Output
	refuses func(b *batch.Batch, i int, row event.Row, vars []string) error
}

func (t trial) Add(b *batch.Batch, i int, row event.Row, vars []string) error {
	return t.refuses(b, i, row, vars)
}

// refusal is the error of a reason, or nil without one.
func refusal(reason, detail string) error {
	if reason == "" {
		return nil
	}
	return &route.Refusal{Reason: reason, Detail: detail}
}
