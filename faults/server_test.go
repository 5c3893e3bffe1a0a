//go:build linux

package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/stack"
	"github.com/streaming-etl/streaming-etl/stack/process"
)

// outage is how long a server is away.
const outage = 20 * time.Second

// TestS3Outage has its records from a server that is not of this project, at a rate that it can take.
func TestS3Outage(t *testing.T) {
	random := randomness(t)
	l := theLab(t)
	server, err := stack.RunKinesis(t.Context(), stack.Kinesalite, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	makeStream(t, server.Endpoint())
	const most = 1000
	r := newRunOn(t, l, server.Endpoint(), min(most, number(t, rateVariable, defaultRate)))
	r.submit(t, l.jar, taskManagers, "")
	r.steady(t)
	for range max(1, rounds(t)-1) {
		time.Sleep(within(random, spread))
		before := r.status(t).Restarts
		if random.IntN(2) == 0 {
			t.Log("S3 is stopped")
			l.s3.Stop()
		} else {
			t.Log("S3 is killed")
			l.s3.Kill()
			if err := l.s3.RepairUploads(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(outage)
		if err := l.s3.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.damaged = time.Now()
		r.recovered(t, "20 s without S3", r.feed.sent.Load())
		t.Logf("%d restarts for it", r.status(t).Restarts-before)
	}
	r.finish(t)
}

func makeStream(t *testing.T, endpoint string) {
	t.Helper()
	client := kinesis.New(kinesis.Options{
		BaseEndpoint: &endpoint, Region: stack.Region,
		Credentials: credentials.NewStaticCredentialsProvider(stack.AccessKey, stack.SecretKey, ""),
	})
	name := aws.String(streamName)
	if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: name, ShardCount: aws.Int32(shards)}); err != nil {
		t.Fatal(err)
	}
	if err := process.Await(t.Context(), "the stream", func(ctx context.Context) error {
		d, err := client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: name})
		if err == nil && d.StreamDescriptionSummary.StreamStatus != types.StreamStatusActive {
			err = errors.New(string(d.StreamDescriptionSummary.StreamStatus))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestKinesisOutage(t *testing.T) {
	random := randomness(t)
	r := newRun(t)
	r.submit(t, r.lab.jar, taskManagers, "")
	r.steady(t)
	for range max(1, rounds(t)-1) {
		time.Sleep(within(random, spread))
		before := r.status(t).Restarts
		restore := refuseReads(r.fake, random)
		time.Sleep(outage)
		restore()
		r.damaged = time.Now()
		r.recovered(t, "20 s of faults from Kinesis", r.feed.sent.Load())
		t.Logf("%d restarts for it", r.status(t).Restarts-before)
	}
	r.finish(t)
}

// refuseReads has the server answer each request of a reader with one of the faults that pass.
func refuseReads(fake *kinesisfake.Server, random *rand.Rand) (restore func()) {
	faults := []error{
		&kinesisfake.Error{Type: "InternalFailure", Message: "a fault of the service"},
		&kinesisfake.Error{Type: "ServiceUnavailable", Message: "try later"},
		&kinesisfake.Error{Type: "ProvisionedThroughputExceededException", Message: "Rate exceeded for shard"},
		&kinesisfake.Error{Type: "LimitExceededException", Message: "Rate exceeded"},
		kinesisfake.ErrDrop,
	}
	var mu sync.Mutex // requests come at once
	var removes []func()
	for _, op := range []string{"GetRecords", "GetShardIterator", "ListShards", "DescribeStreamSummary"} {
		removes = append(removes, fake.Control(op, func(*kinesisfake.Request) error {
			mu.Lock()
			defer mu.Unlock()
			return faults[random.IntN(len(faults))]
		}))
	}
	return func() {
		for _, remove := range removes {
			remove()
		}
	}
}
