package s3io

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/streaming-etl/streaming-etl/internal/ststest"
	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
)

// hangUp takes a request and closes the connection, as a proxy does whose
// server is away.
func hangUp(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

func TestOutagesPass(t *testing.T) {
	srv, open := fake(t, s3fake.Options{Bucket: fakeBucket})
	for name, test := range map[string]struct {
		fault s3fake.Fault
		want  bool
	}{
		"closed":                 {hangUp, true},
		"reset":                  {reset(0), true},
		"answer cut short":       {say("<?xml version=\"1.0\"?><CompleteMultipartUploadResult>", 100), true},
		"200 with an error":      {say("<Error><Code>InternalError</Code></Error>", 0), true},
		"200 with a slow-down":   {say("<Error><Code>SlowDown</Code></Error>", 0), true},
		"body too slow":          {refuse(400, "RequestTimeout"), true},
		"body cut short":         {refuse(400, "IncompleteBody"), true},
		"body damaged":           {refuse(400, "BadDigest"), true},
		"conflict":               {refuse(409, "OperationAborted"), true},
		"throttled":              {refuse(503, "SlowDown"), true},
		"throttled by a 400":     {refuse(400, "ThrottlingException"), true},
		"over a limit":           {refuse(400, "RequestLimitExceeded"), true},
		"too many":               {refuse(429, "TooManyRequests"), true},
		"a proxy's 502":          {refuse(502, ""), true},
		"refused":                {refuse(400, "InvalidRequest"), false},
		"denied":                 {refuse(403, "AccessDenied"), false},
		"no bucket":              {refuse(404, "NoSuchBucket"), false},
		"in another region":      {refuse(301, "PermanentRedirect"), false},
		"clock that goes astray": {refuse(403, "RequestTimeTooSkewed"), false},
	} {
		t.Run(name, func(t *testing.T) {
			srv.Inject(first(always, "CompleteMultipartUpload", test.fault))
			defer srv.Inject(nil)
			s := open(t, func(o *Options) { o.MaxAttempts = 2 })
			tok := write(t, s, "outages/"+name, content(10))
			_, err := s.Commit(t.Context(), tok)
			if err == nil || Passing(err) != test.want {
				t.Errorf("passing is not %v: %v", test.want, err)
			}
		})
	}
}

func TestFaultsOfWhoGivesCredentialsPass(t *testing.T) {
	tests := []struct {
		status  int
		body    string
		passing bool
		err     error
	}{
		{status: 429, body: "try again", passing: true},
		{status: 503, body: `{"code":"InternalServerException","message":"try again"}`, passing: true},
		{status: 400, body: `{"code":"InvalidTokenException","message":"who is it?"}`},
	}
	withoutAWS(t)
	_, open := fake(t, s3fake.Options{Bucket: fakeBucket})
	// The SDK asks agents again, after seconds: of all at the same time.
	var calls sync.WaitGroup
	for i := range tests {
		test := &tests[i]
		agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if test.body[0] == '{' {
				w.Header().Set("Content-Type", "application/json")
			}
			w.WriteHeader(test.status)
			_, _ = fmt.Fprint(w, test.body)
		}))
		t.Cleanup(agent.Close)
		t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.URL)
		s := open(t, func(o *Options) { o.Anonymous, o.MaxAttempts = false, 1 })
		calls.Go(func() {
			_, test.err = s.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &s.opts.Bucket, Key: &s.opts.Bucket})
			test.err = s.fail("HeadObject", s.opts.Bucket, s.opts.Bucket, test.err)
		})
	}
	calls.Wait()
	for _, test := range tests {
		if got := Passing(test.err); got != test.passing {
			t.Errorf("%d: passing: %v, of %v", test.status, got, test.err)
		}
		if !Unauthorized(test.err) {
			t.Errorf("%d: not told to be about who asks: %v", test.status, test.err)
		}
	}
}

// A role that may not be assumed is no permission in S3, in whatever words STS
// refuses it.
func TestARefusedRoleIsToldAsThat(t *testing.T) {
	ststest.Refuse(t, 403, "AccessDenied")
	_, open := fake(t, s3fake.Options{Bucket: fakeBucket})
	s := open(t, func(o *Options) { o.Anonymous, o.MaxAttempts = false, 1 })
	_, err := s.Create(t.Context(), "a", "", nil)
	for name, err := range map[string]error{"an upload": err, "the check": s.Check(t.Context())} {
		if err == nil || !strings.Contains(err.Error(), "AssumeRoleWithWebIdentity") || strings.Contains(err.Error(), "policy must allow") {
			t.Errorf("%s: %v", name, err)
		}
		if Denied(err) || Passing(err) || !Unauthorized(err) {
			t.Errorf("%s: denied %v, passing %v, unauthorized %v: %v", name, Denied(err), Passing(err), Unauthorized(err), err)
		}
	}
	if want := "may the role be assumed"; !strings.Contains(err.Error(), want) {
		t.Errorf("%q is not in %q", want, err)
	}
	for _, tried := range s.Probe(t.Context()) {
		if Denied(tried.Err) {
			t.Errorf("%s is told as denied: %v", tried.Action, tried.Err)
		}
	}
}

// STS throttles with the status 400.
func TestAThrottledRolePasses(t *testing.T) {
	for _, code := range []string{"Throttling", "ThrottlingException", "RequestLimitExceeded"} {
		ststest.Refuse(t, 400, code)
		_, open := fake(t, s3fake.Options{Bucket: fakeBucket})
		s := open(t, func(o *Options) { o.Anonymous, o.MaxAttempts = false, 1 })
		_, err := s.Create(t.Context(), "a", "", nil)
		for name, err := range map[string]error{"an upload": err, "the check": s.Check(t.Context())} {
			if err == nil || !Passing(err) || Denied(err) {
				t.Errorf("%s: %s: passing is not told: %v", code, name, err)
			}
		}
	}
}
