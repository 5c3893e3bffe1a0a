package kinesisio

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// Item is one record for a Bundle. Put copies what it holds.
type Item struct {
	// PartitionKey has 1 to 256 characters of UTF-8; its MD5 chooses the shard.
	PartitionKey []byte
	// ExplicitHashKey is a number of 128 bits in decimal digits that chooses
	// the shard instead; empty for none.
	ExplicitHashKey []byte
	// Data is the payload.
	Data []byte
	// Ref is the caller's name for the record, told when it is rejected.
	Ref int
}

// Reasons of rejections.
const (
	// ReasonTooLarge is a record over ProducerOptions.MaxRecordBytes.
	ReasonTooLarge = "too_large"
	// ReasonPartitionKey is a partition key that is empty, longer than 256
	// characters, or not UTF-8.
	ReasonPartitionKey = "partition_key"
	// ReasonExplicitHashKey is an explicit hash key that is no number of 128 bits.
	ReasonExplicitHashKey = "explicit_hash_key"
	// ReasonRefused is a record that the service says is not valid.
	ReasonRefused = "refused"
)

// Rejection is a record that the stream will never take; all others are not
// touched by it.
type Rejection struct {
	// Ref is the record's, as it was put.
	Ref int
	// Reason is one of the constants, Detail a sentence about this record.
	Reason, Detail string
}

// maxPartitionKey is the most characters of a partition key.
const maxPartitionKey = 256

// check tells why a record can never be taken, and else where it belongs.
func (it *Item) check(maxBytes int) (place hashKey, reason, detail string) {
	switch n := utf8.RuneCount(it.PartitionKey); {
	case n == 0:
		return place, ReasonPartitionKey, "the partition key is empty"
	case n > maxPartitionKey:
		return place, ReasonPartitionKey, fmt.Sprintf("the partition key has %d characters, %d are allowed", n, maxPartitionKey)
	case !utf8.Valid(it.PartitionKey):
		return place, ReasonPartitionKey, "the partition key is not UTF-8"
	}
	if size := len(it.Data) + len(it.PartitionKey); size > maxBytes {
		return place, ReasonTooLarge, fmt.Sprintf("data and partition key have %d bytes, %d are allowed", size, maxBytes)
	}
	if len(it.ExplicitHashKey) == 0 {
		return hashOf(it.PartitionKey), "", ""
	}
	place, ok := parseHashKey(it.ExplicitHashKey)
	if !ok {
		return place, ReasonExplicitHashKey, fmt.Sprintf("the explicit hash key %.50q is not a number from 0 to 2^128-1", it.ExplicitHashKey)
	}
	return place, "", ""
}

// entry is a record on its way: one that was put, or an aggregate.
type entry struct {
	// buf holds partition key, explicit hash key and data, each to its end.
	buf             []byte
	keyEnd, hashEnd int
	// packed is the data of an aggregate, instead of that in buf.
	packed []byte
	// place is where the record belongs. Those of one place keep their order:
	// behind is the next of them.
	place  hashKey
	behind *entry
	// filler made the aggregate. One of a single record goes as that record,
	// under the filler's hash key; own is the record's own explicit one.
	filler *filler
	own    string
	// shares are the records in it, in their order: itself, or an aggregate's payloads.
	shares []share
	// payloads is their number, which is larger where a record that was put is
	// an aggregate itself.
	payloads int
	// held is the entry's part of the producer's bytes.
	held int
	// landed is the shard where an aggregate went that was meant for another.
	landed string
	// first is when it failed first, attempts how often it did.
	first    time.Time
	attempts int
}

// share is a bundle's record in an entry.
type share struct {
	bundle *Bundle
	ref    int
}

func (e *entry) key() []byte      { return e.buf[:e.keyEnd] }
func (e *entry) explicit() []byte { return e.buf[e.keyEnd:e.hashEnd] }
func (e *entry) data() []byte {
	if e.packed != nil {
		return e.packed
	}
	return e.buf[e.hashEnd:]
}

// size is what the record counts in the limits of calls and shards.
func (e *entry) size() int { return len(e.data()) + e.keyEnd }

// fill copies an item.
func (e *entry) fill(it *Item, place hashKey) {
	e.buf = append(append(append(e.buf[:0], it.PartitionKey...), it.ExplicitHashKey...), it.Data...)
	e.keyEnd = len(it.PartitionKey)
	e.hashEnd = e.keyEnd + len(it.ExplicitHashKey)
	e.place = place
}

// maxKept is the largest buffer that an entry keeps for the next record.
const maxKept = 64 << 10

// reset empties an entry but for its buffers.
func (e *entry) reset() {
	clear(e.shares)
	buf := e.buf[:0]
	if cap(buf) > maxKept {
		buf = nil
	}
	*e = entry{buf: buf, shares: e.shares[:0]}
}

// queue is a list of entries that is taken from and given back to at its front.
type queue struct {
	entries []*entry
	head    int
}

func (q *queue) len() int { return len(q.entries) - q.head }

func (q *queue) push(e *entry) { q.entries = append(q.entries, e) }

func (q *queue) pushFront(e *entry) {
	if q.head == 0 {
		free := 16 + len(q.entries)
		entries := make([]*entry, free+len(q.entries), 2*free+len(q.entries))
		copy(entries[free:], q.entries)
		q.entries, q.head = entries, free
	}
	q.head--
	q.entries[q.head] = e
}

func (q *queue) front() *entry { return q.entries[q.head] }

func (q *queue) pop() *entry {
	e := q.entries[q.head]
	q.entries[q.head] = nil
	if q.head++; q.head == len(q.entries) {
		q.entries, q.head = q.entries[:0], 0
	} else if q.head > 1024 && q.head > len(q.entries)/2 {
		n := copy(q.entries, q.entries[q.head:])
		clear(q.entries[n:])
		q.entries, q.head = q.entries[:n], 0
	}
	return e
}
