package pipeline

import (
	"context"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

func init() {
	beam.RegisterType(reflect.TypeFor[*routeFn]())
	beam.RegisterType(reflect.TypeFor[*passBlockFn]())
}

// routeFn is fused behind the reader: it decodes, routes, and emits blocks by
// partition key, the unfinished ones when the bundle ends.
type routeFn struct {
	Config Config

	router  *route.Router
	job     *process
	metrics routeMetrics
}

type routeMetrics struct {
	events, dead, blocks, blockBytes beam.Counter
}

func (f *routeFn) Setup() error {
	r, err := route.New(f.Config.Route)
	f.router = r
	f.job = processFor(f.Config.JobID)
	f.metrics = routeMetrics{
		events:     beam.NewCounter("decode", "events"),
		dead:       beam.NewCounter("decode", "dead_letters"),
		blocks:     beam.NewCounter("decode", "blocks"),
		blockBytes: beam.NewCounter("decode", "block_bytes"),
	}
	return err
}

// StartBundle drops what a failed bundle may have left.
func (f *routeFn) StartBundle(_ context.Context, _ func(string, []byte)) { f.router.Reset() }

func (f *routeFn) ProcessElement(ctx context.Context, b batch.Batch, emit func(string, []byte)) {
	counts := f.router.Add(&b, f.counted(ctx, emit))
	f.metrics.events.Inc(ctx, int64(counts.Events))
	for reason, n := range counts.Dead {
		f.metrics.dead.Inc(ctx, int64(n))
		beam.NewCounter("dead_letters", reason).Inc(ctx, int64(n))
	}
	if b.Flush {
		for _, key := range f.job.monitor.openKeys() {
			emit(key, block.FlushMarker())
		}
	}
}

func (f *routeFn) FinishBundle(ctx context.Context, emit func(string, []byte)) {
	f.router.Flush(f.counted(ctx, emit))
}

func (f *routeFn) counted(ctx context.Context, emit func(string, []byte)) route.Emit {
	return func(key string, blk []byte) {
		f.metrics.blocks.Inc(ctx, 1)
		f.metrics.blockBytes.Inc(ctx, int64(len(blk)))
		f.job.monitor.sent(key, len(blk))
		emit(key, blk)
	}
}

// passBlockFn is passFn for blocks.
type passBlockFn struct{}

func (passBlockFn) ProcessElement(_ context.Context, key string, blk []byte, emit func(string, []byte)) {
	emit(key, blk)
}
