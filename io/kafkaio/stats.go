package kafkaio

import (
	"strconv"
	"sync/atomic"

	"github.com/streaming-etl/streaming-etl/io/slots"
)

// counters are updated by the fetchers.
type counters struct {
	fetches, retries, throttles, resets atomic.Int64
	records, bytes, batches, aborted    atomic.Int64
}

// Stats counts what a reader did since it was opened.
type Stats struct {
	// Fetches are the answers with records or without; Retries the failures
	// that were waited out, Throttles the answers that a quota held back.
	Fetches, Retries, Throttles int64
	// Records were fetched, with Bytes of payload, in Batches of the broker.
	// What was not yet delivered by Drain is counted too.
	Records, Bytes, Batches int64
	// AbortedBatches were of transactions that were aborted, and left out.
	AbortedBatches int64
	// Resets are partitions that were begun anew, see OffsetReset.
	Resets int64
	// Partitions are those that the slot reads.
	Partitions int
	// Buffered are the bytes that were fetched and not delivered.
	Buffered int64
	// CaughtUp says that all the slot's partitions are delivered to their end,
	// as it was in the broker's last answer, or to where they are to stop.
	CaughtUp bool
	// Lag is the largest of the partitions' lags.
	Lag int64
}

// Stats returns the present counts. It may be called at any time.
func (r *Reader) Stats() Stats {
	s := Stats{
		Fetches:        r.counts.fetches.Load(),
		Retries:        r.counts.retries.Load(),
		Throttles:      r.counts.throttles.Load(),
		Records:        r.counts.records.Load(),
		Bytes:          r.counts.bytes.Load(),
		Batches:        r.counts.batches.Load(),
		AbortedBatches: r.counts.aborted.Load(),
		Resets:         r.counts.resets.Load(),
		Buffered:       r.budget.held(),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.CaughtUp = r.looked && r.err == nil
	for _, p := range r.turns {
		if p.at.away {
			s.CaughtUp = s.CaughtUp && len(p.queue) == 0
			continue
		}
		s.Partitions++
		lag := r.lag(p)
		s.Lag = max(s.Lag, lag)
		if len(p.queue) > 0 || lag > 0 || !p.polled && !p.at.done() {
			s.CaughtUp = false
		}
	}
	return s
}

// Counts returns the present counts, as those of any source.
func (r *Reader) Counts() slots.Counts {
	return slots.Counts{
		Requests: r.counts.fetches.Load(), Retries: r.counts.retries.Load(), Throttles: r.counts.throttles.Load(),
		PositionsPassed: r.counts.resets.Load(),
	}
}

// lag is how far the partition's delivered position is from its end. r.mu is held.
func (r *Reader) lag(p *partition) int64 {
	at := r.positions.partitions[p.key]
	end := p.end
	if at.stop != noStop {
		end = min(end, at.stop)
	}
	if !p.polled {
		return 0
	}
	return max(0, end-at.next)
}

// Lags returns the lag of each partition, in the order of topics and numbers:
// how many offsets lie between what was delivered and the end, as the broker
// told it last; control records and gaps count too.
func (r *Reader) Lags() []slots.Lag {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]slots.Lag, 0, len(r.turns))
	for _, p := range r.turns {
		if !p.at.away {
			out = append(out, slots.Lag{Source: p.key.topic, Shard: strconv.Itoa(int(p.key.number)), Behind: r.lag(p)})
		}
	}
	return out
}

// Lag returns the largest lag of the slot's partitions, in offsets.
func (r *Reader) Lag() int64 { return r.Stats().Lag }
