package kinesisio

import (
	"context"
	"fmt"
	"slices"
)

// Bundle is a part of what a producer writes that is waited for on its own: a
// step of the pipeline puts a bundle's records into one and flushes it at the
// end. It is for one goroutine; many bundles share a producer, and the order
// of one place (see Producer) is kept over all of them.
type Bundle struct {
	p *Producer
	// Producer.mu guards the rest.
	pending  int
	rejected []Rejection
	flushing bool
}

// NewBundle returns an empty bundle. It needs no closing; one that is given up
// without Flush is sent all the same.
func (p *Producer) NewBundle() *Bundle { return &Bundle{p: p} }

// Put copies the record and hands it over. It waits while the producer holds
// MaxBytes. A record that the stream can never take is no error: Flush tells
// of it. The error is the producer's first permanent one, from whichever
// record, or that of ctx.
func (b *Bundle) Put(ctx context.Context, it *Item) error {
	place, reason, detail := it.check(b.p.opts.MaxRecordBytes)
	if reason != "" {
		b.p.mu.Lock()
		defer b.p.mu.Unlock()
		b.reject(it.Ref, reason, detail)
		return nil
	}
	return b.p.put(ctx, it, place, 1, b)
}

// reject notes a record that will not be sent. p.mu is held.
func (b *Bundle) reject(ref int, reason, detail string) {
	b.p.counts.rejected.Add(1)
	b.rejected = append(b.rejected, Rejection{Ref: ref, Reason: reason, Detail: detail})
}

// Rejected returns the rejections that Flush would have to tell of by now, each
// once, and waits for nothing.
func (b *Bundle) Rejected() []Rejection {
	b.p.mu.Lock()
	defer b.p.mu.Unlock()
	return b.takeRejected()
}

// takeRejected returns what was rejected, once. p.mu is held.
func (b *Bundle) takeRejected() []Rejection {
	rejected := b.rejected
	b.rejected = nil
	slices.SortStableFunc(rejected, func(x, y Rejection) int { return x.Ref - y.Ref })
	return rejected
}

// Flush sends what the bundle's aggregates hold and waits until the service
// has every record of the bundle, but for those that it returns: the stream
// will never take them, and they are to be kept elsewhere. They are in the
// order of their Refs, and returned once. An error means that records may be
// missing in the stream: all of the bundle's must be put again. The bundle can
// be used again after Flush without error.
func (b *Bundle) Flush(ctx context.Context) ([]Rejection, error) {
	p := b.p
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.idle.Broadcast()
	})
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	b.flushing = true
	defer func() { b.flushing = false }()
	p.hurryFlushes()
	for b.pending > 0 && p.err == nil {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("flush %d records to stream %s: %w", b.pending, p.opts.Stream, err)
		}
		p.idle.Wait()
	}
	if b.pending > 0 {
		return nil, p.err
	}
	return b.takeRejected(), nil
}
