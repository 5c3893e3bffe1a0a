package transact

import (
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Header is one header of a record.
type Header = kgo.RecordHeader

// Record is what is written. Key and Value may be nil, which is Kafka's null;
// an empty one is not the same. Its bytes must not be changed before Commit
// or, with a Producer, Flush returns.
type Record struct {
	Topic      string
	Key, Value []byte
	Headers    []Header
	// Timestamp is in milliseconds since 1970; 0 stands for the present time.
	Timestamp int64
}

// Block is one numbered block of a lane.
type Block struct {
	// Job tells jobs apart that share a marker topic one after the other.
	Job string
	// Number counts the lane's blocks from 1, without gaps. Attempt is a random
	// number of the run of the job that made the block. A block that is sent
	// again has both; one that is made again, after a restore, another Attempt.
	Number, Attempt int64
	// Records yields the records in order. It is walked again where a
	// transaction is done anew. An error ends the commit for good.
	Records iter.Seq2[Record, error]
	// Release is called once the block is committed, if it is not nil: what
	// Records yielded is no longer looked at. After an error it is not called.
	Release func()
}

// What the format adds at most, from its description (Kafka's protocol guide,
// "Record Batch"): a batch's head, a record's lengths and deltas, and the
// lengths of a header's key and value.
const (
	batchOverhead  = 61
	recordOverhead = 7 * 5
	headerOverhead = 2 * 5
)

// Size is at least what the record takes in a batch of its own, uncompressed:
// one whose Size is at most MaxMessageBytes is not too large for a topic that
// takes messages of that size.
func (r *Record) Size() int { return int(r.size()) + batchOverhead }

func (r *Record) size() int64 {
	n := len(r.Key) + len(r.Value) + recordOverhead
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value) + headerOverhead
	}
	return int64(n)
}

// slabSize is the number of the client's records that are made at once.
const slabSize = 256

// slabs lends the client's records out and takes them back when the client is
// done with them, and keeps the first error that one of them met.
type slabs struct {
	mu   sync.Mutex
	free []*slab
	now  *slab
	err  atomic.Pointer[error]
	// taken counts the records that the brokers took.
	taken atomic.Int64
}

type slab struct {
	records [slabSize]kgo.Record
	used    int
	// out counts the records that the client has, and 1 while it is filled.
	out atomic.Int32
	// done is the promise of each record.
	done func(*kgo.Record, error)
}

// take returns an empty record and its promise, for one call of Produce.
func (s *slabs) take() (*kgo.Record, func(*kgo.Record, error)) {
	if s.now == nil || s.now.used == slabSize {
		s.next()
	}
	b := s.now
	r := &b.records[b.used]
	b.used++
	b.out.Add(1)
	return r, b.done
}

func (s *slabs) next() {
	if s.now != nil {
		s.drop(s.now)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		s.now, s.free = s.free[n-1], s.free[:n-1]
	} else {
		b := new(slab)
		b.done = func(r *kgo.Record, err error) {
			if err != nil {
				s.fail(r, err)
			} else {
				s.taken.Add(1)
			}
			s.drop(b)
		}
		s.now = b
	}
	s.now.out.Store(1)
}

// rest gives the slab that is being filled back: no record follows soon.
func (s *slabs) rest() {
	if s.now != nil {
		s.drop(s.now)
		s.now = nil
	}
}

// drop takes one record, or the filler's hold, back.
func (s *slabs) drop(b *slab) {
	if b.out.Add(-1) > 0 {
		return
	}
	clear(b.records[:b.used]) // lets go of the blocks' bytes
	b.used = 0
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, b)
}

func (s *slabs) fail(r *kgo.Record, err error) {
	if s.err.Load() != nil {
		return
	}
	refused := error(&recordError{r.Topic, err})
	s.err.CompareAndSwap(nil, &refused)
}

// failed returns the first error.
func (s *slabs) failed() error {
	if err := s.err.Load(); err != nil {
		return *err
	}
	return nil
}

// recordError is a record that was not written.
type recordError struct {
	topic string
	err   error
}

func (e *recordError) Error() string { return fmt.Sprintf("write to topic %s: %v", e.topic, e.err) }
func (e *recordError) Unwrap() error { return e.err }

// fill makes r what rec is.
func fill(r *kgo.Record, rec *Record) {
	r.Topic, r.Key, r.Value, r.Headers = rec.Topic, rec.Key, rec.Value, rec.Headers
	if rec.Timestamp != 0 {
		r.Timestamp = time.UnixMilli(rec.Timestamp)
	}
}

var errNoTopic = errors.New("a record names no topic")
