package replay

import (
	"bytes"
	"crypto/md5"
	"math/big"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"google.golang.org/protobuf/encoding/protowire"
)

// readByClientLibrary returns what the Kinesis Client Library reads of the
// stream, and how many aggregates it passes over: all of one in which the key
// of a single event is not of the shard's range (AggregatorUtil.deaggregate).
func readByClientLibrary(t *testing.T, url string) (events []string, passed int) {
	t.Helper()
	client := kinesis.New(kinesis.Options{BaseEndpoint: &url, Region: "us-east-1", Credentials: aws.AnonymousCredentials{}})
	listed, err := client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("trips")})
	if err != nil {
		t.Fatal(err)
	}
	for _, shard := range listed.Shards {
		it, err := client.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
			StreamName: aws.String("trips"), ShardId: shard.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
		})
		if err != nil {
			t.Fatal(err)
		}
		for next, behind := it.ShardIterator, int64(1); behind > 0; {
			got, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: next})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range got.Records {
				of, ok := deaggregated(t, r.Data, shard.HashKeyRange)
				if !ok {
					passed++
				}
				events = append(events, of...)
			}
			next, behind = got.NextShardIterator, *got.MillisBehindLatest
		}
	}
	return events, passed
}

// deaggregated returns a record's events, by the Producer Library's published
// format, or false where one is not of the range.
func deaggregated(t *testing.T, data []byte, of *types.HashKeyRange) ([]string, bool) {
	t.Helper()
	message, aggregated := bytes.CutPrefix(data, []byte{0xF3, 0x89, 0x9A, 0xC2})
	if !aggregated {
		return []string{string(data)}, true
	}
	message = message[:len(message)-md5.Size]
	from, _ := new(big.Int).SetString(*of.StartingHashKey, 10)
	to, _ := new(big.Int).SetString(*of.EndingHashKey, 10)
	var keys, events []string
	for _, field := range fields(t, message) {
		switch field.number {
		case 1:
			keys = append(keys, string(field.bytes))
		case 3:
			var key uint64
			for _, part := range fields(t, field.bytes) {
				switch part.number {
				case 1:
					key = part.value
				case 3:
					events = append(events, string(part.bytes))
				default:
					t.Fatalf("an event has the field %d", part.number)
				}
			}
			sum := md5.Sum([]byte(keys[key]))
			if place := new(big.Int).SetBytes(sum[:]); place.Cmp(from) < 0 || place.Cmp(to) > 0 {
				return nil, false
			}
		default:
			t.Fatalf("an aggregate has the field %d", field.number)
		}
	}
	return events, true
}

// A field is one of a protobuf message, with bytes or a value.
type field struct {
	number protowire.Number
	bytes  []byte
	value  uint64
}

func fields(t *testing.T, message []byte) (out []field) {
	t.Helper()
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		message = message[n:]
		f := field{number: number}
		if kind == protowire.BytesType {
			f.bytes, n = protowire.ConsumeBytes(message)
		} else {
			f.value, n = protowire.ConsumeVarint(message)
		}
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		message = message[n:]
		out = append(out, f)
	}
	return out
}
