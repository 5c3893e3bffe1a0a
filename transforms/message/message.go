// Package message holds what sinks take record by record, many in a block:
// the topic, the payload, and the key, headers and timestamp that go with it.
// Blocks of messages are what crosses the exchange to a sink that writes in
// order, a block's messages being of one lane.
//
// A Builder makes blocks, Read takes them apart. The next arrow is the sink:
// io/kafkaio/transact.
package message

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/transforms/block"
)

// Message is one record for a sink.
type Message struct {
	// Topic is where it goes; empty means the sink's own one.
	Topic string
	// Value is the payload; nil, which is not empty, is a tombstone.
	Value []byte
	// Meta holds key, headers and timestamp. Its Null is Value's.
	Meta batch.Meta
}

// Builder collects messages into blocks. It is for one goroutine at a time.
type Builder struct {
	raw  []byte
	meta []byte
	n    int
}

// Append adds a message and copies what it holds. Of m only key, headers and
// timestamp count; a nil value is a tombstone.
func (b *Builder) Append(topic, value []byte, m *batch.Meta) {
	meta := *m
	meta.Null = value == nil
	b.meta = meta.Append(b.meta[:0])
	b.raw = binary.AppendUvarint(b.raw, uint64(len(topic)))
	b.raw = append(b.raw, topic...)
	b.raw = binary.AppendUvarint(b.raw, uint64(len(b.meta)))
	b.raw = append(b.raw, b.meta...)
	b.raw = binary.AppendUvarint(b.raw, uint64(len(value)))
	b.raw = append(b.raw, value...)
	b.n++
}

// Len returns the number of messages since the last Encode.
func (b *Builder) Len() int { return b.n }

// Size returns their raw bytes.
func (b *Builder) Size() int { return len(b.raw) }

// keepSize bounds the memory that a builder keeps between blocks.
const keepSize = 4 * block.TargetSize

// Encode appends a block of all messages to dst and forgets them.
func (b *Builder) Encode(dst []byte) []byte {
	dst = block.EncodeMessages(dst, b.raw, b.n)
	b.Reset()
	return dst
}

// Reset forgets all messages.
func (b *Builder) Reset() {
	b.raw, b.n = b.raw[:0], 0
	if cap(b.raw) > keepSize {
		b.raw = nil
	}
}

// Reader takes a block apart. The zero value is ready for Open.
type Reader struct {
	raw   []byte
	rest  []byte
	left  int
	topic string
}

// Open makes the reader read a block; messages of an earlier one are no longer
// valid. An error is one of package block's.
func (r *Reader) Open(blk []byte) error {
	raw, n, err := block.DecodeMessages(r.raw[:0], blk)
	r.raw, r.rest, r.left = raw, raw, n
	return err
}

// errBody is a block whose checksum is right and whose content is not.
var errBody = errors.New("message out of place")

// Next reads the next message into m, reusing its headers, and reports false
// at the block's end. What m holds is valid until the next Open.
func (r *Reader) Next(m *Message) (bool, error) {
	if r.left == 0 {
		if len(r.rest) != 0 {
			return false, fmt.Errorf("%w: %w: %d bytes left", block.ErrCorrupt, errBody, len(r.rest))
		}
		return false, nil
	}
	topic, ok1 := r.take()
	meta, ok2 := r.take()
	value, ok3 := r.take()
	if !ok1 || !ok2 || !ok3 {
		return false, fmt.Errorf("%w: %w", block.ErrCorrupt, errBody)
	}
	if err := m.Meta.Decode(meta); err != nil {
		return false, fmt.Errorf("%w: %w", block.ErrCorrupt, err)
	}
	if r.topic != string(topic) {
		r.topic = string(topic) // messages of one topic come in runs
	}
	m.Topic, m.Value = r.topic, value
	if m.Meta.Null {
		m.Value = nil
	}
	r.left--
	return true, nil
}

// take returns the next run of bytes with its length before it; it is not nil.
func (r *Reader) take() ([]byte, bool) {
	size, n := binary.Uvarint(r.rest)
	if n <= 0 || size > uint64(len(r.rest)-n) {
		return nil, false
	}
	out := r.rest[n : n+int(size) : n+int(size)]
	r.rest = r.rest[n+int(size):]
	return out, true
}
