//go:build unix

package stack

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
	"github.com/streaming-etl/streaming-etl/stack/process"
)

func s3Client(s *S3, secret string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s.Endpoint()), Region: Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(AccessKey, secret, ""),
		Retryer:     aws.NopRetryer{},
	})
}

func TestS3KeepsObjectsOverARestart(t *testing.T) {
	server := StartS3(t, "trips")
	client := s3Client(server, SecretKey)
	content := []byte("one object")
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("trips"), Key: aws.String("a/b=1/c.txt"), Body: bytes.NewReader(content),
	}); err != nil {
		t.Fatal(err)
	}
	endpoint := server.Endpoint()
	server.Kill()
	if _, err := client.ListBuckets(t.Context(), nil); err == nil {
		t.Error("the killed server answers")
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if server.Endpoint() != endpoint {
		t.Errorf("endpoint %s after the restart, %s before", server.Endpoint(), endpoint)
	}
	got, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("trips"), Key: aws.String("a/b=1/c.txt")})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if body, err := io.ReadAll(got.Body); err != nil || !bytes.Equal(body, content) {
		t.Errorf("object %q, error %v", body, err)
	}
	if _, err := s3Client(server, "another").ListBuckets(t.Context(), nil); err == nil {
		t.Error("a signature by another key is taken")
	}
}

func TestKinesisTakesRecords(t *testing.T) {
	for _, kind := range []Tool{Kinesalite, Ferrokinesis} {
		t.Run(string(kind), func(t *testing.T) {
			server := start(t, string(kind), func() (*Server, func(), error) {
				s, err := RunKinesis(t.Context(), kind, t.TempDir())
				if err != nil {
					return nil, nil, err
				}
				return s, s.close, nil
			})
			client := kinesis.New(kinesis.Options{
				BaseEndpoint: aws.String(server.Endpoint()), Region: Region,
				Credentials: credentials.NewStaticCredentialsProvider(AccessKey, SecretKey, ""),
			})
			breakOff(t, server.Endpoint())
			putAndGet(t, client)
		})
	}
}

// breakOff ends a request in the middle of its body, as clients do whose context ends.
func breakOff(t *testing.T, endpoint string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
}

func putAndGet(t *testing.T, client *kinesis.Client) {
	stream := aws.String("trips")
	if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: stream, ShardCount: aws.Int32(2)}); err != nil {
		t.Fatal(err)
	}
	err := process.Await(t.Context(), "the stream", func(ctx context.Context) error {
		d, err := client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: stream})
		if err == nil && d.StreamDescriptionSummary.StreamStatus != types.StreamStatusActive {
			err = errors.New(string(d.StreamDescriptionSummary.StreamStatus))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	put, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: stream, PartitionKey: aws.String("k"), Data: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	it, err := client.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
		StreamName: stream, ShardId: put.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator})
	if err != nil || len(got.Records) != 1 || string(got.Records[0].Data) != "x" {
		t.Errorf("records %+v, error %v", got, err)
	}
}

// A spy is a test that records how it ends.
type spy struct {
	TB
	skipped, failed string
}

func (s *spy) Helper()                        {}
func (s *spy) Skipf(format string, _ ...any)  { s.skipped = format; panic(s) }
func (s *spy) Fatalf(format string, _ ...any) { s.failed = format; panic(s) }

func outcome(t *testing.T, run func(TB)) (s *spy) {
	s = &spy{TB: t}
	defer func() {
		if r := recover(); r != nil && r != any(s) {
			panic(r)
		}
	}()
	run(s)
	return s
}

func TestMissingServerSkipsOrFailsAsTold(t *testing.T) {
	t.Setenv(cluster.CacheVariable, t.TempDir())
	for name, run := range map[string]func(TB){
		"s3":            func(t TB) { StartS3(t) },
		"kinesis":       func(t TB) { StartKinesis(t) },
		"flink":         func(t TB) { StartFlink(t, cluster.Options{}) },
		"kafka":         func(t TB) { StartKafka(t, KafkaOptions{}) },
		"elasticsearch": func(t TB) { StartElasticsearch(t) },
	} {
		for value, fails := range map[string]bool{"": false, "require": true, "off": false} {
			t.Setenv(Variable, value)
			if s := outcome(t, run); (s.failed != "") != fails || (s.skipped != "") == fails {
				t.Errorf("%s with %s=%s: skipped %q, failed %q", name, Variable, value, s.skipped, s.failed)
			}
		}
	}
}

func TestMissingToolTellsHowToInstallIt(t *testing.T) {
	t.Setenv(cluster.CacheVariable, t.TempDir())
	for _, tool := range []Tool{Flink, Versitygw, Kinesalite, Ferrokinesis, Kafka, Elasticsearch} {
		_, err := tool.Path()
		if !errors.Is(err, ErrNotInstalled) || !strings.HasSuffix(err.Error(), "install "+string(tool)+"`") {
			t.Errorf("%s: error %v", tool, err)
		}
	}
	if _, err := Tool("docker").Path(); err == nil || errors.Is(err, ErrNotInstalled) {
		t.Errorf("error %v for what is no tool", err)
	}
	if InstalledKinesis() != Kinesalite {
		t.Errorf("%s is said to be installed", InstalledKinesis())
	}
}

func TestInstall(t *testing.T) {
	cache, bin := t.TempDir(), t.TempDir()
	t.Setenv(cluster.CacheVariable, cache)
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	script := func(name, text string) {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// A go that fails, one that makes nothing, and one that works.
	for _, broken := range []struct{ text, want string }{
		{`echo "no such version" >&2; exit 1`, "no such version"}, {"exit 0", "made no versitygw"},
	} {
		script("go", broken.text)
		if err := Versitygw.Install(t.Context(), nil); err == nil || !strings.Contains(err.Error(), broken.want) {
			t.Errorf("error %v, not %q", err, broken.want)
		}
		if left, err := os.ReadDir(cache); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, error %v", left, err)
		}
	}
	script("go", `echo x >> "`+bin+`/calls"; touch "$GOBIN/versitygw"`)
	for range 2 {
		if err := Versitygw.Install(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if path, err := Versitygw.Path(); err != nil || path != filepath.Join(cache, "versitygw-1.8.0", "versitygw") {
		t.Errorf("path %s, error %v", path, err)
	}
	if calls, err := os.ReadFile(filepath.Join(bin, "calls")); err != nil || string(calls) != "x\n" {
		t.Errorf("built %d times, error %v", bytes.Count(calls, []byte("x")), err)
	}
	t.Setenv("PATH", "")
	for tool, program := range map[Tool]string{Kinesalite: "npm", Kafka: "mvn", Elasticsearch: "mvn"} {
		if err := tool.Install(t.Context(), nil); err == nil || !strings.Contains(err.Error(), program+" is needed") {
			t.Errorf("error %v without %s", err, program)
		}
	}
}

func TestServerThatCannotStartTellsWhy(t *testing.T) {
	dir := t.TempDir()
	_, err := startServer(t.Context(), "broken", dir, "/", func(int) process.Spec {
		return process.Spec{Args: []string{"sh", "-c", "echo no space left; exit 1"}}
	})
	if err == nil || !strings.Contains(err.Error(), "no space left") || !strings.Contains(err.Error(), filepath.Join(dir, "broken.log")) {
		t.Errorf("error %v", err)
	}
}
