package kinesisfake

import (
	"errors"
	"io"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-faster/jx"
)

// putEntry is one record to put. The byte slices lie in putRequest.arena by
// offset, since that grows while the request is read.
type putEntry struct {
	key, keyEnd   int
	data, dataEnd int
	hash, hashEnd int // ExplicitHashKey's digits
	has           uint8
	place         hashKey // where it goes, once it was checked
}

const (
	hasKey = 1 << iota
	hasData
	hasHash
)

// putRequest is PutRecord's or PutRecords' request, read by hand: the members
// may come in any order, the stream's name behind all the records.
type putRequest struct {
	target
	dryRun   bool
	records  bool // the member Records was there
	ordering *string
	entries  []putEntry
	arena    []byte
	dec      jx.Decoder
}

var putRequests = sync.Pool{New: func() any { return new(putRequest) }}

func (p *putRequest) release() {
	*p = putRequest{entries: p.entries[:0], arena: p.arena[:0], dec: p.dec}
	putRequests.Put(p)
}

// member reads one member of an entry. known is false for other names.
func (p *putRequest) member(e *putEntry, key []byte) (known bool, err error) {
	var from, to *int
	var bit uint8
	switch string(key) {
	case "Data":
		from, to, bit = &e.data, &e.dataEnd, hasData
	case "PartitionKey":
		from, to, bit = &e.key, &e.keyEnd, hasKey
	case "ExplicitHashKey":
		from, to, bit = &e.hash, &e.hashEnd, hasHash
	default:
		return false, nil
	}
	if p.dec.Next() == jx.Null {
		return true, p.dec.Null()
	}
	*from = len(p.arena)
	if bit == hasData {
		p.arena, err = p.dec.Base64Append(p.arena)
	} else {
		p.arena, err = p.dec.StrAppend(p.arena)
	}
	*to = len(p.arena)
	e.has |= bit
	if err == nil && bit == hasKey && !utf8.Valid(p.arena[*from:]) {
		err = errors.New("PartitionKey is not UTF-8")
	}
	return true, err
}

func (p *putRequest) optional() (*string, error) {
	if p.dec.Next() == jx.Null {
		return nil, p.dec.Null()
	}
	s, err := p.dec.Str()
	return &s, err
}

// parse reads body. single tells that the entry's members are the request's own.
func (p *putRequest) parse(body []byte, single bool) error {
	p.dec.ResetBytes(body)
	var e putEntry
	inEntry := func(d *jx.Decoder, key []byte) error {
		known, err := p.member(&e, key)
		if !known {
			return d.Skip()
		}
		return err
	}
	err := p.dec.ObjBytes(func(d *jx.Decoder, key []byte) (err error) {
		switch string(key) {
		case "StreamName":
			p.StreamName, err = p.optional()
			return err
		case "StreamARN":
			p.StreamARN, err = p.optional()
			return err
		case "SequenceNumberForOrdering":
			p.ordering, err = p.optional()
			return err
		case "DryRun":
			if d.Next() == jx.Null {
				return d.Null()
			}
			p.dryRun, err = d.Bool()
			return err
		case "Records":
			if single {
				return d.Skip()
			}
			if d.Next() == jx.Null {
				return d.Null()
			}
			p.records = true
			return d.Arr(func(d *jx.Decoder) error {
				e = putEntry{}
				if err := d.ObjBytes(inEntry); err != nil {
					return err
				}
				p.entries = append(p.entries, e)
				return nil
			})
		}
		if single {
			return inEntry(d, key)
		}
		return d.Skip()
	})
	if err != nil {
		return serialization(err)
	}
	if err := p.dec.Skip(); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return serialization(errors.New("the request goes on after its JSON object"))
	}
	if single {
		p.entries = append(p.entries, e)
	}
	return nil
}

// check adds what is wrong with an entry. prefix is how messages name it.
func (p *putRequest) check(v *checks, e *putEntry, prefix func() string, recordBytes int) {
	switch n := utf8.RuneCount(p.arena[e.key:e.keyEnd]); {
	case e.has&hasKey == 0:
		v.addf(prefix()+"partitionKey", nil, "must not be null")
	case n == 0:
		v.addf(prefix()+"partitionKey", "", "must have length greater than or equal to 1")
	case n > maxKeyLength:
		v.addf(prefix()+"partitionKey", string(p.arena[e.key:e.keyEnd]), "must have length less than or equal to %d", maxKeyLength)
	}
	switch {
	case e.has&hasData == 0:
		v.addf(prefix()+"data", nil, "must not be null")
	case e.dataEnd-e.data > recordBytes:
		v.addf(prefix()+"data", "java.nio.HeapByteBuffer", "must have length less than or equal to %d", recordBytes)
	}
	if e.has&hasHash != 0 {
		text := string(p.arena[e.hash:e.hashEnd])
		v.decimal(prefix()+"explicitHashKey", &text)
	}
}

// place returns the hash key that decides over an entry's shard.
func (p *putRequest) place(e *putEntry) (hashKey, error) {
	if e.has&hasHash == 0 {
		return hashOf(p.arena[e.key:e.keyEnd]), nil
	}
	k, ok := parseHashKey(p.arena[e.hash:e.hashEnd])
	if !ok {
		return k, invalidArgument("Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was %s",
			p.arena[e.hash:e.hashEnd])
	}
	return k, nil
}

// take stores an entry unless the shard has taken too much in this second.
func (s *shard) take(key, data []byte, now time.Time, limited bool) (index uint64, arrival int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limited {
		size := float64(len(key) + len(data))
		s.recordsIn.refill(now, shardRecordsIn)
		s.bytesIn.refill(now, shardBytesIn)
		if !s.recordsIn.has(1, shardRecordsIn) || !s.bytesIn.has(size, shardBytesIn) {
			return 0, 0, false
		}
		s.recordsIn.tokens--
		s.bytesIn.tokens -= size
	}
	index, arrival = s.log.append(key, data, now.UnixMilli())
	return index, arrival, true
}

func (h *Handler) rateExceeded(st *stream, s *shard) *Error {
	return &Error{
		Type:    typeThroughput,
		Message: "Rate exceeded for shard " + s.id + " in stream " + st.name + " under account " + h.account + ".",
	}
}

func (h *Handler) putRecord(c *call) error {
	p := putRequests.Get().(*putRequest)
	defer p.release()
	if err := p.parse(c.body, true); err != nil {
		return err
	}
	e := &p.entries[0]
	none := func() string { return "" }
	var v checks
	v.decimal("sequenceNumberForOrdering", p.ordering)
	p.check(&v, e, none, maxRecordKiB<<10)
	if err := v.err(); err != nil {
		return err
	}
	st, err := h.find(p.target, c.now)
	if err != nil {
		return err
	}
	st.mu.RLock()
	defer st.mu.RUnlock()
	if err := h.live(st, c.now); err != nil {
		return err
	}
	p.check(&v, e, none, int(st.recordKiB)<<10)
	if err := v.err(); err != nil {
		return err
	}
	k, err := p.place(e)
	if err != nil {
		return err
	}
	if p.dryRun {
		return dryRunDone()
	}
	s := st.route(k)
	index, arrival, ok := s.take(p.arena[e.key:e.keyEnd], p.arena[e.data:e.dataEnd], c.now, h.limits.Load())
	if !ok {
		return h.rateExceeded(st, s)
	}
	c.out = append(c.out, `{"EncryptionType":"NONE",`...)
	c.out = s.appendPut(c.out, index, arrival)
	return nil
}

// appendPut writes where a record was stored, and closes the object.
func (s *shard) appendPut(out []byte, index uint64, arrival int64) []byte {
	out = append(out, `"SequenceNumber":"`...)
	out = s.sequence(index, arrival).append(out)
	out = append(out, `","ShardId":"`...)
	out = append(out, s.id...)
	return append(out, `"}`...)
}

func (h *Handler) putRecords(c *call) error {
	p := putRequests.Get().(*putRequest)
	defer p.release()
	if err := p.parse(c.body, false); err != nil {
		return err
	}
	var v checks
	switch n := len(p.entries); {
	case !p.records:
		v.addf("records", nil, "must not be null")
	case n == 0:
		v.addf("records", "[]", "must have length greater than or equal to 1")
	case n > maxPutRecords:
		v.addf("records", "["+strconv.Itoa(n)+" entries]", "must have length less than or equal to %d", maxPutRecords)
	}
	if err := v.err(); err != nil {
		return err
	}
	st, err := h.find(p.target, c.now)
	if err != nil {
		return err
	}
	st.mu.RLock()
	defer st.mu.RUnlock()
	if err := h.live(st, c.now); err != nil {
		return err
	}
	total, at := 0, 0
	prefix := func() string { return "records." + strconv.Itoa(at+1) + ".member." }
	for i := range p.entries {
		e := &p.entries[i]
		at = i
		p.check(&v, e, prefix, int(st.recordKiB)<<10)
		total += e.keyEnd - e.key + e.dataEnd - e.data
	}
	if err := v.err(); err != nil {
		return err
	}
	if total > maxPutBytes {
		return invalidArgument("Records size exceeds 10 MB limit")
	}
	for i := range p.entries {
		e := &p.entries[i]
		if e.place, err = p.place(e); err != nil {
			return err
		}
	}
	if p.dryRun {
		return dryRunDone()
	}

	limited := h.limits.Load()
	scripted := h.controls.snapshot()
	failed := 0
	c.out = append(c.out, `{"EncryptionType":"NONE","Records":[`...)
	for i := range p.entries {
		e := &p.entries[i]
		s := st.route(e.place)
		key, data := p.arena[e.key:e.keyEnd], p.arena[e.data:e.dataEnd]
		if i > 0 {
			c.out = append(c.out, ',')
		}
		c.out = append(c.out, '{')
		var refused *Error
		if len(scripted) > 0 {
			refused = refuse(scripted, Entry{Stream: st.name, Shard: s.id, PartitionKey: string(key), Index: i, Data: data})
		}
		if refused == nil {
			index, arrival, ok := s.take(key, data, c.now, limited)
			if ok {
				c.out = s.appendPut(c.out, index, arrival)
				continue
			}
			refused = h.rateExceeded(st, s)
		}
		failed++
		w := jx.Writer{Buf: c.out}
		w.RawStr(`"ErrorCode":`)
		w.Str(refused.Type)
		w.RawStr(`,"ErrorMessage":`)
		w.Str(refused.Message)
		w.RawStr(`}`)
		c.out = w.Buf
	}
	c.out = append(c.out, `],"FailedRecordCount":`...)
	c.out = append(strconv.AppendInt(c.out, int64(failed), 10), '}')
	return nil
}
