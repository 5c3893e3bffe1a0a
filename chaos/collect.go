//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"golang.org/x/sync/errgroup"

	"github.com/streaming-etl/streaming-etl/chaos/check"
	"github.com/streaming-etl/streaming-etl/stack"
)

// collect reads all that is in the sources and sinks into the run's directory, each by a reader that is not the job's.
func (l *lab) collect(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Join(l.dir, check.ObservedDir), 0o755); err != nil {
		return err
	}
	for _, origin := range origins() {
		readers := []struct {
			outlet string
			read   func(context.Context, *check.Writer) error
		}{
			{origin + "/" + check.Source, func(ctx context.Context, w *check.Writer) error {
				if origin == fromKafka {
					return l.collectTopic(ctx, sourceName, w)
				}
				return l.collectStream(ctx, sourceName, w)
			}},
			{origin + "/" + check.Elasticsearch, func(ctx context.Context, w *check.Writer) error { return l.collectDocuments(ctx, copies(origin), w) }},
			{origin + "/" + check.Kafka, func(ctx context.Context, w *check.Writer) error { return l.collectTopic(ctx, copies(origin), w) }},
			{origin + "/" + check.Kinesis, func(ctx context.Context, w *check.Writer) error { return l.collectStream(ctx, copies(origin), w) }},
		}
		for _, r := range readers {
			l.say("reading %s", r.outlet)
			w, err := check.NewWriter(l.dir, r.outlet)
			if err != nil {
				return err
			}
			if err := r.read(ctx, w); err != nil {
				_ = w.Close() // the first error tells
				return fmt.Errorf("read %s: %w", r.outlet, err)
			}
			if err := w.Close(); err != nil {
				return fmt.Errorf("note what is in %s: %w", r.outlet, err)
			}
		}
	}
	l.say("reading S3")
	if err := l.collectObjects(ctx); err != nil {
		return fmt.Errorf("read the objects: %w", err)
	}
	return nil
}

// collectTopic reads a topic by Kafka's own console consumer.
func (l *lab) collectTopic(ctx context.Context, topic string, w *check.Writer) error {
	return l.kafka.ConsumeEach(ctx, topic, func(r *stack.KafkaRecord) error {
		return w.Add(check.Observation{Partition: fmt.Sprint(r.Partition), Key: string(r.Key), Value: string(r.Value)})
	})
}

// collectStream reads a stream by the SDK, parents before their children: a shard is closed before its children are
// open, so the order in which they were made is one.
func (l *lab) collectStream(ctx context.Context, stream string, w *check.Writer) error {
	shards, err := l.shards(ctx, stream)
	if err != nil {
		return err
	}
	for _, s := range shards {
		// Not before: an iterator expires while other shards are read.
		iterator, err := l.iterator(ctx, stream, *s.ShardId)
		if err != nil {
			return err
		}
		iterators := map[string]*string{*s.ShardId: iterator}
		for more := true; more; {
			if more, err = l.readShard(ctx, iterators, *s.ShardId, func(r *types.Record) error {
				return w.Add(check.Observation{Partition: *s.ShardId, Key: *r.PartitionKey, Value: string(r.Data)})
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// documentsAtATime is how many documents an answer of Elasticsearch has.
const documentsAtATime = 5000

// collectDocuments reads an index, those documents too that a search does not find yet.
func (l *lab) collectDocuments(ctx context.Context, index string, w *check.Writer) error {
	var refreshed object
	if err := l.askElasticsearch(ctx, http.MethodPost, "/"+index+"/_refresh", nil, &refreshed); err != nil {
		return err
	}
	var after []any
	for {
		// Two documents of one number would be found both, since the second criterion differs.
		query := object{"size": documentsAtATime, "sort": []object{{"trip_id": "asc"}, {"_doc": "asc"}}}
		if after != nil {
			query["search_after"] = after
		}
		var answer struct {
			Hits struct {
				Hits []struct {
					ID     string          `json:"_id"`
					Index  string          `json:"_index"`
					Source json.RawMessage `json:"_source"`
					Sort   []any
				}
			}
		}
		if err := l.askElasticsearch(ctx, http.MethodPost, "/"+index+"/_search", query, &answer); err != nil {
			return err
		}
		if len(answer.Hits.Hits) == 0 {
			return nil
		}
		for _, h := range answer.Hits.Hits {
			if err := w.Add(check.Observation{Partition: h.Index, Key: h.ID, Value: string(h.Source)}); err != nil {
				return err
			}
			after = h.Sort
		}
	}
}

// collectObjects copies all objects of the bucket into files, by job. It tells those that are nobody's, and those that are
// not as they were seen before.
func (l *lab) collectObjects(ctx context.Context) error {
	for _, origin := range origins() {
		if err := os.MkdirAll(check.FileOf(l.dir, origin+"/"+check.S3), 0o755); err != nil {
			return err
		}
	}
	copying, ctx := errgroup.WithContext(ctx)
	copying.SetLimit(4)
	there := make(map[string]bool)
	err := l.eachObject(ctx, "", func(key string) error {
		there[key] = true
		origin, within := ownerOf(key)
		if origin == "" {
			l.fault("object %s is of no job", key)
			return nil
		}
		copying.Go(func() error {
			body, err := l.object(ctx, key)
			if err != nil {
				return err
			}
			name := filepath.Join(check.FileOf(l.dir, origin+"/"+check.S3), filepath.FromSlash(within))
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				return err
			}
			return os.WriteFile(name, body, 0o644)
		})
		return nil
	})
	if waited := copying.Wait(); waited != nil {
		return waited
	}
	if err != nil {
		return err
	}
	for _, key := range l.objects.gone(there) {
		l.fault("object %s was there, and is no more", key)
	}
	return nil
}
