//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/parquet-go/parquet-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/chaos/check"
	"github.com/streaming-etl/streaming-etl/chaos/history"
	"github.com/streaming-etl/streaming-etl/chaos/record"
)

// An outlet is one sink of one job, as far as it is followed while the run goes on. What it says decides when a job has
// recovered; what is right and wrong is decided in the end, by others. Its methods are safe for concurrent use.
type outlet struct {
	name string // "job/sink"
	mu   sync.Mutex
	seen []uint64 // a bit for each number
	history.Reach
}

// add notes that a record is there.
func (o *outlet) add(number int64) {
	if number < 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for int64(len(o.seen)) <= number/64 {
		o.seen = append(o.seen, 0)
	}
	if word, bit := &o.seen[number/64], uint64(1)<<(number%64); *word&bit == 0 {
		*word |= bit
		o.Seen++
	}
	for o.has(o.Front) || record.Reason(o.Front) != "" && o.Front < int64(len(o.seen))*64 {
		o.Front++
	}
}

func (o *outlet) has(number int64) bool {
	return number/64 < int64(len(o.seen)) && o.seen[number/64]&(1<<(number%64)) != 0
}

func (o *outlet) reach() history.Reach {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.Reach
}

func (o *outlet) set(r history.Reach) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.Reach = r
}

// watch follows all outlets of a job until the context ends.
func watch(ctx context.Context, l *lab, origin string, wait *sync.WaitGroup) (outlets []*outlet, err error) {
	named := func(sink string) *outlet {
		o := &outlet{name: origin + "/" + sink}
		outlets = append(outlets, o)
		return o
	}
	objects, documents, records, stream := named(check.S3), named(check.Elasticsearch), named(check.Kafka), named(check.Kinesis)

	read := make(map[string]bool)
	follow(ctx, wait, 2*lookInterval, func() error { return l.lookAtObjects(ctx, origin, read, objects) })
	follow(ctx, wait, lookInterval, func() error { return l.lookAtDocuments(ctx, origin, documents) })
	iterators, err := l.iterators(ctx, copies(origin))
	if err != nil {
		return nil, err
	}
	follow(ctx, wait, lookInterval, func() error { return l.lookAtStream(ctx, iterators, stream) })
	client, err := kgo.NewClient(kgo.SeedBrokers(l.kafka.Bootstrap()...), kgo.ConsumeTopics(copies(origin)),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	wait.Go(func() {
		defer client.Close()
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(func(r *kgo.Record) { // errors pass: a broker is away
				if n, err := record.Number(r.Value); err == nil {
					records.add(n)
				}
			})
		}
	})
	return outlets, nil
}

// follow calls a function at intervals. Its errors pass: a server is away.
func follow(ctx context.Context, wait *sync.WaitGroup, interval time.Duration, look func() error) {
	wait.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = look()
			}
		}
	})
}

// lookAtObjects reads the numbers in the objects that are new.
func (l *lab) lookAtObjects(ctx context.Context, origin string, read map[string]bool, o *outlet) error {
	return l.eachObject(ctx, copies(origin)+"/", func(key string) error {
		if read[key] || !strings.HasSuffix(key, ".parquet") {
			return nil
		}
		body, err := l.object(ctx, key)
		if err != nil {
			return err
		}
		rows, err := parquet.Read[struct {
			TripID int64 `parquet:"trip_id"`
		}](bytes.NewReader(body), int64(len(body)))
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		read[key] = true
		for _, row := range rows {
			o.add(row.TripID)
		}
		return nil
	})
}

// eachObject calls a function with the key of each object that begins so. It tells those that are not as they were before.
func (l *lab) eachObject(ctx context.Context, prefix string, do func(key string) error) error {
	pages := s3.NewListObjectsV2Paginator(l.bucket, &s3.ListObjectsV2Input{Bucket: aws.String(bucketName), Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, object := range page.Contents {
			if l.objects.see(*object.Key, aws.ToString(object.ETag)) {
				l.fault("object %s was replaced", *object.Key)
			}
			if err := do(*object.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lab) object(ctx context.Context, key string) ([]byte, error) {
	object, err := l.bucket.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: &key})
	if err != nil {
		return nil, err
	}
	defer object.Body.Close()
	return io.ReadAll(object.Body)
}

// histogramStep is how many numbers are counted together in Elasticsearch.
const histogramStep = 500

// lookAtDocuments counts documents by number, from the step up to which all are known to be there.
func (l *lab) lookAtDocuments(ctx context.Context, origin string, o *outlet) error {
	reach := o.reach()
	from := reach.Front / histogramStep * histogramStep
	var answer struct {
		Hits         struct{ Total struct{ Value int64 } }
		Aggregations struct {
			Steps struct {
				Buckets []struct {
					Key    float64
					Count  int64                   `json:"doc_count"`
					Newest struct{ Value float64 } `json:"newest"`
				}
			}
		}
	}
	newest := object{"newest": object{"max": object{"field": "trip_id"}}}
	if err := l.askElasticsearch(ctx, http.MethodPost, "/"+copies(origin)+"/_search", object{
		"size": 0, "track_total_hits": true,
		"query": object{"range": object{"trip_id": object{"gte": from}}},
		"aggs":  object{"steps": object{"histogram": object{"field": "trip_id", "interval": histogramStep, "min_doc_count": 1}, "aggs": newest}},
	}, &answer); err != nil {
		return err
	}
	front := from
	for _, b := range answer.Aggregations.Steps.Buckets {
		begin, last := int64(b.Key), int64(b.Newest.Value)
		if begin != front || b.Count != record.Good(last+1)-record.Good(begin) {
			break
		}
		front = last + 1
		for record.Reason(front) != "" {
			front++
		}
		if front < begin+histogramStep {
			break
		}
	}
	o.set(history.Reach{Front: max(front, reach.Front), Seen: record.Good(from) + answer.Hits.Total.Value})
	return nil
}

type object = map[string]any

// askElasticsearch sends a request and decodes the answer.
func (l *lab) askElasticsearch(ctx context.Context, method, path string, body, answer any) error {
	var content []byte // none, where there is no body
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, l.elasticsearch.Endpoint()+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, text)
	}
	return json.Unmarshal(text, answer)
}

// iterators returns where all shards of a stream begin.
func (l *lab) iterators(ctx context.Context, stream string) (map[string]*string, error) {
	shards, err := l.shards(ctx, stream)
	if err != nil {
		return nil, err
	}
	iterators := make(map[string]*string)
	for _, s := range shards {
		if iterators[*s.ShardId], err = l.iterator(ctx, stream, *s.ShardId); err != nil {
			return nil, err
		}
	}
	return iterators, nil
}

// iterator returns where a shard begins.
func (l *lab) iterator(ctx context.Context, stream, shard string) (*string, error) {
	got, err := l.stream.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: &stream, ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		return nil, err
	}
	return got.ShardIterator, nil
}

// shards returns all shards of a stream, the closed ones too.
func (l *lab) shards(ctx context.Context, stream string) ([]types.Shard, error) {
	var all []types.Shard
	for in := (&kinesis.ListShardsInput{StreamName: &stream}); ; {
		out, err := l.stream.ListShards(ctx, in)
		if err != nil {
			return nil, err
		}
		all = append(all, out.Shards...)
		if out.NextToken == nil {
			return all, nil
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken}
	}
}

func (l *lab) lookAtStream(ctx context.Context, iterators map[string]*string, o *outlet) error {
	var errs []error
	for shard := range iterators {
		_, err := l.readShard(ctx, iterators, shard, func(r *types.Record) error {
			if n, err := record.Number(r.Data); err == nil {
				o.add(n)
			}
			return nil
		})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// readShard reads what is next in a shard, and tells whether there may be more now. A closed shard's iterator is nil in the end.
func (l *lab) readShard(ctx context.Context, iterators map[string]*string, shard string, do func(*types.Record) error) (more bool, err error) {
	if iterators[shard] == nil {
		return false, nil
	}
	got, err := l.stream.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: iterators[shard]})
	if err != nil {
		return false, err
	}
	iterators[shard] = got.NextShardIterator
	for i := range got.Records {
		if err := do(&got.Records[i]); err != nil {
			return false, err
		}
	}
	return len(got.Records) > 0 || aws.ToInt64(got.MillisBehindLatest) > 0, nil
}
