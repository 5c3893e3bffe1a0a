package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
)

// servers are a stream and a bucket, and the properties that name them.
type servers struct {
	stream     *kinesis.Client
	properties []string
}

func newServers(t *testing.T) *servers {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	k, b := newTripsAndLake(t)
	s := &servers{properties: []string{"--Region=us-east-1", "--InputKinesisStream=trips", "--InputStreamEndpoint=" + k.URL(),
		"--InputStreamInitialPosition=TRIM_HORIZON", "--OutputBucket=lake", "--OutputBucketEndpoint=" + b.URL(), "--OutputPrefix=raw/"}}
	var err error
	if s.stream, err = kinesisio.NewClient(t.Context(), kinesisio.Options{Stream: "trips", Region: "us-east-1", Endpoint: k.URL()}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *servers) put(t *testing.T, data ...string) {
	t.Helper()
	for i, d := range data {
		_, err := s.stream.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("trips"), PartitionKey: aws.String(fmt.Sprint(i)), Data: []byte(d)})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// count returns how often the stream has a payload.
func (s *servers) count(t *testing.T, payload string) int {
	t.Helper()
	n := 0
	for _, shard := range []string{"shardId-000000000000", "shardId-000000000001"} {
		it, err := s.stream.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
			StreamName: aws.String("trips"), ShardId: aws.String(shard), ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.stream.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range got.Records {
			if string(r.Data) == payload {
				n++
			}
		}
	}
	return n
}

func TestDeadLettersOfAJobAreListedShownAndSentAgain(t *testing.T) {
	s := newServers(t)
	s.put(t, `{"trip_id":`, `{"trip_id":"x"}`, "not JSON at all")
	args := append([]string{"--runner=direct", "--out=" + t.TempDir(), "--InputStreamStopTimestamp=" + time.Now().UTC().Add(time.Second).Format(time.RFC3339)}, s.properties...)
	if code, stdout, stderr := runCommand(t, args...); code != exitOK || !strings.Contains(stdout, "dead letters  3") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	on := func(args ...string) (code int, stdout string) {
		code, stdout, stderr := runCommand(t, append(append([]string{"deadletters"}, args...), s.properties...)...)
		return code, stdout + stderr
	}

	code, text := on("list", "--json", "--limit=2")
	var page struct {
		Letters []letterJSON
		Next    string
	}
	if err := json.Unmarshal([]byte(text), &page); err != nil || code != exitOK || len(page.Letters) != 2 || page.Next == "" {
		t.Fatalf("exit code %d, %v:\n%s", code, err, text)
	}
	if code, text := on("list", "--limit=2", "--after="+page.Next); code != exitOK || strings.Count(text, "\n") != 2 || strings.Contains(text, "there are more") {
		t.Errorf("exit code %d, second page:\n%s", code, text)
	}
	if code, text := on("count"); code != exitOK || !strings.Contains(text, "3             in s3://lake/raw/dead-letters/") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	first := page.Letters[0]
	if code, text := on("show", first.ID[:8]); code != exitOK || !strings.Contains(text, first.Reason) || !strings.Contains(text, first.Sequence) {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	if code, text := on("resend"); code != exitUsage || !strings.Contains(text, "--all") {
		t.Errorf("exit code %d without a choice:\n%s", code, text)
	}
	if code, text := on("resend", "--id="+first.ID, "--dry-run", "--still-refused"); code != exitOK || !strings.Contains(text, "1 events selected: 1 would be sent") || s.count(t, first.Payload) != 1 {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	code, text = on("resend", "--id="+first.ID)
	if code != exitFailure || s.count(t, first.Payload) != 1 || !strings.Contains(text, "1 events selected: 0 sent") ||
		!strings.Contains(text, "for "+first.Reason+": correct that, or use --still-refused: "+first.ID) {
		t.Errorf("exit code %d for an event that would be a dead letter again:\n%s", code, text)
	}
	for _, want := range []string{"1 events selected: 1 sent, 0 had been sent before", "1 events selected: 0 sent, 1 had been sent before"} {
		if code, text := on("resend", "--still-refused", "--id="+first.ID); code != exitOK || !strings.Contains(text, want) || s.count(t, first.Payload) != 2 {
			t.Errorf("exit code %d, %d times in the stream, want %q:\n%s", code, s.count(t, first.Payload), want, text)
		}
	}
}

func TestDeadLettersAreSentAgainThroughASchemaThatTakesThem(t *testing.T) {
	s := newServers(t)
	payload := `{"id":"a"}`
	s.put(t, payload)
	schema := filepath.Join(t.TempDir(), "event.avsc")
	write := func(kind string) {
		t.Helper()
		text := `{"type":"record","name":"E","fields":[{"name":"id","type":"` + kind + `"}]}`
		if err := os.WriteFile(schema, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("long")
	properties := append(s.properties, "--EventSchema="+schema, "--OutputPathTemplate=all")
	args := append([]string{"--runner=direct", "--out=" + t.TempDir(), "--InputStreamStopTimestamp=" + time.Now().UTC().Add(time.Second).Format(time.RFC3339)}, properties...)
	if code, stdout, stderr := runCommand(t, args...); code != exitOK || !strings.Contains(stdout, "dead letters  1") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	on := append([]string{"deadletters", "resend", "--all", "--json"}, properties...)
	var told resentJSON
	code, stdout, _ := runCommand(t, on...)
	if err := json.Unmarshal([]byte(stdout), &told); err != nil || code != exitFailure || told.Sent != 0 || len(told.Refused["wrong_type"]) != 1 {
		t.Errorf("exit code %d by the schema of the job, %v: %s", code, err, stdout)
	}
	write("string")
	if code, stdout, stderr := runCommand(t, on...); code != exitOK || !strings.Contains(stdout, `"sent":1`) || s.count(t, payload) != 2 {
		t.Errorf("exit code %d by the mended schema: %s%s", code, stdout, stderr)
	}
}

func TestAnEmptyEventIsToldAndTheOthersAreSent(t *testing.T) {
	s := newServers(t)
	s.put(t, "", `{"trip_id":"x"}`, "nope")
	args := append([]string{"--runner=direct", "--out=" + t.TempDir(), "--InputStreamStopTimestamp=" + time.Now().UTC().Add(time.Second).Format(time.RFC3339)}, s.properties...)
	if code, stdout, stderr := runCommand(t, args...); code != exitOK || !strings.Contains(stdout, "dead letters  3") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	on := append([]string{"deadletters", "resend", "--all"}, s.properties...)
	var told resentJSON
	code, stdout, stderr := runCommand(t, append(on, "--json", "--dry-run")...)
	if err := json.Unmarshal([]byte(stdout), &told); err != nil || code != exitOK || len(told.Unfit) != 1 || len(told.Refused["empty"]) != 0 {
		t.Fatalf("exit code %d, %v: %s%s", code, err, stdout, stderr)
	}
	code, stdout, stderr = runCommand(t, append(on, "--still-refused")...)
	if code != exitFailure || !strings.Contains(stdout, "3 events selected: 2 sent") || !strings.Contains(stdout, "1 cannot be sent, since the stream takes no event that is empty") ||
		!strings.Contains(stdout, told.Unfit[0]) || !strings.Contains(stderr, "1 of the selected events were not sent") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if s.count(t, "nope") != 2 || s.count(t, `{"trip_id":"x"}`) != 2 {
		t.Error("the others are not in the stream again")
	}
}

func TestDeadLettersRefusesWhatItDoesNotUnderstand(t *testing.T) {
	s := newServers(t)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"deadletters"}, "list, count, show or resend"},
		{[]string{"deadletters", "lst"}, `"lst"`},
		{[]string{"deadletters", "show"}, "ids of dead letters"},
		{[]string{"deadletters", "list", "abcd"}, "ids of dead letters"},
		{[]string{"deadletters", "list", "--id=ab"}, "shorter than 4"},
		{[]string{"deadletters", "list", "--since=yesterday"}, "since"},
		{[]string{"deadletters", "list", "--since=2026-01-02T00:00:00Z", "--until=2026-01-01T00:00:00Z"}, "is not before --until"},
	} {
		code, _, stderr := runCommand(t, append(test.args, s.properties...)...)
		if code != exitUsage || !strings.Contains(stderr, test.want) {
			t.Errorf("%v: exit code %d, %q is not in: %s", test.args, code, test.want, stderr)
		}
	}
}

// newTripsAndLake starts a Kinesis server with the stream trips, and an S3 server with the bucket lake.
func newTripsAndLake(t *testing.T) (*kinesisfake.Server, *s3fake.Server) {
	t.Helper()
	k, err := kinesisfake.New(kinesisfake.SeedStream("trips", 2))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	b, err := s3fake.New(s3fake.Options{Bucket: "lake"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return k, b
}
