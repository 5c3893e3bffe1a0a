package elasticsearchio

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"
)

// written notes which indices documents were written to, and when, while a
// lane has a document of which it is not known whose fault it is that it
// fails: its own, or its index's.
type written struct {
	// asking is how many lanes want to know; nothing is noted for nobody.
	asking atomic.Int32

	mu   sync.Mutex
	last map[string]time.Time
}

// ask has indices noted until leave is called.
func (w *written) ask() { w.asking.Add(1) }

func (w *written) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asking.Add(-1) == 0 {
		w.last = nil
	}
}

// note notes the indices of the documents that are done; nil verdicts are all
// done. Deletions tell nothing, as no pipeline is run for them.
func (w *written) note(r *request, verdicts []verdict, now time.Time) {
	if w.asking.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last == nil {
		w.last = map[string]time.Time{}
	}
	for i := range r.items {
		if verdicts != nil && verdicts[i] != done || r.items[i].op == Delete {
			continue
		}
		index := r.index(i)
		if w.last[string(index)] != now { // looked up without a copy of the name
			w.last[string(index)] = now
		}
	}
}

// since tells whether a document of the index was written at a time or later.
func (w *written) since(index []byte, when time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, ok := w.last[string(index)]
	return ok && !last.Before(when)
}

// index is the name of an item's index, as a JSON string.
func (r *request) index(i int) []byte {
	it := &r.items[i]
	return indexOf(r.body[it.keyStart:it.keyEnd])
}

// indexOf is where the index stands in a key: quotes within it are escaped.
func indexOf(key []byte) []byte {
	index, _, _ := bytes.Cut(key, []byte(`,"_id":`))
	return bytes.TrimPrefix(index, []byte(`"_index":`))
}

// decide makes up the mind about documents that may be failing by themselves:
// they are sent again for Options.ItemDeadline. Then those are refused that have
// chosen an index which is read-only, and those whose index took others
// meanwhile. Where it took none it is the index that fails, and they wait.
func (l *lane) decide(r *request, verdicts []verdict, now time.Time) {
	for i := range r.items {
		it := &r.items[i]
		if verdicts[i] != failing && verdicts[i] != closed {
			it.failing = time.Time{}
			continue
		}
		if it.failing.IsZero() {
			it.failing = now
		}
		if verdicts[i] == failing && !l.asks {
			l.asks = true
			l.client.written.ask()
		}
	}
	l.client.written.note(r, verdicts, now)
	for i := range r.items {
		v := &verdicts[i]
		if *v != failing && *v != closed {
			continue
		}
		since := r.items[i].failing
		if now.Sub(since) >= l.client.opts.ItemDeadline && (*v == closed || l.client.written.since(r.index(i), since)) {
			*v = refused
		} else {
			*v = again
		}
	}
}

// rest ends what decide has begun for a request.
func (l *lane) rest() {
	if l.asks {
		l.asks = false
		l.client.written.leave()
	}
}
