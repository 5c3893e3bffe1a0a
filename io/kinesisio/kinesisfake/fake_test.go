package kinesisfake_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

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
