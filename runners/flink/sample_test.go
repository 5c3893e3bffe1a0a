//go:build linux

package flink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/parquet-go/parquet-go"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
)

// flinkVersions makes the tests run that show what else the job runs on than the cluster of the other tests: other releases of
// Flink, kinds of cluster, state backends, Beam's job server. What they need beyond that is not installed by default.
const flinkVersions = "ETL_FLINK_VERSIONS"

func needVersions(t *testing.T) {
	t.Helper()
	if os.Getenv(flinkVersions) == "" {
		t.Skip("a test of other versions: set " + flinkVersions)
	}
}

const projectMain = "github.com/streaming-etl/streaming-etl"

// buildProgram builds the project's command as a worker has to be built. $ETL_CHAOS_PROGRAM names one that is built already.
func buildProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "streaming-etl")
	if prebuilt := os.Getenv("ETL_CHAOS_PROGRAM"); prebuilt != "" {
		return prebuilt
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", program, projectMain)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if words, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the command: %v\n%s", err, words)
	}
	return program
}

// emulatorCredentials are for the AWS clients of workers: the servers here take any, but the clients want some.
func emulatorCredentials() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=any", "AWS_SECRET_ACCESS_KEY=any", "AWS_SESSION_TOKEN=", "AWS_CONFIG_FILE=" + os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "AWS_EC2_METADATA_DISABLED=true",
	}
}

// A sample is work for the project's own job: trips in a stream, to be delivered to a bucket.
type sample struct {
	stream *kinesisfake.Server
	client *kinesis.Client
	bucket *s3fake.Server
	dir    string // the bucket's objects
	sent   int
}

const (
	sampleStream = "trips"
	sampleBucket = "lake"
)

func newSample(t *testing.T) *sample {
	t.Helper()
	stream, err := kinesisfake.New(kinesisfake.SeedStream(sampleStream, 2))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stream.Close() })
	dir := t.TempDir()
	bucket, err := s3fake.New(s3fake.Options{Bucket: sampleBucket, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bucket.Close() })
	client := kinesis.New(kinesis.Options{
		BaseEndpoint: aws.String(stream.URL()), Region: kinesisfake.DefaultRegion,
		Credentials: credentials.NewStaticCredentialsProvider("any", "any", ""),
	})
	return &sample{stream: stream, client: client, bucket: bucket, dir: dir}
}

// args are the job's properties.
func (s *sample) args() []string {
	return []string{
		"--JobName=sample", "--CheckpointInterval=1000", "--Region=" + kinesisfake.DefaultRegion,
		"--InputKinesisStream=" + sampleStream, "--InputStreamEndpoint=" + s.stream.URL(), "--InputStreamInitialPosition=TRIM_HORIZON",
		"--OutputBucket=" + sampleBucket, "--OutputBucketEndpoint=" + s.bucket.URL(), "--OutputFileRollIntervalMs=1000",
	}
}

const sampleTrip = `{"vendor_id":2,"pickup_datetime":"2018-01-01T00:09:41.000Z","dropoff_datetime":"2018-01-01T00:12:08.000Z",` +
	`"passenger_count":4,"trip_distance":0.42,"ratecode_id":1,"store_and_fwd_flag":"N","pickup_location_id":238,` +
	`"dropoff_location_id":238,"payment_type":1,"fare_amount":4.0,"extra":0.5,"mta_tax":0.5,"tip_amount":1.0,"tolls_amount":0.0,` +
	`"improvement_surcharge":0.3,"total_amount":6.3,"trip_id":%d,"type":"yellow"}`

// send puts so many more trips into the stream.
func (s *sample) send(t *testing.T, trips int) {
	t.Helper()
	for end := s.sent + trips; s.sent < end; {
		var entries []types.PutRecordsRequestEntry
		for ; s.sent < end && len(entries) < 500; s.sent++ {
			entries = append(entries, types.PutRecordsRequestEntry{
				Data: fmt.Appendf(nil, sampleTrip, s.sent), PartitionKey: aws.String(strconv.Itoa(s.sent)),
			})
		}
		out, err := s.client.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String(sampleStream), Records: entries})
		if err != nil || aws.ToInt32(out.FailedRecordCount) > 0 {
			t.Fatalf("put records: %v, %+v", err, out)
		}
	}
}

// delivered returns how often each trip is in the bucket, by its number.
func (s *sample) delivered(t *testing.T) []int {
	t.Helper()
	counts := make([]int, s.sent)
	err := filepath.WalkDir(s.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !strings.HasSuffix(name, ".parquet") {
			return fmt.Errorf("%s is no file of trips", name)
		}
		rows, err := parquet.ReadFile[struct {
			TripID int64 `parquet:"trip_id"`
		}](name)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.TripID < 0 || row.TripID >= int64(s.sent) {
				return fmt.Errorf("%s: trip %d was not sent", name, row.TripID)
			}
			counts[row.TripID]++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// awaitDelivered waits until every trip sent is delivered; one that is there twice fails the test.
func (s *sample) awaitDelivered(t *testing.T, failed func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for {
		missing := 0
		for id, n := range s.delivered(t) {
			switch {
			case n > 1:
				t.Fatalf("trip %d is there %d times", id, n)
			case n == 0:
				missing++
			}
		}
		if missing == 0 {
			return
		}
		if err := failed(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%d of %d trips were not delivered in 3 minutes", missing, s.sent)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// onlyJob waits until a cluster has a job that runs, and returns its id.
func onlyJob(t *testing.T, c *rest.Client) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		jobs, err := c.Jobs(ctx)
		var unreachable *rest.UnreachableError
		if err != nil && !errors.As(err, &unreachable) {
			t.Fatal(err)
		}
		for _, j := range jobs {
			if j.State.Ended() {
				t.Fatalf("job %s is %s", j.ID, j.State)
			}
			if j.State == rest.Running {
				return j.ID
			}
		}
		select {
		case <-ctx.Done():
			t.Fatal("no job runs after two minutes")
		case <-time.After(100 * time.Millisecond):
		}
	}
}
