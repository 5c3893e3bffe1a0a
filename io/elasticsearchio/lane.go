package elasticsearchio

import (
	"context"
	"sync"
	"time"
)

// request is the actions of one bulk request, in their order and without gaps.
type request struct {
	body  []byte
	items []item
}

// item is one action. Offsets are into the request's body.
type item struct {
	start, end       int
	keyStart, keyEnd int
	// hash is the document's identity, before its key is compared.
	hash      uint64
	owner     *Bulk
	ref       int
	op        Op
	versioned bool
	// indexVaries and irreplaceable are the document's own.
	indexVaries, irreplaceable bool
	// failing is since when it has failed, perhaps by itself; see lane.decide.
	failing time.Time
}

// bytes are the request's actions as they are sent.
func (r *request) bytes() []byte {
	if len(r.items) == 0 {
		return nil
	}
	return r.body[r.items[0].start:r.items[len(r.items)-1].end]
}

// keep leaves the items that are to be sent again, moved together.
func (r *request) keep(again func(i int) bool) {
	if len(r.items) == 0 {
		return
	}
	kept, at := r.items[:0], r.items[0].start
	for i := range r.items {
		it := r.items[i]
		if !again(i) {
			continue
		}
		back := it.start - at
		if back > 0 {
			copy(r.body[at:], r.body[it.start:it.end])
		}
		it.start, it.end = at, it.end-back
		it.keyStart, it.keyEnd = it.keyStart-back, it.keyEnd-back
		at = it.end
		kept = append(kept, it)
	}
	clear(r.items[len(kept):])
	r.items = kept
}

// lane is a queue of documents: one request is filled while another is sent.
type lane struct {
	client *Client
	// work holds the request that is handed to the sender: at most one, since
	// there are two.
	work chan *request

	mu sync.Mutex
	// filling takes documents; spare is nil while it is under way.
	filling, spare *request
	// due says that filling is to be sent though it is not full.
	due bool
	// timer makes filling due, Interval after its first document.
	timer *time.Timer
	// freed is closed, and replaced, when spare is there again.
	freed chan struct{}

	// wire and asks are the sender's own; asks says that the client notes for
	// it which indices are written.
	wire wire
	asks bool
}

func newLane(c *Client) *lane {
	l := &lane{
		client: c, work: make(chan *request, 1), freed: make(chan struct{}),
		filling: &request{}, spare: &request{},
	}
	l.timer = time.AfterFunc(time.Hour, l.timeout)
	l.timer.Stop()
	return l
}

// add puts a document behind the lane's others, when there is room.
func (l *lane) add(ctx context.Context, b *Bulk, d *Document, hash uint64) error {
	size := d.size()
	l.mu.Lock()
	for !l.fits(size) {
		if l.spare != nil {
			l.send()
			continue
		}
		freed := l.freed
		l.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		case <-l.client.ctx.Done():
			return ErrClosed
		}
		l.mu.Lock()
	}
	defer l.mu.Unlock()
	if l.client.ctx.Err() != nil {
		return ErrClosed
	}
	r := l.filling
	if len(r.items) == 0 {
		l.timer.Reset(l.client.opts.Interval)
	}
	it := item{
		start: len(r.body), hash: hash, owner: b, ref: d.Ref, op: d.Op, versioned: d.versioned(),
		indexVaries: d.IndexVaries, irreplaceable: d.Irreplaceable,
	}
	r.body, it.keyStart, it.keyEnd = appendAction(r.body, d)
	it.end = len(r.body)
	r.items = append(r.items, it)
	b.took()
	return nil
}

func (l *lane) fits(size int) bool {
	r := l.filling
	return len(r.items) == 0 ||
		len(r.items) < l.client.opts.MaxActions && int64(len(r.body)+size) <= l.client.maxBytes.Load()
}

// flush has the documents of a bulk sent as soon as the sender is free.
func (l *lane) flush(b *Bulk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.filling.items {
		if l.filling.items[i].owner == b {
			l.makeDue()
			return
		}
	}
}

func (l *lane) timeout() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.filling.items) > 0 {
		l.makeDue()
	}
}

// makeDue sends filling now, or when the sender is free. l.mu is held.
func (l *lane) makeDue() {
	if l.spare == nil {
		l.due = true
		return
	}
	l.send()
}

// send hands filling to the sender and fills spare, which there is. l.mu is held.
func (l *lane) send() {
	l.timer.Stop()
	l.work <- l.filling
	l.filling, l.spare, l.due = l.spare, nil, false
}

// run sends requests until the client is closed.
func (l *lane) run() {
	for {
		select {
		case <-l.client.ctx.Done():
			l.abandon()
			return
		case r := <-l.work:
			l.deliver(r)
			l.rest()
			l.free(r)
		}
	}
}

// free takes a request back, and sends the next one if it is due.
func (l *lane) free(r *request) {
	clear(r.items[:cap(r.items)]) // owners are not kept alive
	r.items, r.body = r.items[:0], r.body[:0]
	if cap(r.body) > 2*l.client.opts.MaxBytes {
		r.body = nil // one very large document
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spare = r
	if l.due {
		l.send()
	}
	close(l.freed)
	l.freed = make(chan struct{})
}

// abandon fails the owners of what the lane still holds.
func (l *lane) abandon() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer.Stop()
	held := []*request{l.filling}
	select {
	case r := <-l.work:
		held = append(held, r)
	default:
	}
	for _, r := range held {
		r.fail(ErrClosed)
	}
}

// fail fails the owners of all items.
func (r *request) fail(err error) {
	for i := range r.items {
		if owner := r.items[i].owner; i == 0 || owner != r.items[i-1].owner {
			owner.fail(err)
		}
	}
	r.items = r.items[:0]
}
