package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/transact"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/message"
	"github.com/streaming-etl/streaming-etl/transforms/route"
	"github.com/streaming-etl/streaming-etl/transforms/template"
)

// topic is the Kafka sink without transactions: records are written while the
// bundle lasts, and again when it is done anew. Its lanes make the messages,
// which go to the producer block by block. Each writer has a producer.
type topic struct {
	lanes       *route.Lanes
	letterTopic string
	producer    *transact.Producer
	topics      *transact.Topics
	ctx         context.Context
	err         error
}

func newTopic(ctx context.Context, c *Config, job *process, schema *event.Schema) (*topic, error) {
	lanes := c.Lanes
	lanes.Lanes = 1 // the producer spreads by key
	l, err := route.NewLanes(kafkaName, lanes, schema, c.Route.Source)
	if err != nil {
		return nil, err
	}
	topics, err := c.topics(ctx, job)
	if err != nil {
		return nil, err
	}
	p, err := transact.NewProducer(ctx, c.KafkaSink, topics)
	if err != nil {
		return nil, err
	}
	job.atEnd(p.Close)
	return &topic{lanes: l, producer: p, topics: topics, letterTopic: c.DeadLetterTopic}, nil
}

// topics returns the process's knowledge of the topics that are written to.
func (c *Config) topics(ctx context.Context, job *process) (*transact.Topics, error) {
	return share(job, "kafka topics", func() (*transact.Topics, func(), error) {
		t, err := transact.NewTopics(context.WithoutCancel(ctx), c.KafkaSink)
		if err != nil {
			return nil, nil, err
		}
		return t, t.Close, nil
	})
}

// asking makes the router's questions of t.
func asking(ctx context.Context, t *transact.Topics) route.Topics {
	return func(name string) (route.TopicRules, error) {
		rules, err := t.Rules(ctx, name)
		var refusal *transact.TopicRefusal
		if errors.As(err, &refusal) {
			err = &route.Refusal{Reason: refusal.Reason, Detail: refusal.Error()}
		}
		return route.TopicRules(rules), err
	}
}

func (t *topic) Name() string                    { return kafkaName }
func (t *topic) Templates() []*template.Template { return t.lanes.Templates() }
func (t *topic) TakesTombstones() bool           { return true }

func (t *topic) start(ctx context.Context) {
	t.ctx, t.err = ctx, nil
	t.lanes.Start(func(_ int, blk []byte, _ int, _ bool) { t.put(blk) }, asking(ctx, t.topics))
}

func (t *topic) put(blk []byte) {
	for r, err := range read(blk, &message.Reader{}) {
		if err == nil {
			err = t.producer.Put(t.ctx, r)
		}
		if t.err = cmp.Or(t.err, err); t.err != nil {
			return
		}
	}
}

func (t *topic) Add(b *batch.Batch, i int, row event.Row, vars []string) error {
	return t.lanes.Add(b, i, row, vars)
}

func (t *topic) letter(_ context.Context, l *deadletter.Letter) {
	t.lanes.AddLetter(t.letterTopic, l)
}

func (t *topic) flush(ctx context.Context) ([]refusedRecord, error) {
	t.lanes.Flush()
	// Also after an error: the producer starts anew then.
	if err := cmp.Or(t.err, t.lanes.Err(), t.producer.Flush(ctx)); err != nil {
		return nil, fmt.Errorf("flush: %w", err)
	}
	return nil, nil
}
