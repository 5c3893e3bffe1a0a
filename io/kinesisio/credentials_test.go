package kinesisio

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/streaming-etl/streaming-etl/internal/ststest"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

// agent gives containers their credentials, as that of EKS or ECS does.
type agent struct {
	// status and body are those of the answers that are left of a fault.
	status, left atomic.Int64
	body         string
}

func newAgent(t *testing.T, body string) *agent {
	t.Helper()
	a := &agent{body: body}
	srv := httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(srv.Close)
	bareEnvironment(t)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", srv.URL)
	return a
}

func (a *agent) fail(status, times int) {
	a.status.Store(int64(status))
	a.left.Store(int64(times))
}

func (a *agent) serve(w http.ResponseWriter, _ *http.Request) {
	if strings.HasPrefix(a.body, "{") {
		w.Header().Set("Content-Type", "application/json")
	}
	if a.left.Add(-1) >= 0 {
		w.WriteHeader(int(a.status.Load()))
		_, _ = fmt.Fprint(w, a.body)
		return
	}
	// They are about to expire, so each call asks for others.
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"AccessKeyId":"a","SecretAccessKey":"s","Token":"t","Expiration":%q}`, time.Now().Add(time.Second).UTC().Format(time.RFC3339))
}

func TestFaultsOfWhoGivesCredentialsPass(t *testing.T) {
	tests := []struct {
		status int
		body   string
		want   class
		err    error
	}{
		{status: 429, body: "try again", want: throttled},
		{status: 500, body: `{"code":"InternalServerException","message":"try again"}`, want: transient},
		{status: 503, body: "try again", want: transient},
		{status: 400, body: `{"code":"InvalidTokenException","message":"who is it?"}`, want: permanent},
	}
	// The SDK asks agents again, after seconds: of all at the same time.
	var calls sync.WaitGroup
	for i := range tests {
		test := &tests[i]
		newAgent(t, test.body).fail(test.status, 100)
		o := Options{Stream: "s", Region: "us-east-1", Endpoint: "http://127.0.0.1:1"}
		client, err := NewClient(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		calls.Go(func() {
			_, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: new(string)}, singleAttempt)
			test.err = o.errorOf(client, "GetRecords", "", 1, err)
		})
	}
	calls.Wait()
	for _, test := range tests {
		if got := classify(t.Context(), test.err); got != test.want {
			t.Errorf("%d: class %d, want %d, of %v", test.status, got, test.want, test.err)
		}
		if !denied(test.err) {
			t.Errorf("%d: not told to be about who asks: %v", test.status, test.err)
		}
		if got := Passing(test.err); got != (test.want != permanent) {
			t.Errorf("%d: passing: %v, of %v", test.status, got, test.err)
		}
		if want := "are there AWS credentials"; !strings.Contains(test.err.Error(), want) {
			t.Errorf("%q is not in %q", want, test.err)
		}
	}
}

// An agent that refuses once it gave credentials may be about to give others.
func TestReaderOutlivesWhoGivesCredentials(t *testing.T) {
	for _, consumer := range []string{"", "etl"} {
		t.Run("consumer "+consumer, func(t *testing.T) {
			a := newAgent(t, `{"code":"InvalidTokenException","message":"who is it?"}`)
			s := newFake(t, 1, kinesisfake.SubscriptionTime(30*time.Millisecond))
			s.opts.EmulatorCredentials, s.opts.Consumer = false, consumer
			next := map[int]int{}
			s.put(100, 10, next)
			r := s.open(one(), nil)
			got := collect(t)
			got.drain(100, r)
			a.fail(400, 10)
			s.eventually("the agent refuses", func() bool { return a.left.Load() < 0 })
			s.put(100, 10, next)
			got.drain(200, r)
			got.quiet(r)
			got.once(next)
			if r.Stats().Retries == 0 {
				t.Error("no retries are counted")
			}
		})
	}
}

// Credentials are replaced: see TestPermanentFaultsFailLoudly for the first call.
func TestReaderBearsRefusalsAfterASuccess(t *testing.T) {
	for _, code := range []string{"AccessDeniedException", "UnrecognizedClientException"} {
		for op, consumer := range map[string]string{"GetRecords": "", "SubscribeToShard": "etl"} {
			t.Run(code+" of "+op, func(t *testing.T) {
				s := newFake(t, 1, kinesisfake.SubscriptionTime(30*time.Millisecond))
				s.opts.Consumer = consumer
				next := map[int]int{}
				s.put(100, 10, next)
				r := s.open(one(), nil)
				got := collect(t)
				got.drain(100, r)
				fault := &kinesisfake.Error{Type: code, Message: "not authorized"}
				if consumer != "" {
					s.fake.EndNextSubscription(fault)
				}
				s.fake.FailNext(op, 3, fault)
				s.put(100, 10, next)
				got.drain(200, r)
				got.quiet(r)
				got.once(next)
				s.eventually("the refusals are borne", func() bool { return r.Stats().Retries >= 3 })
			})
		}
	}
}

// What is refused for longer than RetryDeadline is told.
func TestReaderDoesNotBearRefusalsForEver(t *testing.T) {
	s := newFake(t, 1)
	s.opts.RetryDeadline = 30 * time.Millisecond
	next := map[int]int{}
	s.put(10, 1, next)
	r := s.open(one(), nil)
	collect(t).drain(10, r)
	s.fake.Control("GetRecords", func(*kinesisfake.Request) error { return &kinesisfake.Error{Type: "AccessDeniedException"} })
	s.eventually("the reader fails", func() bool {
		_, _, _, err := r.Drain(1)
		return err != nil
	})
}

func TestARefusedRoleIsToldAsThat(t *testing.T) {
	ststest.Refuse(t, 403, "AccessDenied")
	o := Options{Stream: "s", Region: "us-east-1", Endpoint: "http://127.0.0.1:1"}
	err := o.Check(t.Context())
	if err == nil || Denied(err) || Passing(err) || !denied(err) {
		t.Fatalf("denied %v, passing %v: %v", Denied(err), Passing(err), err)
	}
	for _, want := range []string{"AssumeRoleWithWebIdentity", "may the role be assumed"} {
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "kinesis:ListShards") {
			t.Errorf("%q is not in %q", want, err)
		}
	}
}

// STS throttles with the status 400.
func TestAThrottledRolePasses(t *testing.T) {
	for _, code := range []string{"ThrottlingException", "ThrottledException"} {
		ststest.Refuse(t, 400, code)
		o := Options{Stream: "s", Region: "us-east-1", Endpoint: "http://127.0.0.1:1"}
		if err := o.Check(t.Context()); err == nil || !Passing(err) || classify(t.Context(), err) != throttled {
			t.Errorf("%s: passing is not told: %v", code, err)
		}
	}
}
