package pipeline

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/transact"
	"github.com/streaming-etl/streaming-etl/logging"
	"github.com/streaming-etl/streaming-etl/runners/flink/keygroup"
	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

func init() {
	beam.RegisterType(reflect.TypeFor[*routeFn]())
	beam.RegisterType(reflect.TypeFor[*passBlockFn]())
}

// routeFn is fused behind the reader: it decodes each event once, for all
// sinks. For files it emits blocks by partition key, for Kafka's transactions
// blocks by lane, the unfinished ones when the bundle ends; to the other sinks
// it writes, and ends the bundle when they have all of it.
type routeFn struct {
	Config Config
	// Keys has the key of each lane.
	Keys []int64

	router  *route.Router
	lanes   *route.Lanes // nil without transactions
	topics  *transact.Topics
	writers []writer
	// firstWriter is the place of the first writer among the router's outputs.
	firstWriter int
	job         *process
	metrics     routeMetrics
	// added counts the bundle's events by writer, letters its dead letters that a writer takes.
	added   []int
	letters int
	// jobStart is that of the last batch, which is the job's.
	jobStart int64
	// bytes is what the bundle has, busy how long it was at work on it.
	bytes int
	busy  time.Duration
	// told are the dead letters that were logged.
	told toldLetters
}

type routeMetrics struct {
	events, dead, blocks, blockBytes beam.Counter
	written                          []beam.Counter
	sinks                            []*sinkMeter
	letters                          beam.Counter
}

func newRouteFn(c Config) *routeFn { return &routeFn{Config: c, Keys: c.laneKeys()} }

func (f *routeFn) Setup(ctx context.Context) (err error) {
	f.job = processFor(f.Config.JobID)
	schema, err := f.Config.Route.LoadSchema()
	if err != nil {
		return err
	}
	var outputs []route.Output
	if f.Config.lanes() {
		if f.lanes, err = route.NewLanes(kafkaName, f.Config.Lanes, schema, f.Config.Route.Source); err != nil {
			return err
		}
		if f.topics, err = f.Config.topics(ctx, f.job); err != nil {
			return err
		}
		outputs = append(outputs, f.lanes)
	}
	if f.writers, err = f.Config.writers(logging.With(context.WithoutCancel(ctx), logging.Stage, "Route"), f.job, schema); err != nil {
		return err
	}
	f.metrics = routeMetrics{
		events:     beam.NewCounter("decode", "events"),
		dead:       beam.NewCounter("decode", "dead_letters"),
		blocks:     beam.NewCounter("decode", "blocks"),
		blockBytes: beam.NewCounter("decode", "block_bytes"),
		letters:    beam.NewCounter("dead_letters", "written"),
	}
	f.firstWriter, f.added = len(outputs), make([]int, len(f.writers))
	for _, w := range f.writers {
		outputs = append(outputs, w)
		f.metrics.written = append(f.metrics.written, beam.NewCounter(w.Name(), "records_written"))
		f.metrics.sinks = append(f.metrics.sinks, newSinkMeter(f.job, w))
	}
	if f.router, err = route.New(f.Config.Route, outputs...); err != nil {
		return err
	}
	f.router.SpreadWriters(writerNumbers)
	return nil
}

// writerNumbers has a partition's writers on different subtasks of a cluster.
func writerNumbers(n int, key func(dst []byte, number int) []byte) []int {
	return keygroup.EvenNumbers(n, maxParallelism, key)
}

// StartBundle drops what a failed bundle may have left.
func (f *routeFn) StartBundle(ctx context.Context, _ func(string, []byte), lane func(int64, []byte)) {
	f.router.Reset()
	f.told = toldLetters{}
	f.router.OnLetter(func(l *deadletter.Letter) { f.told.tell(ctx, l) })
	clear(f.added)
	f.letters, f.bytes, f.busy = 0, 0, 0
	if f.lanes != nil {
		f.lanes.Start(f.toLane(ctx, lane), asking(ctx, f.topics))
	}
	for _, w := range f.writers {
		w.start(ctx)
	}
	if f.Config.Letters != lettersToFiles {
		f.router.SendLetters(func(l *deadletter.Letter, _ *batch.Batch) { f.sendLetter(ctx, l) })
	}
}

// sendLetter passes a dead letter to the sink that takes them.
func (f *routeFn) sendLetter(ctx context.Context, l *deadletter.Letter) {
	f.job.monitor.addUnderWay(1)
	f.job.monitor.refused(l.Reason, 1)
	if f.Config.Letters == lettersToLanes {
		f.lanes.AddLetter(f.Config.DeadLetterTopic, l)
		return
	}
	for _, w := range f.writers {
		if w.Name() == f.Config.Letters {
			w.letter(ctx, l)
			f.letters++
		}
	}
}

func (f *routeFn) ProcessElement(ctx context.Context, b batch.Batch, emit func(string, []byte), _ func(int64, []byte)) {
	begun := f.job.pace.now()
	if !b.Flush {
		f.jobStart = b.JobStart
	}
	counts := f.router.Add(&b, f.counted(ctx, emit))
	f.metrics.events.Inc(ctx, int64(counts.Events))
	f.job.monitor.addUnderWay(counts.Rows)
	for o, n := range counts.Outputs {
		f.job.monitor.addUnderWay(n)
		if w := o - f.firstWriter; w >= 0 {
			f.added[w] += n
		}
	}
	f.countDead(ctx, counts.Dead)
	f.job.monitor.addRouted(b.Len())
	if b.Flush {
		for _, key := range f.job.monitor.openKeys() {
			emit(key, block.FlushMarker())
		}
	}
	f.bytes += len(b.Data)
	f.busy += f.job.pace.now().Sub(begun)
}

// countDead counts dead letters. The monitor learns of those for files here,
// of others where they are sent.
func (f *routeFn) countDead(ctx context.Context, dead map[string]int) {
	for reason, n := range dead {
		f.metrics.dead.Inc(ctx, int64(n))
		beam.NewCounter("dead_letters", reason).Inc(ctx, int64(n))
		if f.Config.Letters == lettersToFiles {
			f.job.monitor.addUnderWay(n)
		}
	}
}

func (f *routeFn) FinishBundle(ctx context.Context, emit func(string, []byte), _ func(int64, []byte)) error {
	begun := f.job.pace.now()
	if err := f.finish(ctx, f.counted(ctx, emit)); err != nil {
		return f.job.failed(ctx, "Route", err)
	}
	f.job.pace.took(f.bytes, f.busy+f.job.pace.now().Sub(begun))
	return nil
}

func (f *routeFn) finish(ctx context.Context, emit route.Emit) error {
	f.metrics.dead.Inc(ctx, 0)
	if err := f.lanesErr(); err != nil {
		return err
	}
	var keeper writer // of dead letters
	for i, w := range f.writers {
		if err := f.flush(ctx, i, w, emit); err != nil {
			return err
		}
		if w.Name() == f.Config.Letters {
			keeper = w
		}
	}
	if err := f.lanesErr(); err != nil {
		return err // of a dead letter of what a writer refused
	}
	if keeper != nil && f.letters > 0 {
		if _, err := keeper.flush(ctx); err != nil {
			return fmt.Errorf("dead letters: %w", err)
		}
		f.metrics.letters.Inc(ctx, int64(f.letters))
		f.job.monitor.lettersDelivered(f.letters)
	}
	f.router.Flush(emit)
	if f.lanes != nil {
		f.lanes.Flush()
	}
	return nil
}

// lanesErr is why the bundle cannot go on for the lanes' sake.
func (f *routeFn) lanesErr() error {
	if f.lanes == nil || f.lanes.Err() == nil {
		return nil
	}
	return fmt.Errorf("OutputKafkaTopic: %w", f.lanes.Err())
}

// flush waits for a writer and makes dead letters of what it refused.
func (f *routeFn) flush(ctx context.Context, i int, w writer, emit route.Emit) error {
	refused, err := w.flush(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", sinkProperty(w.Name()), err)
	}
	for _, r := range refused {
		l := route.Letter(r.batch, r.index)
		l.Output, l.Reason, l.Detail = w.Name(), r.reason, r.detail
		f.countDead(ctx, map[string]int{r.reason: 1})
		f.router.AddLetter(&l, r.batch, emit)
	}
	n := f.added[i] - len(refused)
	f.metrics.written[i].Inc(ctx, int64(n))
	f.metrics.sinks[i].tell(ctx, len(refused))
	f.job.monitor.delivered(w.Name(), n)
	f.job.monitor.withdrawn(len(refused))
	return nil
}

func (f *routeFn) counted(ctx context.Context, emit func(string, []byte)) route.Emit {
	return func(key string, blk []byte) {
		f.metrics.blocks.Inc(ctx, 1)
		f.metrics.blockBytes.Inc(ctx, int64(len(blk)))
		f.job.monitor.sent(key, len(blk))
		emit(key, blk)
	}
}

// toLane sends a lane's block on: numbered where the runner keeps no order, so
// that it can be put in order behind the exchange.
func (f *routeFn) toLane(ctx context.Context, emit func(int64, []byte)) route.EmitLane {
	return func(lane int, blk []byte, n int, letters bool) {
		f.metrics.blocks.Inc(ctx, 1)
		f.metrics.blockBytes.Inc(ctx, int64(len(blk)))
		if !f.Config.Local {
			emit(f.Keys[lane], laneBlock(blk, letters, f.jobStart))
			return
		}
		f.job.monitor.addInFlight(len(blk))
		block := f.job.order.number(lane, f.job.attempt, blk, letters)
		emit(f.Keys[lane], block.encode())
	}
}

// passBlockFn is passFn for blocks.
type passBlockFn struct{}

func (passBlockFn) ProcessElement(_ context.Context, key string, blk []byte, emit func(string, []byte)) {
	emit(key, blk)
}
