package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/streaming-etl/streaming-etl/io/kinesisio"
)

func TestConsumerOfAJobIsDeregistered(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "k")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
	k, _ := newTripsAndLake(t)
	client, err := kinesisio.NewClient(t.Context(), kinesisio.Options{Stream: "trips", Region: "us-east-1", Endpoint: k.URL()})
	if err != nil {
		t.Fatal(err)
	}
	register := func() string {
		t.Helper()
		out, err := client.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{
			StreamARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/trips"), ConsumerName: aws.String("nightly"),
		})
		if err != nil {
			t.Fatal(err) // it is still there
		}
		return aws.ToString(out.Consumer.ConsumerARN)
	}
	with := func(more ...string) []string {
		return append([]string{
			"deregister", "--InputKinesisStream=trips", "--InputStreamEndpoint=" + k.URL(), "--OutputBucket=lake", "--Region=us-east-1", "--JobName=nightly",
		}, more...)
	}
	arn := register()
	code, _, stderr := runCommand(t, with("--InputStreamConsumer="+arn)...)
	if code != exitUsage || !strings.Contains(stderr, "leaves it alone") || k.Requests("DeregisterStreamConsumer") != 0 {
		t.Errorf("by ARN: exit code %d: %s", code, stderr)
	}
	for _, name := range []string{"EFO", "nightly"} {
		code, stdout, stderr := runCommand(t, with("--InputStreamConsumer="+name)...)
		if code != exitOK || stdout != "consumer nightly of trips is no longer registered\n" {
			t.Errorf("%s: exit code %d: %s%s", name, code, stdout, stderr)
		}
		register()
	}
	for range 2 { // again is no error
		code, stdout, stderr := runCommand(t, with("--InputStreamConsumer=EFO", "--json")...)
		var told map[string]string
		if err := json.Unmarshal([]byte(stdout), &told); err != nil || code != exitOK || told["consumer"] != "nightly" || told["stream"] != "trips" {
			t.Errorf("exit code %d: %s%s", code, stdout, stderr)
		}
	}
	register()
}
