package transact

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/logging"
)

// Outcome counts what a Commit did.
type Outcome struct {
	// Blocks were written, Skipped ones were committed before; Accepted are
	// those of the written that did not follow the marker (see Accept).
	Blocks, Skipped, Accepted int
	// Records and Bytes are those of the written blocks; bytes are keys,
	// values and headers, uncompressed.
	Records, Bytes int64
	// Transactions were committed. Retries were made after passing faults.
	Transactions, Retries int
}

func (o *Outcome) add(p Outcome) {
	o.Blocks += p.Blocks
	o.Records += p.Records
	o.Bytes += p.Bytes
	o.Transactions += p.Transactions
}

// Committer writes the blocks of lanes exactly once. It is safe for concurrent
// use; the calls for one lane are done one after the other.
//
// A lane belongs to the Committer that came last: earlier ones are refused
// with ErrFenced from then on. So a worker whose work is done anew (a failed
// bundle) may go on with its Committer, unless it was fenced.
type Committer struct {
	opts Options
	// client are the options of all clients.
	client  []kgo.Opt
	owner   string
	markers markers
	// topics are asked before a topic is written to for the first time, nil for
	// none that must be.
	topics *Topics
	errors *lastError
	counts *counters
	// proven is set once a lane was opened: the brokers have let it in.
	proven atomic.Bool

	mu     sync.Mutex
	lanes  map[int]*lane
	closed bool
	// ending is closed by Close; busy are the calls that it waits for.
	ending context.Context
	end    context.CancelFunc
	busy   sync.WaitGroup
}

// New returns a Committer. It reads secrets and opens no connection: lanes are
// initialised when they are first used. ctx is for loading the configuration.
// topics know how large a batch of a topic may be; nil stands for MaxMessageBytes
// of all.
func New(ctx context.Context, o Options, topics *Topics) (*Committer, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("write to Kafka: %w", err)
	}
	o = o.withDefaults()
	common, err := o.clientOptions(ctx)
	if err != nil {
		return nil, fmt.Errorf("write to Kafka: %w", err)
	}
	c := &Committer{opts: o, owner: rand.Text(), lanes: map[int]*lane{}, topics: topics, errors: new(lastError), counts: new(counters)}
	c.client = append(append([]kgo.Opt{}, common...), kgo.WithHooks(c.counts))
	asking, err := kgo.NewClient(append(append([]kgo.Opt{}, common...), kgo.WithHooks(c.errors))...)
	if err != nil {
		return nil, fmt.Errorf("write to Kafka: %w", err)
	}
	c.markers = markers{client: asking, topic: o.MarkerTopic}
	c.ending, c.end = context.WithCancel(context.Background())
	return c, nil
}

func (o Options) transactionalID(lane int) string {
	return o.TransactionalIDPrefix + "-" + strconv.Itoa(lane)
}

// Commit writes the blocks of a lane that were not committed before, in one
// transaction, or a few where they are large or the way to the brokers is slow.
// When it returns without an error all of them are visible to readers of committed
// data, once.
//
// Passing faults are waited out for up to RetryDeadline since the last
// progress, or since a transaction was made smaller; a login that is refused
// after others were taken is one. After an error the same blocks may be committed
// again: those that are in Kafka are skipped. Errors that a retry cannot help are
// *OrderError, ErrFenced, and those that come of the configuration or the data.
func (c *Committer) Commit(ctx context.Context, number int, blocks []Block) (Outcome, error) {
	out, err := c.commit(ctx, number, blocks)
	if err != nil {
		return out, fmt.Errorf("write to Kafka: %w", err)
	}
	return out, nil
}

func (c *Committer) commit(ctx context.Context, number int, blocks []Block) (out Outcome, err error) {
	if err := c.validate(number, blocks); err != nil || len(blocks) == 0 {
		return out, err
	}
	l, err := c.lane(number)
	if err != nil {
		return out, err
	}
	defer c.busy.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.ending, func() { cancel(ErrClosed) })()
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return out, context.Cause(ctx)
	}
	if l.gone != nil {
		return out, l.gone
	}

	var first time.Time
	for attempt := 1; ; attempt++ {
		n, err := c.try(ctx, l, blocks, &out)
		blocks = blocks[n:]
		if err == nil {
			l.together()
			return out, nil
		}
		l.drop(ctx, err)
		if hangs := (*hangingError)(nil); errors.As(err, &hangs) {
			slog.WarnContext(ctx, "kafka: a transaction that no coordinator knows is ended", logging.Lane, number, logging.Error, err)
			if ended := c.endHanging(ctx, l, hangs); ended != nil {
				err = fmt.Errorf("%w; %w", err, ended)
			}
		}
		var late *lateError
		if n > 0 || errors.As(err, &late) && late.smaller {
			attempt, first = 1, time.Time{} // it has come further, or takes a smaller step
		}
		if first.IsZero() {
			first = time.Now()
		}
		kind := c.classify(ctx, err)
		if kind == permanent && c.goesAlone(l, err) {
			continue
		}
		err = c.opts.explain(err, topicOf(err))
		if end := c.final(ctx, l, kind, err); end != nil {
			return out, end
		}
		wait := pause.Backoff(attempt, c.opts.RetryBackoff, c.opts.RetryBackoffMax)
		spent := time.Since(first)
		if kind == missing && spent+wait > min(missingDeadline, c.opts.RetryDeadline) {
			return out, fault{err}
		}
		if spent+wait > c.opts.RetryDeadline {
			return out, fmt.Errorf("tried %d times in %s: %w", attempt, spent.Round(time.Millisecond), err)
		}
		out.Retries++
		c.counts.retries.Add(1)
		logging.Retry(ctx, "kafka: a lane's blocks are written again", attempt, wait, err, logging.Lane, number, "blocks", len(blocks))
		if err := pause.Sleep(ctx, wait); err != nil {
			return out, err
		}
	}
}

// goesAlone sets the lane to write records alone after a batch that was too
// large for its topic, whose limit may have been lowered, and tells whether that
// is still to be tried.
func (c *Committer) goesAlone(l *lane, err error) bool {
	if !errors.Is(err, kerr.MessageTooLarge) || c.topics == nil || l.alone {
		return false
	}
	c.topics.expire(topicOf(err))
	l.alone = true
	return true
}

// final returns the error that ends a commit, or nil where another attempt may
// help.
func (c *Committer) final(ctx context.Context, l *lane, kind class, err error) error {
	switch kind {
	case canceled:
		return fmt.Errorf("%w (%v)", context.Cause(ctx), err)
	case permanent:
		l.alone = false
		return fault{err}
	case fenced:
		if !errors.Is(err, ErrFenced) {
			err = fmt.Errorf("lane %d: %w, or the transaction was open for longer than its timeout, %s (%w)",
				l.number, ErrFenced, c.opts.TransactionTimeout, err)
		}
		l.gone = err
		return err
	}
	return nil
}

// try goes through the blocks once and returns how many of them are done.
func (c *Committer) try(ctx context.Context, l *lane, blocks []Block, out *Outcome) (int, error) {
	if l.now == nil {
		if err := c.open(ctx, l); err != nil {
			return 0, err
		}
	}
	for i := 0; i < len(blocks); {
		v, err := c.decide(ctx, l, blocks[i])
		if err != nil {
			return i, err
		}
		if v == skip {
			out.Skipped++
			i++
			continue
		}
		done, err := c.transaction(ctx, l, blocks[i:])
		if err != nil {
			return i, l.now.errors.because(err)
		}
		if v == accept {
			out.Accepted++
		}
		out.add(done)
		for _, b := range blocks[i : i+done.Blocks] {
			if b.Release != nil {
				b.Release()
			}
		}
		i += done.Blocks
	}
	return len(blocks), nil
}

// decide looks at what the lane's marker says of a block. A block that does
// not fit what this Committer knows may fit what another one has written.
func (c *Committer) decide(ctx context.Context, l *lane, b Block) (verdict, error) {
	v, err := decide(l.marker, l.number, b, c.opts.MarkerPolicy)
	if v == skip || (v == write && err == nil) {
		return v, err
	}
	// None of this Committer's transactions is open here.
	seeing, cancel := context.WithTimeout(ctx, initDeadline)
	defer cancel()
	if err := c.see(seeing, l, (*markers).last); err != nil {
		return v, err
	}
	return decide(l.marker, l.number, b, c.opts.MarkerPolicy)
}

func topicOf(err error) string {
	var r *recordError
	if errors.As(err, &r) {
		return r.topic
	}
	return ""
}

// validate reports a caller's mistake.
func (c *Committer) validate(number int, blocks []Block) error {
	if number < 0 || number >= c.opts.Lanes {
		return fault{fmt.Errorf("lane %d: there are %d, from 0 on", number, c.opts.Lanes)}
	}
	for i, b := range blocks {
		switch {
		case b.Job == "":
			return fault{fmt.Errorf("lane %d: block %d names no job", number, b.Number)}
		case b.Number < 1:
			return fault{fmt.Errorf("lane %d: block number %d: they count from 1", number, b.Number)}
		case i > 0 && b.Job == blocks[i-1].Job && b.Number <= blocks[i-1].Number:
			return fault{fmt.Errorf("lane %d: block %d comes after block %d", number, b.Number, blocks[i-1].Number)}
		}
	}
	return nil
}

func (c *Committer) lane(number int) (*lane, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	l := c.lanes[number]
	if l == nil {
		l = &lane{number: number, turn: make(chan struct{}, 1)}
		c.lanes[number] = l
	}
	c.busy.Add(1)
	return l, nil
}

// Close ends the calls that are under way, their transactions, and all
// connections.
func (c *Committer) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end()
	c.busy.Wait()
	for _, l := range c.lanes {
		if l.now != nil {
			l.now.client.Close()
			l.now = nil
		}
	}
	c.markers.client.Close()
}
