package kinesisfake

import (
	"encoding/binary"
	"time"
)

// iterator is a shard iterator: the index of the next record to read. The
// client sees it as an opaque token.
type iterator struct {
	stream uint64
	shard  uint32
	index  uint64
	issued int64 // milliseconds since 1970
}

const iteratorVersion = 2

func (it iterator) String() string {
	b := append(make([]byte, 0, 48), iteratorVersion)
	b = binary.AppendUvarint(b, it.stream)
	b = binary.AppendUvarint(b, uint64(it.shard))
	b = binary.AppendUvarint(b, it.index)
	b = binary.AppendVarint(b, it.issued)
	return seal(b)
}

func parseIterator(text string) (iterator, bool) {
	b, ok := unseal(text, iteratorVersion)
	r := varints{in: b, ok: ok}
	it := iterator{stream: r.unsigned(), shard: uint32(r.unsigned()), index: r.unsigned(), issued: r.signed()}
	return it, r.ok && len(r.in) == 0
}

func (h *Handler) getShardIterator(c *call) error {
	var in struct {
		target
		ShardId                *string
		ShardIteratorType      *string
		StartingSequenceNumber *string
		Timestamp              *epochSeconds
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	var v checks
	v.name("shardId", in.ShardId, true)
	v.oneOf("shardIteratorType", in.ShardIteratorType, true,
		"AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON")
	v.decimal("startingSequenceNumber", in.StartingSequenceNumber)
	if err := v.err(); err != nil {
		return err
	}
	st, err := h.find(in.target, c.now)
	if err != nil {
		return err
	}
	st.mu.RLock()
	defer st.mu.RUnlock()
	if err := h.live(st, c.now); err != nil {
		return err
	}
	s, err := h.lookup(st, *in.ShardId, c.now)
	if err != nil {
		return err
	}
	kind := *in.ShardIteratorType
	bySequence := kind == "AT_SEQUENCE_NUMBER" || kind == "AFTER_SEQUENCE_NUMBER"
	switch {
	case bySequence && in.StartingSequenceNumber == nil:
		return invalidArgument("Must either specify (1) AT_SEQUENCE_NUMBER/AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified %s and no StartingSequenceNumber.", kind)
	case !bySequence && in.StartingSequenceNumber != nil:
		return invalidArgument("Must either specify (1) AT_SEQUENCE_NUMBER/AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified %s and also a StartingSequenceNumber.", kind)
	case kind == "AT_TIMESTAMP" && in.Timestamp == nil:
		return invalidArgument("Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.")
	case kind == "AT_TIMESTAMP" && in.Timestamp.UnixMilli() > c.now.UnixMilli():
		return invalidArgument("The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: %d, currentTimestampInMillis: %d",
			in.Timestamp.UnixMilli(), c.now.UnixMilli())
	}
	it := iterator{stream: st.id, shard: s.number, issued: c.now.UnixMilli()}
	if bySequence {
		if it.index, err = h.indexOf(st, s, *in.StartingSequenceNumber, kind == "AFTER_SEQUENCE_NUMBER"); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.limits.Load() && !s.iterators.take(c.now, 1, shardIterators) {
		return h.rateExceeded(st, s)
	}
	s.log.trim(st.horizon(c.now))
	switch kind {
	case "TRIM_HORIZON":
		it.index = s.log.first
	case "LATEST":
		it.index = s.log.next
	case "AT_TIMESTAMP":
		it.index = s.log.at(in.Timestamp.UnixMilli())
	}
	c.out = append(c.out, `{"ShardIterator":"`...)
	c.out = append(c.out, it.String()...)
	c.out = append(c.out, `"}`...)
	return nil
}

// indexOf returns where reading at or after a sequence number of the shard begins.
func (h *Handler) indexOf(st *stream, s *shard, text string, after bool) (uint64, error) {
	kind := "AT_SEQUENCE_NUMBER"
	if after {
		kind = "AFTER_SEQUENCE_NUMBER"
	}
	seq, ok := parseSequence(text)
	if !ok || !seq.genuine() {
		return 0, invalidArgument("StartingSequenceNumber %s used in GetShardIterator on shard %s in stream %s under account %s is invalid.",
			text, s.id, st.name, h.account)
	}
	if seq.shard() != s.number {
		return 0, invalidArgument("Invalid StartingSequenceNumber. It encodes %s, while it was used in a call to a shard with %s",
			shardID(seq.shard()), s.id)
	}
	index := seq.index()
	s.mu.Lock()
	next := s.log.next
	s.mu.Unlock()
	beyond := index >= next && !(s.closed != 0 && index == indexEnd)
	if !seq.sameShard(s.sequence(index, 0)) || beyond {
		return 0, invalidArgument("StartingSequenceNumber %s used in GetShardIterator with type %s on shard %s in stream %s under account %s "+
			"is not one of the shard's sequence numbers.", text, kind, s.id, st.name, h.account)
	}
	if after && index < next {
		index++
	}
	return min(max(index, 1), next), nil
}

func expiredIterator(issued, now time.Time) error {
	const layout = "Mon Jan 02 15:04:05 MST 2006"
	return failf("ExpiredIteratorException", "Iterator expired. The iterator was created at time %s while right now it is %s "+
		"which is further in the future than the tolerated delay of %d milliseconds.",
		issued.UTC().Format(layout), now.UTC().Format(layout), iteratorAge.Milliseconds())
}
