package s3io

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
)

// first lets f answer the first n requests of op and serves all others.
func first(n int64, op string, f s3fake.Fault) s3fake.Fault {
	var seen atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if s3fake.Operation(r) == op && seen.Add(1) <= n {
			f(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// always is more requests than any test makes.
const always = 1 << 30

func refuse(status int, code string) s3fake.Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) { s3fake.Refuse(w, r, status, code) }
}

func reset(after int64) s3fake.Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) { s3fake.Reset(w, r, after) }
}

// damage flips a bit of the body on its way.
func damage(w http.ResponseWriter, r *http.Request, next http.Handler) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s3fake.Refuse(w, r, http.StatusBadRequest, "IncompleteBody")
		return
	}
	body[len(body)/2] ^= 1
	r.Body = io.NopCloser(bytes.NewReader(body))
	next.ServeHTTP(w, r)
}

// say answers 200 with body, cut short of the length it announces.
func say(body string, missing int) s3fake.Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		s3fake.Drain(r)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)+missing))
		_, _ = io.WriteString(w, body)
	}
}

func TestUploadAndCommitSurviveFaults(t *testing.T) {
	srv, open := fake(t, s3fake.Options{Bucket: fakeBucket})
	for name, test := range map[string]struct {
		fault s3fake.Fault
		want  Outcome
	}{
		"part throttled":                      {first(3, "UploadPart", refuse(503, "SlowDown")), Committed},
		"part answered with an error inside":  {first(2, "UploadPart", refuse(500, "InternalError")), Committed},
		"part cut off in the middle":          {first(2, "UploadPart", reset(1<<20)), Committed},
		"part cut off before its first byte":  {first(2, "UploadPart", reset(0)), Committed},
		"part stored and its answer lost":     {first(2, "UploadPart", s3fake.LoseResponse), Committed},
		"part damaged on its way":             {first(2, "UploadPart", damage), Committed},
		"create throttled":                    {first(2, "CreateMultipartUpload", refuse(503, "SlowDown")), Committed},
		"create's answer lost":                {first(1, "CreateMultipartUpload", s3fake.LoseResponse), Committed},
		"commit throttled":                    {first(2, "CompleteMultipartUpload", refuse(503, "SlowDown")), Committed},
		"commit cut off":                      {first(2, "CompleteMultipartUpload", reset(10)), Committed},
		"commit refused for a conflict":       {first(1, "CompleteMultipartUpload", refuse(409, "OperationAborted")), Committed},
		"commit done and its answer lost":     {first(1, "CompleteMultipartUpload", s3fake.LoseResponse), AlreadyCommitted},
		"commit answered 200 with an error":   {first(2, "CompleteMultipartUpload", say("<Error><Code>InternalError</Code></Error>", 0)), Committed},
		"commit's answer cut short":           {first(2, "CompleteMultipartUpload", say("<CompleteMultipart", 100)), Committed},
		"commit's answer cut short, and done": {first(1, "CompleteMultipartUpload", doneThen(say("<CompleteMultipart", 100))), AlreadyCommitted},
		"commit's answer empty, and done":     {first(1, "CompleteMultipartUpload", doneThen(say("", 0))), AlreadyCommitted},
	} {
		t.Run(name, func(t *testing.T) {
			srv.Inject(test.fault)
			defer srv.Inject(nil)
			s, key, body := open(t), "faults/"+name, content(2*MinPartSize+10)
			tok := write(t, s, key, body)
			if got, err := s.Commit(t.Context(), transfer(t, tok)); err != nil || got != test.want {
				t.Fatalf("commit: %v, %v, want %v", got, err, test.want)
			}
			if got, ok := fetch(t, s, key); !ok || !bytes.Equal(got, body) {
				t.Errorf("the object has %d bytes (there: %v), want %d as written", len(got), ok, len(body))
			}
			if got, err := open(t).Commit(t.Context(), tok); err != nil || got != AlreadyCommitted {
				t.Errorf("second commit: %v, %v, want %v", got, err, AlreadyCommitted)
			}
		})
	}
}

// doneThen has the request served before f answers it.
func doneThen(f s3fake.Fault) s3fake.Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(nowhere{}, r)
		f(w, r, next)
	}
}

type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) WriteHeader(int)             {}

func TestUploadOutOfRetriesFailsAndIsAborted(t *testing.T) {
	srv, open := fake(t, s3fake.Options{Bucket: fakeBucket})
	for name, fault := range map[string]s3fake.Fault{
		"throttled": refuse(503, "SlowDown"),
		"denied":    refuse(403, "AccessDenied"),
		"cut off":   reset(1000),
		"damaged":   damage,
	} {
		t.Run(name, func(t *testing.T) {
			srv.Inject(first(always, "UploadPart", fault))
			defer srv.Inject(nil)
			s := open(t, func(o *Options) { o.MaxAttempts = 3 })
			key := "out-of-retries/" + name

			u, err := s.Create(t.Context(), key, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			// Parts fail in the background: some later Write says so.
			for range 5 {
				if _, err = u.Write(content(MinPartSize)); err != nil {
					break
				}
			}
			wantPartError(t, "write", err, key)
			if _, err := u.Finish(t.Context()); !errors.Is(err, ErrFinished) {
				t.Errorf("finish after the failure: %v, want ErrFinished", err)
			}

			u, err = s.Create(t.Context(), key, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := u.Write([]byte("short")); err != nil {
				t.Fatal(err)
			}
			_, err = u.Finish(t.Context())
			wantPartError(t, "finish", err, key)
			if err := u.Abort(t.Context()); err != nil {
				t.Errorf("abort after the failure: %v", err)
			}
			if open := uncommitted(t, s, key); len(open) > 0 {
				t.Errorf("uploads left: %v", open)
			}
		})
	}
}

func wantPartError(t *testing.T, what string, err error, key string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%s: %v, want an Error", what, err)
	}
	if e.Op != "UploadPart" || e.Key != key || e.Bucket != fakeBucket || e.Endpoint == "" {
		t.Errorf("%s: error is of %s %s/%s at %q", what, e.Op, e.Bucket, e.Key, e.Endpoint)
	}
}

func TestCommitOutOfRetriesCanBeDoneLater(t *testing.T) {
	srv, open := fake(t, s3fake.Options{Bucket: fakeBucket})
	s := open(t, func(o *Options) { o.MaxAttempts = 2 })
	for name, fault := range map[string]s3fake.Fault{
		"throttled": refuse(503, "SlowDown"),
		"cut off":   reset(0),
		"denied":    refuse(403, "AccessDenied"),
	} {
		t.Run(name, func(t *testing.T) {
			tok := write(t, s, "later/"+name, content(100))
			srv.Inject(first(always, "CompleteMultipartUpload", fault))
			_, err := s.Commit(t.Context(), tok)
			srv.Inject(nil)
			var e *Error
			if !errors.As(err, &e) || e.Op != "CompleteMultipartUpload" {
				t.Fatalf("commit: %v, want an Error of CompleteMultipartUpload", err)
			}
			if got, err := s.Commit(t.Context(), tok); err != nil || got != Committed {
				t.Errorf("later commit: %v, %v, want %v", got, err, Committed)
			}
		})
	}
}

func TestCommitDoesNotGuessWhenTheObjectCannotBeSeen(t *testing.T) {
	srv, open := fake(t, s3fake.Options{Bucket: fakeBucket})
	s := open(t)
	tok := write(t, s, "unseen", content(100))
	if _, err := s.Commit(t.Context(), tok); err != nil {
		t.Fatal(err)
	}
	srv.Inject(first(always, "HeadObject", refuse(403, "")))
	defer srv.Inject(nil)
	got, err := s.Commit(t.Context(), tok)
	var e *Error
	if !errors.As(err, &e) || e.Op != "HeadObject" || !strings.Contains(e.Hint, "s3:GetObject") {
		t.Errorf("commit: %v, %v, want an Error of HeadObject that names s3:GetObject", got, err)
	}
}

func TestCommitBelievesNoAnswerWithoutTheObject(t *testing.T) {
	srv, open := fake(t, s3fake.Options{Bucket: fakeBucket})
	s := open(t)
	tok := write(t, s, "claimed", content(100))
	srv.Inject(first(always, "CompleteMultipartUpload",
		say(`<CompleteMultipartUploadResult><Key>claimed</Key><ETag>"e-1"</ETag></CompleteMultipartUploadResult>`, 0)))
	defer srv.Inject(nil)
	got, err := s.Commit(t.Context(), tok)
	var lost *UploadLostError
	if !errors.As(err, &lost) {
		t.Errorf("commit: %v, %v, want an UploadLostError", got, err)
	}
}

func TestCommitRefusesATokenOfNoUpload(t *testing.T) {
	_, open := fake(t, s3fake.Options{Bucket: fakeBucket})
	if got, err := open(t).Commit(t.Context(), Token{Bucket: fakeBucket, Key: "k"}); err == nil {
		t.Errorf("commit: %v, want an error", got)
	}
}

func TestUploadHasNoMorePartsUnderWayThanAllowed(t *testing.T) {
	srv, open := fake(t, s3fake.Options{Bucket: fakeBucket})
	const allowed = 2
	var (
		mu        sync.Mutex
		now, most int
	)
	full, proceed := make(chan struct{}), make(chan struct{})
	srv.Inject(first(always, "UploadPart", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		mu.Lock()
		now++
		most = max(most, now)
		if now == allowed {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		mu.Unlock()
		<-proceed
		next.ServeHTTP(w, r)
		mu.Lock()
		now--
		mu.Unlock()
	}))
	defer srv.Inject(nil)
	go func() {
		<-full // the parts really are uploaded side by side, while Write goes on
		close(proceed)
	}()
	s := open(t, func(o *Options) { o.UploadConcurrency = allowed })
	body := content(6 * MinPartSize)
	tok := write(t, s, "bounded", body)
	if len(tok.Parts) != 6 || most != allowed {
		t.Errorf("%d parts, at most %d under way, want 6 and %d", len(tok.Parts), most, allowed)
	}
}

func TestUploadEndsWithItsContext(t *testing.T) {
	srv, open := fake(t, s3fake.Options{Bucket: fakeBucket})
	for name, cancelFinish := range map[string]bool{"of Create": false, "of Finish": true} {
		t.Run(name, func(t *testing.T) {
			arrived := make(chan struct{}, 1)
			srv.Inject(first(always, "UploadPart", func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				s3fake.Drain(r)
				arrived <- struct{}{}
				<-r.Context().Done()
			}))
			defer srv.Inject(nil)
			s, key := open(t), "cancelled/"+name
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			createCtx, finishCtx := ctx, t.Context()
			if cancelFinish {
				createCtx, finishCtx = finishCtx, createCtx
			}
			u, err := s.Create(createCtx, key, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := u.Write(content(10)); err != nil {
				t.Fatal(err)
			}
			go func() {
				<-arrived
				cancel()
			}()
			if _, err := u.Finish(finishCtx); !errors.Is(err, context.Canceled) {
				t.Errorf("finish: %v, want that the context was cancelled", err)
			}
			if open := uncommitted(t, s, key); len(open) > 0 {
				t.Errorf("uploads left: %v", open)
			}
		})
	}
}

func TestCheckSaysWhatIsWrong(t *testing.T) {
	srv, open := fake(t, s3fake.Options{Bucket: fakeBucket})
	elsewhere := func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("X-Amz-Bucket-Region", "eu-central-1")
		s3fake.Refuse(w, r, http.StatusMovedPermanently, "PermanentRedirect")
	}
	silent := func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }
	for name, test := range map[string]struct {
		fault  s3fake.Fault
		change func(*Options)
		want   []string
	}{
		"bucket denied": {
			fault: first(always, "HeadBucket", refuse(403, "AccessDenied")),
			want:  []string{"HeadBucket", "access denied", "s3:ListBucket", "arn:aws:s3:::trips"},
		},
		"writing denied": {
			fault: first(always, "CreateMultipartUpload", refuse(403, "AccessDenied")),
			want:  []string{"CreateMultipartUpload", "access denied", "s3:PutObject", "arn:aws:s3:::trips/in/", "s3://trips/in/"},
		},
		"aborting denied": {
			fault: first(always, "AbortMultipartUpload", refuse(403, "AccessDenied")),
			want:  []string{"AbortMultipartUpload", "access denied", "s3:AbortMultipartUpload"},
		},
		"wrong credentials": {
			fault: first(always, "CreateMultipartUpload", refuse(403, "InvalidAccessKeyId")),
			want:  []string{"credentials are wrong or expired"},
		},
		"another region": {
			fault: first(always, "HeadBucket", elsewhere),
			want:  []string{"the bucket is in region eu-central-1", "us-east-1"},
		},
		"no bucket": {
			change: func(o *Options) { o.Bucket = "nobody" },
			want:   []string{"check bucket nobody", "the bucket does not exist"},
		},
		"nothing listens": {
			change: func(o *Options) { o.Endpoint = unusedEndpoint(t) },
			want:   []string{"the endpoint cannot be reached", "http://127.0.0.1:"},
		},
		"no answer": {
			fault:  silent,
			change: func(o *Options) { o.AttemptTimeout = 50 * time.Millisecond },
			want:   []string{"no answer in time"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv.Inject(test.fault)
			defer srv.Inject(nil)
			s := open(t, func(o *Options) {
				o.Prefix = "in/"
				o.Region = "us-east-1"
				if test.change != nil {
					test.change(o)
				}
			})
			err := s.Check(t.Context())
			if err == nil {
				t.Fatal("check passes")
			}
			for _, want := range append(test.want, s.opts.Endpoint, s.Bucket()) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("check says %q, which does not hold %q", err, want)
				}
			}
		})
	}
}

// unusedEndpoint is the address of a port that was just free.
func unusedEndpoint(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// withoutAWS hides what this machine knows of AWS.
func withoutAWS(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
		"AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"} {
		t.Setenv(name, "")
	}
	none := t.TempDir() + "/none"
	t.Setenv("AWS_CONFIG_FILE", none)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func TestCheckSaysThatCredentialsAreMissing(t *testing.T) {
	withoutAWS(t)
	_, open := fake(t, s3fake.Options{Bucket: fakeBucket})
	err := open(t, func(o *Options) { o.Anonymous = false }).Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no AWS credentials") {
		t.Errorf("check: %v, want that there are no credentials", err)
	}
}

func TestNewSaysThatTheRegionIsMissing(t *testing.T) {
	withoutAWS(t)
	_, err := New(t.Context(), Options{Bucket: fakeBucket})
	if err == nil || !strings.Contains(err.Error(), "region") {
		t.Errorf("new: %v, want that the region is not known", err)
	}
}
