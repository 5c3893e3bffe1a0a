package transact

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Producer writes records at least once: those of a bundle that is done anew
// are written again. Within it brokers drop what a retry doubles, and records
// of one key keep their order. One goroutine at a time uses it.
type Producer struct {
	opts   Options
	client []kgo.Opt
	counts *counters
	// now is nil before the first record and after an error.
	now    *session
	closed bool
}

// NewProducer returns a Producer. It reads secrets and opens no connection.
// Of the options it uses neither those of markers nor of transactions. topics
// know how large a batch of a topic may be; where they are nil, and of topics
// that they were not asked for, it is MaxMessageBytes.
func NewProducer(ctx context.Context, o Options, topics *Topics) (*Producer, error) {
	if err := o.validateProducer(); err != nil {
		return nil, fmt.Errorf("write to Kafka: %w", err)
	}
	o = o.withDefaults()
	opts, err := o.clientOptions(ctx)
	if err != nil {
		return nil, fmt.Errorf("write to Kafka: %w", err)
	}
	opts = append(opts, o.producerOptions(topics)...)
	counts := new(counters)
	opts = append(opts,
		kgo.WithHooks(counts),
		kgo.RecordPartitioner(partitioner{}),
		// A record that cannot be sent may be given up, also where it may have
		// been written: its bundle is done anew.
		kgo.AllowIdempotentProduceCancellation(),
	)
	return &Producer{opts: o, client: opts, counts: counts}, nil
}

// Put hands a record over; its bytes must not be changed before Flush returns.
// It waits while much is on its way. The error may be that of an earlier
// record; Flush then returns it too.
func (p *Producer) Put(ctx context.Context, r Record) error {
	if p.closed {
		return ErrClosed
	}
	if r.Topic == "" {
		return fault{errNoTopic}
	}
	if p.now == nil {
		s, err := newSession(p.client)
		if err != nil {
			return fmt.Errorf("write to Kafka: %w", err)
		}
		p.now = s
		s.watch(ctx, p.opts)
	}
	if err := p.now.failed(); err != nil {
		return p.explain(err)
	}
	out, promise := p.now.slabs.take()
	fill(out, &r)
	p.now.client.Produce(ctx, out, promise)
	return nil
}

// Flush waits until the brokers have taken all records. After an error some of
// them may be missing, and the Producer starts anew.
func (p *Producer) Flush(ctx context.Context) error {
	s := p.now
	if s == nil {
		return nil
	}
	s.slabs.rest()
	err := s.client.Flush(ctx)
	if failed := s.failed(); failed != nil {
		err = failed
	}
	if err == nil {
		return nil
	}
	err = p.explain(err)
	p.now = nil
	s.close()
	return err
}

func (p *Producer) explain(err error) error {
	err = p.now.errors.because(err)
	return fmt.Errorf("write to Kafka: %w", p.opts.explain(err, topicOf(err)))
}

// Close drops what was not flushed, and all connections.
func (p *Producer) Close() {
	p.closed = true
	if p.now != nil {
		p.now.close()
		p.now = nil
	}
}
