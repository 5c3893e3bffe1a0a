package kinesisfake

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// shard is one shard of a stream. What mu does not guard is guarded by the
// stream's own lock or never changes.
type shard struct {
	id       string
	number   uint32
	from, to hashKey // both inclusive
	created  int64   // milliseconds since 1970; later than the parents'
	epoch    int64   // see sequence
	parent   *shard
	adjacent *shard // the second parent of a merge
	closed   int64  // when it stopped taking records, 0 while it is open
	children []*shard

	mu  sync.Mutex
	log shardLog
	// subscriptions are those of each consumer's ARN.
	subscriptions map[string]*subscription

	bytesIn, recordsIn, bytesOut, reads, iterators bucket
}

func shardID(number uint32) string { return fmt.Sprintf("shardId-%012d", number) }

// parseShardID accepts what the service does: any prefix is optional, any
// number of digits will do.
func parseShardID(id string) (uint32, bool) {
	digits, _ := strings.CutPrefix(id, "shardId-")
	n, err := strconv.ParseUint(digits, 10, 31)
	return uint32(n), err == nil
}

// addShard makes a shard, open from now on. st.mu must be held for writing.
func (st *stream) addShard(from, to hashKey, now time.Time, parent, adjacent *shard) *shard {
	s := &shard{
		number:  uint32(len(st.shards)),
		from:    from,
		to:      to,
		created: now.UnixMilli(),
		epoch:   now.Unix(),
		parent:  parent,
		log:     newShardLog(),
	}
	s.id = shardID(s.number)
	s.adjacent = adjacent
	for _, p := range []*shard{parent, adjacent} {
		if p != nil {
			s.created = max(s.created, p.created+1)
			s.epoch = max(s.epoch, p.epoch+1)
			p.children = append(p.children, s)
		}
	}
	st.shards = append(st.shards, s)
	i := sort.Search(len(st.open), func(i int) bool { return from.less(st.open[i].from) })
	st.open = slices.Insert(st.open, i, s)
	return s
}

// closeShard ends it at the time its children began. st.mu must be held for writing.
func (st *stream) closeShard(s *shard) {
	for _, child := range s.children {
		s.closed = max(s.closed, child.created)
	}
	st.open = slices.DeleteFunc(st.open, func(o *shard) bool { return o == s })
}

// route returns the open shard whose range holds the key. st.mu must be held.
func (st *stream) route(k hashKey) *shard {
	i := sort.Search(len(st.open), func(i int) bool { return k.less(st.open[i].from) })
	return st.open[i-1]
}

// expired tells whether the shard was closed so long ago that it holds
// nothing any more; such shards are not shown. st.mu must be held.
func (st *stream) expired(s *shard, now time.Time) bool {
	return s.closed != 0 && s.closed < st.horizon(now)
}

// lookup returns the shard of that id. st.mu must be held.
func (h *Handler) lookup(st *stream, id string, now time.Time) (*shard, error) {
	n, ok := parseShardID(id)
	if !ok || int(n) >= len(st.shards) || st.expired(st.shards[n], now) {
		return nil, failf(typeNotFound, "Shard %s in stream %s under account %s does not exist", id, st.name, h.account)
	}
	return st.shards[n], nil
}

func (s *shard) sequence(index uint64, millis int64) sequence {
	return newSequence(s.epoch, s.number, index, millis/1000)
}

type hashKeyRange struct{ StartingHashKey, EndingHashKey string }

type sequenceRange struct {
	StartingSequenceNumber string
	EndingSequenceNumber   string `json:",omitempty"`
}

// shardOut is a shard as listings show it.
type shardOut struct {
	ShardId               string
	ParentShardId         string `json:",omitempty"`
	AdjacentParentShardId string `json:",omitempty"`
	HashKeyRange          hashKeyRange
	SequenceNumberRange   sequenceRange
}

func (st *stream) show(s *shard, now time.Time) shardOut {
	out := shardOut{
		ShardId:             s.id,
		HashKeyRange:        hashKeyRange{s.from.String(), s.to.String()},
		SequenceNumberRange: sequenceRange{StartingSequenceNumber: s.sequence(indexStart, s.created).String()},
	}
	if s.closed != 0 {
		out.SequenceNumberRange.EndingSequenceNumber = s.sequence(indexEnd, s.closed).String()
	}
	// Parents that have expired are no longer named, nor an adjacent one alone.
	if s.parent != nil && !st.expired(s.parent, now) {
		out.ParentShardId = s.parent.id
		if s.adjacent != nil && !st.expired(s.adjacent, now) {
			out.AdjacentParentShardId = s.adjacent.id
		}
	}
	return out
}

// filter is a ShardFilter; the zero value lets all shards pass.
type filter struct {
	Type      string
	ShardId   string
	Timestamp int64 // milliseconds since 1970
}

func (f filter) passes(st *stream, s *shard, now time.Time) bool {
	open := s.closed == 0
	switch f.Type {
	case "AT_LATEST":
		return open
	case "AT_TRIM_HORIZON":
		t := max(st.horizon(now), st.created.UnixMilli())
		return s.created <= t && (open || s.closed > t)
	case "AT_TIMESTAMP":
		return s.created <= f.Timestamp && (open || s.closed >= f.Timestamp)
	case "FROM_TIMESTAMP":
		return open || s.closed >= f.Timestamp
	}
	return true
}

// page returns up to limit shards by number and whether there are more.
// st.mu must be held.
func (st *stream) page(after *string, f filter, limit int, now time.Time) ([]shardOut, bool) {
	from := 0
	if after != nil {
		if n, ok := parseShardID(*after); ok {
			from = int(n) + 1
		}
	}
	out := []shardOut{}
	for _, s := range st.shards[min(from, len(st.shards)):] {
		if st.expired(s, now) || !f.passes(st, s, now) {
			continue
		}
		if len(out) == limit {
			return out, true
		}
		out = append(out, st.show(s, now))
	}
	return out, false
}

// listToken is ListShards' NextToken.
type listToken struct {
	stream uint64
	last   uint32 // number of the last shard listed
	issued int64  // milliseconds since 1970
	filter filter
}

const listTokenVersion = 1

func (t listToken) String() string {
	b := []byte{listTokenVersion}
	b = binary.AppendUvarint(b, t.stream)
	b = binary.AppendUvarint(b, uint64(t.last))
	b = binary.AppendVarint(b, t.issued)
	b = binary.AppendVarint(b, t.filter.Timestamp)
	return seal(append(b, t.filter.Type...))
}

func parseListToken(text string) (listToken, bool) {
	b, ok := unseal(text, listTokenVersion)
	r := varints{in: b, ok: ok}
	t := listToken{stream: r.unsigned(), last: uint32(r.unsigned()), issued: r.signed()}
	t.filter.Timestamp = r.signed()
	t.filter.Type = string(r.in)
	return t, r.ok
}

// seal makes an opaque token; the checksum is there to tell foreign ones.
func seal(b []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b)))
}

// unseal returns what is behind the version.
func unseal(text string, version byte) ([]byte, bool) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) < 5 {
		return nil, false
	}
	body, sum := b[:len(b)-4], b[len(b)-4:]
	if crc32.ChecksumIEEE(body) != binary.BigEndian.Uint32(sum) || body[0] != version {
		return nil, false
	}
	return body[1:], true
}

// varints takes numbers off in; after the first bad one ok is false.
type varints struct {
	in []byte
	ok bool
}

func (r *varints) unsigned() uint64 {
	v, n := binary.Uvarint(r.in)
	r.advance(n)
	return v
}

func (r *varints) signed() int64 {
	v, n := binary.Varint(r.in)
	r.advance(n)
	return v
}

func (r *varints) advance(n int) {
	if n <= 0 {
		r.in, r.ok = nil, false
		return
	}
	r.in = r.in[n:]
}

type shardFilterIn struct {
	Type      *string
	ShardId   *string
	Timestamp *epochSeconds
}

func (in *shardFilterIn) filter() (filter, error) {
	if in == nil {
		return filter{}, nil
	}
	var v checks
	v.oneOf("shardFilter.type", in.Type, true,
		"AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP")
	v.name("shardFilter.shardId", in.ShardId, false)
	if err := v.err(); err != nil {
		return filter{}, err
	}
	f := filter{Type: *in.Type}
	needsShard := f.Type == "AFTER_SHARD_ID"
	needsTime := f.Type == "AT_TIMESTAMP" || f.Type == "FROM_TIMESTAMP"
	switch {
	case needsShard && in.ShardId == nil:
		return f, invalidArgument("ShardId must be provided for the ShardFilter type %s.", f.Type)
	case !needsShard && in.ShardId != nil:
		return f, invalidArgument("ShardId must not be provided for the ShardFilter type %s.", f.Type)
	case needsTime && in.Timestamp == nil:
		return f, invalidArgument("Timestamp must be provided for the ShardFilter type %s.", f.Type)
	case !needsTime && in.Timestamp != nil:
		return f, invalidArgument("Timestamp must not be provided for the ShardFilter type %s.", f.Type)
	}
	if needsShard {
		f.ShardId = *in.ShardId
	}
	if needsTime {
		f.Timestamp = in.Timestamp.UnixMilli()
	}
	return f, nil
}

func (h *Handler) listShards(c *call) error {
	var in struct {
		target
		ExclusiveStartShardId   *string
		MaxResults              *int64
		NextToken               *string
		ShardFilter             *shardFilterIn
		StreamCreationTimestamp *epochSeconds
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	var v checks
	v.name("exclusiveStartShardId", in.ExclusiveStartShardId, false)
	v.between("maxResults", in.MaxResults, 1, 10000)
	if err := v.err(); err != nil {
		return err
	}
	f, err := in.ShardFilter.filter()
	if err != nil {
		return err
	}
	limit := 1000
	if in.MaxResults != nil {
		limit = min(limit, int(*in.MaxResults))
	}

	var st *stream
	after := in.ExclusiveStartShardId
	if in.NextToken != nil {
		switch {
		case in.StreamName != nil:
			return invalidArgument("NextToken and StreamName cannot be provided together.")
		case in.StreamCreationTimestamp != nil:
			return invalidArgument("NextToken and StreamCreationTimestamp cannot be provided together.")
		case after != nil:
			return invalidArgument("NextToken and ExclusiveStartShardId cannot be provided together.")
		case in.ShardFilter != nil:
			return invalidArgument("NextToken and ShardFilter cannot be provided together.")
		}
		t, ok := parseListToken(*in.NextToken)
		if !ok {
			return invalidArgument("NextToken is invalid.")
		}
		if c.now.Sub(time.UnixMilli(t.issued)) > tokenAge {
			return failf("ExpiredNextTokenException", "NextToken has expired: it was issued more than %d seconds ago.", int(tokenAge.Seconds()))
		}
		if st = h.streamByID(t.stream); st == nil || st.gone(c.now) {
			return failf(typeNotFound, "The stream of the NextToken under account %s not found.", h.account)
		}
		last := shardID(t.last)
		after, f = &last, t.filter
	} else {
		if st, err = h.find(in.target, c.now); err != nil {
			return err
		}
		if t := in.StreamCreationTimestamp; t != nil && t.Unix() != st.created.Unix() {
			return failf(typeNotFound, "Stream %s under account %s created at %d not found.", st.name, h.account, t.Unix())
		}
		if f.Type == "AFTER_SHARD_ID" {
			if after != nil {
				return invalidArgument("ExclusiveStartShardId and ShardFilter of type AFTER_SHARD_ID cannot be provided together.")
			}
			after = &f.ShardId
		}
	}
	if err := h.throttle(st, &st.rates.list, c.now, streamLists); err != nil {
		return err
	}

	st.mu.RLock()
	defer st.mu.RUnlock()
	if s := st.statusAt(c.now); s != statusActive && s != statusUpdating {
		return h.active(st, c.now)
	}
	out := struct {
		NextToken string `json:",omitempty"`
		Shards    []shardOut
	}{}
	var more bool
	if out.Shards, more = st.page(after, f, limit, c.now); more {
		last, _ := parseShardID(out.Shards[limit-1].ShardId)
		out.NextToken = listToken{st.id, last, c.now.UnixMilli(), f}.String()
	}
	return c.reply(out)
}
