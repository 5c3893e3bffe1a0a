package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio"
	"github.com/streaming-etl/streaming-etl/logging"
)

// letterMapping is what an index of dead letters is made with: left to
// themselves, Elasticsearch and OpenSearch make a date of the payload where the
// first one looks like a date, and refuse all others. Letters are found by each
// of their names but payload_base64, which is kept alone.
const letterMapping = `{"mappings":{"date_detection":false,"properties":{
	"reason":{"type":"keyword"},"field":{"type":"keyword"},"detail":{"type":"text"},"output":{"type":"keyword"},
	"source":{"type":"keyword"},"shard":{"type":"keyword"},"sequence_number":{"type":"keyword"},"sub_sequence_number":{"type":"long"},
	"arrival_time":{"type":"date"},"payload":{"type":"text"},"payload_base64":{"type":"binary"}}}}`

// letterIndex makes the index of the dead letters, once in a process.
type letterIndex struct {
	mu   sync.Mutex
	done bool
}

// open makes the index where there is none. Where the cluster refuses that, to a
// user without the privilege or because no index may be made now, the first
// letter makes it, and waits for that as documents do: letters that its mapping
// does not take are put in another form.
func (i *letterIndex) open(ctx context.Context, client *elasticsearchio.Client, name string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.done {
		return nil
	}
	err := client.CreateIndex(ctx, name, []byte(letterMapping))
	var refused *elasticsearchio.Error
	switch {
	case errors.As(err, &refused) && refused.Err == nil && !away(err):
		slog.WarnContext(ctx, "the index of dead letters cannot be created, and is left to the first dead letter", logging.Property, "ElasticsearchDeadLetterIndex", logging.Error, err)
	case err != nil:
		return err
	}
	i.done = true
	return nil
}
