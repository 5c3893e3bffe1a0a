package kinesisio

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/io/slots"
	"github.com/streaming-etl/streaming-etl/stack"
)

func TestSubscriptionsAreRenewedWithoutLossOrDoubles(t *testing.T) {
	s := newFake(t, 3, kinesisfake.SubscriptionTime(30*time.Millisecond))
	s.opts.Consumer = "etl"
	next := map[int]int{}
	s.put(300, 30, next)
	var readers []*Reader
	for i := range 2 {
		readers = append(readers, s.open(slots.Slot{Index: i, Count: 2}, nil))
	}
	got := collect(t)
	got.drain(300, readers...)
	for round := range 10 {
		s.put(100, 30, next)
		got.drain(400+100*round, readers...)
	}
	before := s.fake.Requests("SubscribeToShard")
	s.eventually("idle subscriptions are renewed", func() bool { return s.fake.Requests("SubscribeToShard") > before+3 })
	got.quiet(readers...)
	got.once(next)
	got.inOrder()
	if n := s.fake.Requests("GetRecords"); n != 0 {
		t.Errorf("%d calls of GetRecords", n)
	}
	if n := s.fake.Requests("RegisterStreamConsumer"); n < 1 || n > 2 {
		t.Errorf("registered %d times", n)
	}
}

func TestSubscriptionsOutliveFaults(t *testing.T) {
	s := newFake(t, 2)
	s.opts.Consumer = "etl"
	next := map[int]int{}
	r := s.open(one(), nil)
	got := collect(t)
	for round, fault := range []*kinesisfake.Error{
		nil, // the stream of events just ends
		{Type: "InternalFailureException", Message: "Internal failure"},
		{Type: "ResourceInUseException", Message: "taken over"},
		{Type: "KMSThrottlingException", Message: "slow down"},
	} {
		s.put(200, 20, next)
		s.fake.EndNextSubscription(fault)
		s.fake.FailNext("SubscribeToShard", 2, []error{
			kinesisfake.ErrDrop, &kinesisfake.Error{Type: "LimitExceededException"},
			&kinesisfake.Error{Type: "ResourceInUseException"}, &kinesisfake.Error{Type: "InternalFailure"},
		}[round])
		s.put(200, 20, next)
		got.drain(400*(round+1), r)
	}
	got.quiet(r)
	got.once(next)
	got.inOrder()
	if r.Stats().Retries == 0 {
		t.Error("no retries are counted")
	}
}

// resetting resets the connection of a subscription in the middle of its
// events, again and again: over HTTP/2 that is a RST_STREAM.
type resetting struct {
	http.Handler
	resets atomic.Int64
}

func (h *resetting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".SubscribeToShard") {
		w = &resetWriter{w, h, 3} // the initial response and an event
	}
	h.Handler.ServeHTTP(w, r)
}

type resetWriter struct {
	http.ResponseWriter
	h    *resetting
	left int
}

func (w *resetWriter) Write(p []byte) (int, error) {
	if w.left--; w.left == 0 && w.h.resets.Add(1) <= 5 {
		panic(http.ErrAbortHandler)
	}
	return w.ResponseWriter.Write(p)
}

func (w *resetWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestSubscriptionsOutliveResetsOfHTTP2(t *testing.T) {
	s := newFake(t, 2)
	front := &resetting{Handler: s.fake.Handler}
	server := httptest.NewUnstartedServer(front)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	next := map[int]int{}
	s.put(200, 20, next)

	o := s.opts
	o.Consumer, o.Endpoint = "etl", server.URL
	client := kinesis.New(kinesis.Options{
		BaseEndpoint: &server.URL, Region: o.Region, HTTPClient: server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	o = o.withDefaults()
	slot := one()
	r := newReader(t.Context(), o, slot, startPositions(o, slot.Index, slot.Count, slot.JobStart), connections{client, client, func() {}})
	t.Cleanup(r.Close)
	got := collect(t)
	for round := range 10 {
		got.drain(200+100*round, r)
		s.put(100, 20, next)
	}
	got.drain(1200, r)
	s.eventually("all resets come", func() bool { return front.resets.Load() >= 5 })
	got.quiet(r)
	got.once(next)
	got.inOrder()
}

func TestSubscriptionsFollowResharding(t *testing.T) {
	s := newFake(t, 2, kinesisfake.SubscriptionTime(50*time.Millisecond))
	s.opts.Consumer = "etl"
	rng := rand.New(rand.NewPCG(7, 8))
	next := map[int]int{}
	slot := one()
	r := s.open(slot, nil)
	got := collect(t)
	for round := range 6 {
		s.put(200, 40, next)
		s.splitAt(s.openShards()[0], rng)
		s.put(200, 40, next)
		if round%2 == 0 { // begin anew somewhere in the middle
			got.drain(400*round+100, r)
			r.Close()
			r = s.open(slot, r.encoded())
		}
	}
	got.drain(2400, r)
	got.quiet(r)
	got.once(next)
	got.inOrder()
}

func TestSubscriptionBeginsAtItsPosition(t *testing.T) {
	s := newFake(t, 1)
	s.opts.Consumer = "etl"
	// Aggregates, and a position in the middle of one.
	s.aggregates(3000, 500, 20, 0, map[int]int{})
	var positions []byte
	seen := 0
	for seen < 3000 {
		r := s.open(one(), positions)
		s.eventually("records come", func() bool {
			batches, encoded, _, err := r.Drain(1)
			if err != nil {
				t.Fatal(err)
			}
			for i := range batches {
				seen += batches[i].Len()
			}
			positions = encoded
			return len(batches) > 0
		})
		r.Close()
	}
	if seen != 3000 {
		t.Errorf("%d records came", seen)
	}
}

func TestConsumerThatCannotBeHadFailsTheReader(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*stream)
		message []string
	}{
		"denied": {func(s *stream) {
			s.opts.Consumer = "etl"
			s.fake.Control("SubscribeToShard", func(*kinesisfake.Request) error {
				return &kinesisfake.Error{Type: "AccessDeniedException", Message: "not authorized"}
			})
		}, []string{"subscribe to records of shard", "kinesis:SubscribeToShard"}},
		"gone": {func(s *stream) {
			s.opts.Consumer = "arn:aws:kinesis:us-east-1:000000000000:stream/trips/consumer/etl:1"
		}, []string{"Consumer is not found"}},
		"too many": {func(s *stream) {
			s.opts.Consumer, s.opts.RetryDeadline = "etl", time.Hour
			s.fake.Control("RegisterStreamConsumer", func(*kinesisfake.Request) error {
				return &kinesisfake.Error{Type: "LimitExceededException", Message: "20 consumers"}
			})
		}, []string{"register a consumer", "20 consumers", fmt.Sprintf("tried %d times", registerAttempts)}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFake(t, 1)
			c.change(s)
			r := s.open(one(), nil)
			var err error
			s.eventually("the reader fails", func() bool {
				_, _, _, err = r.Drain(1)
				return err != nil
			})
			for _, m := range c.message {
				if !strings.Contains(err.Error(), m) {
					t.Errorf("%q is not in %q", m, err)
				}
			}
			if n := s.fake.Requests("GetRecords"); n != 0 {
				t.Errorf("fell back to %d calls of GetRecords", n)
			}
		})
	}
}

func TestConsumerIsDeregisteredByItsOwnerOnly(t *testing.T) {
	s := newFake(t, 1)
	s.opts.Consumer = "etl"
	r := s.open(one(), nil)
	s.eventually("the shard is subscribed", func() bool { return s.fake.Requests("SubscribeToShard") > 0 })
	r.Close()
	if n := s.fake.Requests("DeregisterStreamConsumer"); n != 0 {
		t.Error("a reader that was closed deregistered the consumer")
	}
	arn := consumerOf(t, s)
	other := s.opts
	other.Consumer = arn
	if err := other.DeregisterConsumer(t.Context()); err != nil || s.fake.Requests("DeregisterStreamConsumer") != 0 {
		t.Errorf("by ARN: error %v, or it was deregistered", err)
	}
	for range 2 { // again is no error
		if err := s.opts.DeregisterConsumer(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if arn := consumerOf(t, s); arn != "" {
		t.Errorf("%s is registered", arn)
	}
}

func consumerOf(t *testing.T, s *stream) string {
	t.Helper()
	stream := "arn:aws:kinesis:us-east-1:000000000000:stream/" + s.opts.Stream
	out, err := s.client.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{StreamARN: &stream, ConsumerName: aws.String("etl")})
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.ConsumerDescription.ConsumerARN)
}

func TestEventsWithoutRoomWait(t *testing.T) {
	s := newFake(t, 1)
	s.opts.Consumer, s.opts.BufferBytes = "etl", 4000
	p := s.producer(nil)
	data := strings.Repeat("x", 1000)
	for i := range 50 {
		if err := p.Put(t.Context(), Record{PartitionKey: "k", Data: fmt.Appendf(nil, "%d/0%s", i, data)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := s.open(one(), nil)
	seen := 0
	s.eventually("all come", func() bool {
		batches, _, _, err := r.Drain(1)
		if err != nil {
			t.Fatal(err)
		}
		for i := range batches {
			seen += batches[i].Len()
		}
		return seen == 50
	})
}

func TestServersPushRecords(t *testing.T) {
	onServers(t, 2, func(t *testing.T, s *stream) {
		if strings.HasSuffix(t.Name(), string(stack.Kinesalite)) {
			t.Skip("it has no enhanced fan-out")
		}
		s.opts.Consumer = "etl"
		next := map[int]int{}
		s.put(300, 30, next)
		r := s.open(one(), nil)
		got := collect(t)
		got.drain(300, r)
		s.put(300, 30, next)
		got.drain(600, r)
		s.splitAt(s.openShards()[0], rand.New(rand.NewPCG(1, 1)))
		s.put(300, 30, next)
		got.drain(900, r)
		got.once(next)
		got.inOrder()
	})
}
