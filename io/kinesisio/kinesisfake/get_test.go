package kinesisfake_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

func TestLatestSeesWhatIsPutAfterTheIterator(t *testing.T) {
	_, client := start(t, kinesisfake.SeedStream("trips", 1))
	put(t, client, "trips", "a", "before")
	in := horizon("trips", 0)
	in.ShardIteratorType = types.ShardIteratorTypeLatest
	it := iteratorOf(t, client, in)
	put(t, client, "trips", "a", "after 1")
	put(t, client, "trips", "b", "after 2")
	out := get(t, client, it)
	if got := texts(out.Records); !slices.Equal(got, []string{"after 1", "after 2"}) {
		t.Errorf("read %q", got)
	}
	if *out.MillisBehindLatest != 0 || out.NextShardIterator == nil {
		t.Fatalf("behind %d, next %v", *out.MillisBehindLatest, out.NextShardIterator)
	}
	put(t, client, "trips", "a", "after 3")
	if got := texts(get(t, client, *out.NextShardIterator).Records); !slices.Equal(got, []string{"after 3"}) {
		t.Errorf("then read %q", got)
	}
}

// Ten records, one a second from the clock's start, are read from everywhere.
func TestIteratorsBeginWhereTheyShould(t *testing.T) {
	now := newClock()
	_, client := start(t, kinesisfake.WithClock(now.Now), kinesisfake.SeedStream("trips", 1))
	begin := now.Now()
	var seqs []*string
	for i := range 10 {
		seqs = append(seqs, put(t, client, "trips", "a", fmt.Sprint(i)).SequenceNumber)
		now.move(time.Second)
	}
	start := shardsOf(t, client, kinesis.ListShardsInput{StreamName: aws.String("trips")})[0].SequenceNumberRange.StartingSequenceNumber
	at := func(d time.Duration) *time.Time { return aws.Time(begin.Add(d)) }
	for _, test := range []struct {
		name string
		in   kinesis.GetShardIteratorInput
		want string
	}{
		{"trim horizon", kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon}, "0123456789"},
		{"latest", kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeLatest}, ""},
		{"at a number", kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: seqs[4]}, "456789"},
		{"after a number", kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: seqs[4]}, "56789"},
		{"after the last number", kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: seqs[9]}, ""},
		{"at the shard's first number", kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: start}, "0123456789"},
		{"after the shard's first number", kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: start}, "0123456789"},
		{"at the time of a record", kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: at(3 * time.Second)}, "3456789"},
		{"between two records", kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: at(3*time.Second + time.Millisecond)}, "456789"},
		{"long ago", kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: at(-48 * time.Hour)}, "0123456789"},
		{"behind the last record", kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: at(9*time.Second + 500*time.Millisecond)}, ""},
	} {
		test.in.ShardId = shardName(0)
		test.in.StreamARN = aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/trips")
		records, _ := drain(t, client, iteratorOf(t, client, test.in))
		if got := strings.Join(texts(records), ""); got != test.want {
			t.Errorf("%s: read %q, want %q", test.name, got, test.want)
		}
	}
}

func TestIteratorsAreRefused(t *testing.T) {
	now := newClock()
	_, client := start(t, kinesisfake.WithClock(now.Now), kinesisfake.SeedStream("trips", 2), kinesisfake.SeedStream("other", 1))
	shards := shardsOf(t, client, kinesis.ListShardsInput{StreamName: aws.String("trips")})
	tooLate := now.Now().Add(time.Millisecond)
	for _, test := range []struct {
		name, code, part string
		in               kinesis.GetShardIteratorInput
	}{
		{"unknown shard", "ResourceNotFoundException", "Shard shardId-000000000007 in stream trips under account 000000000000 does not exist",
			kinesis.GetShardIteratorInput{ShardId: shardName(7), ShardIteratorType: types.ShardIteratorTypeLatest}},
		{"unknown type", "ValidationException", "'shardIteratorType' failed to satisfy constraint: Member must satisfy enum value set",
			kinesis.GetShardIteratorInput{ShardId: shardName(0), ShardIteratorType: "NEWEST"}},
		{"no sequence number", "InvalidArgumentException", "no StartingSequenceNumber",
			kinesis.GetShardIteratorInput{ShardId: shardName(0), ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber}},
		{"needless sequence number", "InvalidArgumentException", "also a StartingSequenceNumber",
			kinesis.GetShardIteratorInput{ShardId: shardName(0), ShardIteratorType: types.ShardIteratorTypeLatest, StartingSequenceNumber: aws.String("1")}},
		{"made-up sequence number", "InvalidArgumentException", "StartingSequenceNumber 12345 used in GetShardIterator on shard",
			kinesis.GetShardIteratorInput{ShardId: shardName(0), ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: aws.String("12345")}},
		{"text as sequence number", "ValidationException", "startingSequenceNumber",
			kinesis.GetShardIteratorInput{ShardId: shardName(0), ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: aws.String("LATEST")}},
		{"another shard's sequence number", "InvalidArgumentException", "It encodes shardId-000000000001, while it was used in a call to a shard with shardId-000000000000",
			kinesis.GetShardIteratorInput{ShardId: shardName(0), ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: shards[1].SequenceNumberRange.StartingSequenceNumber}},
		{"no time", "InvalidArgumentException", "Must specify timestampInMillis",
			kinesis.GetShardIteratorInput{ShardId: shardName(0), ShardIteratorType: types.ShardIteratorTypeAtTimestamp}},
		{"time to come", "InvalidArgumentException", "cannot be greater than the currentTimestampInMillis",
			kinesis.GetShardIteratorInput{ShardId: shardName(0), ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: &tooLate}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.in.StreamName = aws.String("trips")
			_, err := client.GetShardIterator(t.Context(), &test.in)
			wantError(t, err, test.code, test.part)
		})
	}

	// A number that no record has yet, made under another server's count.
	_, rich := start(t, kinesisfake.WithClock(now.Now), kinesisfake.SeedStream("trips", 1))
	put(t, rich, "trips", "a", "1")
	ahead := put(t, rich, "trips", "a", "2").SequenceNumber
	_, err := client.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
		StreamName: aws.String("trips"), ShardId: shardName(0), ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: ahead,
	})
	wantError(t, err, "InvalidArgumentException", "is not one of the shard's sequence numbers")
}

func TestIteratorExpiresAfterFiveMinutes(t *testing.T) {
	now := newClock()
	_, client := start(t, kinesisfake.WithClock(now.Now), kinesisfake.SeedStream("trips", 1))
	put(t, client, "trips", "a", "1")
	it := iteratorOf(t, client, horizon("trips", 0))
	now.move(5 * time.Minute)
	next := *get(t, client, it).NextShardIterator
	now.move(time.Millisecond)
	_, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: &it})
	wantError(t, err, "ExpiredIteratorException", "tolerated delay of 300000 milliseconds")
	get(t, client, next) // is younger
}

func TestGetRecordsIsRefused(t *testing.T) {
	_, client := start(t, kinesisfake.SeedStream("trips", 1))
	ctx := t.Context()
	it := iteratorOf(t, client, horizon("trips", 0))
	_, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: &it, Limit: aws.Int32(10001)})
	wantError(t, err, "InvalidArgumentException", "10000")
	_, err = client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: &it, Limit: aws.Int32(0)})
	wantError(t, err, "ValidationException", "limit")
	_, err = client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: &it, DryRun: aws.Bool(true)})
	wantError(t, err, "DryRunOperationException", "")
	_, err = client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: &it, StreamARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/x")})
	wantError(t, err, "InvalidArgumentException", "StreamARN")
	for _, bad := range []string{"", "AAAA", it[:len(it)-4], it[1:], strings.ToUpper(it)} {
		_, err = client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: &bad})
		wantError(t, err, "InvalidArgumentException", "Invalid ShardIterator.")
	}
	// The iterator of a stream that was deleted does not open one of the same name.
	if _, err := client.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: aws.String("trips")}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("trips"), ShardCount: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	_, err = client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: &it})
	wantError(t, err, "ResourceNotFoundException", "does not exist")
}

func TestGetRecordsGivesTenThousandRecordsAtMost(t *testing.T) {
	now := newClock()
	_, client := start(t, kinesisfake.WithClock(now.Now), kinesisfake.SeedStream("trips", 1))
	const count = 12_500
	for first := 0; first < count; first += 500 {
		entries := make([]types.PutRecordsRequestEntry, 500)
		for i := range entries {
			entries[i] = types.PutRecordsRequestEntry{Data: fmt.Append(nil, first+i), PartitionKey: aws.String("k")}
		}
		if _, err := client.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("trips"), Records: entries}); err != nil {
			t.Fatal(err)
		}
		now.move(time.Second)
	}
	out := get(t, client, iteratorOf(t, client, horizon("trips", 0)))
	if len(out.Records) != 10_000 {
		t.Fatalf("first call gave %d records", len(out.Records))
	}
	// 20 of 25 seconds are read; the next record is from the 20th.
	if *out.MillisBehindLatest != 5000 {
		t.Errorf("%d ms behind, want 5000", *out.MillisBehindLatest)
	}
	three, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: out.NextShardIterator, Limit: aws.Int32(3)})
	if err != nil {
		t.Fatal(err)
	}
	if len(three.Records) != 3 {
		t.Errorf("limit 3 gave %d", len(three.Records))
	}
	rest := get(t, client, *three.NextShardIterator)
	all := slices.Concat(texts(out.Records), texts(three.Records), texts(rest.Records))
	if len(all) != count || *rest.MillisBehindLatest != 0 {
		t.Fatalf("read %d records, then %d ms behind", len(all), *rest.MillisBehindLatest)
	}
	for i, text := range all {
		if text != fmt.Sprint(i) {
			t.Fatalf("record %d is %s", i, text)
		}
	}
}

func TestGetRecordsGivesTenMegabytesAtMost(t *testing.T) {
	_, client := start(t, kinesisfake.SeedStream("trips", 1))
	for i := range 25 {
		put(t, client, "trips", "k", strings.Repeat(string(rune('a'+i)), 1_000_000))
	}
	it := iteratorOf(t, client, horizon("trips", 0))
	var sizes []int
	read := ""
	for {
		out := get(t, client, it)
		sizes = append(sizes, len(out.Records))
		for _, r := range out.Records {
			read += string(r.Data[:1])
		}
		if *out.MillisBehindLatest == 0 {
			break
		}
		it = *out.NextShardIterator
	}
	if fmt.Sprint(sizes) != "[10 10 5]" || read != "abcdefghijklmnopqrstuvwxy" {
		t.Errorf("read %s in calls of %v", read, sizes)
	}
}

func TestRecordOfTenMebibytesIsGiven(t *testing.T) {
	_, client := start(t)
	if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("trips"), ShardCount: aws.Int32(1), MaxRecordSizeInKiB: aws.Int32(10240)}); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("x", 10<<20)
	put(t, client, "trips", "k", "small")
	put(t, client, "trips", "k", big)
	put(t, client, "trips", "k", "small")
	records, _ := drain(t, client, iteratorOf(t, client, horizon("trips", 0)))
	if len(records) != 3 || string(records[1].Data) != big || string(records[2].Data) != "small" {
		t.Errorf("read %d records", len(records))
	}
}

func TestShardGivesFiveCallsASecond(t *testing.T) {
	now := newClock()
	_, client := start(t, kinesisfake.WithClock(now.Now), kinesisfake.SeedStream("trips", 1), kinesisfake.EnforceLimits())
	it := iteratorOf(t, client, horizon("trips", 0))
	for range 5 {
		get(t, client, it)
	}
	_, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: &it})
	wantError(t, err, "ProvisionedThroughputExceededException", "Rate exceeded for shard shardId-000000000000 in stream trips")
	now.move(200 * time.Millisecond)
	get(t, client, it)

	for range 4 {
		iteratorOf(t, client, horizon("trips", 0))
	}
	now.move(-time.Hour) // a clock that goes back refills nothing
	in := horizon("trips", 0)
	_, err = client.GetShardIterator(t.Context(), &in)
	if err == nil {
		_, err = client.GetShardIterator(t.Context(), &in)
	}
	wantError(t, err, "ProvisionedThroughputExceededException", "Rate exceeded")
}

func TestShardPausesAfterTenMegabytes(t *testing.T) {
	now := newClock()
	server, client := start(t, kinesisfake.WithClock(now.Now), kinesisfake.SeedStream("trips", 1))
	for range 12 {
		put(t, client, "trips", "k", strings.Repeat("x", 1_000_000))
	}
	server.SetEnforceLimits(true)
	out := get(t, client, iteratorOf(t, client, horizon("trips", 0)))
	if len(out.Records) != 10 {
		t.Fatalf("first call gave %d records", len(out.Records))
	}
	now.move(3 * time.Second)
	_, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: out.NextShardIterator})
	wantError(t, err, "ProvisionedThroughputExceededException", "Rate exceeded")
	now.move(time.Second)
	if got := len(get(t, client, *out.NextShardIterator).Records); got != 2 {
		t.Errorf("after the pause %d records", got)
	}
}

func TestDescribingIsThrottled(t *testing.T) {
	now := newClock()
	_, client := start(t, kinesisfake.WithClock(now.Now), kinesisfake.SeedStream("trips", 1), kinesisfake.EnforceLimits())
	in := &kinesis.DescribeStreamInput{StreamName: aws.String("trips")}
	for range 10 {
		if _, err := client.DescribeStream(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	_, err := client.DescribeStream(t.Context(), in)
	wantError(t, err, "LimitExceededException", "Rate exceeded for stream trips under account 000000000000.")
}
