package replay

import (
	"context"
	"io"
	"time"
)

const (
	// maxOpen is the number of files merged at a time. Partitioned data sets
	// are sorted across files or have a few overlapping ones; opening all of
	// ten thousand would take their decoders' memory for nothing.
	maxOpen = 16
	// maxHeldBytes bounds the records held where lines are long.
	maxHeldBytes = 256 << 20
	// warnedSkips is how many skipped lines of a pass, and how many refused
	// ones of a replay, are told one by one.
	warnedSkips = 10
)

// record is one event on its way from a file to the sender.
type record struct {
	at   int64 // event time, microseconds since 1970
	seq  int64 // file and line: keeps events of the same time in the order of the data
	data []byte
	key  []byte
	lane int32 // index of the file
	late bool  // older than one that was passed on before
}

// lineBits are those of a file's lines in record.seq.
const lineBits = 40

func (r *record) line() int { return int(r.seq & (1<<lineBits - 1)) }

func (r *record) time() time.Time { return time.UnixMicro(r.at).UTC() }

// before orders records by time, then by place in the data.
func (r *record) before(o *record) bool {
	return r.at < o.at || r.at == o.at && r.seq < o.seq
}

// Skip is a line that was left out.
type Skip struct {
	// File and Line, from 1, tell where it is.
	File string
	Line int
	// Err says why.
	Err error
}

// merger passes on the records of many files sorted by time. All records it
// holds are in one heap; of each open file it holds a share, so that the
// lowest of the heap is the lowest of all as long as no record is more than a
// share out of its file's order. A file that was read to its end makes room
// for the next, while what is left of it stays in the heap.
type merger struct {
	src   source
	scan  *scanner
	seek  int64
	names []string
	limit int // records held

	share  int
	lanes  []lane // of all files opened so far
	open   int    // lanes with a file
	heap   heap
	bytes  int
	memory arena
	err    error // of a file; returned when what was read before it is passed on
	last   int64 // time of the latest record passed on
	passed bool

	broken, before int64  // since they were last taken
	skips          []Skip // likewise
	warned         int
}

// lane is one file of the merge.
type lane struct {
	file *lines // nil when read to its end
	held int    // records in the heap
}

func newMerger(src source, names []string, o Options) *merger {
	m := &merger{
		src:   src,
		names: names,
		scan:  newScanner(o.TimestampField, o.PartitionKeyField),
		seek:  o.Seek.UnixMicro(),
		limit: o.BufferSize,
	}
	// Half the buffer is for what finished files leave, if more are to come.
	if len(names) > maxOpen {
		m.share = max(1, o.BufferSize/2/maxOpen)
	} else {
		m.share = max(1, o.BufferSize/max(1, len(names)))
	}
	return m
}

// next returns the next record in order, io.EOF after the last. A file that
// cannot be read ends it, after all that was read before.
func (m *merger) next(ctx context.Context) (record, error) {
	if err := ctx.Err(); err != nil {
		return record{}, err
	}
	m.openFiles(ctx)
	if len(m.heap) == 0 {
		if m.err != nil {
			return record{}, m.err
		}
		return record{}, io.EOF
	}
	r := m.heap.pop()
	m.bytes -= len(r.data)
	m.lanes[r.lane].held--
	m.fill(int(r.lane))
	if r.late = m.passed && r.at < m.last; !r.late {
		m.last, m.passed = r.at, true
	}
	return r, nil
}

// openFiles opens the next files, in the order of their names, while there is
// room for their share.
func (m *merger) openFiles(ctx context.Context) {
	for m.err == nil && len(m.lanes) < len(m.names) && m.open < maxOpen && (m.open == 0 || len(m.heap)+m.share <= m.limit) {
		file, err := openLines(ctx, m.src, m.names[len(m.lanes)])
		if err != nil {
			m.err = err
			return
		}
		m.lanes = append(m.lanes, lane{file: file})
		m.open++
		m.fill(len(m.lanes) - 1)
	}
}

// fill reads a file until the heap has its share.
func (m *merger) fill(i int) {
	l := &m.lanes[i]
	for m.err == nil && l.file != nil && l.held < m.share && (m.bytes < maxHeldBytes || l.held == 0) {
		line, err := l.file.next()
		if err == io.EOF {
			l.file.close()
			l.file = nil
			m.open--
			return
		}
		if err != nil {
			m.err = err
			return
		}
		m.take(i, line)
	}
}

// take puts a line into the heap, or counts why not.
func (m *merger) take(i int, line []byte) {
	l := &m.lanes[i]
	at, key, err := m.scan.scan(line)
	if err != nil {
		m.broken++
		if m.warned < warnedSkips {
			m.warned++
			m.skips = append(m.skips, Skip{File: l.file.name, Line: l.file.number, Err: err})
		}
		return
	}
	if at < m.seek {
		m.before++
		return
	}
	m.heap.push(record{
		at:   at,
		seq:  int64(i)<<lineBits | int64(l.file.number),
		data: m.memory.keep(line),
		key:  m.memory.keep(key),
		lane: int32(i),
	})
	l.held++
	m.bytes += len(line)
}

// close closes the files that are open.
func (m *merger) close() {
	for i := range m.lanes {
		if f := m.lanes[i].file; f != nil {
			f.close()
			m.lanes[i].file = nil
		}
	}
}

// heap is a binary heap of records, the earliest first.
type heap []record

func (h *heap) push(r record) {
	s := append(*h, r)
	*h = s
	i := len(s) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !r.before(&s[parent]) {
			break
		}
		s[i] = s[parent]
		i = parent
	}
	s[i] = r
}

func (h *heap) pop() record {
	s := *h
	top, r := s[0], s[len(s)-1]
	s[len(s)-1] = record{} // lets go of its memory
	s = s[:len(s)-1]
	*h = s
	if len(s) == 0 {
		return top
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(s) {
			break
		}
		if child+1 < len(s) && s[child+1].before(&s[child]) {
			child++
		}
		if !s[child].before(&r) {
			break
		}
		s[i] = s[child]
		i = child
	}
	s[i] = r
	return top
}

// arena keeps lines in chunks: one allocation for many of them. A chunk is
// freed when all its lines are delivered.
type arena struct{ free []byte }

const arenaChunk = 64 << 10

func (a *arena) keep(b []byte) []byte {
	if len(b) > arenaChunk/4 {
		return append([]byte(nil), b...)
	}
	if len(b) > cap(a.free)-len(a.free) {
		a.free = make([]byte, 0, arenaChunk)
	}
	start := len(a.free)
	a.free = append(a.free, b...)
	return a.free[start:len(a.free):len(a.free)]
}
