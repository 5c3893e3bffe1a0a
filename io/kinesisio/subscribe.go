package kinesisio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/eventstream"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"

	"github.com/streaming-etl/streaming-etl/internal/pause"
)

// silence is how long a subscription may be without an event: the service
// sends one every few seconds, with or without records.
const silence = 40 * time.Second

// subscribe reads the shard as fetch does, by enhanced fan-out: it subscribes
// again and again, each time behind the last record that it queued. So a
// subscription's end, which comes every five minutes, loses and doubles nothing.
// Where nothing comes it goes on from how far the service has looked: the last
// record may be gone by then, which would be taken for a gap.
func (r *Reader) subscribe(ctx context.Context, s *shard) error {
	at := s.delivered
	var (
		failures int
		first    time.Time // of them
		failed   position  // where the last had come to
		looked   continuation
	)
	for {
		end, err := r.subscription(ctx, s, &at, &looked)
		switch {
		case end:
			return nil
		case err == nil: // five minutes are over
			failures, first = 0, time.Time{}
			continue
		}
		var told *Error
		if errors.As(err, &told) {
			return r.lost(ctx, s, err) // its retries are used up
		}
		c := r.classify(ctx, "SubscribeToShard", err)
		if c == canceled {
			return ctx.Err()
		}
		if failures++; first.IsZero() || at != failed {
			failures, first, failed = 1, time.Now(), at // there was some progress
		}
		if c != transient && c != throttled || time.Since(first) > r.opts.RetryDeadline {
			return r.lost(ctx, s, r.opts.errorOf(r.client, "SubscribeToShard", s.id, failures, err))
		}
		r.counts.retries.Add(1)
		wait := pause.Backoff(failures, r.opts.RetryBackoff, r.opts.RetryBackoffMax)
		r.tellRetry(ctx, "SubscribeToShard", s.id, failures, wait, err)
		if err := pause.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// continuation is how far the service has looked behind a position that it has
// met: every number up to seq is that of a record which was queued, or of none.
type continuation struct {
	seq string
	at  time.Time
}

// maxLooked is how old a continuation may be. Records that came later are not
// yet deleted then: the least retention is a day.
const maxLooked = time.Hour

// follows says that going on from the continuation passes over nothing, and
// brings at most the position's own record again.
func (c *continuation) follows(at position) bool {
	if at.seq == "" || time.Since(c.at) > maxLooked {
		return false
	}
	// Numbers without leading zeros.
	return len(c.seq) > len(at.seq) || len(c.seq) == len(at.seq) && c.seq >= at.seq
}

// subscription makes one subscription, queues what it brings and moves at. It
// reports whether there is nothing more to read of the shard.
func (r *Reader) subscription(ctx context.Context, s *shard, at *position, looked *continuation) (end bool, _ error) {
	consumer, err := r.consumerARN(ctx)
	if err != nil {
		return false, err
	}
	*at = at.resumed()
	begin, err := r.startAt(ctx, *at)
	if err != nil {
		return false, err
	}
	met := looked.follows(*at)
	if met {
		begin.seq = &looked.seq // AT it: some servers name the next record's number
	}
	events := newEvents()
	in := &kinesis.SubscribeToShardInput{ConsumerARN: &consumer, ShardId: &s.id, StartingPosition: &types.StartingPosition{
		Type: begin.kind, SequenceNumber: begin.seq, Timestamp: begin.from,
	}}
	var out *kinesis.SubscribeToShardOutput
	err = r.retry(ctx, "SubscribeToShard", s.id, func() (err error) {
		out, err = r.subscriber.SubscribeToShard(ctx, in, singleAttempt, events.decoding)
		if begin.tooEarly(err) {
			return errTooEarly
		}
		return err
	})
	if err != nil {
		return false, err
	}
	stream := out.GetStream()
	defer stream.Close()
	watch := time.NewTimer(silence)
	defer watch.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-watch.C:
			return false, fmt.Errorf("%w for %s", errSilent, silence)
		case _, ok := <-stream.Events():
			if !ok {
				return false, stream.Err()
			}
		}
		watch.Reset(silence)
		select {
		case a := <-events.parsed:
			if end, err := r.event(ctx, s, at, a, met); end || err != nil {
				return end, err
			}
			if met = met || at.next == 0; met {
				*looked = continuation{a.next, time.Now()}
			}
		default: // an event of a kind that was not known when this was written
		}
	}
}

// errTooEarly is the service's clock being behind; see start.tooEarly.
var errTooEarly = fmt.Errorf("the time to begin with is still to come by the service's clock: %w", io.ErrUnexpectedEOF)

// errSilent is a connection that nothing comes by any more.
var errSilent = fmt.Errorf("no event came: %w", context.DeadlineExceeded)

// event queues one event's records, once there is room for them. met says that
// the position was met before: the event need not begin with its record.
func (r *Reader) event(ctx context.Context, s *shard, at *position, a *answer, met bool) (end bool, _ error) {
	p, err := r.pack(s, *at, a)
	if err != nil {
		return false, err
	}
	behind := time.Duration(a.behind) * time.Millisecond
	got := fetched{packed: p, next: a.next, records: len(a.records), first: a.first(), behind: behind}
	if !met {
		r.gap(ctx, s.id, *at, &got)
	}
	// The service leaves out where to go on; an emulator only tells the children.
	finished := !got.stop && (a.next == "" || len(a.children) > 0 && a.behind == 0)
	if finished {
		children, err := r.ownedChildren(a.children)
		if err != nil {
			return false, r.opts.errorOf(r.client, "SubscribeToShard", s.id, 1, err)
		}
		got.chunks = append(got.chunks, chunk{after: position{finished: true}, children: children})
	}
	// The events' part of the budget is asked for after the fact: a shard that
	// waits for records must not keep others from theirs.
	reserve := int64(0)
	for i := range got.chunks {
		b := &got.chunks[i].batch
		reserve += int64(len(b.Data) + recordOverhead*len(b.Records))
	}
	reserve = min(reserve, r.opts.BufferBytes)
	if err := r.budget.Acquire(ctx, reserve); err != nil {
		return false, err
	}
	ended := !got.stop && behind == 0 && r.opts.pastStop(middleware.Metadata{})
	*at = got.end
	r.queue(s, got.chunks, behind, got.stop, ended, reserve)
	if finished {
		r.askRelist()
	}
	return finished || got.stop, nil
}

// events are a subscription's, read without the SDK's decoder.
type events struct {
	// ClientProtocol is the subscription's own: the SDK's shares buffers
	// between all that run at one time.
	smithyhttp.ClientProtocol
	decoder *eventstream.Decoder
	// parsed are the events that the SDK was told of and that were not yet taken.
	parsed chan *answer
}

// eventsAhead is more than the SDK reads ahead of what is taken.
const eventsAhead = 8

func newEvents() *events {
	return &events{
		ClientProtocol: awsjson.New11(schemas.Kinesis_20131202),
		decoder:        eventstream.NewDecoder(),
		parsed:         make(chan *answer, eventsAhead),
	}
}

func (e *events) decoding(o *kinesis.Options) { o.Protocol = e }

// DeserializeEventMessage reads the next event. Those with records go to
// parsed, and the SDK gets empty ones in their place.
func (e *events) DeserializeEventMessage(schema *smithy.Schema, registry *smithy.TypeRegistry, in io.Reader) (smithy.Deserializable, error) {
	message, err := e.decoder.Decode(in, nil)
	if err == io.EOF { // between two events: the end, which the SDK knows by this very value
		return nil, err
	}
	if err != nil {
		// A connection that broke, by whichever error: HTTP/2 has its own for
		// streams that are reset, whose types cannot be named.
		return nil, &smithy.DeserializationError{Err: fmt.Errorf("read an event: %w", err)}
	}
	kind, event := message.Headers.Get(eventstream.MessageTypeHeader), message.Headers.Get(eventstream.EventTypeHeader)
	if kind == nil || kind.String() != eventstream.EventMessageType || event == nil || event.String() != "SubscribeToShardEvent" {
		var text bytes.Buffer
		if err := eventstream.NewEncoder().Encode(&text, message); err != nil {
			return nil, fmt.Errorf("encode an event anew: %w", err)
		}
		return e.ClientProtocol.DeserializeEventMessage(schema, registry, &text)
	}
	a := &answer{body: message.Payload}
	if err := a.parse(); err != nil {
		return nil, &smithy.DeserializationError{Err: fmt.Errorf("read an event: %w", err)}
	}
	select {
	case e.parsed <- a:
	default:
		return nil, errors.New("more events were read than taken")
	}
	return &types.SubscribeToShardEvent{}, nil
}
