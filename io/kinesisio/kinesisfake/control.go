package kinesisfake

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/go-faster/jx"
)

// Request is what a control sees of a request before it is served.
type Request struct {
	// Op is the operation, such as GetRecords.
	Op string
	// Stream is the name of the stream it is for, or empty.
	Stream string
	// Shard is the id of the shard it is for, or empty. Puts have none.
	Shard string
	// Header is the request's; it must not be changed.
	Header http.Header
	// Body is the request's JSON; it must not be changed or kept.
	Body []byte

	ctx context.Context
}

// Context is done when the client gives up or the server is closed. A control
// that waits for an event must wait for this one too.
func (r *Request) Context() context.Context { return r.ctx }

// Region returns the region for which the request was signed, or nothing when
// it was not signed. A control can refuse it as the service refuses what was
// signed for another region.
func (r *Request) Region() string {
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	parts := strings.Split(scope, "/")
	if len(parts) < 5 {
		return ""
	}
	return parts[2]
}

// Entry is what a control sees of one record of a PutRecords request.
type Entry struct {
	Stream       string
	Shard        string
	PartitionKey string
	// Index is the record's place in the request, from 0.
	Index int
	// Data must not be changed or kept.
	Data []byte
}

// AllOperations as the operation of a control means every one that is served.
const AllOperations = "*"

type control struct {
	op    string
	fn    func(*Request) error
	entry func(Entry) *Error
}

// controls are in the order in which they were added.
type controls struct {
	mu  sync.RWMutex
	all []*control
}

func (cs *controls) add(c *control) (remove func()) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.all = append(slices.Clip(cs.all), c)
	return func() {
		cs.mu.Lock()
		defer cs.mu.Unlock()
		cs.all = slices.DeleteFunc(slices.Clone(cs.all), func(o *control) bool { return o == c })
	}
}

func (cs *controls) snapshot() []*control {
	cs.mu.RLock()
	defer cs.mu.RUnlock()
	return cs.all
}

// Control has fn asked before each request for op (or AllOperations) is
// served. When fn returns nil, the next control is asked, then the request is
// served. An *Error is the answer instead; ErrDrop and ErrDropAfter cut the
// connection; any other error is a 500 InternalFailure. fn may wait, which
// delays the request; it is called from many goroutines. remove ends it.
func (h *Handler) Control(op string, fn func(*Request) error) (remove func()) {
	return h.controls.add(&control{op: op, fn: fn})
}

// FailNext answers the next n requests for op (or AllOperations) with err, as
// Control does. What was called earlier is used up first.
func (h *Handler) FailNext(op string, n int, err error) {
	if n <= 0 || err == nil {
		return
	}
	var mu sync.Mutex
	var remove func()
	mu.Lock()
	defer mu.Unlock()
	remove = h.Control(op, func(*Request) error {
		mu.Lock()
		defer mu.Unlock()
		if n == 0 {
			return nil
		}
		if n--; n == 0 {
			remove()
		}
		return err
	})
}

// ControlEntries has fn asked for each record of PutRecords before it is
// stored. When it returns an error, that record fails with the error's type
// and message while the request goes on. fn is called from many goroutines.
func (h *Handler) ControlEntries(fn func(Entry) *Error) (remove func()) {
	return h.controls.add(&control{entry: fn})
}

// ask returns the first error of the controls of op.
func (cs *controls) ask(h *Handler, op string, body []byte, r *http.Request) error {
	var request *Request
	for _, c := range cs.snapshot() {
		if c.fn == nil || c.op != op && c.op != AllOperations {
			continue
		}
		if request == nil {
			request = &Request{Op: op, Header: r.Header, Body: body, ctx: r.Context()}
			request.findTarget(h)
		}
		if err := c.fn(request); err != nil {
			return err
		}
	}
	return nil
}

// refuse returns the first error of the entry controls.
func refuse(all []*control, e Entry) *Error {
	for _, c := range all {
		if c.entry == nil {
			continue
		}
		if err := c.entry(e); err != nil {
			return err
		}
	}
	return nil
}

// findTarget reads stream and shard out of whatever members the operation
// names them with. A request that cannot be read has none.
func (r *Request) findTarget(h *Handler) {
	var stream, shard, iterator string
	err := jx.DecodeBytes(r.Body).ObjBytes(func(d *jx.Decoder, key []byte) error {
		if d.Next() != jx.String {
			return d.Skip()
		}
		var err error
		switch string(key) {
		case "StreamName":
			stream, err = d.Str()
		case "StreamARN":
			var arn string
			arn, err = d.Str()
			if _, name, ok := strings.Cut(arn, ":stream/"); ok && stream == "" {
				stream = name
			}
		case "ConsumerARN":
			var arn string
			arn, err = d.Str()
			if _, rest, ok := strings.Cut(arn, ":stream/"); ok && stream == "" {
				stream, _, _ = strings.Cut(rest, "/")
			}
		case "ShardId", "ShardToSplit", "ShardToMerge":
			shard, err = d.Str()
		case "ShardIterator":
			iterator, err = d.Str()
		default:
			err = d.Skip()
		}
		return err
	})
	if err != nil {
		return
	}
	r.Stream, r.Shard = stream, shard
	if it, ok := parseIterator(iterator); ok {
		r.Shard = shardID(it.shard)
		if st := h.streamByID(it.stream); st != nil {
			r.Stream = st.name
		}
	}
}
