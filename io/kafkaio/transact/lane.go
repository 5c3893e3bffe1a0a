package transact

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// initDeadline bounds the initialisation of a lane; the waits in it are
	// for other workers' transactions to be ended.
	initDeadline = 60 * time.Second
	// endDeadline bounds the commit itself: what is needed to find the
	// coordinator again where it moved.
	endDeadline = 30 * time.Second
	// abortDeadline bounds the attempt to end a transaction that failed.
	abortDeadline = 5 * time.Second
)

// lane writes the transactions of one lane. One goroutine at a time uses it.
type lane struct {
	number int
	// turn holds one token: who has it uses the lane.
	turn chan struct{}
	// now is nil before the first use and after each error.
	now *session
	// topics are those that were looked at for hanging transactions since now
	// began.
	topics map[string]bool
	// alone has each record of a topic that takes less than MaxMessageBytes
	// written in a batch of its own, which may be larger than the topic's limit
	// before compression: a record that was routed before the limit was lowered,
	// or known, cannot be left out any more, and compressed it may be taken.
	alone bool
	// bytes is where a transaction ends for now, 0 stands for TransactionBytes:
	// see shrink.
	bytes int64
	// known is set once the lane was initialised, marker is the last one that
	// was read or written since; nil stands for none.
	known  bool
	marker *marker
	// gone is why the lane is not this Committer's any more.
	gone error
}

// open initialises the lane's transactional id and reads its last marker.
func (c *Committer) open(ctx context.Context, l *lane) error {
	ctx, cancel := context.WithTimeout(ctx, initDeadline)
	defer cancel()
	s, err := c.newLaneSession(ctx, l)
	if err != nil {
		return err
	}
	var p producer
	if p.id, p.epoch, err = s.client.ProducerID(ctx); err != nil {
		err = fmt.Errorf("initialise the transactional id %s: %w", c.opts.transactionalID(l.number), s.errors.because(err))
	}
	if err == nil {
		var own kadm.TopicsSet
		own.Add(c.opts.MarkerTopic, int32(l.number))
		err = c.look(ctx, p, own)
	}
	if err == nil {
		err = c.see(ctx, l, (*markers).last)
	}
	if err != nil {
		s.client.Close()
		return err
	}
	l.now, l.topics = s, make(map[string]bool)
	c.proven.Store(true)
	return nil
}

// newLaneSession returns a session with the lane's transactional id, unless
// the lane was taken over.
func (c *Committer) newLaneSession(ctx context.Context, l *lane, more ...kgo.Opt) (*session, error) {
	if l.known {
		// Before this takes the lane from anybody: is it ours still?
		if err := c.see(ctx, l, (*markers).lastNow); err != nil {
			return nil, err
		}
	}
	topics := c.topics
	if l.alone {
		topics = nil
	}
	return newSession(c.opts.producerOptions(topics), c.client, []kgo.Opt{
		kgo.TransactionalID(c.opts.transactionalID(l.number)),
		kgo.TransactionTimeout(c.opts.TransactionTimeout),
		kgo.RecordRetries(c.opts.refusals()),
	}, more)
}

// see reads the lane's marker in one of two ways. One that another Committer
// wrote since this one last looked says that the lane was taken over.
func (c *Committer) see(ctx context.Context, l *lane, read func(*markers, context.Context, int) (*marker, error)) error {
	m, err := read(&c.markers, ctx, l.number)
	if err != nil {
		return c.errors.because(err)
	}
	if l.known && m != nil && m.Owner != c.owner && (l.marker == nil || !reflect.DeepEqual(m, l.marker)) {
		return fmt.Errorf("lane %d: %w: it has written block %d of job %s", l.number, ErrFenced, m.Number, m.Job)
	}
	l.known, l.marker = true, m
	return nil
}

// room is how many bytes a transaction may have.
func (l *lane) room(most int64) int64 {
	if l.bytes > 0 {
		return min(l.bytes, most)
	}
	return most
}

// shrink makes the next transaction smaller, after one of bytes of which so many
// were taken in its time. The way to the brokers is slow, or a quota holds it
// back, so the same again would not be in time either. It says whether that
// changes anything: a transaction has one block at least.
func (l *lane) shrink(bytes, taken int64) bool {
	before := l.bytes
	l.bytes = max(1, min(bytes, taken)/2)
	return before == 0 || l.bytes < before
}

// grow lets the next transaction be larger, after one of bytes that was full
// and left so much of its time that twice as much would be in time too.
func (l *lane) grow(most, bytes int64, spent, timeout time.Duration) {
	switch {
	case l.bytes == 0 || bytes < l.bytes || spent > timeout/4:
	case bytes >= most/2:
		l.bytes = 0
	default:
		l.bytes = 2 * bytes
	}
}

// transaction writes blocks, the first of which is next, in one transaction
// and returns how many it was. It ends at the lane's room, and before a block
// that does not follow the one before it.
func (c *Committer) transaction(ctx context.Context, l *lane, blocks []Block) (done Outcome, err error) {
	s := l.now
	if err := s.client.BeginTransaction(); err != nil {
		return done, fmt.Errorf("begin a transaction: %w", err)
	}
	id, epoch, err := s.client.ProducerID(ctx)
	if err != nil {
		return done, fmt.Errorf("begin a transaction: %w", err)
	}
	// The brokers count from the first record.
	timeout := c.opts.TransactionTimeout * 3 / 4
	writing, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	begun, taken, throttles := time.Now(), s.slabs.taken.Load(), c.counts.throttles.Load()
	m, err := c.write(writing, l, producer{id, epoch}, blocks, &done)
	if writing.Err() != nil && ctx.Err() == nil {
		late := &lateError{first: blocks[0].Number, last: m.Number, timeout: timeout, throttles: c.counts.throttles.Load() - throttles, err: writing.Err()}
		if done.Records > 0 {
			late.smaller = l.shrink(done.Bytes, done.Bytes*(s.slabs.taken.Load()-taken)/done.Records)
		}
		return Outcome{}, late
	}
	if err != nil {
		return Outcome{}, err
	}
	if err := s.failed(); err != nil {
		return Outcome{}, err
	}
	// A client that took a new epoch in between has lost what came before.
	if id2, epoch2, err := s.client.ProducerID(ctx); err != nil || id2 != id || epoch2 != epoch {
		return Outcome{}, errors.Join(errors.New("the producer's epoch changed within the transaction"), err)
	}
	ending, cancelEnding := context.WithTimeout(ctx, endDeadline)
	defer cancelEnding()
	if err := s.client.EndTransaction(ending, kgo.TryCommit); err != nil {
		return Outcome{}, &commitError{err}
	}
	l.grow(c.opts.TransactionBytes, done.Bytes, time.Since(begun), timeout)
	m.Version = markerVersion
	l.marker = m
	done.Transactions++
	return done, nil
}

// write hands the transaction's records and its marker to the client and waits
// until they are taken. The marker's number is that of the block which it came to.
func (c *Committer) write(ctx context.Context, l *lane, p producer, blocks []Block, done *Outcome) (*marker, error) {
	s, m, room := l.now, &marker{Lane: l.number, Owner: c.owner}, l.room(c.opts.TransactionBytes)
	if l.marker != nil {
		m.Job, m.Number, m.Runs = l.marker.Job, l.marker.Number, l.marker.Runs
	}
	for i, b := range blocks {
		if i > 0 {
			if done.Bytes >= room {
				break
			}
			if v, err := decide(m, l.number, b, Strict); err != nil || v != write || b.Job != m.Job {
				break
			}
		}
		m.Runs = m.after(b)
		m.Job, m.Number = b.Job, b.Number
		if err := c.produce(ctx, l, p, b, done); err != nil {
			return m, err
		}
		done.Blocks++
	}
	value, err := m.encode()
	if err != nil {
		return m, fault{err}
	}
	r, promise := s.slabs.take()
	r.Topic, r.Partition, r.Key, r.Value = c.opts.MarkerTopic, int32(l.number), markerKey(l.number), value
	s.client.Produce(ctx, r, promise)
	s.slabs.rest()
	if err := s.client.Flush(ctx); err != nil {
		return m, fmt.Errorf("write blocks: %w", err)
	}
	return m, nil
}

// lateError is a transaction that was not written in its time.
type lateError struct {
	first, last int64
	timeout     time.Duration
	// throttles are the answers meanwhile that a quota held back.
	throttles int64
	// smaller says that the next attempt is another one.
	smaller bool
	err     error
}

func (e *lateError) Error() string {
	text := fmt.Sprintf("blocks %d to %d were not written within %s, three quarters of the transaction timeout", e.first, e.last, e.timeout)
	if e.throttles > 0 {
		text += fmt.Sprintf(" (a quota of the brokers held %d answers back meanwhile: raise the user's or client's producer_byte_rate)", e.throttles)
	}
	return text + ": " + e.err.Error()
}

func (e *lateError) Unwrap() error { return e.err }

// commitError is a commit whose outcome is not known, or was refused.
type commitError struct{ err error }

func (e *commitError) Error() string { return "commit a transaction: " + e.err.Error() }
func (e *commitError) Unwrap() error { return e.err }

// produce hands a block's records to the client.
func (c *Committer) produce(ctx context.Context, l *lane, p producer, b Block, done *Outcome) error {
	s, topic := l.now, ""
	for rec, err := range b.Records {
		if err != nil {
			return fault{fmt.Errorf("read block %d of job %s: %w", b.Number, b.Job, err)}
		}
		if rec.Topic == "" {
			return fault{errNoTopic}
		}
		if rec.Topic != topic {
			if err := c.enter(ctx, l, p, rec.Topic); err != nil {
				return err
			}
			topic = rec.Topic
		}
		r, promise := s.slabs.take()
		fill(r, &rec)
		s.client.Produce(ctx, r, promise)
		if l.alone && c.topics.batchLimit(topic, c.opts.MaxMessageBytes) < c.opts.MaxMessageBytes {
			if err := s.client.Flush(ctx); err != nil {
				return fmt.Errorf("write blocks: %w", err)
			}
		}
		done.Records++
		done.Bytes += rec.size()
		// The rest of a transaction that cannot be committed is wasted work.
		if done.Records%slabSize == 0 && s.failed() != nil {
			break
		}
	}
	return s.failed()
}

// enter looks at a topic before the session writes to it for the first time.
func (c *Committer) enter(ctx context.Context, l *lane, p producer, topic string) error {
	if l.topics[topic] {
		return nil
	}
	topic = strings.Clone(topic) // it may be part of a block
	if err := c.look(ctx, p, kadm.TopicsSet{topic: nil}); err != nil {
		return err
	}
	if c.topics != nil {
		// A refusal is the brokers' to tell: the block is numbered.
		var refusal *TopicRefusal
		if _, err := c.topics.Rules(ctx, topic); err != nil && !errors.As(err, &refusal) {
			return err
		}
	}
	l.topics[topic] = true
	return nil
}

// together ends what alone began.
func (l *lane) together() {
	if l.alone {
		l.alone = false
		l.now.close()
		l.now = nil
	}
}

// drop gives up the session after an error. It ends the transaction, so that
// readers of the topics need not wait for its timeout; where that fails, or
// where a commit is under way, the next initialisation does it.
func (l *lane) drop(ctx context.Context, err error) {
	s := l.now
	if s == nil {
		return
	}
	l.now = nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortDeadline)
	defer cancel()
	var commit *commitError
	unknown := errors.As(err, &commit) && !errors.Is(err, kerr.OperationNotAttempted) && !errors.Is(err, kerr.TransactionAbortable)
	if !unknown && s.client.AbortBufferedRecords(ctx) == nil {
		// An error here is followed by an initialisation, or by the timeout.
		_ = s.client.EndTransaction(ctx, kgo.TryAbort)
	}
	s.client.Close()
}
