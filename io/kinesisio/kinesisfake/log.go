package kinesisfake

import "sort"

// A chunk is full when it has this many records, or when the next record
// would take its data beyond so many bytes.
const (
	chunkRecords = 4096
	chunkBytes   = 1 << 20
)

// entry tells where one record lies in its chunk: its partition key, then its
// data, end where entry says and begin where the record before ends.
type entry struct {
	end     uint32
	keyLen  uint32
	arrival int64 // milliseconds since 1970
}

// chunk is a run of records in two slices that only ever grow: a reader that
// has copied the slices under the lock may go on reading without it.
type chunk struct {
	first   uint64 // index of the first record
	entries []entry
	data    []byte
}

// end is the index behind the chunk's last record.
func (c *chunk) end() uint64 { return c.first + uint64(len(c.entries)) }

// span is a part of one chunk, as a reader holds it.
type span struct {
	first   uint64
	start   uint32 // where the first entry's key begins in data
	entries []entry
	data    []byte
}

// shardLog is the records of one shard. Indexes count from 1 and never change;
// finding one is a binary search over the chunks. It has no lock of its own.
type shardLog struct {
	chunks []*chunk
	next   uint64 // index of the next record
	first  uint64 // index of the oldest record that retention has left
	last   int64  // arrival of the newest record
}

func newShardLog() shardLog { return shardLog{next: 1, first: 1} }

// append stores a record and returns its index and its arrival, which is now
// unless an earlier record arrived later.
func (l *shardLog) append(key, data []byte, now int64) (uint64, int64) {
	size := len(key) + len(data)
	var c *chunk
	if n := len(l.chunks); n > 0 {
		c = l.chunks[n-1]
	}
	if c == nil || len(c.entries) == chunkRecords || len(c.data)+size > chunkBytes && len(c.entries) > 0 {
		c = &chunk{first: l.next}
		if len(l.chunks) > 0 { // a busy shard: no growing by copies
			c.data = make([]byte, 0, max(chunkBytes, size))
		}
		l.chunks = append(l.chunks, c)
	}
	l.last = max(l.last, now)
	c.data = append(append(c.data, key...), data...)
	c.entries = append(c.entries, entry{end: uint32(len(c.data)), keyLen: uint32(len(key)), arrival: l.last})
	l.next++
	return l.next - 1, l.last
}

// chunkOf returns the position in chunks of the one that holds index, or of
// the first later one.
func (l *shardLog) chunkOf(index uint64) int {
	return sort.Search(len(l.chunks), func(i int) bool { return l.chunks[i].end() > index })
}

// arrival returns when the record of that index arrived. It must be stored.
func (l *shardLog) arrival(index uint64) int64 {
	c := l.chunks[l.chunkOf(index)]
	return c.entries[index-c.first].arrival
}

// at returns the index of the first record that arrived at millis or later,
// or next.
func (l *shardLog) at(millis int64) uint64 {
	i := sort.Search(len(l.chunks), func(i int) bool {
		entries := l.chunks[i].entries
		return entries[len(entries)-1].arrival >= millis
	})
	if i == len(l.chunks) {
		return l.next
	}
	entries := l.chunks[i].entries
	j := sort.Search(len(entries), func(j int) bool { return entries[j].arrival >= millis })
	return max(l.first, l.chunks[i].first+uint64(j))
}

// trim drops what arrived before horizon. Memory is freed by whole chunks.
func (l *shardLog) trim(horizon int64) {
	if l.first == l.next {
		return
	}
	l.first = l.at(horizon)
	n := l.chunkOf(l.first)
	clear(l.chunks[:n])
	l.chunks = l.chunks[n:]
}

// read appends to spans the records from index on, at most limit of them and
// at most size bytes of keys and data, but one at least if there is any. It
// returns the spans, the number of bytes and the index behind the last record.
func (l *shardLog) read(spans []span, index uint64, limit, size int) ([]span, int, uint64) {
	index = max(index, l.first)
	total := 0
	for i := l.chunkOf(index); i < len(l.chunks) && limit > 0; i++ {
		c := l.chunks[i]
		from := int(index - c.first)
		start := uint32(0)
		if from > 0 {
			start = c.entries[from-1].end
		}
		n := min(limit, len(c.entries)-from)
		// Records past the size are cut off; ends are sorted.
		fit := sort.Search(n, func(j int) bool { return total+int(c.entries[from+j].end-start) > size })
		if fit == 0 && total == 0 {
			fit = 1
		}
		if fit > 0 {
			end := c.entries[from+fit-1].end
			spans = append(spans, span{first: index, start: start, entries: c.entries[from : from+fit], data: c.data[:end]})
			total += int(end - start)
			index += uint64(fit)
			limit -= fit
		}
		if fit < n {
			break
		}
	}
	return spans, total, index
}
