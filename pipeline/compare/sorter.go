package compare

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"sync"
)

// entry is a record's digest and where the record is, big endian, so that
// entries sort by digest, then by partition, then by place:
//
//	digest 16 | partition 4 | file 4 | row 8
type entry [entrySize]byte

const (
	digestSize = 16
	entrySize  = 32
)

func newEntry(sum [32]byte, partition, file uint32, row uint64) entry {
	var e entry
	copy(e[:digestSize], sum[:])
	binary.BigEndian.PutUint32(e[16:], partition)
	binary.BigEndian.PutUint32(e[20:], file)
	binary.BigEndian.PutUint64(e[24:], row)
	return e
}

func (e *entry) partition() uint32 { return binary.BigEndian.Uint32(e[16:]) }
func (e *entry) file() uint32      { return binary.BigEndian.Uint32(e[20:]) }
func (e *entry) row() int64        { return int64(binary.BigEndian.Uint64(e[24:])) }

func (e *entry) compare(other *entry) int { return bytes.Compare(e[:], other[:]) }
func (e *entry) compareDigest(other *entry) int {
	return bytes.Compare(e[:digestSize], other[:digestSize])
}

// maxRuns is how many temporary files are merged at a time.
const maxRuns = 128

// sorter sorts entries: those that fit in memory there, the others through
// files of sorted runs. add is safe for concurrent use.
type sorter struct {
	dir   string
	limit int // entries in memory

	mu   sync.Mutex
	held []entry
	runs []string // files
	made int
}

// newSorter returns a sorter that holds about so many bytes.
func newSorter(dir string, memory int64) *sorter {
	return &sorter{dir: dir, limit: max(1, int(memory/entrySize))}
}

func (s *sorter) add(entries []entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(entries) > 0 {
		n := min(len(entries), s.limit-len(s.held))
		s.held = append(s.held, entries[:n]...)
		entries = entries[n:]
		if len(s.held) == s.limit {
			if err := s.spill(); err != nil {
				return err
			}
		}
	}
	return nil
}

// spill writes what is held as a run.
func (s *sorter) spill() error {
	slices.SortFunc(s.held, func(a, b entry) int { return a.compare(&b) })
	name, err := s.write(func(yield func(entry, error) bool) {
		for _, e := range s.held {
			if !yield(e, nil) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	s.held, s.runs = s.held[:0], append(s.runs, name)
	if len(s.runs) < maxRuns {
		return nil
	}
	merged, err := s.write(mergeRuns(s.runs, nil))
	if err != nil {
		return err
	}
	for _, old := range s.runs {
		if err := os.Remove(old); err != nil {
			return err
		}
	}
	s.runs = append(s.runs[:0], merged)
	return nil
}

func (s *sorter) write(entries iter.Seq2[entry, error]) (name string, err error) {
	f, err := os.CreateTemp(s.dir, "run-*")
	if err != nil {
		return "", fmt.Errorf("make a temporary file: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("write %s: %w", f.Name(), cerr)
		}
	}()
	out := bufio.NewWriterSize(f, 256<<10)
	for e, err := range entries {
		if err != nil {
			return "", err
		}
		if _, err := out.Write(e[:]); err != nil {
			return "", fmt.Errorf("write %s: %w", f.Name(), err)
		}
	}
	if err := out.Flush(); err != nil {
		return "", fmt.Errorf("write %s: %w", f.Name(), err)
	}
	s.made++
	return f.Name(), nil
}

// sorted yields all entries in their order, once nothing is added any more.
func (s *sorter) sorted() iter.Seq2[entry, error] {
	slices.SortFunc(s.held, func(a, b entry) int { return a.compare(&b) })
	return mergeRuns(s.runs, s.held)
}

func (s *sorter) close() {
	for _, name := range s.runs {
		_ = os.Remove(name) // the folder is removed too
	}
	s.held, s.runs = nil, nil
}

// mergeRuns yields the entries of sorted files and of a sorted slice in one order.
func mergeRuns(names []string, held []entry) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		var h runHeap
		if len(held) > 0 {
			h = append(h, &run{next: held[0], held: held[1:]})
		}
		for _, name := range names {
			f, err := os.Open(name)
			if err != nil {
				yield(entry{}, fmt.Errorf("read a temporary file: %w", err))
				return
			}
			defer f.Close()
			r := &run{in: bufio.NewReaderSize(f, 64<<10)}
			if ok, err := r.advance(); err != nil {
				yield(entry{}, err)
				return
			} else if ok {
				h = append(h, r)
			}
		}
		heap.Init(&h)
		for len(h) > 0 {
			if !yield(h[0].next, nil) {
				return
			}
			ok, err := h[0].advance()
			switch {
			case err != nil:
				yield(entry{}, err)
				return
			case ok:
				heap.Fix(&h, 0)
			default:
				heap.Pop(&h)
			}
		}
	}
}

// run is a sorted sequence, of a file or of a slice.
type run struct {
	next entry
	in   *bufio.Reader
	held []entry
}

func (r *run) advance() (bool, error) {
	if r.in == nil {
		if len(r.held) == 0 {
			return false, nil
		}
		r.next, r.held = r.held[0], r.held[1:]
		return true, nil
	}
	_, err := io.ReadFull(r.in, r.next[:])
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read a temporary file: %w", err)
	}
	return true, nil
}

// runHeap has the run with the lowest entry first.
type runHeap []*run

func (h runHeap) Len() int           { return len(h) }
func (h runHeap) Less(i, j int) bool { return h[i].next.compare(&h[j].next) < 0 }
func (h runHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *runHeap) Push(x any)        { *h = append(*h, x.(*run)) }
func (h *runHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
