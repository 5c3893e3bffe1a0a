package kinesisfake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	targetPrefix = "Kinesis_20131202."
	contentType  = "application/x-amz-json-1.1"
)

// Handler is the server without a listener, for net/http/httptest or a mux of
// the caller's. Its methods may be called from several goroutines.
type Handler struct {
	config
	limits atomic.Bool
	// eventFault is what the next look of a subscription finds.
	eventFault atomic.Pointer[*Error]
	ops        map[string]operation
	requests   map[string]*atomic.Int64
	serial     atomic.Uint64 // of request ids

	controls controls

	mu      sync.RWMutex
	streams map[string]*stream
	created uint64 // streams ever created, for their ids
}

// operation serves one request; it leaves the answer in c.out, or empty for
// an answer without members.
type operation func(h *Handler, c *call) error

// call is one request being served.
type call struct {
	body []byte
	out  []byte
	now  time.Time
	push push // an answer that is a stream of events
}

// NewHandler returns a handler that serves as New's server does.
func NewHandler(opts ...Option) (*Handler, error) {
	h := &Handler{
		config: config{
			region:     DefaultRegion,
			account:    DefaultAccountID,
			now:        time.Now,
			shardLimit: DefaultShardLimit,

			subscription: DefaultSubscriptionTime,
		},
		streams:  make(map[string]*stream),
		requests: make(map[string]*atomic.Int64),
		ops: map[string]operation{
			"CreateStream":                  (*Handler).createStream,
			"DeleteStream":                  (*Handler).deleteStream,
			"ListStreams":                   (*Handler).listStreams,
			"DescribeStream":                (*Handler).describeStream,
			"DescribeStreamSummary":         (*Handler).describeStreamSummary,
			"IncreaseStreamRetentionPeriod": (*Handler).increaseRetention,
			"DecreaseStreamRetentionPeriod": (*Handler).decreaseRetention,
			"UpdateMaxRecordSize":           (*Handler).updateMaxRecordSize,
			"ListShards":                    (*Handler).listShards,
			"SplitShard":                    (*Handler).splitShard,
			"MergeShards":                   (*Handler).mergeShards,
			"UpdateShardCount":              (*Handler).updateShardCount,
			"PutRecord":                     (*Handler).putRecord,
			"PutRecords":                    (*Handler).putRecords,
			"GetShardIterator":              (*Handler).getShardIterator,
			"GetRecords":                    (*Handler).getRecords,
			"RegisterStreamConsumer":        (*Handler).registerConsumer,
			"DescribeStreamConsumer":        (*Handler).describeConsumer,
			"DeregisterStreamConsumer":      (*Handler).deregisterConsumer,
			"SubscribeToShard":              (*Handler).subscribeToShard,
		},
	}
	for _, opt := range opts {
		opt(&h.config)
	}
	if err := h.validate(); err != nil {
		return nil, fmt.Errorf("kinesisfake: options: %w", err)
	}
	h.limits.Store(h.enforceLimits)
	for op := range h.ops {
		h.requests[op] = new(atomic.Int64)
	}
	for _, s := range h.seeds {
		var v checks
		v.name("streamName", &s.name, true)
		err := v.err()
		if err == nil {
			err = h.addStream(s.name, s.shards, minRecordKiB, "PROVISIONED", h.now(), 0)
		}
		if err != nil {
			return nil, fmt.Errorf("kinesisfake: seed stream %s: %w", s.name, err)
		}
	}
	return h, nil
}

// SetEnforceLimits switches the limits per second on or off; see EnforceLimits.
func (h *Handler) SetEnforceLimits(on bool) { h.limits.Store(on) }

// Requests returns how many requests for an operation came in, faults
// included. It is 0 for operations that are not served.
func (h *Handler) Requests(op string) int {
	if n := h.requests[op]; n != nil {
		return int(n.Load())
	}
	return 0
}

// Request bodies and answers are kept between requests: those of PutRecords
// and GetRecords are megabytes.
var (
	bodies  = sync.Pool{New: func() any { return new(bytes.Buffer) }}
	answers = sync.Pool{New: func() any { return new([]byte) }}
)

// ServeHTTP serves one request of the Kinesis API.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in := bodies.Get().(*bytes.Buffer)
	out := answers.Get().(*[]byte)
	c := &call{out: (*out)[:0], now: h.now()}
	defer func() {
		in.Reset()
		bodies.Put(in)
		*out = c.out
		answers.Put(out)
	}()

	header := w.Header()
	header.Set("X-Amzn-Requestid", fmt.Sprintf("00000000-0000-4000-8000-%012x", h.serial.Add(1)))
	err := h.serve(c, in, w, r)
	if errors.Is(err, ErrDrop) || errors.Is(err, ErrDropAfter) {
		panic(http.ErrAbortHandler) // how net/http is told to cut the connection
	}
	status := http.StatusOK
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{Type: "InternalFailure", Message: err.Error()}
		}
		status = e.status()
		header.Set("X-Amzn-Errortype", e.Type)
		c.out = c.out[:0]
		if err := c.reply(map[string]string{"__type": e.Type, "message": e.Message}); err != nil {
			status = http.StatusInternalServerError
		}
	}
	if err == nil && c.push != nil {
		header.Set("Content-Type", eventStreamType)
		w.WriteHeader(status)
		c.push(r.Context(), w)
		return
	}
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(c.out)))
	w.WriteHeader(status)
	// A client that went away needs no answer.
	_, _ = w.Write(c.out)
}

// serve reads the request, asks the controls, runs the operation.
func (h *Handler) serve(c *call, in *bytes.Buffer, w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost || r.URL.Path != "/" {
		return &Error{Type: "UnknownOperationException", Status: http.StatusNotFound}
	}
	if t := r.Header.Get("Content-Type"); t != contentType && t != "application/json" {
		return &Error{
			Type:    "UnsupportedMediaTypeException",
			Message: fmt.Sprintf("content type %q is not served, only %s", t, contentType),
			Status:  http.StatusUnsupportedMediaType,
		}
	}
	name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	op := h.ops[name]
	if !ok || op == nil {
		return &Error{Type: "UnknownOperationException"}
	}
	h.requests[name].Add(1)
	if n := r.ContentLength; n > 0 && n <= maxBodyBytes {
		in.Grow(int(n) + bytes.MinRead)
	}
	if _, err := in.ReadFrom(http.MaxBytesReader(w, r.Body, maxBodyBytes)); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return &Error{Type: "RequestEntityTooLargeException", Status: http.StatusRequestEntityTooLarge}
		}
		return fmt.Errorf("read request: %w", err)
	}
	c.body = in.Bytes()
	if err := h.controls.ask(h, name, c.body, r); err != nil {
		if errors.Is(err, ErrDropAfter) {
			if served := op(h, c); served != nil {
				return errors.Join(ErrDropAfter, served)
			}
		}
		return err
	}
	// A control may have held the request up.
	c.now = h.now()
	return op(h, c)
}

// decode reads the request's members into the struct that v points to.
func (c *call) decode(v any) error {
	d := json.NewDecoder(bytes.NewReader(c.body))
	if err := d.Decode(v); err != nil {
		return serialization(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return serialization(errors.New("the request goes on after its JSON object"))
	}
	return nil
}

// reply sets the answer to v as JSON. It is not for the data operations,
// which write theirs by hand.
func (c *call) reply(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	c.out = append(c.out, text...)
	return nil
}

// epochSeconds is a time on the wire: seconds since 1970 with a fraction.
type epochSeconds struct{ time.Time }

// MarshalJSON writes milliseconds as the fraction.
func (t epochSeconds) MarshalJSON() ([]byte, error) {
	return appendEpoch(nil, t.UnixMilli()), nil
}

// UnmarshalJSON rounds to milliseconds.
func (t *epochSeconds) UnmarshalJSON(text []byte) error {
	seconds, err := strconv.ParseFloat(string(text), 64)
	if err != nil || seconds < -1e11 || seconds > 1e11 {
		return fmt.Errorf("timestamp %s is not seconds since 1970", text)
	}
	millis := int64(seconds*1000 + 0.5)
	if seconds < 0 {
		millis = int64(seconds*1000 - 0.5)
	}
	t.Time = time.UnixMilli(millis)
	return nil
}

func appendEpoch(dst []byte, millis int64) []byte {
	if millis < 0 {
		return strconv.AppendFloat(dst, float64(millis)/1000, 'f', 3, 64)
	}
	dst = strconv.AppendInt(dst, millis/1000, 10)
	rest := millis % 1000
	return append(dst, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
}
