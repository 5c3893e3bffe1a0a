package kinesisfake

import (
	"strconv"
	"sync"
	"time"

	"github.com/go-faster/jx"
)

// spanPool holds the lists of chunks that an answer is made from.
var spanPool = sync.Pool{New: func() any { return new([]span) }}

func (h *Handler) getRecords(c *call) error {
	var in struct {
		ShardIterator *string
		Limit         *int64
		StreamARN     *string
		DryRun        bool
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	var v checks
	v.present("shardIterator", in.ShardIterator)
	if in.Limit != nil && *in.Limit < 1 {
		v.between("limit", in.Limit, 1, maxGetRecords)
	}
	if err := v.err(); err != nil {
		return err
	}
	limit := maxGetRecords
	if in.Limit != nil {
		if *in.Limit > maxGetRecords {
			return invalidArgument("Limit %d is greater than the maximum of %d.", *in.Limit, maxGetRecords)
		}
		limit = int(*in.Limit)
	}
	it, ok := parseIterator(*in.ShardIterator)
	if !ok {
		return invalidArgument("Invalid ShardIterator.")
	}
	issued := time.UnixMilli(it.issued)
	if c.now.Sub(issued) > iteratorAge {
		return expiredIterator(issued, c.now)
	}
	st := h.streamByID(it.stream)
	if st == nil {
		return failf(typeNotFound, "Shard %s in a stream under account %s does not exist", shardID(it.shard), h.account)
	}
	if in.StreamARN != nil && *in.StreamARN != st.arn {
		return invalidArgument("StreamARN %s does not match the stream of the ShardIterator.", *in.StreamARN)
	}

	st.mu.RLock()
	defer st.mu.RUnlock()
	if err := h.live(st, c.now); err != nil {
		return err
	}
	s, err := h.lookup(st, shardID(it.shard), c.now)
	if err != nil {
		return err
	}
	if in.DryRun {
		return dryRunDone()
	}
	spans := spanPool.Get().(*[]span)
	defer func() {
		clear(*spans)
		*spans = (*spans)[:0]
		spanPool.Put(spans)
	}()
	*spans, it.index, err = h.read(st, s, *spans, it.index, limit, c.now, &c.out)
	if err != nil {
		return err
	}
	it.issued = c.now.UnixMilli()
	if s.closed != 0 && it.index == indexEnd {
		c.out = s.appendChildren(c.out)
	} else {
		c.out = append(c.out, `,"NextShardIterator":"`...)
		c.out = append(c.out, it.String()...)
		c.out = append(c.out, '"')
	}
	c.out = append(c.out, `,"Records":[`...)
	w := jx.Writer{Buf: c.out}
	for i, part := range *spans {
		if i > 0 {
			w.Comma()
		}
		s.appendRecords(&w, part)
	}
	c.out = append(w.Buf, `]}`...)
	return nil
}

// read takes the records from the log and begins the answer in out with
// MillisBehindLatest. The index returned is indexEnd at a closed shard's end.
func (h *Handler) read(st *stream, s *shard, spans []span, index uint64, limit int, now time.Time, out *[]byte) ([]span, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limited := h.limits.Load()
	if limited {
		s.reads.refill(now, shardReads)
		s.bytesOut.refill(now, shardBytesOut)
		// Any answer may be 10 MB; the debt it leaves is what throttles.
		if s.bytesOut.tokens <= 0 || !s.reads.take(now, 1, shardReads) {
			return spans, index, h.rateExceeded(st, s)
		}
	}
	s.log.trim(st.horizon(now))
	spans, size, next := s.log.read(spans, index, limit, maxGetBytes)
	if limited {
		s.bytesOut.tokens -= float64(size)
	}
	behind := int64(0)
	if next < s.log.next {
		// 0 would say that there is nothing more.
		behind = max(1, now.UnixMilli()-s.log.arrival(next))
	} else if s.closed != 0 {
		next = indexEnd
	}
	*out = strconv.AppendInt(append(*out, `{"MillisBehindLatest":`...), behind, 10)
	return spans, next, nil
}

// appendChildren writes the shards that follow a closed one.
func (s *shard) appendChildren(out []byte) []byte {
	out = append(out, `,"ChildShards":[`...)
	for i, child := range s.children {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, `{"ShardId":"`...)
		out = append(out, child.id...)
		out = append(out, `","ParentShards":["`...)
		out = append(out, child.parent.id...)
		if child.adjacent != nil {
			out = append(out, `","`...)
			out = append(out, child.adjacent.id...)
		}
		out = append(out, `"],"HashKeyRange":{"StartingHashKey":"`...)
		out = append(out, child.from.String()...)
		out = append(out, `","EndingHashKey":"`...)
		out = append(out, child.to.String()...)
		out = append(out, `"}}`...)
	}
	return append(out, ']')
}

// appendRecords writes the records of one span, separated by commas.
func (s *shard) appendRecords(w *jx.Writer, part span) {
	start := part.start
	for i, e := range part.entries {
		if i > 0 {
			w.Comma()
		}
		key := part.data[start : start+e.keyLen]
		data := part.data[start+e.keyLen : e.end]
		start = e.end
		w.RawStr(`{"ApproximateArrivalTimestamp":`)
		w.Buf = appendEpoch(w.Buf, e.arrival)
		w.RawStr(`,"Data":`)
		if len(data) == 0 {
			w.RawStr(`""`) // not null, which jx writes for no bytes
		} else {
			w.Base64(data)
		}
		w.RawStr(`,"EncryptionType":"NONE","PartitionKey":`)
		w.ByteStr(key)
		w.RawStr(`,"SequenceNumber":"`)
		w.Buf = s.sequence(part.first+uint64(i), e.arrival).append(w.Buf)
		w.RawStr(`"}`)
	}
}
