package elasticsearchio

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// Bulk is one bundle's documents on their way through the client's lanes. Its
// methods are for one goroutine at a time, as a bundle is.
type Bulk struct {
	client *Client
	// failed spares lanes the lock: what a failed bulk still has in them is
	// not sent, as the bundle is done anew.
	failed atomic.Bool

	mu sync.Mutex
	// settled tells Flush that pending is 0 or err is set.
	settled  *sync.Cond
	pending  int
	rejected []Rejection
	err      error
}

// NewBulk returns an empty bulk, for one bundle.
func (c *Client) NewBulk() *Bulk {
	b := &Bulk{client: c}
	b.settled = sync.NewCond(&b.mu)
	return b
}

// Add hands a document over, whose bytes may be used again afterwards. Full
// requests are sent meanwhile; Add waits while the document's lane is full. A
// document that cannot be sent becomes a Rejection. The error is that of ctx,
// of a document added before that failed for good, or of wrong use.
func (b *Bulk) Add(ctx context.Context, d *Document) error {
	if b.failed.Load() {
		return b.Err()
	}
	if err := d.misuse(); err != nil {
		return err
	}
	if reason, detail := d.Refusal(); reason != "" {
		b.client.counts.rejections.Add(1)
		b.mu.Lock()
		b.rejected = append(b.rejected, Rejection{Ref: d.Ref, Reason: reason, Detail: detail})
		b.mu.Unlock()
		return nil
	}
	hash := b.client.hash(d.Index, d.ID)
	// The lane by the upper half: the rest tells documents of a lane apart.
	lane := b.client.lanes[(hash>>32)*uint64(len(b.client.lanes))>>32]
	return lane.add(ctx, b, d, hash)
}

// Flush sends what is left and waits until every document is settled. It
// returns those that were refused since the last Flush, in no particular
// order. After an error the bulk is of no more use, and everything that was
// put into it is to be put again, into a new one.
func (b *Bulk) Flush(ctx context.Context) ([]Rejection, error) {
	for _, lane := range b.client.lanes {
		lane.flush(b)
	}
	stop := context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.settled.Broadcast()
	})
	defer stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.pending > 0 && b.err == nil && ctx.Err() == nil {
		b.settled.Wait()
	}
	if b.pending > 0 && b.err == nil {
		b.err = fmt.Errorf("flush %d documents to Elasticsearch: %w", b.pending, ctx.Err())
		b.failed.Store(true)
	}
	rejected := b.rejected
	b.rejected = nil
	return rejected, b.err
}

// Err returns why the bulk failed, nil if it did not.
func (b *Bulk) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// took counts a document that a lane holds from now on.
func (b *Bulk) took() {
	b.mu.Lock()
	b.pending++
	b.mu.Unlock()
}

// settle counts n documents that no lane holds any more, with those of them
// that were refused.
func (b *Bulk) settle(n int, rejected ...Rejection) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rejected = append(b.rejected, rejected...)
	if b.pending -= n; b.pending == 0 {
		b.settled.Broadcast()
	}
}

// fail keeps the first error.
func (b *Bulk) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
	b.failed.Store(true)
	b.settled.Broadcast()
}
