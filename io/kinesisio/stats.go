package kinesisio

import (
	"sync/atomic"
	"time"

	"github.com/streaming-etl/streaming-etl/io/slots"
)

// counters are updated by the fetchers.
type counters struct {
	calls, retries, throttles, expirations atomic.Int64
	records, bytes, lost, gaps             atomic.Int64
}

// Stats counts what a reader did since it was opened.
type Stats struct {
	// Calls to the service, with Retries of them after a passing fault and
	// Throttles answered with "too much".
	Calls, Retries, Throttles int64
	// Expirations of iterators that were replaced.
	Expirations int64
	// Records were fetched, after de-aggregation, with Bytes of payload. What
	// was not yet delivered by Drain is counted too.
	Records, Bytes int64
	// LostShards were deleted by the stream's retention before they were read to their end.
	LostShards int64
	// Gaps are positions that retention had passed when reading went on from
	// them: what came after them, up to the oldest record left, is missing.
	Gaps int64
	// Shards are those the slot knows; Open of them are being read.
	Shards, Open int
	// CaughtUp says that all the slot's shards are delivered to their tip,
	// their end, or the stop timestamp. It may change with the next record.
	CaughtUp bool
	// Lag is the largest distance of a shard's last answer from its tip, in time.
	Lag time.Duration
}

// Stats returns the present counts. It may be called at any time.
func (r *Reader) Stats() Stats {
	s := Stats{
		Calls:       r.counts.calls.Load(),
		Retries:     r.counts.retries.Load(),
		Throttles:   r.counts.throttles.Load(),
		Expirations: r.counts.expirations.Load(),
		Records:     r.counts.records.Load(),
		Bytes:       r.counts.bytes.Load(),
		LostShards:  r.counts.lost.Load(),
		Gaps:        r.counts.gaps.Load(),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Shards = len(r.turns)
	s.CaughtUp = r.listed && r.err == nil
	for _, t := range r.turns {
		if t.delivered.finished {
			continue
		}
		if t.started {
			s.Open++
		}
		s.Lag = max(s.Lag, t.lag)
		if len(t.queue) > 0 || !r.beyondStop(t) && (!t.polled || t.lag > 0) {
			s.CaughtUp = false
		}
	}
	return s
}

// Counts returns the present counts, as those of any source.
func (r *Reader) Counts() slots.Counts {
	return slots.Counts{
		Requests: r.counts.calls.Load(), Retries: r.counts.retries.Load(), Throttles: r.counts.throttles.Load(),
		PositionsPassed: r.counts.gaps.Load(), ShardsLost: r.counts.lost.Load(),
	}
}

// add adds another reader's counts.
func (s *Stats) add(o Stats) {
	s.Calls += o.Calls
	s.Retries += o.Retries
	s.Throttles += o.Throttles
	s.Expirations += o.Expirations
	s.Records += o.Records
	s.Bytes += o.Bytes
	s.LostShards += o.LostShards
	s.Gaps += o.Gaps
	s.Shards += o.Shards
	s.Open += o.Open
	s.CaughtUp = s.CaughtUp && o.CaughtUp
	s.Lag = max(s.Lag, o.Lag)
}

// Lags returns how many milliseconds each shard that is being read is behind
// its tip (MillisBehindLatest of its last answer), in the order of their ids.
func (r *Reader) Lags() []slots.Lag {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []slots.Lag
	for _, t := range r.turns {
		if t.polled && !t.delivered.finished {
			out = append(out, slots.Lag{Source: r.source, Shard: t.id, Behind: t.lag.Milliseconds()})
		}
	}
	return out
}

// beyondStop reports that all which is left of the shard arrived after the
// stop timestamp: a record that did was met in it, or in one that it waits
// for. r.mu is held.
func (r *Reader) beyondStop(s *shard) bool {
	if s.stopped || s.started {
		return s.stopped
	}
	for _, id := range s.parents {
		if p := r.shards[id]; p != nil && !p.delivered.finished && r.beyondStop(p) {
			return true
		}
	}
	return false
}

// Lag returns how far the slot's furthest shard is behind its tip
// (MillisBehindLatest of its last answer), 0 if all are read to the tip.
func (r *Reader) Lag() time.Duration { return r.Stats().Lag }
