// Package slots drives the reader slots of a source. A source has a fixed
// number of slots, each owning a share of the shards or partitions; a slot's
// state holds the positions of all it owns.
//
// A slot is fired again and again. Each firing drains what the background
// fetchers of the process have ready and moves the positions; it never waits
// for the network. The positions in the runner's state are the truth: a
// reader whose memory does not match them (a restore, a bundle done anew, a
// slot moved to this process) is closed and another is opened there.
//
// What a firing drains are batches: package io/batch.
package slots

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/internal/wire"
)

// Slot names one of a source's slots.
type Slot struct {
	// Index is from 0 to Count-1.
	Index, Count int
	// JobStart is when the job was first started, in milliseconds since 1970;
	// a job restored from a savepoint keeps it.
	JobStart int64
}

// Reader reads what one slot owns. Its methods are called by one goroutine at a time.
type Reader interface {
	// Drain returns what the background fetchers have ready, at most about
	// limit bytes (but one batch at least, if any is ready), shards in fair
	// turns; the encoded positions after it; and whether more is ready now.
	// It never waits for the network. An error is permanent: retries are used up.
	Drain(limit int) (batches []batch.Batch, positions []byte, more bool, err error)
	// Close stops all fetchers and waits for them.
	Close()
}

// Finisher is what a Reader can be besides, if its source can have an end.
type Finisher interface {
	// Done says that Drain has returned all that the slot will ever have,
	// because reading was to stop somewhere and did. It stays true. It may be
	// called while another method runs.
	Done() bool
}

// Lagger is what a Reader can be besides, if it knows how far it is behind.
type Lagger interface {
	// Lags returns the lag of each shard or partition that is being read. It
	// may be called while another method runs.
	Lags() []Lag
}

// Lag is how far a reader is behind the tip of one shard or partition.
type Lag struct {
	// Source names the stream or topic, Shard the shard or partition.
	Source, Shard string
	// Behind is in milliseconds (Kinesis) or in offsets (Kafka).
	Behind int64
}

// Source opens readers. Positions are what Drain returned, nil for a slot that was never read.
type Source interface {
	Open(ctx context.Context, slot Slot, positions []byte) (Reader, error)
}

// State is what a slot keeps in the runner's state.
type State struct {
	Slot Slot
	// Positions are the source's own encoding; nil before the first firing.
	Positions []byte
}

const (
	stateVersion = 1
	maxSlots     = 1 << 20
)

// ErrCorrupt is returned by DecodeState for bytes that Encode did not make.
var ErrCorrupt = errors.New("slots: corrupt or newer state")

// Encode returns the state's binary form.
func (s State) Encode() []byte {
	out := []byte{stateVersion}
	out = binary.AppendUvarint(out, uint64(s.Slot.Index))
	out = binary.AppendUvarint(out, uint64(s.Slot.Count))
	out = binary.AppendVarint(out, s.Slot.JobStart)
	return append(out, s.Positions...)
}

// DecodeState reads what Encode wrote.
func DecodeState(in []byte) (State, error) {
	if len(in) == 0 || in[0] != stateVersion {
		return State{}, ErrCorrupt
	}
	r := wire.NewReader(in[1:])
	index, count := r.Uvarint(maxSlots), r.Uvarint(maxSlots)
	s := State{Slot: Slot{Index: int(index), Count: int(count), JobStart: r.Varint()}}
	if r.Bad() || index >= count {
		return State{}, ErrCorrupt
	}
	if rest := r.Rest(); len(rest) > 0 {
		s.Positions = bytes.Clone(rest)
	}
	return s, nil
}

// idleClose is how long a reader may go without a firing: the runner has then
// given its slot to another process.
const idleClose = time.Minute

// Pool holds the open readers of one job in this process. A runner may fire a
// slot from any of its threads, so readers cannot live in a step's instance.
// It is safe for concurrent use; a slot is fired by one goroutine at a time.
type Pool struct {
	mu     sync.Mutex
	open   map[int]*entry
	closed bool
	now    func() time.Time
	// closing are readers that were not fired for long, which close by themselves.
	closing sync.WaitGroup
}

type entry struct {
	mu     sync.Mutex
	reader Reader
	// positions is what the reader's last Drain returned.
	positions []byte
	fired     time.Time
	closed    bool
	// counted is what the reader had counted when it was asked last, fresh what
	// nobody has been told yet.
	counted, fresh Counts
	// behind is the largest of the reader's lags when they were asked for last. Pool.mu guards it.
	behind int64
}

// NewPool returns a pool without readers.
func NewPool() *Pool { return &Pool{open: map[int]*entry{}, now: time.Now} }

// Firing is what one firing brought.
type Firing struct {
	Batches []batch.Batch
	// State is to be kept by the runner together with the batches.
	State State
	// More says that the slot should be fired again at once.
	More bool
}

// Fire drains the slot's reader, opening one at the state's positions where
// there is none or where it has gone another way than the state.
func (p *Pool) Fire(ctx context.Context, src Source, s State, limit int) (Firing, error) {
	e := p.entry(s.Slot.Index)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return Firing{}, ErrClosed
	}
	e.fired = p.now()
	if e.reader != nil && !bytes.Equal(e.positions, s.Positions) {
		e.drop()
	}
	if e.reader == nil {
		r, err := src.Open(ctx, s.Slot, s.Positions)
		if err != nil {
			return Firing{}, fmt.Errorf("open reader slot %d of %d: %w", s.Slot.Index, s.Slot.Count, err)
		}
		e.reader, e.positions = r, s.Positions
	}
	batches, positions, more, err := e.reader.Drain(limit)
	if err != nil {
		e.drop()
		return Firing{}, fmt.Errorf("read slot %d of %d: %w", s.Slot.Index, s.Slot.Count, err)
	}
	for i := range batches {
		batches[i].JobStart = s.Slot.JobStart
	}
	e.positions = positions
	s.Positions = positions
	return Firing{Batches: batches, State: s, More: more}, nil
}

// Lags returns how far the slot's reader is behind, nothing if it is not open
// in this process or does not know; and the largest lag of all readers here,
// as their slots' last Lags had it.
func (p *Pool) Lags(slot int) (lags []Lag, furthest int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.open[slot]; e != nil && e.mu.TryLock() {
		if l, ok := e.reader.(Lagger); ok {
			lags = l.Lags()
		}
		e.mu.Unlock()
		e.behind = 0
		for _, l := range lags {
			e.behind = max(e.behind, l.Behind)
		}
	}
	for _, e := range p.open {
		furthest = max(furthest, e.behind)
	}
	return lags, furthest
}

// Done says that the readers of all slots are open here, that each is a
// Finisher, and that all are done. What their last firings returned may still
// be on its way.
func (p *Pool) Done(slots int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range slots {
		e := p.open[i]
		// One that is being fired is not done: there is no need to wait for it.
		if e == nil || !e.mu.TryLock() {
			return false
		}
		f, ok := e.reader.(Finisher)
		done := ok && f.Done()
		e.mu.Unlock()
		if !done {
			return false
		}
	}
	return true
}

// ErrClosed is returned by Fire after Close: the job has ended here.
var ErrClosed = errors.New("slots: the readers are closed")

// entry returns the slot's entry and closes those that were not fired for long.
func (p *Pool) entry(index int) *entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, e := range p.open {
		if i == index || !e.mu.TryLock() {
			continue
		}
		if e.reader != nil && p.now().Sub(e.fired) > idleClose {
			p.closing.Go(e.reader.Close)
			e.reader, e.behind, e.counted = nil, 0, Counts{}
		}
		e.mu.Unlock()
	}
	e := p.open[index]
	if e == nil {
		e = &entry{closed: p.closed}
		p.open[index] = e
	}
	return e
}

// Close closes all readers for good and waits for their fetchers. A runner may
// still fire a slot of a job that it was told to end; that opens no reader.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for i, e := range p.open {
		e.mu.Lock()
		e.closed = true
		if e.reader != nil {
			e.reader.Close()
			e.reader = nil
		}
		e.mu.Unlock()
		delete(p.open, i)
	}
	p.closing.Wait() // nothing is added any more: no reader is left
}
