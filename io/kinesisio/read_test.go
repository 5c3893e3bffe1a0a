package kinesisio

import (
	"math/big"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/slots"
)

// middle returns the hash key in the middle of the shard's range.
func middle(t testing.TB, s types.Shard) string {
	t.Helper()
	lo, ok1 := new(big.Int).SetString(aws.ToString(s.HashKeyRange.StartingHashKey), 10)
	hi, ok2 := new(big.Int).SetString(aws.ToString(s.HashKeyRange.EndingHashKey), 10)
	if !ok1 || !ok2 {
		t.Fatalf("hash key range of %s", aws.ToString(s.ShardId))
	}
	lo.Add(lo, hi)
	lo.Add(lo, big.NewInt(1))
	return lo.Rsh(lo, 1).String()
}

func TestReadsEverythingFromTrimHorizon(t *testing.T) {
	for _, count := range []int{1, 3} {
		s := newStream(t, 4)
		next := map[int]int{}
		s.put(2000, 50, next)
		var readers []*Reader
		for i := range count {
			readers = append(readers, s.open(slots.Slot{Index: i, Count: count}, nil))
		}
		c := collect(t)
		c.drain(2000, readers...)
		s.put(1000, 50, next)
		c.drain(3000, readers...)
		c.quiet(readers...)
		c.once(next)
		c.inOrder()
	}
}

func TestBatchesNameTheirOrigin(t *testing.T) {
	s := newStream(t, 1)
	s.put(3, 3, map[int]int{})
	r := s.open(slots.Slot{Count: 1, JobStart: 77}, nil)
	begin := time.Now().Add(-time.Hour)
	seen := 0
	s.eventually("three records", func() bool {
		batches, _, _, err := r.Drain(1)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range batches {
			seen += b.Len()
			if b.Source != s.opts.Stream || b.Shard != "shardId-000000000000" || b.JobStart != 77 {
				t.Errorf("batch of %q, shard %q, start %d", b.Source, b.Shard, b.JobStart)
			}
			for i := range b.Records {
				if n, ok := new(big.Int).SetString(b.Seq(i), 10); !ok || n.Sign() <= 0 {
					t.Errorf("sequence number %q", b.Seq(i))
				}
				if at := time.UnixMilli(b.Records[i].Arrival); at.Before(begin) || at.After(time.Now().Add(time.Hour)) {
					t.Errorf("arrival %s", at)
				}
			}
		}
		return seen == 3
	})
}
