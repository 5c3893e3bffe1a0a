package pipeline

import (
	"context"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

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
// shard that is furthest behind of all that this process reads.
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
	for _, l := range lags {
		shard := name + "." + l.Source + "." + l.Shard
		gauge, known := before[shard]
		if !known {
			gauge = beam.NewGauge("source", shard)
		}
		gauge.Set(ctx, l.Behind)
		told.shards[shard] = gauge
		delete(before, shard)
	}
	for _, gauge := range before {
		gauge.Set(ctx, 0) // read to its end, or another reader's now
	}
	beam.NewGauge("source", name+"_max").Set(ctx, furthest)
}
