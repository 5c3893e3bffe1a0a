package pipeline

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"golang.org/x/sync/errgroup"

	"github.com/streaming-etl/streaming-etl/io/kafkaio/transact"
	"github.com/streaming-etl/streaming-etl/logging"
	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/message"
)

func init() {
	beam.RegisterType(reflect.TypeFor[*commitLanesFn]())
}

// commitLanesFn writes the blocks of each lane in transactions, in order. On a
// cluster its input is stable: it sees a block only after a checkpoint holds
// it, and again, in the same order, after a restore; the marker that each
// transaction writes with the records tells what was committed.
type commitLanesFn struct {
	Config Config
	// Order is declared so that the runner keys the step by lane, which keeps
	// the order. It is never touched: state and stable input do not go together.
	Order state.Value[int64]

	job       *process
	committer *transact.Committer
	lanes     map[int]*laneWork
	metrics   laneMetrics
	readers   readers
}

// laneWork is what a bundle has for a lane.
type laneWork struct {
	blocks          []transact.Block
	size            int
	events, letters int
	// taken is when the last of the blocks came to its lane.
	taken int64
}

type laneMetrics struct {
	records, dead, repeated, transactions beam.Counter
	sink                                  *meter
}

func newCommitLanesFn(c Config) *commitLanesFn {
	return &commitLanesFn{Config: c, Order: state.MakeValueState[int64]("order")}
}

func (f *commitLanesFn) Setup(ctx context.Context) (err error) {
	f.job = processFor(f.Config.JobID)
	f.metrics = laneMetrics{
		records:  beam.NewCounter("kafka", "records_committed"),
		dead:     beam.NewCounter("kafka", "dead_letters_committed"),
		repeated: beam.NewCounter("kafka", "blocks_repeated"),
	}
	f.metrics.transactions = beam.NewCounter("kafka", "transactions_committed")
	f.metrics.sink = f.job.meter(kafkaName, sinkNames()...)
	f.lanes = map[int]*laneWork{}
	topics, err := f.Config.topics(ctx, f.job)
	if err != nil {
		return err
	}
	f.committer, err = share(f.job, "kafka committer", func() (*transact.Committer, func(), error) {
		c, err := transact.New(context.WithoutCancel(ctx), f.Config.KafkaSink, topics)
		if err != nil {
			return nil, nil, err
		}
		return c, c.Close, nil
	})
	return err
}

func (f *commitLanesFn) StartBundle(context.Context) {
	f.job.monitor.begin()
	clear(f.lanes)
}

func (f *commitLanesFn) ProcessElement(ctx context.Context, _ state.Provider, _ int64, in []byte) error {
	n, err := decodeNumbered(in)
	if err != nil {
		return err
	}
	ready := []numbered{n}
	if f.Config.Local {
		f.job.monitor.addInFlight(-len(n.block))
		ready = f.job.order.sort(n)
	}
	for _, n := range ready {
		if err := f.add(&n); err != nil {
			return err
		}
	}
	if w := f.lanes[n.lane]; w != nil && w.size >= commitBytes {
		return f.commit(ctx, []int{n.lane})
	}
	return nil
}

func (f *commitLanesFn) add(n *numbered) error {
	rows, err := block.RowsOf(n.block)
	if err != nil {
		return fmt.Errorf("block %d of lane %d: %w", n.number, n.lane, err)
	}
	w := f.lanes[n.lane]
	if w == nil {
		w = &laneWork{}
		f.lanes[n.lane] = w
	}
	if n.letters {
		w.letters += rows
	} else {
		w.events += rows
	}
	b := transact.Block{Job: n.job, Number: n.number, Attempt: n.attempt}
	b.Records, b.Release = f.readers.records(n.block)
	w.blocks = append(w.blocks, b)
	w.size += len(n.block)
	w.taken = n.taken
	return nil
}

// commitBytes is the compressed size of a lane's blocks at which they are
// written before the bundle ends.
const commitBytes = 16 << 20

// FinishBundle commits what is left, all lanes at one time.
func (f *commitLanesFn) FinishBundle(ctx context.Context) error {
	defer f.job.monitor.end()
	return f.commit(ctx, slices.Sorted(maps.Keys(f.lanes)))
}

func (f *commitLanesFn) commit(ctx context.Context, lanes []int) error {
	outcomes := make([]transact.Outcome, len(lanes))
	g, gctx := errgroup.WithContext(logging.With(ctx, logging.Stage, "CommitLanes"))
	for i, lane := range lanes {
		w := f.lanes[lane]
		g.Go(func() (err error) {
			outcomes[i], err = f.committer.Commit(gctx, lane, w.blocks)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return f.job.failed(ctx, "CommitLanes", lanesError(err))
	}
	for i, lane := range lanes {
		w := f.lanes[lane]
		f.metrics.repeated.Inc(ctx, int64(outcomes[i].Skipped))
		f.metrics.records.Inc(ctx, int64(w.events))
		f.metrics.dead.Inc(ctx, int64(w.letters))
		f.metrics.transactions.Inc(ctx, int64(outcomes[i].Transactions))
		f.job.waiting.laneCommitted(w.taken)
		f.job.monitor.delivered(kafkaName, w.events)
		f.job.monitor.lettersDelivered(w.letters)
		delete(f.lanes, lane)
	}
	kafkaTotals(f.committer.Stats()).tell(ctx, f.metrics.sink)
	return nil
}

// lanesError names the property of the remedy that the error speaks of.
func lanesError(err error) error {
	var order *transact.OrderError
	if errors.As(err, &order) {
		return fmt.Errorf("OutputKafkaTopic: %w (the marker policy is OutputKafkaMarkerPolicy)", err)
	}
	return fmt.Errorf("OutputKafkaTopic: %w", err)
}

// readers are those of blocks that were committed: the memory of a block is
// used again. It is safe for concurrent use.
type readers struct {
	mu   sync.Mutex
	free []*message.Reader
}

// maxReaders bounds the readers that are kept, each with about a block's raw size.
const maxReaders = 16

func (p *readers) take() *message.Reader {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.free) - 1
	if last < 0 {
		return &message.Reader{}
	}
	r := p.free[last]
	p.free = p.free[:last]
	return r
}

func (p *readers) put(r *message.Reader) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) < maxReaders {
		p.free = append(p.free, r)
	}
}

// records reads the records of a block, which are valid until release. When
// they are walked again they are in other memory, since the client may still
// hold those of before.
func (p *readers) records(blk []byte) (all iter.Seq2[transact.Record, error], release func()) {
	var r *message.Reader
	all = func(yield func(transact.Record, error) bool) {
		r = p.take()
		read(blk, r)(yield)
	}
	return all, func() { p.put(r) }
}

// read reads the records of a block, which are valid until the reader opens another one.
func read(blk []byte, r *message.Reader) iter.Seq2[transact.Record, error] {
	return func(yield func(transact.Record, error) bool) {
		var (
			m       message.Message
			headers []transact.Header
			names   []string // of the last record's headers: most have the same
		)
		if err := r.Open(blk); err != nil {
			yield(transact.Record{}, err)
			return
		}
		for {
			ok, err := r.Next(&m)
			if err != nil {
				yield(transact.Record{}, err)
				return
			}
			if !ok {
				return
			}
			from := len(headers)
			for i, h := range m.Meta.Headers {
				if i == len(names) {
					names = append(names, string(h.Key))
				} else if names[i] != string(h.Key) {
					names[i] = string(h.Key)
				}
				headers = append(headers, transact.Header{Key: names[i], Value: h.Value})
			}
			out := transact.Record{Topic: m.Topic, Key: m.Meta.Key, Value: m.Value, Headers: headers[from:len(headers):len(headers)], Timestamp: m.Meta.Timestamp}
			if !yield(out, nil) {
				return
			}
		}
	}
}
