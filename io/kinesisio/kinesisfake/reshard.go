package kinesisfake

import (
	"slices"
)

// split replaces an open shard by two, the second beginning at the key.
// st.mu must be held for writing.
func (st *stream) split(c *call, s *shard, at hashKey) {
	st.addShard(s.from, at.prev(), c.now, s, nil)
	st.addShard(at, s.to, c.now, s, nil)
	st.closeShard(s)
}

// merge replaces two neighbouring open shards by one. a is named as its
// parent, b as the adjacent parent. st.mu must be held for writing.
func (st *stream) merge(c *call, a, b *shard) {
	from, to := a.from, b.to
	if b.from.less(a.from) {
		from, to = b.from, a.to
	}
	st.addShard(from, to, c.now, a, b)
	st.closeShard(a)
	st.closeShard(b)
}

// openShard returns an open shard of that id. st.mu must be held.
func (h *Handler) openShard(c *call, st *stream, id string) (*shard, error) {
	n, ok := parseShardID(id)
	if !ok || int(n) >= len(st.shards) || st.expired(st.shards[n], c.now) {
		return nil, failf(typeNotFound, "Could not find shard %s in stream %s under account %s.", id, st.name, h.account)
	}
	if s := st.shards[n]; s.closed == 0 {
		return s, nil
	}
	return nil, invalidArgument("Shard %s in stream %s under account %s is not in OPEN state.", id, st.name, h.account)
}

func (h *Handler) splitShard(c *call) error {
	var in struct {
		target
		ShardToSplit       *string
		NewStartingHashKey *string
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	var v checks
	v.name("shardToSplit", in.ShardToSplit, true)
	v.present("newStartingHashKey", in.NewStartingHashKey)
	v.decimal("newStartingHashKey", in.NewStartingHashKey)
	if err := v.err(); err != nil {
		return err
	}
	st, err := h.find(in.target, c.now)
	if err != nil {
		return err
	}
	if err := h.room(1); err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := h.active(st, c.now); err != nil {
		return err
	}
	s, err := h.openShard(c, st, *in.ShardToSplit)
	if err != nil {
		return err
	}
	at, ok := parseHashKey(*in.NewStartingHashKey)
	if !ok || !s.from.less(at) || s.to.less(at) {
		return invalidArgument("NewStartingHashKey %s used in SplitShard() on shard %s in stream %s under account %s "+
			"is not both greater than one plus the shard's StartingHashKey %s and less than the shard's EndingHashKey %s.",
			*in.NewStartingHashKey, s.id, st.name, h.account, s.from, s.to)
	}
	st.split(c, s, at)
	st.begin(statusUpdating, c.now, h.transition)
	return nil
}

func (h *Handler) mergeShards(c *call) error {
	var in struct {
		target
		ShardToMerge         *string
		AdjacentShardToMerge *string
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	var v checks
	v.name("shardToMerge", in.ShardToMerge, true)
	v.name("adjacentShardToMerge", in.AdjacentShardToMerge, true)
	if err := v.err(); err != nil {
		return err
	}
	st, err := h.find(in.target, c.now)
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := h.active(st, c.now); err != nil {
		return err
	}
	a, err := h.openShard(c, st, *in.ShardToMerge)
	if err != nil {
		return err
	}
	b, err := h.openShard(c, st, *in.AdjacentShardToMerge)
	if err != nil {
		return err
	}
	i, j := slices.Index(st.open, a), slices.Index(st.open, b)
	if i-j != 1 && j-i != 1 {
		return invalidArgument("Shards %s and %s in stream %s under account %s are not an adjacent pair of shards eligible for merging",
			*in.ShardToMerge, *in.AdjacentShardToMerge, st.name, h.account)
	}
	st.merge(c, a, b)
	st.begin(statusUpdating, c.now, h.transition)
	return nil
}

// updateShardCount comes to equal shards as the service does, by splits and
// merges, so that each shard has one parent or two: first it splits at every
// boundary to come, then it merges what lies between two of them.
func (h *Handler) updateShardCount(c *call) error {
	var in struct {
		target
		TargetShardCount *int64
		ScalingType      *string
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	var v checks
	if in.TargetShardCount == nil {
		v.addf("targetShardCount", nil, "must not be null")
	}
	v.between("targetShardCount", in.TargetShardCount, 1, 100000)
	v.oneOf("scalingType", in.ScalingType, true, "UNIFORM_SCALING")
	if err := v.err(); err != nil {
		return err
	}
	st, err := h.find(in.target, c.now)
	if err != nil {
		return err
	}
	wanted := int(*in.TargetShardCount)
	st.mu.RLock()
	more := wanted - len(st.open)
	st.mu.RUnlock()
	if err := h.room(more); err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := h.active(st, c.now); err != nil {
		return err
	}
	current := len(st.open)
	switch {
	case st.mode != "PROVISIONED":
		return failf("ValidationException", "UpdateShardCount is not served for stream %s, which is in ON_DEMAND mode.", st.name)
	case wanted > 2*current:
		return invalidArgument("UpdateShardCount cannot scale up over double your current open shard count. "+
			"Current open shard count: %d Target shard count: %d", current, wanted)
	case 2*wanted < current:
		return invalidArgument("UpdateShardCount cannot scale down below half your current open shard count. "+
			"Current open shard count: %d Target shard count: %d", current, wanted)
	}
	starts := evenStarts(wanted)
	for _, at := range starts {
		if s := st.route(at); s.from != at {
			st.split(c, s, at)
		}
	}
	for i, from := range starts {
		to := lastHashKey
		if i+1 < len(starts) {
			to = starts[i+1].prev()
		}
		for s := st.route(from); s.to != to; s = st.route(from) {
			st.merge(c, s, st.route(s.to.next()))
		}
	}
	st.begin(statusUpdating, c.now, h.transition)
	return c.reply(struct {
		StreamName        string
		StreamARN         string
		CurrentShardCount int
		TargetShardCount  int
	}{st.name, st.arn, current, wanted})
}
