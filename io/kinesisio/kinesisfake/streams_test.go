package kinesisfake_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

func TestStreamIsCreatedDescribedAndDeleted(t *testing.T) {
	now := newClock()
	_, client := start(t, kinesisfake.WithClock(now.Now), kinesisfake.Region("eu-west-1"), kinesisfake.AccountID("123456789012"))
	ctx := t.Context()
	if _, err := client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("trips"), ShardCount: aws.Int32(3), MaxRecordSizeInKiB: aws.Int32(2048)}); err != nil {
		t.Fatal(err)
	}
	arn := "arn:aws:kinesis:eu-west-1:123456789012:stream/trips"
	for name, in := range map[string]kinesis.DescribeStreamSummaryInput{
		"name": {StreamName: aws.String("trips")},
		"ARN":  {StreamARN: &arn},
		"both": {StreamName: aws.String("trips"), StreamARN: &arn},
	} {
		out, err := client.DescribeStreamSummary(ctx, &in)
		if err != nil {
			t.Fatalf("by %s: %v", name, err)
		}
		d := out.StreamDescriptionSummary
		if *d.StreamName != "trips" || *d.StreamARN != arn || d.StreamStatus != types.StreamStatusActive || *d.OpenShardCount != 3 ||
			*d.RetentionPeriodHours != 24 || *d.MaxRecordSizeInKiB != 2048 || d.EncryptionType != types.EncryptionTypeNone ||
			d.StreamModeDetails.StreamMode != types.StreamModeProvisioned || !d.StreamCreationTimestamp.Equal(now.Now()) {
			t.Errorf("by %s: %+v", name, d)
		}
	}
	out, err := client.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: aws.String("trips"), Limit: aws.Int32(2)})
	if err != nil {
		t.Fatal(err)
	}
	if d := out.StreamDescription; ids(d.Shards) != "0 1" || !*d.HasMoreShards || *d.StreamARN != arn {
		t.Errorf("first page: %s, more %v", ids(d.Shards), *d.HasMoreShards)
	}
	out, err = client.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: aws.String("trips"), Limit: aws.Int32(2), ExclusiveStartShardId: shardName(1)})
	if err != nil {
		t.Fatal(err)
	}
	if d := out.StreamDescription; ids(d.Shards) != "2" || *d.HasMoreShards {
		t.Errorf("second page: %s, more %v", ids(d.Shards), *d.HasMoreShards)
	}
	if _, err := client.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamARN: &arn}); err != nil {
		t.Fatal(err)
	}
	_, err = client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("trips")})
	wantError(t, err, "ResourceNotFoundException", "Stream trips under account 123456789012 not found.")
}

func TestStreamsAreListedByNameInPages(t *testing.T) {
	var seeds []kinesisfake.Option
	for i := range 7 {
		seeds = append(seeds, kinesisfake.SeedStream(fmt.Sprintf("s%d", 6-i), 1))
	}
	_, client := start(t, seeds...)
	var names, statuses []string
	pages := kinesis.NewListStreamsPaginator(client, &kinesis.ListStreamsInput{Limit: aws.Int32(3)})
	for pages.HasMorePages() {
		out, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if *out.HasMoreStreams != (len(names) < 4) {
			t.Errorf("HasMoreStreams %v behind %v", *out.HasMoreStreams, names)
		}
		names = append(names, out.StreamNames...)
		for _, s := range out.StreamSummaries {
			statuses = append(statuses, *s.StreamName+":"+string(s.StreamStatus))
		}
	}
	if got := strings.Join(names, " "); got != "s0 s1 s2 s3 s4 s5 s6" {
		t.Errorf("listed %s", got)
	}
	if len(statuses) != 7 || statuses[6] != "s6:ACTIVE" {
		t.Errorf("summaries %v", statuses)
	}
	out, err := client.ListStreams(t.Context(), &kinesis.ListStreamsInput{ExclusiveStartStreamName: aws.String("s4")})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(out.StreamNames, " "); got != "s5 s6" || *out.HasMoreStreams {
		t.Errorf("after s4: %s, more %v", got, *out.HasMoreStreams)
	}
	_, err = client.ListStreams(t.Context(), &kinesis.ListStreamsInput{NextToken: aws.String("?")})
	wantError(t, err, "InvalidArgumentException", "NextToken")
}

func TestStreamRequestsAreRefused(t *testing.T) {
	_, client := start(t, kinesisfake.SeedStream("trips", 1), kinesisfake.ShardLimit(3))
	ctx := t.Context()
	create := func(in kinesis.CreateStreamInput) func() error {
		return func() error { _, err := client.CreateStream(ctx, &in); return err }
	}
	describe := func(in kinesis.DescribeStreamSummaryInput) func() error {
		return func() error { _, err := client.DescribeStreamSummary(ctx, &in); return err }
	}
	for _, test := range []struct {
		name, code, part string
		call             func() error
	}{
		{"same name again", "ResourceInUseException", "Stream trips under account 000000000000 already exists.",
			create(kinesis.CreateStreamInput{StreamName: aws.String("trips"), ShardCount: aws.Int32(1)})},
		{"over the shard limit", "LimitExceededException", "Limit: 3. Number of additional shards that would have resulted from this request: 3",
			create(kinesis.CreateStreamInput{StreamName: aws.String("big"), ShardCount: aws.Int32(3)})},
		{"no shard count", "InvalidArgumentException", "ShardCount must be set",
			create(kinesis.CreateStreamInput{StreamName: aws.String("x")})},
		{"shard count of an on-demand stream", "InvalidArgumentException", "ShardCount must not be set",
			create(kinesis.CreateStreamInput{StreamName: aws.String("x"), ShardCount: aws.Int32(1), StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}})},
		{"two mistakes", "ValidationException", "2 validation errors detected: Value 'a b' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value '0' at 'shardCount'",
			create(kinesis.CreateStreamInput{StreamName: aws.String("a b"), ShardCount: aws.Int32(0)})},
		{"long name", "ValidationException", "length less than or equal to 128",
			create(kinesis.CreateStreamInput{StreamName: aws.String(strings.Repeat("x", 129)), ShardCount: aws.Int32(1)})},
		{"record size", "ValidationException", "Value '10241' at 'maxRecordSizeInKiB'",
			create(kinesis.CreateStreamInput{StreamName: aws.String("x"), ShardCount: aws.Int32(1), MaxRecordSizeInKiB: aws.Int32(10241)})},
		{"mode", "ValidationException", "Member must satisfy enum value set",
			create(kinesis.CreateStreamInput{StreamName: aws.String("x"), ShardCount: aws.Int32(1), StreamModeDetails: &types.StreamModeDetails{StreamMode: "FREE"}})},
		{"neither name nor ARN", "InvalidArgumentException", "Either StreamName or StreamARN",
			describe(kinesis.DescribeStreamSummaryInput{})},
		{"ARN of another region", "ResourceNotFoundException", "Stream trips under account 000000000000",
			describe(kinesis.DescribeStreamSummaryInput{StreamARN: aws.String("arn:aws:kinesis:eu-west-1:000000000000:stream/trips")})},
		{"ARN of another service", "InvalidArgumentException", "not a valid stream ARN",
			describe(kinesis.DescribeStreamSummaryInput{StreamARN: aws.String("arn:aws:s3:us-east-1:000000000000:stream/trips")})},
		{"ARN of another stream", "InvalidArgumentException", "does not match",
			describe(kinesis.DescribeStreamSummaryInput{StreamName: aws.String("x"), StreamARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/trips")})},
		{"delete unknown", "ResourceNotFoundException", "Stream x under", func() error {
			_, err := client.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: aws.String("x")})
			return err
		}},
		{"retention too long", "InvalidArgumentException", "between 24 and 8760", func() error {
			_, err := client.IncreaseStreamRetentionPeriod(ctx, &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: aws.String("trips"), RetentionPeriodHours: aws.Int32(9000)})
			return err
		}},
		{"increase that decreases nothing is allowed, decrease that increases is not", "InvalidArgumentException", "IncreaseRetentionPeriod", func() error {
			_, err := client.DecreaseStreamRetentionPeriod(ctx, &kinesis.DecreaseStreamRetentionPeriodInput{StreamName: aws.String("trips"), RetentionPeriodHours: aws.Int32(48)})
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) { wantError(t, test.call(), test.code, test.part) })
	}
}

func TestOnDemandStreamHasFourShards(t *testing.T) {
	_, client := start(t)
	if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("x"), StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}}); err != nil {
		t.Fatal(err)
	}
	if got := ids(shardsOf(t, client, kinesis.ListShardsInput{StreamName: aws.String("x")})); got != "0 1 2 3" {
		t.Errorf("shards %s", got)
	}
}

func TestStreamPassesThroughItsStates(t *testing.T) {
	now := newClock()
	_, client := start(t, kinesisfake.WithClock(now.Now), kinesisfake.TransitionTime(10*time.Second))
	ctx := t.Context()
	status := func() types.StreamStatus {
		t.Helper()
		out, err := client.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: aws.String("x")})
		if err != nil {
			t.Fatal(err)
		}
		return out.StreamDescription.StreamStatus
	}
	if _, err := client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("x"), ShardCount: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	if s := status(); s != types.StreamStatusCreating {
		t.Errorf("status %s after creation", s)
	}
	_, err := client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("x"), PartitionKey: aws.String("a"), Data: []byte("1")})
	wantError(t, err, "ResourceNotFoundException", "Stream x")
	_, err = client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: aws.String("x")})
	wantError(t, err, "ResourceInUseException", "not ACTIVE, instead in state CREATING")
	now.move(10 * time.Second)
	if s := status(); s != types.StreamStatusActive {
		t.Errorf("status %s after the transition", s)
	}
	split := &kinesis.SplitShardInput{StreamName: aws.String("x"), ShardToSplit: shardName(0), NewStartingHashKey: aws.String("1000")}
	if _, err := client.SplitShard(ctx, split); err != nil {
		t.Fatal(err)
	}
	if s := status(); s != types.StreamStatusUpdating {
		t.Errorf("status %s after a split", s)
	}
	put(t, client, "x", "a", "while updating")
	split.ShardToSplit = shardName(1)
	_, err = client.SplitShard(ctx, split)
	wantError(t, err, "ResourceInUseException", "UPDATING")
	now.move(10 * time.Second)
	if _, err := client.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: aws.String("x")}); err != nil {
		t.Fatal(err)
	}
	if s := status(); s != types.StreamStatusDeleting {
		t.Errorf("status %s after deletion", s)
	}
	_, err = client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("x"), ShardCount: aws.Int32(1)})
	wantError(t, err, "ResourceInUseException", "already exists")
	now.move(10 * time.Second)
	_, err = client.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: aws.String("x")})
	wantError(t, err, "ResourceNotFoundException", "Stream x")
}

func TestRetentionTrimsRecords(t *testing.T) {
	now := newClock()
	_, client := start(t, kinesisfake.WithClock(now.Now), kinesisfake.SeedStream("trips", 1))
	old := put(t, client, "trips", "a", "first")
	now.move(20 * time.Hour)
	put(t, client, "trips", "a", "second")
	now.move(10 * time.Hour)
	from := func(in kinesis.GetShardIteratorInput) string {
		t.Helper()
		return strings.Join(texts(get(t, client, iteratorOf(t, client, in)).Records), " ")
	}
	if got := from(horizon("trips", 0)); got != "second" {
		t.Errorf("after 30 hours of 24: %q", got)
	}
	after := horizon("trips", 0)
	after.ShardIteratorType, after.StartingSequenceNumber = types.ShardIteratorTypeAtSequenceNumber, old.SequenceNumber
	if got := from(after); got != "second" {
		t.Errorf("from a trimmed sequence number: %q", got)
	}
	if _, err := client.IncreaseStreamRetentionPeriod(t.Context(), &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: aws.String("trips"), RetentionPeriodHours: aws.Int32(48)}); err != nil {
		t.Fatal(err)
	}
	now.move(10 * time.Hour)
	if got := from(horizon("trips", 0)); got != "second" {
		t.Errorf("20 hours old of 48: %q", got)
	}
	if _, err := client.DecreaseStreamRetentionPeriod(t.Context(), &kinesis.DecreaseStreamRetentionPeriodInput{StreamName: aws.String("trips"), RetentionPeriodHours: aws.Int32(24)}); err != nil {
		t.Fatal(err)
	}
	now.move(10 * time.Hour)
	if got := from(horizon("trips", 0)); got != "" {
		t.Errorf("30 hours old of 24: %q", got)
	}
	put(t, client, "trips", "a", "third")
	if got := from(horizon("trips", 0)); got != "third" {
		t.Errorf("after trimming all: %q", got)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, opt := range map[string]kinesisfake.Option{
		"clock":      kinesisfake.WithClock(nil),
		"region":     kinesisfake.Region(""),
		"account":    kinesisfake.AccountID("12"),
		"transition": kinesisfake.TransitionTime(-1),
		"limit":      kinesisfake.ShardLimit(0),
		"a b":        kinesisfake.SeedStream("a b", 1),
		"ShardCount": kinesisfake.SeedStream("x", 0),
	} {
		if _, err := kinesisfake.New(opt); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
