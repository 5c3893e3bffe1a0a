package kinesisio

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/slots"
)

func rangeText(from, to *big.Int) *types.HashKeyRange {
	return &types.HashKeyRange{StartingHashKey: aws.String(from.String()), EndingHashKey: aws.String(to.String())}
}

func TestEvenShardsAreReadByOneSlotEach(t *testing.T) {
	space := new(big.Int).Lsh(big.NewInt(1), hashBits)
	for _, c := range []struct{ shards, slots int }{{1, 1}, {6, 3}, {7, 7}, {16, 16}, {300, 3}, {49, 7}} {
		width := new(big.Int).Div(space, big.NewInt(int64(c.shards)))
		for i := range c.shards {
			from := new(big.Int).Mul(width, big.NewInt(int64(i)))
			to := new(big.Int).Add(from, width)
			to.Sub(to, big.NewInt(1))
			if i == c.shards-1 {
				to.Sub(space, big.NewInt(1))
			}
			for slot := range c.slots {
				o, ours, err := ownerOf(rangeText(from, to), slot, c.slots)
				if err != nil || !o.all() || ours != (slot == i*c.slots/c.shards) {
					t.Errorf("shard %d of %d, slot %d of %d: ours %v, shared by %d, %v", i, c.shards, slot, c.slots, ours, o.shared, err)
				}
			}
		}
	}
}

func TestEveryKeyOfASharedShardHasOneSlot(t *testing.T) {
	for _, r := range []*types.HashKeyRange{
		rangeText(big.NewInt(0), new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), hashBits), big.NewInt(1))),
		rangeText(new(big.Int).Lsh(big.NewInt(1), 126), new(big.Int).Lsh(big.NewInt(3), 126)),
		rangeText(new(big.Int).Lsh(big.NewInt(1), 127), new(big.Int).Lsh(big.NewInt(1), 127)), // a single key
	} {
		const count = 5
		for i := range 500 {
			key := fmt.Append(nil, i)
			hash := ""
			if i%3 == 0 {
				hash = hashOf(fmt.Append(nil, "h", i)).String()
			}
			owners := 0
			for slot := range count {
				o, ours, err := ownerOf(r, slot, count)
				if err != nil {
					t.Fatal(err)
				}
				if ours && o.owns(key, []byte(hash)) {
					owners++
				}
			}
			if owners != 1 {
				t.Errorf("key %s has %d slots in the shard %s to %s", key, owners, *r.StartingHashKey, *r.EndingHashKey)
			}
		}
	}
}

func TestSharedShardGivesEachSlotItsOwnRecords(t *testing.T) {
	s := newFake(t, 1)
	s.opts.KeyOrder = true
	next := map[int]int{}
	s.put(500, 50, next)
	p := s.producer(func(o *ProducerOptions) { o.Aggregate = true })
	b := p.NewBundle()
	putItems(t, b, 500, 50, next)
	flush(t, b)
	var readers []*Reader
	for i := range 3 {
		readers = append(readers, s.open(slots.Slot{Index: i, Count: 3}, nil))
	}
	all := collect(t)
	each := []*collector{collect(t), collect(t), collect(t)}
	for round := 0; all.seen < 1000; round++ {
		for i, r := range readers {
			batches, _, _, err := r.Drain(1)
			if err != nil {
				t.Fatal(err)
			}
			all.add(batches)
			each[i].add(batches)
			if len(batches) > 0 && round%5 == 0 { // move to another worker, where it is
				r.Close()
				readers[i] = s.open(slots.Slot{Index: i, Count: 3}, r.encoded())
			}
		}
	}
	all.quiet(readers...)
	all.once(next)
	for k := range next {
		owners := 0
		for _, c := range each {
			if n := len(c.order[fmt.Sprint(k)]); n > 0 {
				owners++
				if n != next[k] {
					t.Errorf("a slot has %d of %d records of key %d", n, next[k], k)
				}
			}
		}
		if owners != 1 {
			t.Errorf("key %d came by %d slots", k, owners)
		}
	}
	all.inOrder()
	o := s.opts
	o.KeyOrder = false
	if _, err := o.Open(t.Context(), slots.Slot{Index: 0, Count: 3}, readers[0].encoded()); err == nil || !strings.Contains(err.Error(), "key order") {
		t.Errorf("positions by key were taken for others: %v", err)
	}
}
