package pipeline

import (
	"context"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/elasticsearchio"
	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/pipeline/deadletters"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

// Names of the sinks in dead letters, counters and summaries.
const (
	filesName         = route.FilesName
	kafkaName         = "kafka"
	elasticsearchName = "elasticsearch"
	kinesisName       = "kinesis"
	discardName       = "discarded"
)

// writer is a sink that is written to while the bundle lasts: what it takes
// is there when flush returns, and again when the bundle is done anew.
type writer interface {
	route.Output
	// start begins a bundle.
	start(ctx context.Context)
	// flush waits until all that was added is delivered or refused for good.
	flush(ctx context.Context) ([]refusedRecord, error)
	// letter adds a dead letter where this sink is the place for them.
	letter(ctx context.Context, l *deadletter.Letter)
}

// refusedRecord is a record that a sink will never take.
type refusedRecord struct {
	origin
	reason, detail string
}

// origin is one record of a batch. Batches are kept while their bundle lasts.
type origin struct {
	batch *batch.Batch
	index int
}

// bundleRecords names the records of a bundle by number.
type bundleRecords struct{ list []origin }

func (r *bundleRecords) add(b *batch.Batch, i int) int {
	r.list = append(r.list, origin{b, i})
	return len(r.list) - 1
}

// reset forgets all, so that their batches can go.
func (r *bundleRecords) reset() {
	clear(r.list)
	r.list = r.list[:0]
}

// ownNames are the topics or indices that the job and the command deadletters
// write beside those of events.
func ownNames(letters string) []string {
	if letters == "" {
		return nil
	}
	return []string{letters, deadletters.ResentName(letters)}
}

// writers returns new writers of a bundle processor; their clients are the process's.
func (c Config) writers(ctx context.Context, job *process, schema *event.Schema) ([]writer, error) {
	var out []writer
	if c.ToKafka && c.AtLeastOnce {
		t, err := newTopic(ctx, &c, job, schema)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	if e := c.Elasticsearch; e != nil {
		d, err := newDocuments(*e, schema, c.Route.Source)
		if err != nil {
			return nil, err
		}
		d.client, err = share(job, elasticsearchName, func() (*elasticsearchio.Client, func(), error) {
			client, err := elasticsearchio.New(ctx, e.Client)
			if err != nil {
				return nil, nil, err
			}
			return client, client.Close, nil
		})
		if err != nil {
			return nil, err
		}
		d.letterIndex, err = share(job, elasticsearchName+" letters", func() (*letterIndex, func(), error) { return &letterIndex{}, nil, nil })
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	if k := c.KinesisSink; k != nil {
		s, err := newStream(*k, schema, c.Route.Source)
		if err != nil {
			return nil, err
		}
		s.producer, err = share(job, kinesisName, func() (*kinesisio.Producer, func(), error) {
			p, err := kinesisio.NewProducer(ctx, k.Producer)
			if err != nil {
				return nil, nil, err
			}
			return p, func() { _ = p.Close(context.Background()) }, nil // all bundles have flushed
		})
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}
