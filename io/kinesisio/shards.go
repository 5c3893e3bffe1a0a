package kinesisio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/logging"
)

// hashBits is the width of hash keys: they are MD5 sums of partition keys.
const hashBits = 128

// maxSlots keeps each slot's part of the hash range far wider than hashSlack.
const maxSlots = 1 << 20

// hashSlack is added to starting hash keys before they are placed: streams
// are made with i*floor(2^128/shards), a little below i*2^128/shards, and
// without it shard i of N would fall in slot i-1 of N.
const hashSlack = 1 << 32

// slotOf returns the slot of count that reads a shard with the starting hash
// key: slot i owns the keys from i*2^128/count to (i+1)*2^128/count. So a
// shard has one owner without anyone being asked, and after a split the child
// that begins where its parent began stays in the parent's slot.
func slotOf(startingHashKey string, count int) (int, error) {
	start, ok := new(big.Int).SetString(startingHashKey, 10)
	if !ok || start.Sign() < 0 || start.BitLen() > hashBits {
		return 0, fmt.Errorf("starting hash key %q is not a number of 128 bits", startingHashKey)
	}
	start.Add(start, big.NewInt(hashSlack))
	start.Mul(start, big.NewInt(int64(count)))
	return int(min(start.Rsh(start, hashBits).Int64(), int64(count-1))), nil
}

// found is a shard as ListShards or the end of its parent told of it.
type found struct {
	id      string
	parents []string
	owner   owner
	// open says that by the listing the shard takes records.
	open bool
}

// ownedShards returns the shards of the answer that belong to the slot.
func (r *Reader) ownedShards(shards []types.Shard) ([]found, error) {
	var out []found
	for i := range shards {
		s := &shards[i]
		var parents []string
		for _, p := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
			if aws.ToString(p) != "" {
				parents = append(parents, *p)
			}
		}
		f, ours, err := r.owned(aws.ToString(s.ShardId), parents, s.HashKeyRange)
		if err != nil {
			return nil, err
		}
		if ours {
			f.open = s.SequenceNumberRange != nil && s.SequenceNumberRange.EndingSequenceNumber == nil
			out = append(out, f)
		}
	}
	return out, nil
}

// ownedChildren does the same for the children that the end of a shard names.
func (r *Reader) ownedChildren(children []types.ChildShard) ([]found, error) {
	var out []found
	for i := range children {
		c := &children[i]
		f, ours, err := r.owned(aws.ToString(c.ShardId), c.ParentShards, c.HashKeyRange)
		if err != nil {
			return nil, err
		}
		if ours {
			out = append(out, f)
		}
	}
	return out, nil
}

// owned tells whether the shard is the slot's, or something in it.
func (r *Reader) owned(id string, parents []string, keys *types.HashKeyRange) (f found, ours bool, err error) {
	f = found{id: id, parents: parents}
	if id == "" || keys == nil {
		return f, false, errors.New("a shard without id or hash key range")
	}
	if r.opts.KeyOrder {
		f.owner, ours, err = ownerOf(keys, r.slot.Index, r.slot.Count)
	} else {
		var i int
		i, err = slotOf(aws.ToString(keys.StartingHashKey), r.slot.Count)
		ours = i == r.slot.Index
	}
	if err != nil {
		return f, false, fmt.Errorf("shard %s: %w", id, err)
	}
	return f, ours, nil
}

// discover lists the stream's shards at once, then every DiscoveryInterval,
// and whenever a shard has ended, until the reader is closed.
func (r *Reader) discover(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-r.relist:
		}
		shards, all, err := r.listShards(ctx)
		if err != nil {
			return err
		}
		ours, err := r.ownedShards(shards)
		if err != nil {
			return fmt.Errorf("list shards of stream %s: %w", r.opts.Stream, err)
		}
		next, err := r.merge(ours, all)
		if err != nil {
			return err
		}
		timer.Reset(next)
	}
}

// askRelist asks for a listing soon; one that is asked for already will do.
func (r *Reader) askRelist() {
	select {
	case r.relist <- struct{}{}:
	default:
	}
}

// listShards returns all shards of the stream, open and closed ones; all says
// that no shard to come can have records up to the stop timestamp.
func (r *Reader) listShards(ctx context.Context) (_ []types.Shard, all bool, _ error) {
	var (
		shards []types.Shard
		token  *string
		stale  int
	)
	for {
		in := &kinesis.ListShardsInput{NextToken: token}
		if token == nil {
			// A token stands for the stream too; the service refuses both.
			in.StreamName, in.StreamARN = r.opts.target()
		}
		var out *kinesis.ListShardsOutput
		err := r.retry(ctx, "ListShards", "", func() (err error) {
			out, err = r.client.ListShards(ctx, in, singleAttempt)
			return err
		})
		var old *types.ExpiredNextTokenException
		if errors.As(err, &old) && stale < maxStale {
			shards, token = nil, nil
			stale++
			continue
		}
		if err != nil {
			return nil, false, err
		}
		if token == nil {
			all = r.opts.pastStop(out.ResultMetadata) // the first page's time is the listing's
		}
		shards = append(shards, out.Shards...)
		if token = out.NextToken; aws.ToString(token) == "" {
			return shards, all, nil
		}
	}
}

// maxStale bounds how often in a row a token or iterator may be told to have
// expired the moment it was given.
const maxStale = 10

// missesToForget is how many listings in a row must be without a finished
// shard before it is forgotten: were one listing short by mistake, the shard
// would be read once more from its beginning.
const missesToForget = 3

// merge takes over a complete listing of the slot's shards. It returns when the
// next is wanted.
func (r *Reader) merge(listed []found, all bool) (next time.Duration, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listed = true
	r.listedAll = r.listedAll || all
	r.learn(listed)
	next = r.untilListing(r.listedAll)
	present := make(map[string]bool, len(listed))
	for _, f := range listed {
		present[f.id] = true
		s := r.shards[f.id]
		if !f.open || !s.delivered.finished {
			s.reopened = reopened{}
			continue
		}
		apart := r.opts.reopenedApart
		if s.reopened.again(apart); s.reopened.times >= reopenedToFail {
			return 0, r.replaced(f.id, "was read to its end and is open")
		}
		next = min(next, apart)
	}
	for id, s := range r.shards {
		if present[id] {
			s.missed = 0
			continue
		}
		// The stream has forgotten it (retention), so will we. A child that
		// comes after it no longer finds it here and does not wait.
		if s.missed++; s.missed >= missesToForget && s.delivered.finished {
			delete(r.shards, id)
			delete(r.positions.shards, id)
			r.turns = slices.DeleteFunc(r.turns, func(t *shard) bool { return t == s })
		}
	}
	r.start()
	return next, nil
}

// No shard opens again, but a listing may be a little behind a split. So many
// listings in a row, each so long after the one before, must have a shard as
// open that was read to its end: however often the stream is listed, a minute.
const (
	reopenedToFail       = 6
	defaultReopenedApart = 10 * time.Second
)

// reopened counts listings that have a shard as open that was read to its end.
type reopened struct {
	times int
	last  time.Time
}

// again counts one more, unless the last was a shorter time ago.
func (o *reopened) again(apart time.Duration) {
	if now := time.Now(); now.Sub(o.last) >= apart {
		o.times, o.last = o.times+1, now
	}
}

// replaced is the error of a stream that is not the one of the positions, as a
// shard shows. Its shards have the same ids, and what the positions say of them
// would pass over records without a word.
func (r *Reader) replaced(shard, sign string) error {
	return fmt.Errorf("read stream %s: shard %s %s: the stream was deleted and made anew under its name, and the saved positions are of the one before: start the job without its state",
		r.opts.Stream, shard, sign)
}

// learn adds shards that were not known, and parents that were not. r.mu is held.
func (r *Reader) learn(shards []found) {
	for _, f := range shards {
		s := r.shards[f.id]
		if s == nil {
			s = r.add(f.id, position{})
		}
		if len(f.parents) > len(s.parents) {
			s.parents = f.parents
		}
		if s.owner.count == 0 && f.owner.count > 0 {
			s.owner = f.owner
		}
	}
}

// ofKnownParents returns the children whose parents are all known. Another
// parent may be another slot's, or one that was made since the last listing,
// with parents that are still being read: the next listing, which was asked
// for when the shard ended, has them all. r.mu is held.
func (r *Reader) ofKnownParents(children []found) []found {
	return slices.DeleteFunc(children, func(f found) bool {
		return slices.ContainsFunc(f.parents, func(id string) bool { return r.shards[id] == nil })
	})
}

// start begins to read the shards whose turn has come. r.mu is held.
//
// A child waits until the pipeline has everything of its parents, so the
// order within a partition key survives splits and merges. This holds for
// parents of the same slot. A parent of another slot is not known here and
// not waited for: nothing of the child is lost or doubled, but across that
// one boundary its records may overtake the parent's last. A split's second
// half and a merge over the border of two slots are such cases; with one
// slot there are none, and none where slots own keys (Options.KeyOrder): a
// parent that is not known then has no key of this slot.
func (r *Reader) start() {
	if r.err != nil || r.closed {
		return
	}
	for _, s := range r.turns {
		if s.started || s.delivered.finished {
			continue
		}
		// A shard of which something was delivered was begun before, after its parents.
		if s.delivered.seq == "" {
			if !r.listed || r.waits(s) {
				continue
			}
		}
		if r.opts.KeyOrder && s.owner.count == 0 {
			// Its range is not known, so neither is which of its records are ours.
			if r.listed {
				s.started = true
				r.run(func(ctx context.Context) error { return r.lost(ctx, s, &types.ResourceNotFoundException{}) })
			}
			continue
		}
		s.started = true
		from := s.delivered.seq
		if from == "" {
			from = "beginning"
		}
		slog.InfoContext(r.ctx, "kinesis: a shard's reading begins", logging.Stream, r.opts.Stream, logging.Shard, s.id, "from", from)
		if r.opts.Consumer != "" {
			r.run(func(ctx context.Context) error { return r.subscribe(ctx, s) })
			continue
		}
		r.run(func(ctx context.Context) error { return r.fetch(ctx, s) })
	}
}

func (r *Reader) waits(s *shard) bool {
	for _, p := range s.parents {
		if parent := r.shards[p]; parent != nil && !parent.delivered.finished {
			return true
		}
	}
	return false
}
