package transact

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Stats counts what a Committer or Producer did. What is written in a
// transaction that is aborted, and written again, is counted twice. The client
// counts a batch after it has told its records' end, so the last batch of a
// Flush may be counted a moment after Flush has returned.
type Stats struct {
	// Batches of records were taken by the brokers, with Bytes of records as
	// sent, compressed. A Committer's markers are among them.
	Batches, Bytes int64
	// Retries are the requests to write that got no answer, and the attempts
	// of a Committer after the first. Throttles are the answers by which a
	// broker's quota held the client back.
	Retries, Throttles int64
}

// Stats returns the present counts. It may be called at any time.
func (c *Committer) Stats() Stats { return c.counts.stats() }

// Stats returns the present counts. It may be called at any time.
func (p *Producer) Stats() Stats { return p.counts.stats() }

// counters are updated by the clients.
type counters struct{ batches, bytes, retries, throttles atomic.Int64 }

func (c *counters) stats() Stats {
	return Stats{Batches: c.batches.Load(), Bytes: c.bytes.Load(), Retries: c.retries.Load(), Throttles: c.throttles.Load()}
}

var (
	_ kgo.HookProduceBatchWritten = (*counters)(nil)
	_ kgo.HookBrokerThrottle      = (*counters)(nil)
	_ kgo.HookBrokerE2E           = (*counters)(nil)
)

// OnProduceBatchWritten is called by the client.
func (c *counters) OnProduceBatchWritten(_ kgo.BrokerMetadata, _ string, _ int32, m kgo.ProduceBatchMetrics) {
	c.batches.Add(1)
	c.bytes.Add(int64(m.CompressedBytes))
}

// OnBrokerThrottle is called by the client.
func (c *counters) OnBrokerThrottle(kgo.BrokerMetadata, time.Duration, bool) { c.throttles.Add(1) }

// OnBrokerE2E is called by the client.
func (c *counters) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	if err := e.Err(); err != nil && key == int16(kmsg.Produce) && !errors.Is(err, context.Canceled) && !errors.Is(err, kgo.ErrClientClosed) {
		c.retries.Add(1)
	}
}
