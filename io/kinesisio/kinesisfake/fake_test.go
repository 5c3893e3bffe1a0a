package kinesisfake_test

import (
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/streaming-etl/streaming-etl/io/internal/plainbody"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

// start returns a server for the test and a client that never retries.
func start(t testing.TB, opts ...kinesisfake.Option) (*kinesisfake.Server, *kinesis.Client) {
	t.Helper()
	server, err := kinesisfake.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server, clientOf(server.URL())
}

func clientOf(url string) *kinesis.Client {
	return kinesis.New(kinesis.Options{
		BaseEndpoint: aws.String(url),
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("any", "any", ""),
		Retryer:      aws.NopRetryer{},
		HTTPClient:   plainbody.Client{Doer: &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}},
	})
}

func iteratorOf(t testing.TB, client *kinesis.Client, in kinesis.GetShardIteratorInput) string {
	t.Helper()
	out, err := client.GetShardIterator(t.Context(), &in)
	if err != nil {
		t.Fatal(err)
	}
	return *out.ShardIterator
}

func get(t testing.TB, client *kinesis.Client, iterator string) *kinesis.GetRecordsOutput {
	t.Helper()
	out, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: &iterator})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func put(t testing.TB, client *kinesis.Client, stream, key, data string) *kinesis.PutRecordOutput {
	t.Helper()
	out, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: &stream, PartitionKey: &key, Data: []byte(data)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func texts(records []types.Record) []string {
	var out []string
	for _, r := range records {
		out = append(out, string(r.Data))
	}
	return out
}

// clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.UnixMilli(1_530_000_000_123)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// wantError checks the exception's type, as the client's own errors tell it,
// and a part of its message.
func wantError(t testing.TB, err error, code, part string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Fatalf("got %v, want %s", err, code)
	}
	if api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), part) {
		t.Errorf("got %s: %s\nwant %s: …%s…", api.ErrorCode(), api.ErrorMessage(), code, part)
	}
}

func shardsOf(t testing.TB, client *kinesis.Client, in kinesis.ListShardsInput) []types.Shard {
	t.Helper()
	out, err := client.ListShards(t.Context(), &in)
	if err != nil {
		t.Fatal(err)
	}
	if out.NextToken != nil {
		t.Fatalf("more shards than one page")
	}
	return out.Shards
}

func ids(shards []types.Shard) string {
	var out []string
	for _, s := range shards {
		out = append(out, strings.TrimLeft(strings.TrimPrefix(*s.ShardId, "shardId-"), "0"))
		if out[len(out)-1] == "" {
			out[len(out)-1] = "0"
		}
	}
	return strings.Join(out, " ")
}

func shardName(n int) *string { return aws.String(fmt.Sprintf("shardId-%012d", n)) }

// number reads a sequence number or a hash key.
func number(t testing.TB, text string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		t.Fatalf("%q is not a number", text)
	}
	return n
}

// drain reads a shard from an iterator until it ends or has nothing more.
func drain(t testing.TB, client *kinesis.Client, iterator string) (records []types.Record, children []types.ChildShard) {
	t.Helper()
	for {
		out := get(t, client, iterator)
		records = append(records, out.Records...)
		if out.NextShardIterator == nil {
			return records, out.ChildShards
		}
		if *out.MillisBehindLatest == 0 {
			return records, nil
		}
		iterator = *out.NextShardIterator
	}
}

func horizon(stream string, shard int) kinesis.GetShardIteratorInput {
	return kinesis.GetShardIteratorInput{StreamName: &stream, ShardId: shardName(shard), ShardIteratorType: types.ShardIteratorTypeTrimHorizon}
}
