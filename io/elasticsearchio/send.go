package elasticsearchio

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/logging"
)

// maxAnswer is the most that is read of an answer. One to a bulk of 1000
// documents that all fail takes less than 2 MB.
const maxAnswer = 64 << 20

// wire is what a sender needs for a request on its way, used again and again.
type wire struct {
	gzip    *gzip.Writer
	packed  bytes.Buffer
	answer  bytes.Buffer
	results []result
}

// deliver sends a request until every document is settled or has failed.
func (l *lane) deliver(r *request) {
	var (
		attempts int
		stuck    time.Time // the first fault since there was progress
		packed   bool      // wire.packed is this request
	)
	for {
		// The bundles of what failed elsewhere are done anew.
		if n := len(r.items); r.orphaned() {
			r.keep(func(i int) bool { return !r.items[i].owner.failed.Load() })
			packed = packed && len(r.items) == n
		}
		if len(r.items) == 0 {
			return
		}
		if !packed {
			if err := l.pack(r); err != nil {
				r.fail(fmt.Errorf("compress %d documents for Elasticsearch: %w", len(r.items), err))
				return
			}
			packed = true
		}
		attempts++
		results, fault := l.post(r)
		if l.client.ctx.Err() != nil {
			r.fail(ErrClosed)
			return
		}
		if stuck.IsZero() {
			stuck = time.Now()
		}
		if fault == nil {
			l.client.answered.Store(true)
			before := len(r.items)
			fault = l.sort(r, results)
			if fault == nil {
				return
			}
			if len(r.items) < before {
				attempts, stuck, packed = 1, time.Now(), false
			}
		} else {
			switch l.client.classify(fault) {
			case permanent:
				fault.Attempts, fault.Elapsed = attempts, time.Since(stuck)
				r.fail(fault)
				return
			case tooLarge:
				l.client.shrink(r)
				l.halve(r, result{status: fault.Status, kind: ReasonTooLarge, reason: "the cluster takes no request of this size"})
				return
			case malformed:
				l.halve(r, result{status: fault.Status, kind: fault.Kind, reason: fault.Reason})
				return
			case transient:
				if s := l.client.link.signer; s != nil && refusing(fault.Status) {
					s.expire()
				}
			}
		}
		if fault.Status == http.StatusTooManyRequests {
			l.client.counts.throttles.Add(1)
		}
		wait := pause.Backoff(attempts, l.client.opts.RetryBackoff, l.client.opts.RetryBackoffMax)
		if time.Since(stuck)+wait > l.client.opts.RetryDeadline {
			fault.Attempts, fault.Elapsed = attempts, time.Since(stuck)
			r.fail(fault)
			return
		}
		l.client.counts.retries.Add(int64(len(r.items)))
		logging.Retry(l.client.ctx, "elasticsearch: a bulk request is made again", attempts, wait, fault, "documents", len(r.items))
		if pause.Sleep(l.client.ctx, wait) != nil {
			r.fail(ErrClosed)
			return
		}
	}
}

// classify sorts the faults of requests. Once the cluster has taken one the
// configuration is right: what it refuses then may be a login that is being
// replaced. Before that, nobody is to wait for what will not change.
func (c *Client) classify(fault *Error) class {
	proven := c.answered.Load()
	switch {
	case fault.Err != nil && !proven && misconfigured(fault.Err):
		return permanent
	case fault.Err != nil, proven && refusing(fault.Status):
		return transient
	}
	return classify(fault.Status, fault.Kind, fault.Reason)
}

// orphaned tells whether a bundle of the request has failed.
func (r *request) orphaned() bool {
	for i := range r.items {
		if r.items[i].owner.failed.Load() {
			return true
		}
	}
	return false
}

// halve delivers the halves of a request one after the other, and refuses the
// single document that is left of it at last.
func (l *lane) halve(r *request, why result) {
	if len(r.items) == 1 {
		l.client.counts.rejections.Add(1)
		r.items[0].owner.settle(1, rejected(r.items[0].ref, why))
		r.items = r.items[:0]
		return
	}
	middle := len(r.items) / 2
	l.deliver(&request{body: r.body, items: r.items[:middle:middle]})
	l.deliver(&request{body: r.body, items: r.items[middle:]})
}

// minMaxBytes is as small as requests get by themselves.
const minMaxBytes = 256 << 10

// shrink makes the next requests smaller than one that was too large.
func (c *Client) shrink(r *request) {
	if len(r.items) == 1 {
		return
	}
	size := max(int64(len(r.bytes())/2), minMaxBytes)
	for {
		now := c.maxBytes.Load()
		if now <= size || c.maxBytes.CompareAndSwap(now, size) {
			return
		}
	}
}

// pack writes the request's body as it is sent.
func (l *lane) pack(r *request) error {
	if l.client.opts.Uncompressed {
		return nil
	}
	w := &l.wire
	w.packed.Reset()
	if w.packed.Cap() > 2*l.client.opts.MaxBytes {
		w.packed = bytes.Buffer{} // one very large document
	}
	if w.gzip == nil {
		var err error
		if w.gzip, err = gzip.NewWriterLevel(&w.packed, gzip.BestSpeed); err != nil {
			return err
		}
	} else {
		w.gzip.Reset(&w.packed)
	}
	if _, err := w.gzip.Write(r.bytes()); err != nil {
		return err
	}
	return w.gzip.Close()
}

// bulkQuery is the query of bulk requests.
var bulkQuery = url.Values{"filter_path": {answerFilter}}.Encode()

// post sends the request once. It returns the actions' results, none where all
// succeeded, or why there are none.
func (l *lane) post(r *request) ([]result, *Error) {
	c, w := l.client, &l.wire
	ctx, cancel := context.WithTimeout(c.ctx, c.opts.RequestTimeout)
	defer cancel()
	op := "write " + strconv.Itoa(len(r.items)) + " documents"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "/_bulk", nil)
	if err != nil {
		return nil, &Error{Op: op, Err: err}
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	if c.opts.Service != ServiceServerless {
		req.URL.RawQuery = bulkQuery
	}
	payload := w.packed.Bytes()
	if c.opts.Uncompressed {
		payload = r.bytes()
	} else {
		req.Header.Set("Content-Encoding", "gzip")
	}
	// The transport may read the body after it has returned an answer.
	var reading sync.WaitGroup
	defer reading.Wait()
	req.ContentLength = int64(len(payload))
	req.GetBody = func() (io.ReadCloser, error) {
		reading.Add(1)
		return &body{Reader: bytes.NewReader(payload), close: sync.OnceFunc(reading.Done)}, nil
	}
	req.Body, _ = req.GetBody()

	c.counts.requests.Add(1)
	c.counts.bytesSent.Add(int64(len(payload)))
	res, err := c.link.Perform(req)
	if err != nil {
		cancel()
		return nil, c.link.unanswered(op, err)
	}
	defer res.Body.Close()
	fault := &Error{Op: op, Endpoint: endpointOf(res.Request.URL), Status: res.StatusCode, auth: c.opts.Auth}
	w.answer.Reset()
	if _, err := w.answer.ReadFrom(io.LimitReader(res.Body, maxAnswer)); err != nil {
		fault.Err = fmt.Errorf("read the answer: %w", err)
		return nil, fault
	}
	if res.StatusCode != http.StatusOK {
		fault.Kind, fault.Reason = parseFault(w.answer.Bytes())
		return nil, fault
	}
	clear(w.results[:cap(w.results)])
	results, err := parseAnswer(w.answer.Bytes(), w.results[:0])
	if err == nil && len(results) > 0 && len(results) != len(r.items) {
		err = fmt.Errorf("it has %d results", len(results))
	}
	if err != nil {
		fault.Err = fmt.Errorf("read the answer: %w", err)
		return nil, fault
	}
	if results != nil {
		w.results = results
	}
	return results, nil
}

// body is a request's body that tells when nobody reads it any more.
type body struct {
	*bytes.Reader
	close func()
}

func (b *body) Close() error {
	b.close()
	return nil
}

// sort settles what is done and what is refused, and keeps the rest in the
// request. It returns why the first of the rest is to be sent again, or nil.
func (l *lane) sort(r *request, results []result) *Error {
	c, now := l.client, time.Now()
	if len(results) == 0 {
		c.written.note(r, nil, now)
		c.counts.documents.Add(int64(len(r.items)))
		r.settle(func(int) (verdict, Rejection) { return done, Rejection{} })
		r.items = r.items[:0]
		return nil
	}
	verdicts := make([]verdict, len(results))
	for i, res := range results {
		verdicts[i] = judge(&r.items[i], res)
	}
	l.decide(r, verdicts, now)
	var fault *Error
	for i, res := range results {
		if verdicts[i] == again && fault == nil {
			fault = &Error{
				Op: "write document " + string(r.body[r.items[i].keyStart:r.items[i].keyEnd]), auth: c.opts.Auth,
				Status: res.status, Kind: res.kind, Reason: res.reason,
			}
		}
	}
	if fault != nil {
		r.inOrder(verdicts)
	}
	for i, v := range verdicts {
		switch {
		case v == refused:
			c.counts.rejections.Add(1)
		case v == done:
			c.counts.documents.Add(1)
			if results[i].status == http.StatusConflict {
				c.counts.conflicts.Add(1)
			}
		}
	}
	r.settle(func(i int) (verdict, Rejection) {
		if verdicts[i] != refused {
			return verdicts[i], Rejection{}
		}
		return refused, rejected(r.items[i].ref, results[i])
	})
	r.keep(func(i int) bool { return verdicts[i] == again })
	if len(r.items) == 0 {
		return nil
	}
	return fault
}

// settle tells the owners what was settled, once for each run of their items.
func (r *request) settle(of func(i int) (verdict, Rejection)) {
	for i := 0; i < len(r.items); {
		var (
			owner    = r.items[i].owner
			n        int
			rejected []Rejection
		)
		for ; i < len(r.items) && r.items[i].owner == owner; i++ {
			v, why := of(i)
			if v != again {
				n++
			}
			if v == refused {
				rejected = append(rejected, why)
			}
		}
		if n > 0 {
			owner.settle(n, rejected...)
		}
	}
}

// inOrder corrects verdicts where a document that is to be sent again would
// overtake a later one of its id in the same request. One that was replaced
// or deleted since has nothing to add; on others what came later is done once
// more. Versions keep the order by themselves.
func (r *request) inOrder(verdicts []verdict) {
	next := make([]int, len(r.items))
	latest := make(map[uint64]int, len(r.items))
	for i := len(r.items) - 1; i >= 0; i-- {
		next[i] = -1
		if j, ok := latest[r.items[i].hash]; ok && r.sameKey(i, j) {
			next[i] = j
		}
		latest[r.items[i].hash] = i
	}
	replaced := make([]bool, len(r.items)) // by this item or a later one
	for i := len(r.items) - 1; i >= 0; i-- {
		it := &r.items[i]
		later := next[i] >= 0 && replaced[next[i]]
		if verdicts[i] == again && !it.versioned && later {
			verdicts[i] = done
		}
		replaced[i] = later || verdicts[i] == done && (it.op == Index || it.op == Delete)
	}
	undone := make([]bool, len(r.items)) // this item or an earlier one
	for i := range r.items {
		if verdicts[i] == again && !r.items[i].versioned {
			undone[i] = true
		}
		if undone[i] && verdicts[i] == done {
			verdicts[i] = again
		}
		if j := next[i]; j >= 0 && undone[i] {
			undone[j] = true
		}
	}
}

// sameKey tells whether two items are of one index and id.
func (r *request) sameKey(i, j int) bool {
	a, b := &r.items[i], &r.items[j]
	return bytes.Equal(r.body[a.keyStart:a.keyEnd], r.body[b.keyStart:b.keyEnd])
}
