package kinesisio

import (
	"math/bits"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// owner decides which records of a shard are a slot's where slots own keys
// (see Options.KeyOrder). The zero owner takes all.
type owner struct {
	// from and to are the shard's range without its edges.
	from, to hashKey
	// index of count slots; shared of them read the shard.
	index, count, shared int
}

// keySlot returns the slot that owns a hash key: slot i those from i*2^128/count on.
func keySlot(k hashKey, count int) int {
	hi, lo := bits.Mul64(k.hi, uint64(count))
	upper, _ := bits.Mul64(k.lo, uint64(count))
	_, carry := bits.Add64(lo, upper, 0)
	return int(hi + carry)
}

// ownerOf returns the owner of what the slot has in a shard, and whether it
// has anything there. Every key of the shard has one slot: that of the key
// itself, or of the nearest key of the shard's range where it is outside, as
// one can be that was put with an explicit hash key. The edges count as what is
// next to them, since streams are made with shards of floor(2^128/n) keys.
func ownerOf(r *types.HashKeyRange, index, count int) (owner, bool, error) {
	s := types.Shard{ShardId: aws.String("-"), HashKeyRange: r}
	shard, err := rangeOf(&s)
	if err != nil {
		return owner{}, false, err
	}
	o := owner{from: shard.from, to: shard.to, index: index, count: count}
	if width := o.to.minus(o.from); width.hi > 0 || width.lo > 2*hashSlack {
		o.from, o.to = o.from.plus(hashSlack), o.to.minus(hashKey{lo: hashSlack})
	} else {
		o.to = o.from
	}
	first, last := keySlot(o.from, count), keySlot(o.to, count)
	o.shared = last - first + 1
	return o, first <= index && index <= last, nil
}

// all says that every record of the shard is the slot's.
func (o *owner) all() bool { return o.shared <= 1 }

// owns says whether the record is the slot's. The explicit hash key may be
// empty: of records that are not aggregated it is not known.
func (o *owner) owns(partitionKey, explicitHashKey []byte) bool {
	if o.all() {
		return true
	}
	k := placeOf(partitionKey, explicitHashKey)
	if k.less(o.from) {
		k = o.from
	} else if o.to.less(k) {
		k = o.to
	}
	return keySlot(k, o.count) == o.index
}

func (k hashKey) plus(n uint64) hashKey {
	lo, carry := bits.Add64(k.lo, n, 0)
	return hashKey{k.hi + carry, lo}
}
