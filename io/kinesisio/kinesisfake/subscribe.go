package kinesisfake

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/smithy-go/eventstream"
	"github.com/go-faster/jx"
)

const (
	eventStreamType = "application/vnd.amazon.eventstream"
	// eventBytes and eventRecords bound what one event has.
	eventBytes   = 1 << 20
	eventRecords = 10_000
	// pushInterval is how often a subscription looks for new records.
	pushInterval = 2 * time.Millisecond
	// heartbeat is the time between events without records.
	heartbeat = 200 * time.Millisecond
)

// subscription is a running SubscribeToShard.
type subscription struct {
	begun  time.Time
	cancel context.CancelFunc
}

// push writes events until the subscription ends.
type push func(ctx context.Context, w http.ResponseWriter)

func (h *Handler) subscribeToShard(c *call) error {
	var in struct {
		ConsumerARN      *string
		ShardId          *string
		StartingPosition *struct {
			Type           *string
			SequenceNumber *string
			Timestamp      *epochSeconds
		}
		DryRun bool
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	var v checks
	v.present("consumerARN", in.ConsumerARN)
	v.name("shardId", in.ShardId, true)
	var kind *string
	if in.StartingPosition != nil {
		kind = in.StartingPosition.Type
		v.decimal("startingPosition.sequenceNumber", in.StartingPosition.SequenceNumber)
	}
	v.oneOf("startingPosition.type", kind, true,
		"AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON")
	if err := v.err(); err != nil {
		return err
	}
	st, found, err := h.consumerOf(consumerTarget{ConsumerARN: in.ConsumerARN}, c)
	if err != nil {
		return err
	}
	if found == nil {
		return noConsumer(st)
	}
	st.mu.RLock()
	defer st.mu.RUnlock()
	if err := h.live(st, c.now); err != nil {
		return err
	}
	s, err := h.lookup(st, *in.ShardId, c.now)
	if err != nil {
		return err
	}
	var index uint64
	at := in.StartingPosition
	switch *kind {
	case "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER":
		if at.SequenceNumber == nil {
			return invalidArgument("A starting position of type %s needs a sequence number.", *kind)
		}
		if index, err = h.indexOf(st, s, *at.SequenceNumber, *kind == "AFTER_SEQUENCE_NUMBER"); err != nil {
			return err
		}
	case "AT_TIMESTAMP":
		if at.Timestamp == nil || at.Timestamp.UnixMilli() > c.now.UnixMilli() {
			return invalidArgument("A starting position of type AT_TIMESTAMP needs a timestamp that is not to come.")
		}
	}
	if in.DryRun {
		return dryRunDone()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.subscriptions[found.ConsumerARN]
	if h.limits.Load() && old != nil && c.now.Sub(old.begun) < subscribeInterval {
		return failf(typeInUse, "Another active subscription exists for this consumer: %s:%s", found.ConsumerARN, s.id)
	}
	s.log.trim(st.horizon(c.now))
	switch *kind {
	case "TRIM_HORIZON":
		index = s.log.first
	case "LATEST":
		index = s.log.next
	case "AT_TIMESTAMP":
		index = s.log.at(at.Timestamp.UnixMilli())
	}
	if old != nil {
		old.cancel()
	}
	// The request's own end comes with the call of the push.
	ctx, cancel := context.WithCancel(context.Background())
	now := &subscription{begun: c.now, cancel: cancel}
	if s.subscriptions == nil {
		s.subscriptions = map[string]*subscription{}
	}
	s.subscriptions[found.ConsumerARN] = now
	c.push = func(request context.Context, w http.ResponseWriter) {
		stop := context.AfterFunc(request, cancel)
		defer stop()
		defer cancel()
		h.pushRecords(ctx, w, st, s, index)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.subscriptions[found.ConsumerARN] == now {
			delete(s.subscriptions, found.ConsumerARN)
		}
	}
	return nil
}

// pushRecords sends what the shard has from index on, until the end of the
// shard, of the subscription's time, or of ctx.
func (h *Handler) pushRecords(ctx context.Context, w http.ResponseWriter, st *stream, s *shard, index uint64) {
	flusher := http.NewResponseController(w)
	send := func(kind string, payload []byte) bool {
		var message eventstream.Message
		message.Headers.Set(":message-type", eventstream.StringValue("event"))
		message.Headers.Set(":event-type", eventstream.StringValue(kind))
		message.Headers.Set(":content-type", eventstream.StringValue("application/json"))
		message.Payload = payload
		var text bytes.Buffer
		if err := eventstream.NewEncoder().Encode(&text, message); err != nil {
			return false
		}
		if _, err := w.Write(text.Bytes()); err != nil {
			return false
		}
		return flusher.Flush() == nil
	}
	if !send("initial-response", []byte("{}")) {
		return
	}
	end := time.NewTimer(h.subscription)
	defer end.Stop()
	ticker := time.NewTicker(pushInterval)
	defer ticker.Stop()
	var last time.Time
	for {
		if r := h.eventFault.Swap(nil); r != nil {
			if *r == nil {
				return
			}
			var message eventstream.Message
			message.Headers.Set(":message-type", eventstream.StringValue("exception"))
			message.Headers.Set(":exception-type", eventstream.StringValue((*r).Type))
			message.Headers.Set(":content-type", eventstream.StringValue("application/json"))
			message.Payload = []byte(`{"message":` + strconv.Quote((*r).Message) + `}`)
			_ = eventstream.NewEncoder().Encode(w, message) // the client may have gone
			_ = flusher.Flush()
			return
		}
		payload, next, n, finished := h.event(st, s, index)
		if n > 0 || finished || time.Since(last) >= heartbeat {
			if !send("SubscribeToShardEvent", payload) || finished {
				return
			}
			index, last = next, time.Now()
		}
		if n > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			return
		case <-ticker.C:
		}
	}
}

// event makes an event of the records from index on.
func (h *Handler) event(st *stream, s *shard, index uint64) (payload []byte, next uint64, n int, finished bool) {
	st.mu.RLock()
	defer st.mu.RUnlock()
	s.mu.Lock()
	now := h.now()
	s.log.trim(st.horizon(now))
	spans, _, next := s.log.read(nil, index, eventRecords, eventBytes)
	behind := int64(0)
	if next < s.log.next {
		behind = max(1, now.UnixMilli()-s.log.arrival(next))
	} else {
		finished = s.closed != 0
	}
	s.mu.Unlock()
	out := strconv.AppendInt([]byte(`{"MillisBehindLatest":`), behind, 10)
	if finished {
		out = s.appendChildren(out)
	} else {
		out = append(out, `,"ContinuationSequenceNumber":"`...)
		out = s.sequence(max(next, 1)-1, now.UnixMilli()).append(out)
		out = append(out, '"')
	}
	out = append(out, `,"Records":[`...)
	writer := jx.Writer{Buf: out}
	for i, part := range spans {
		if i > 0 {
			writer.Comma()
		}
		s.appendRecords(&writer, part)
		n += len(part.entries)
	}
	return append(writer.Buf, `]}`...), next, n, finished
}

// EndNextSubscription ends one running SubscribeToShard, or the next one: with
// the exception, or without a word where it is nil. It does so instead of
// sending records, so that none are lost by it.
func (h *Handler) EndNextSubscription(e *Error) { h.eventFault.Store(&e) }
