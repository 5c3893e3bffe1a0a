package kinesisfake_test

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

func TestRecordsGoToTheShardOfTheirKeysHash(t *testing.T) {
	_, client := start(t, kinesisfake.SeedStream("trips", 5))
	shards := shardsOf(t, client, kinesis.ListShardsInput{StreamName: aws.String("trips")})
	holds := func(shard string, k *big.Int) bool {
		for _, s := range shards {
			if *s.ShardId == shard {
				return number(t, *s.HashKeyRange.StartingHashKey).Cmp(k) <= 0 && k.Cmp(number(t, *s.HashKeyRange.EndingHashKey)) <= 0
			}
		}
		return false
	}
	seen := map[string]bool{}
	for i := range 50 {
		key := fmt.Sprintf("clé-%d", i)
		sum := md5.Sum([]byte(key))
		out := put(t, client, "trips", key, "x")
		if !holds(*out.ShardId, new(big.Int).SetBytes(sum[:])) {
			t.Errorf("key %s went to %s", key, *out.ShardId)
		}
		seen[*out.ShardId] = true
	}
	if len(seen) != 5 {
		t.Errorf("50 keys went to %d shards", len(seen))
	}

	// An explicit hash key decides instead: both ends of every range.
	for _, s := range shards {
		for _, k := range []*string{s.HashKeyRange.StartingHashKey, s.HashKeyRange.EndingHashKey} {
			out, err := client.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("trips"), Records: []types.PutRecordsRequestEntry{
				{Data: []byte("x"), PartitionKey: aws.String("same"), ExplicitHashKey: k},
			}})
			if err != nil {
				t.Fatal(err)
			}
			if got := *out.Records[0].ShardId; got != *s.ShardId {
				t.Errorf("hash key %s went to %s, want %s", *k, got, *s.ShardId)
			}
		}
	}
}

func TestPutRecordsAnswersEachRecordInOrder(t *testing.T) {
	now := newClock()
	_, client := start(t, kinesisfake.WithClock(now.Now), kinesisfake.SeedStream("trips", 2))
	var in []types.PutRecordsRequestEntry
	for i := range 500 {
		in = append(in, types.PutRecordsRequestEntry{Data: fmt.Appendf(nil, "record %d", i), PartitionKey: aws.String(fmt.Sprint(i % 7))})
	}
	in[3].Data = []byte{} // no bytes are a record too
	in[4].Data = []byte{0, 0xff, '"', '\\'}
	in[5].PartitionKey = aws.String("a \"quoted\" \\ key\n\u00e9\u2028")
	out, err := client.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("trips"), Records: in})
	if err != nil {
		t.Fatal(err)
	}
	if *out.FailedRecordCount != 0 || len(out.Records) != 500 || out.EncryptionType != types.EncryptionTypeNone {
		t.Fatalf("%d failed, %d answered", *out.FailedRecordCount, len(out.Records))
	}
	stored := map[string]types.Record{}
	for shard := range 2 {
		records, _ := drain(t, client, iteratorOf(t, client, horizon("trips", shard)))
		var last *big.Int
		for _, r := range records {
			seq := number(t, *r.SequenceNumber)
			if len(*r.SequenceNumber) != 56 || last != nil && seq.Cmp(last) <= 0 {
				t.Fatalf("sequence number %s behind %v", *r.SequenceNumber, last)
			}
			last = seq
			stored[fmt.Sprintf("shardId-%012d ", shard)+*r.SequenceNumber] = r
		}
	}
	if len(stored) != 500 {
		t.Fatalf("%d records stored", len(stored))
	}
	for i, answer := range out.Records {
		r := stored[*answer.ShardId+" "+*answer.SequenceNumber]
		if !bytes.Equal(r.Data, in[i].Data) || r.PartitionKey == nil || *r.PartitionKey != *in[i].PartitionKey || !r.ApproximateArrivalTimestamp.Equal(now.Now()) {
			t.Fatalf("record %d was stored as %+v", i, r)
		}
	}
}

func TestPutsAreRefused(t *testing.T) {
	_, client := start(t, kinesisfake.SeedStream("trips", 1))
	ctx := t.Context()
	if _, err := client.UpdateMaxRecordSize(ctx, &kinesis.UpdateMaxRecordSizeInput{
		StreamARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/trips"), MaxRecordSizeInKiB: aws.Int32(4096),
	}); err != nil {
		t.Fatal(err)
	}
	entry := func(size int) types.PutRecordsRequestEntry {
		return types.PutRecordsRequestEntry{Data: make([]byte, size), PartitionKey: aws.String("k")}
	}
	for _, test := range []struct {
		name, code, part string
		records          []types.PutRecordsRequestEntry
	}{
		{"none", "ValidationException", "greater than or equal to 1", []types.PutRecordsRequestEntry{}},
		{"501 records", "ValidationException", "Member must have length less than or equal to 500", make501()},
		{"more than 10 MiB", "InvalidArgumentException", "Records size exceeds 10 MB limit",
			[]types.PutRecordsRequestEntry{entry(4 << 20), entry(4 << 20), entry(2 << 20)}},
		{"record too large", "ValidationException", "at 'records.2.member.data' failed to satisfy constraint: Member must have length less than or equal to 4194304",
			[]types.PutRecordsRequestEntry{entry(4 << 20), entry(4<<20 + 1)}},
		{"long key", "ValidationException", "'records.1.member.partitionKey' failed to satisfy constraint: Member must have length less than or equal to 256",
			[]types.PutRecordsRequestEntry{{Data: []byte("x"), PartitionKey: aws.String(strings.Repeat("é", 257))}}},
		{"empty key", "ValidationException", "partitionKey",
			[]types.PutRecordsRequestEntry{{Data: []byte("x"), PartitionKey: aws.String("")}}},
		{"hash key too large", "InvalidArgumentException", "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was 340282366920938463463374607431768211456",
			[]types.PutRecordsRequestEntry{{Data: []byte("x"), PartitionKey: aws.String("k"), ExplicitHashKey: aws.String("340282366920938463463374607431768211456")}}},
		{"hash key not decimal", "ValidationException", "explicitHashKey",
			[]types.PutRecordsRequestEntry{entry(1), {Data: []byte("x"), PartitionKey: aws.String("k"), ExplicitHashKey: aws.String("0x1")}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String("trips"), Records: test.records})
			wantError(t, err, test.code, test.part)
		})
	}
	_, err := client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("trips"), PartitionKey: aws.String("k"), Data: make([]byte, 4<<20+1)})
	wantError(t, err, "ValidationException", "at 'data'")
	_, err = client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("trips"), PartitionKey: aws.String("k"), Data: []byte("x"), SequenceNumberForOrdering: aws.String("one")})
	wantError(t, err, "ValidationException", "sequenceNumberForOrdering")
	_, err = client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("x"), PartitionKey: aws.String("k"), Data: []byte("x")})
	wantError(t, err, "ResourceNotFoundException", "Stream x under account")
	_, err = client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("trips"), PartitionKey: aws.String("k"), Data: []byte("x"), DryRun: aws.Bool(true)})
	wantError(t, err, "DryRunOperationException", "")
	if records, _ := drain(t, client, iteratorOf(t, client, horizon("trips", 0))); len(records) != 0 {
		t.Errorf("%d records stored of refused requests", len(records))
	}
}

func make501() []types.PutRecordsRequestEntry {
	out := make([]types.PutRecordsRequestEntry, 501)
	for i := range out {
		out[i] = types.PutRecordsRequestEntry{Data: []byte("x"), PartitionKey: aws.String("k")}
	}
	return out
}

func TestShardTakesAThousandRecordsASecond(t *testing.T) {
	now := newClock()
	server, client := start(t, kinesisfake.WithClock(now.Now), kinesisfake.SeedStream("trips", 1), kinesisfake.EnforceLimits())
	var failed []int32
	var last *kinesis.PutRecordsOutput
	send := func() {
		t.Helper()
		out, err := client.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("trips"), Records: make501()[:400]})
		if err != nil {
			t.Fatal(err)
		}
		failed = append(failed, *out.FailedRecordCount)
		last = out
	}
	send()
	send()
	send()
	refused := last.Records[399]
	if *refused.ErrorCode != "ProvisionedThroughputExceededException" ||
		*refused.ErrorMessage != "Rate exceeded for shard shardId-000000000000 in stream trips under account 000000000000." ||
		refused.SequenceNumber != nil || last.Records[0].ErrorCode != nil {
		t.Errorf("first %+v, last %+v", last.Records[0], refused)
	}
	now.move(100 * time.Millisecond)
	send()
	server.SetEnforceLimits(false)
	send()
	if got, want := fmt.Sprint(failed), "[0 0 200 300 0]"; got != want {
		t.Errorf("failed records %s, want %s", got, want)
	}
}

func TestShardTakesAMegabyteASecond(t *testing.T) {
	now := newClock()
	_, client := start(t, kinesisfake.WithClock(now.Now), kinesisfake.SeedStream("trips", 1), kinesisfake.EnforceLimits())
	send := func(size int) error {
		_, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("trips"), PartitionKey: aws.String("k"), Data: make([]byte, size)})
		return err
	}
	if err := send(1 << 20); err != nil { // with its key it is more than a second's share
		t.Fatal(err)
	}
	wantError(t, send(100), "ProvisionedThroughputExceededException", "Rate exceeded for shard shardId-000000000000")
	now.move(time.Second / 2)
	wantError(t, send(600_000), "ProvisionedThroughputExceededException", "")
	if err := send(500_000); err != nil {
		t.Error(err)
	}
}
