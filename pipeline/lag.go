package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/slots"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

// lagInterval is how often a slot tells how far it is behind.
const lagInterval = time.Second

// toldLags is what a slot has told.
type toldLags struct {
	at     time.Time
	shards map[string]beam.Gauge
}

// lagName is what a source's lag is counted in.
func (c *Config) lagName() string {
	if c.Route.Source == route.Kafka {
		return "offsets_behind_latest"
	}
	return "millis_behind_latest"
}

// tellLags sets a gauge for each shard that the slot reads, and one for the
// shard that is furthest behind of all that this process reads; then what else
// is told once a second. The reader tells it since it is the one step that
// always has bundles, in every process.
func (f *readFn) tellLags(ctx context.Context, slot int) {
	told, now := f.lags[slot], time.Now()
	if told == nil {
		told = &toldLags{}
		f.lags[slot] = told
	}
	if now.Sub(told.at) < lagInterval {
		return
	}
	told.at = now
	lags, furthest := f.job.readers.Lags(slot)
	name := f.Config.lagName()
	before := told.shards
	told.shards = make(map[string]beam.Gauge, len(lags))
	behind := false
	for _, l := range lags {
		behind = behind || l.Behind > 0
		shard := name + "." + l.Source + "." + l.Shard
		gauge, known := before[shard]
		if !known {
			gauge = beam.NewGauge("source", name+"."+l.Source+"."+l.Shard)
		}
		gauge.Set(ctx, l.Behind)
		told.shards[shard] = gauge
		delete(before, shard)
	}
	for _, gauge := range before {
		gauge.Set(ctx, 0) // read to its end, or another reader's now
	}
	beam.NewGauge("source", name+"_max").Set(ctx, furthest)
	beam.NewGauge("source", "event_time_lag_millis").Set(ctx, f.job.eventLag.tell(slot, behind, now))
	counts := f.job.readers.Counts(slot)
	f.metrics.requests.tell(ctx, counts)
	f.job.monitor.missed(counts.PositionsPassed, counts.ShardsLost)
	f.tellWaiting(ctx, now)
}

// tellWaiting tells how long what the process has taken waits to be visible.
func (f *readFn) tellWaiting(ctx context.Context, now time.Time) {
	open, files, lanes := f.job.waiting.look(now)
	if f.Config.Files || f.Config.Letters == lettersToFiles {
		beam.NewGauge("s3", "open_files").Set(ctx, int64(open))
		beam.NewGauge("s3", "oldest_uncommitted_millis").Set(ctx, files)
	}
	if f.Config.lanes() && !f.Config.Local {
		beam.NewGauge("kafka", "oldest_uncommitted_millis").Set(ctx, lanes)
	}
}

// requestMetrics count what the source's readers do.
type requestMetrics struct{ requests, retries, throttles, passed, lost beam.Counter }

func newRequestMetrics() requestMetrics {
	return requestMetrics{
		requests: beam.NewCounter("source", "requests"), retries: beam.NewCounter("source", "retries"), throttles: beam.NewCounter("source", "throttles"),
		passed: beam.NewCounter("source", "positions_passed"), lost: beam.NewCounter("source", "shards_lost"),
	}
}

func (m requestMetrics) tell(ctx context.Context, c slots.Counts) {
	m.requests.Inc(ctx, c.Requests)
	m.retries.Inc(ctx, c.Retries)
	m.throttles.Inc(ctx, c.Throttles)
	m.passed.Inc(ctx, c.PositionsPassed)
	m.lost.Inc(ctx, c.ShardsLost)
}

// eventLag is how old what slots have read was by then, by the time that the
// source gives each record. It is safe for concurrent use.
type eventLag struct {
	mu    sync.Mutex
	slots map[int]*slotLag
}

type slotLag struct {
	// oldest is the greatest age since it was told last, -1 for nothing read.
	oldest int64
	told   int64
	at     time.Time
}

// staleSlot is after how long without a word a slot is another process's.
const staleSlot = 10 * lagInterval

// read notes what a slot has read: of each batch the first record, which is
// the oldest, or nearly.
func (e *eventLag) read(slot int, batches []batch.Batch, now time.Time) {
	oldest := int64(-1)
	for i := range batches {
		if r := batches[i].Records; len(r) > 0 && r[0].Arrival > 0 {
			oldest = max(oldest, now.UnixMilli()-r[0].Arrival, 0)
		}
	}
	if oldest < 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.slot(slot)
	s.oldest = max(s.oldest, oldest)
}

// slot is for who holds e.mu.
func (e *eventLag) slot(slot int) *slotLag {
	if e.slots == nil {
		e.slots = map[int]*slotLag{}
	}
	s := e.slots[slot]
	if s == nil {
		s = &slotLag{oldest: -1}
		e.slots[slot] = s
	}
	return s
}

// tell tells the slot's age since it was told last, and returns the greatest of
// all slots. A slot that has read nothing since is at its end, or, if it is
// behind, waits for what is as old as the last and grows older.
func (e *eventLag) tell(slot int, behind bool, now time.Time) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.slot(slot)
	switch {
	case s.oldest >= 0:
		s.told = s.oldest
	case behind && !s.at.IsZero():
		s.told += now.Sub(s.at).Milliseconds()
	default:
		s.told = 0
	}
	s.oldest, s.at = -1, now
	highest := int64(0)
	for _, other := range e.slots {
		if now.Sub(other.at) < staleSlot {
			highest = max(highest, other.told)
		}
	}
	return highest
}
