package kinesisio

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// outlet is a shard as a producer sees it.
type outlet struct {
	shardRange
	// ready are entries whose turn has come.
	ready queue
	rate  rate
	// fillers pack records, each those of its part of the range.
	fillers []*filler
	// of the call that is being settled
	taken, refused int
}

// shardRange is a shard's id and its part of the hash keys.
type shardRange struct {
	id       string
	from, to hashKey
}

func (r *shardRange) holds(k hashKey) bool { return !k.less(r.from) && !r.to.less(k) }

// outlets are the open shards in the order of their ranges, which cover all keys.
type outlets []*outlet

// find returns the shard of a key.
func (o outlets) find(k hashKey) *outlet {
	i := sort.Search(len(o), func(i int) bool { return !o[i].to.less(k) })
	return o[i]
}

// are says whether the outlets are those of the ranges.
func (o outlets) are(ranges []shardRange) bool {
	return slices.EqualFunc(o, ranges, func(o *outlet, r shardRange) bool { return o.shardRange == r })
}

// shardMap is the stream's shards at a time.
type shardMap struct {
	// all has closed shards too.
	all  map[string]shardRange
	open []shardRange
}

// listRanges asks for the stream's shards. ShardFilter would spare the closed
// ones, but not every emulator knows it, and they may be wanted: see misplaced.
func listRanges(ctx context.Context, client *kinesis.Client, o Options) (shardMap, error) {
	m := shardMap{all: map[string]shardRange{}}
	in := &kinesis.ListShardsInput{}
	in.StreamName, in.StreamARN = o.target()
	for {
		out, err := client.ListShards(ctx, in, singleAttempt)
		if err != nil {
			return m, err
		}
		for i := range out.Shards {
			r, err := rangeOf(&out.Shards[i])
			if err != nil {
				return m, err
			}
			m.all[r.id] = r
			if s := out.Shards[i].SequenceNumberRange; s == nil || s.EndingSequenceNumber == nil {
				m.open = append(m.open, r)
			}
		}
		if aws.ToString(out.NextToken) == "" {
			break
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken}
	}
	m.open = covering(m.open)
	if m.open == nil {
		return m, errShardGap
	}
	return m, nil
}

// errShardGap is a listing whose open shards leave keys without a shard: the
// stream is being resharded, or made.
var errShardGap = fmt.Errorf("the open shards do not cover all hash keys: %w", &types.ResourceInUseException{})

func rangeOf(s *types.Shard) (shardRange, error) {
	r := shardRange{id: aws.ToString(s.ShardId)}
	if s.HashKeyRange == nil || r.id == "" {
		return r, fmt.Errorf("a shard without id or hash key range")
	}
	var from, to bool
	r.from, from = parseHashKey(aws.ToString(s.HashKeyRange.StartingHashKey))
	r.to, to = parseHashKey(aws.ToString(s.HashKeyRange.EndingHashKey))
	if !from || !to || r.to.less(r.from) {
		return r, fmt.Errorf("shard %s has the hash keys from %q to %q", r.id,
			aws.ToString(s.HashKeyRange.StartingHashKey), aws.ToString(s.HashKeyRange.EndingHashKey))
	}
	return r, nil
}

// covering returns the ranges in their order if they cover all keys, else nil.
// Where one overlaps the one before (a parent that is closing) it is passed over.
func covering(open []shardRange) []shardRange {
	slices.SortFunc(open, func(a, b shardRange) int {
		switch {
		case a.from == b.from:
			return 0
		case a.from.less(b.from):
			return -1
		}
		return 1
	})
	var out []shardRange
	var next hashKey
	last := hashKey{1<<64 - 1, 1<<64 - 1}
	for _, r := range open {
		if r.from != next {
			continue
		}
		out = append(out, r)
		if r.to == last {
			return out
		}
		next = r.to
		if next.lo++; next.lo == 0 {
			next.hi++
		}
	}
	return nil
}
