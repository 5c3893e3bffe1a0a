package pipeline

import (
	"context"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/streaming-etl/streaming-etl/io/kafkaio/transact"
	"github.com/streaming-etl/streaming-etl/io/s3io"
)

// totals are what a sink's client has done since it was made.
type totals struct {
	// batches, bytes, retries and throttles are the metrics of those names, and
	// extra is that of the sink's own, if it has one.
	batches, bytes, retries, throttles, extra int64
}

// tell tells them by a meter of sinkNames.
func (t totals) tell(ctx context.Context, m *meter) {
	all := []int64{t.batches, t.bytes, t.retries, t.throttles, t.extra}
	m.tell(ctx, all[:len(m.counters)]...)
}

// sinkNames are the names of a sink's metrics, in the order of totals.
func sinkNames(extra ...string) []string {
	return append([]string{"batches_written", "bytes_written", "retries", "throttles"}, extra...)
}

// sinkMeter counts what a writer's client does.
type sinkMeter struct {
	*meter
	totals func() totals
	// refused are events that the sink will never take.
	refused beam.Counter
}

func newSinkMeter(job *process, w writer) *sinkMeter {
	s := &sinkMeter{refused: beam.NewCounter(w.Name(), "records_refused")}
	switch w := w.(type) {
	case *documents:
		s.meter = job.meter(elasticsearchName, sinkNames("conflicts")...)
		s.totals = func() totals {
			c := w.client.Stats()
			return totals{c.Requests, c.BytesSent, c.Retries, c.Throttles, c.Conflicts}
		}
	case *stream:
		s.meter = job.meter(kinesisName, sinkNames()...)
		s.totals = func() totals {
			p := w.producer.Stats()
			return totals{batches: p.Calls, bytes: p.Bytes, retries: p.Retries, throttles: p.Throttles}
		}
	case *topic: // whose producer is its own
		s.meter = newMeter(kafkaName, sinkNames()...)
		s.totals = func() totals { return kafkaTotals(w.producer.Stats()) }
	}
	return s
}

// tell is for the end of a writer's bundle.
func (s *sinkMeter) tell(ctx context.Context, refused int) {
	s.refused.Inc(ctx, int64(refused))
	s.totals().tell(ctx, s.meter)
}

func kafkaTotals(s transact.Stats) totals {
	return totals{batches: s.Batches, bytes: s.Bytes, retries: s.Retries, throttles: s.Throttles}
}

// tell tells what the stores have done.
func (s stores) tell(ctx context.Context, job *process) {
	var sum s3io.Stats
	seen := map[*s3io.Store]bool{}
	for _, place := range s {
		if seen[place.store] {
			continue
		}
		seen[place.store] = true
		n := place.store.Stats()
		sum.Opened += n.Opened
		sum.Parts += n.Parts
		sum.Aborted += n.Aborted
		sum.Retries += n.Retries
		sum.Throttles += n.Throttles
	}
	job.meter(filesName, "uploads_opened", "parts_uploaded", "uploads_aborted", "retries", "throttles").
		tell(ctx, sum.Opened, sum.Parts, sum.Aborted, sum.Retries, sum.Throttles)
}
