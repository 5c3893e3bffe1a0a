package elasticsearchio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/internal/tlsfront"
	"github.com/streaming-etl/streaming-etl/io/elasticsearchio/esfake"
	"github.com/streaming-etl/streaming-etl/io/secret"
)

// bulks has f asked about bulk requests only.
func bulks(f func(esfake.Request) *esfake.Fault) func(esfake.Request) *esfake.Fault {
	return func(r esfake.Request) *esfake.Fault {
		if r.Path != "/_bulk" {
			return nil
		}
		return f(r)
	}
}

// numbered returns n documents with different ids.
func numbered(index string, n int) []*Document {
	var out []*Document
	for i := range n {
		out = append(out, doc(index, fmt.Sprint(i), fmt.Sprintf(`{"n":%d}`, i)))
	}
	return out
}

func TestOnlyFailedDocumentsAreSentAgain(t *testing.T) {
	s := startFake(t, esfake.Options{})
	var mu sync.Mutex
	tries := map[string]int{}
	s.OnItem(func(i esfake.Item) *esfake.ItemFault {
		mu.Lock()
		defer mu.Unlock()
		tries[i.ID]++
		status := map[string]int{"3": 429, "5": 503, "7": 500, "8": 408}[i.ID]
		if status == 0 || tries[i.ID] > 2 {
			return nil
		}
		return &esfake.ItemFault{Status: status, Type: "es_rejected_execution_exception", Reason: "queue is full"}
	})
	c := newClient(t, quick(s.URL))
	if rejections := write(t, c, numbered("a", 10)...); len(rejections) > 0 {
		t.Fatal(rejections)
	}
	for id, n := range tries {
		want := 1
		if slices.Contains([]string{"3", "5", "7", "8"}, id) {
			want = 3
		}
		if n != want {
			t.Errorf("document %s was sent %d times, want %d", id, n, want)
		}
	}
	if n := len(s.Documents("a")); n != 10 {
		t.Errorf("%d documents", n)
	}
	if got := c.Stats(); got.Retries != 8 || got.Documents != 10 || got.Throttles == 0 {
		t.Errorf("stats %+v", got)
	}
}

func TestFaultsOfWholeRequestsPass(t *testing.T) {
	for name, fault := range map[string]esfake.Fault{
		"429":                   {Status: 429, Body: `{"error":{"type":"circuit_breaking_exception","reason":"too much"},"status":429}`},
		"503 of a proxy":        {Status: 503, Body: "<html>no backend</html>"},
		"502":                   {Status: 502},
		"500":                   {Status: 500, Body: `{"message":"oops"}`},
		"408":                   {Status: 408},
		"cut before the work":   {Status: 1, Cut: true},
		"cut after the work":    {Cut: true},
		"no JSON":               {Status: 200, Body: "<html>"},
		"half an answer":        {Status: 200, Body: `{"took":3,"errors":true,"items":[{"index":{"status":429`},
		"too few results":       {Status: 200, Body: `{"took":3,"errors":true,"items":[{"index":{"status":400}}]}`},
		"blocked":               {Status: 403, Body: `{"error":{"type":"cluster_block_exception","reason":"blocked by: [FORBIDDEN/6/cluster read-only (api)];"},"status":403}`},
		"credentials ran out":   {Status: 403, Body: `{"message":"The security token included in the request is expired"}`},
		"master not discovered": {Status: 503, Body: `{"error":{"type":"master_not_discovered_exception","reason":null},"status":503}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := startFake(t, esfake.Options{})
			var n atomic.Int64
			s.OnRequest(bulks(func(esfake.Request) *esfake.Fault {
				if n.Add(1) <= 3 {
					return &fault
				}
				return nil
			}))
			o := quick(s.URL)
			o.Concurrency = 1
			documents := numbered("a", 20)
			for _, d := range documents {
				d.Version = 1
			}
			if rejections := write(t, newClient(t, o), documents...); len(rejections) > 0 {
				t.Fatal(rejections)
			}
			if got := s.Documents("a"); len(got) != 20 || n.Load() != 4 {
				t.Errorf("%d documents by %d requests", len(got), n.Load())
			}
		})
	}
}

func TestDeadlineFailsTheBundleWithTheReason(t *testing.T) {
	s := startFake(t, esfake.Options{})
	s.OnItem(func(i esfake.Item) *esfake.ItemFault {
		if i.ID == "4" {
			return &esfake.ItemFault{Status: 429, Type: "cluster_block_exception", Reason: "disk usage exceeded flood-stage watermark"}
		}
		return nil
	})
	o := quick(s.URL)
	o.RetryDeadline = 50 * time.Millisecond
	c := newClient(t, o)
	b := c.NewBulk()
	for _, d := range numbered("a", 8) {
		if err := b.Add(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	_, err := b.Flush(t.Context())
	var fault *Error
	if !errors.As(err, &fault) || fault.Status != 429 || fault.Attempts < 2 {
		t.Fatalf("error %v", err)
	}
	for _, part := range []string{`"_id":"4"`, "flood-stage", "without progress", "is a disk full"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %q", part, err)
		}
	}
	if err := b.Add(t.Context(), doc("a", "9", `{}`)); !errors.As(err, &fault) {
		t.Errorf("Add to a failed bulk: %v", err)
	}
	s.OnItem(nil)
	if rejections := write(t, c, numbered("a", 8)...); len(rejections) > 0 {
		t.Fatal("the next bundle:", rejections)
	}
	if n := len(s.Documents("a")); n != 8 {
		t.Errorf("%d documents", n)
	}
}

func TestProgressMovesTheDeadline(t *testing.T) {
	s := startFake(t, esfake.Options{})
	var requests atomic.Int64
	s.OnRequest(bulks(func(esfake.Request) *esfake.Fault { requests.Add(1); return nil }))
	// Each request takes one document: 40 requests, each with a wait of up to
	// 20 ms behind it, outlast a deadline that did not move.
	var taken atomic.Int64
	s.OnItem(func(esfake.Item) *esfake.ItemFault {
		if taken.Load() < requests.Load() {
			taken.Store(requests.Load())
			return nil
		}
		return &esfake.ItemFault{Status: 429, Type: "es_rejected_execution_exception", Reason: "slowly"}
	})
	o := quick(s.URL)
	o.Concurrency, o.RetryDeadline, o.RetryBackoff = 1, 60*time.Millisecond, 20*time.Millisecond
	if rejections := write(t, newClient(t, o), numbered("a", 40)...); len(rejections) > 0 {
		t.Fatal(rejections)
	}
	if n := len(s.Documents("a")); n != 40 {
		t.Errorf("%d documents", n)
	}
}

func TestRefusedCredentialsFailTheBundleAtOnce(t *testing.T) {
	for _, status := range []int{401, 403} {
		s := startFake(t, esfake.Options{Authorize: func(*http.Request, []byte) (int, string) { return status, "unable to authenticate user" }})
		c := newClient(t, quick(s.URL))
		b := c.NewBulk()
		if err := b.Add(t.Context(), doc("a", "1", `{}`)); err != nil {
			t.Fatal(err)
		}
		_, err := b.Flush(t.Context())
		var fault *Error
		if !errors.As(err, &fault) || fault.Status != status || fault.Endpoint != s.URL || s.Requests() != 1 {
			t.Errorf("%d: %v after %d requests", status, err, s.Requests())
		}
	}
}

// Credentials are replaced, and a proxy before the cluster may be restarted.
func TestRefusalsAfterASuccessAreBorne(t *testing.T) {
	for _, status := range []int{401, 403} {
		var refusing, refused atomic.Int64
		s := startFake(t, esfake.Options{Authorize: func(*http.Request, []byte) (int, string) {
			if refusing.Add(-1) >= 0 {
				refused.Add(1)
				return status, "unable to authenticate user"
			}
			return 0, ""
		}})
		o := quick(s.URL)
		o.RetryDeadline = time.Minute
		c := newClient(t, o)
		write(t, c, doc("a", "1", `{}`))
		refusing.Store(3)
		if rejections := write(t, c, doc("a", "2", `{}`)); len(rejections) > 0 || refused.Load() != 3 || len(s.Documents("a")) != 2 {
			t.Errorf("%d: %v after %d refusals, %d documents", status, rejections, refused.Load(), len(s.Documents("a")))
		}
	}
}

func TestRefusalsThatStayFailTheBundleAtTheDeadline(t *testing.T) {
	var refusing atomic.Bool
	s := startFake(t, esfake.Options{Authorize: func(*http.Request, []byte) (int, string) {
		if refusing.Load() {
			return http.StatusForbidden, "unable to authenticate user"
		}
		return 0, ""
	}})
	o := quick(s.URL)
	o.RetryDeadline = 50 * time.Millisecond
	c := newClient(t, o)
	write(t, c, doc("a", "1", `{}`))
	refusing.Store(true)
	b := c.NewBulk()
	if err := b.Add(t.Context(), doc("a", "2", `{}`)); err != nil {
		t.Fatal(err)
	}
	_, err := b.Flush(t.Context())
	var fault *Error
	if !errors.As(err, &fault) || fault.Status != http.StatusForbidden || fault.Attempts < 2 {
		t.Errorf("error %v", err)
	}
}

func TestASecretThatIsReplacedIsTakenUp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	keep := func(secret string) {
		if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		options Options
		right   func(*http.Request) bool
	}{
		"password": {Options{Username: "etl", Password: secret.Secret{File: file}}, func(r *http.Request) bool {
			_, password, _ := r.BasicAuth()
			return password == "new"
		}},
		"key": {Options{APIKey: secret.Secret{File: file}}, func(r *http.Request) bool { return r.Header.Get("Authorization") == "ApiKey new" }},
	} {
		t.Run(name, func(t *testing.T) {
			keep("old")
			var replaced atomic.Bool
			s := startFake(t, esfake.Options{Authorize: func(r *http.Request, _ []byte) (int, string) {
				if replaced.Load() && !test.right(r) {
					keep("new")
					return http.StatusUnauthorized, "unable to authenticate user"
				}
				return 0, ""
			}})
			o := test.options
			o.Endpoints, o.RetryBackoff, o.RetryBackoffMax = []string{s.URL}, time.Millisecond, 20*time.Millisecond
			c := newClient(t, o)
			write(t, c, doc("a", "1", `{}`))
			replaced.Store(true)
			if rejections := write(t, c, doc("a", "2", `{}`)); len(rejections) > 0 || len(s.Documents("a")) != 2 {
				t.Errorf("%v, %d documents", rejections, len(s.Documents("a")))
			}
		})
	}
}

func TestWhatOnlyTheConfigurationMendsFailsTheFirstBundleAtOnce(t *testing.T) {
	fake := startFake(t, esfake.Options{})
	front, _ := tlsfront.Start(t, fake.URL)
	for name, test := range map[string]struct{ endpoint, says string }{
		"an unknown authority": {front, "certificate authority"},
		"no TLS there":         {strings.Replace(fake.URL, "http:", "https:", 1), "http instead of https"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, quick(test.endpoint))
			b := c.NewBulk()
			if err := b.Add(t.Context(), doc("a", "1", `{}`)); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), test.says) || c.Stats().Requests != 1 {
				t.Errorf("%v after %d requests", err, c.Stats().Requests)
			}
		})
	}
}

func TestAnEndpointThatIsSomethingElseFailsTheBundle(t *testing.T) {
	s := startFake(t, esfake.Options{})
	s.OnRequest(func(esfake.Request) *esfake.Fault { return &esfake.Fault{Status: 404, Body: "not here"} })
	c := newClient(t, quick(s.URL))
	b := c.NewBulk()
	if err := b.Add(t.Context(), doc("a", "1", `{}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "404 not here") || !strings.Contains(err.Error(), "is this the address") {
		t.Errorf("error %v", err)
	}
}

func TestRequestsThatAreTooLargeAreHalved(t *testing.T) {
	s := startFake(t, esfake.Options{MaxBodyBytes: 400 << 10})
	o := quick(s.URL)
	o.Concurrency = 1
	c := newClient(t, o)
	b := c.NewBulk()
	text := strings.Repeat("x", 20<<10)
	add := func(id, text string, ref int) {
		t.Helper()
		d := doc("a", id, fmt.Sprintf(`{"a":"%s"}`, text))
		d.Ref = ref
		if err := b.Add(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 { // 2 MB
		add(fmt.Sprint(i), text, i)
	}
	add("huge", strings.Repeat("x", 500<<10), 100)
	rejections, err := b.Flush(t.Context())
	if err != nil || len(rejections) != 1 || rejections[0].Ref != 100 || rejections[0].Reason != ReasonTooLarge {
		t.Fatal(rejections, err)
	}
	if n := len(s.Documents("a")); n != 100 {
		t.Errorf("%d documents", n)
	}
	// The client has learned: the next ones fit at once.
	before := c.Stats().Requests
	if limit := c.maxBytes.Load(); limit > 400<<10 || limit < minMaxBytes {
		t.Errorf("the client still sends %d bytes", limit)
	}
	for i := range 10 {
		add(fmt.Sprint(i), text, i)
	}
	if _, err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := c.Stats().Requests - before; n != 1 {
		t.Errorf("%d requests for 200 KB", n)
	}
}

// TestRetriesKeepTheOrderOfAnID has random actions fail, with several of an id
// in each request, and compares with what the actions mean in their order.
func TestRetriesKeepTheOrderOfAnID(t *testing.T) {
	for _, op := range []Op{Index, Update} {
		t.Run(op.String(), func(t *testing.T) {
			s := startFake(t, esfake.Options{})
			s.OnItem(func(esfake.Item) *esfake.ItemFault {
				if rand.N(3) == 0 {
					return &esfake.ItemFault{Status: 429, Type: "es_rejected_execution_exception"}
				}
				return nil
			})
			o := quick(s.URL)
			o.MaxActions, o.Concurrency = 20, 2
			c := newClient(t, o)
			b := c.NewBulk()
			want := map[string]string{}
			for i := range 600 {
				id := fmt.Sprint(i % 7)
				d := doc("a", id, fmt.Sprintf(`{"n":%d}`, i))
				d.Op = op
				if i%11 == 5 {
					d.Op, d.Source = Delete, nil
					delete(want, id)
				} else {
					want[id] = fmt.Sprintf(`{"n":%d}`, i)
				}
				if err := b.Add(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			if rejections, err := b.Flush(t.Context()); err != nil || len(rejections) > 0 {
				t.Fatal(rejections, err)
			}
			got := map[string]string{}
			for id, d := range s.Documents("a") {
				got[id] = string(d.Source)
			}
			if !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestVerdictsKeepTheOrderOfAnID(t *testing.T) {
	for _, c := range []struct {
		name      string
		ops       []Op
		versioned bool
		ids       string
		got, want string // d done, a again, r refused
	}{
		{"an overtaken index has nothing to add", []Op{Index, Index}, false, "xx", "ad", "dd"},
		{"the last one that was done counts", []Op{Index, Index, Index}, false, "xxx", "ada", "dda"},
		{"an update after it is done again", []Op{Index, Update}, false, "xx", "ad", "aa"},
		{"updates behind a refused one too", []Op{Update, Update, Update}, false, "xxx", "ard", "ara"},
		{"a delete ends what was before", []Op{Update, Delete, Update}, false, "xxx", "add", "ddd"},
		{"a create after a delete is done again", []Op{Delete, Create}, false, "xx", "ad", "aa"},
		{"other ids do not matter", []Op{Update, Update}, false, "xy", "ad", "ad"},
		{"versions keep the order themselves", []Op{Index, Index}, true, "xx", "ad", "ad"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &request{}
			var verdicts []verdict
			for i, op := range c.ops {
				it := item{op: op, versioned: c.versioned, hash: uint64(c.ids[i]), keyStart: len(r.body), keyEnd: len(r.body) + 1}
				r.body = append(r.body, c.ids[i])
				r.items = append(r.items, it)
				verdicts = append(verdicts, map[byte]verdict{'d': done, 'a': again, 'r': refused}[c.got[i]])
			}
			r.inOrder(verdicts)
			got := ""
			for _, v := range verdicts {
				got += string("dar"[v])
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestAddWaitsWhileTheClusterDoes(t *testing.T) {
	s := startFake(t, esfake.Options{})
	release := make(chan struct{})
	var under, most atomic.Int64
	s.OnRequest(bulks(func(esfake.Request) *esfake.Fault {
		most.Store(max(most.Load(), under.Add(1)))
		<-release
		under.Add(-1)
		return nil
	}))
	free := sync.OnceFunc(func() { close(release) })
	t.Cleanup(free)
	o := quick(s.URL)
	o.MaxActions, o.Concurrency = 10, 3
	c := newClient(t, o)
	b := c.NewBulk()
	ctx, cancel := context.WithCancel(t.Context())
	var added atomic.Int64
	var wg sync.WaitGroup
	var addErr error
	wg.Go(func() {
		for i := range 10_000 {
			if addErr = b.Add(ctx, doc("a", fmt.Sprint(i), `{}`)); addErr != nil {
				return
			}
			added.Add(1)
		}
	})
	// Two requests a lane, one sent and one filled, and Add is stuck.
	eventually(t, "a lane is full", func() bool {
		for _, l := range c.lanes {
			l.mu.Lock()
			full := l.spare == nil && len(l.filling.items) == o.MaxActions
			l.mu.Unlock()
			if full {
				return true
			}
		}
		return false
	})
	cancel()
	wg.Wait()
	if !errors.Is(addErr, context.Canceled) {
		t.Errorf("Add returned %v", addErr)
	}
	if n := added.Load(); n > 2*10*3 {
		t.Errorf("%d documents are held", n)
	}
	free()
	if _, err := b.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if n := most.Load(); n > 3 {
		t.Errorf("%d requests at one time", n)
	}
	if n := len(s.Documents("a")); int64(n) != added.Load() {
		t.Errorf("%d of %d documents", n, added.Load())
	}
}

func TestRequestsThatAreNotFullLeaveAfterTheInterval(t *testing.T) {
	s := startFake(t, esfake.Options{})
	o := quick(s.URL)
	o.Interval = 10 * time.Millisecond
	c := newClient(t, o)
	b := c.NewBulk()
	for round := range 3 {
		if err := b.Add(t.Context(), doc("a", fmt.Sprint(round), `{}`)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is there without a flush", func() bool { return len(s.Documents("a")) == round+1 })
	}
}

func TestAbandonedBundlesAreNotSent(t *testing.T) {
	s := startFake(t, esfake.Options{})
	var down atomic.Bool
	down.Store(true)
	s.OnRequest(bulks(func(esfake.Request) *esfake.Fault {
		if down.Load() {
			return &esfake.Fault{Status: 503}
		}
		return nil
	}))
	o := quick(s.URL)
	o.Concurrency = 1
	c := newClient(t, o)
	b := c.NewBulk()
	if err := b.Add(t.Context(), doc("a", "1", `{}`)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := b.Flush(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Flush returned %v", err)
		}
	})
	eventually(t, "it is tried", func() bool { return c.Stats().Retries > 0 })
	cancel()
	wg.Wait()
	requests := func() int64 { return c.Stats().Requests }
	eventually(t, "the lane is free", func() bool {
		l := c.lanes[0]
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.spare != nil
	})
	tried := requests()
	down.Store(false)
	if rejections := write(t, c, doc("a", "2", `{}`)); len(rejections) > 0 {
		t.Fatal(rejections)
	}
	if got := s.Documents("a"); len(got) != 1 || requests() != tried+1 {
		t.Errorf("%d documents by %d requests more", len(got), requests()-tried)
	}
}

func TestCloseFailsWhatIsHeld(t *testing.T) {
	s := startFake(t, esfake.Options{})
	s.OnRequest(bulks(func(esfake.Request) *esfake.Fault { return &esfake.Fault{Status: 503} }))
	c := newClient(t, quick(s.URL))
	b := c.NewBulk()
	for _, d := range numbered("a", 5) {
		if err := b.Add(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := b.Flush(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Flush returned %v", err)
		}
	})
	eventually(t, "it is tried", func() bool { return c.Stats().Retries > 0 })
	c.Close()
	wg.Wait()
	if err := c.NewBulk().Add(t.Context(), doc("a", "1", `{}`)); !errors.Is(err, ErrClosed) {
		t.Errorf("Add returned %v", err)
	}
}

func TestEndpointsTakeTurnsAndDeadOnesAreLeftOut(t *testing.T) {
	one, two := startFake(t, esfake.Options{}), startFake(t, esfake.Options{})
	o := quick(one.URL, two.URL, deadEndpoint(t))
	o.MaxActions, o.Concurrency = 1, 1
	c := newClient(t, o)
	if rejections := write(t, c, numbered("a", 60)...); len(rejections) > 0 {
		t.Fatal(rejections)
	}
	a, b := len(one.Documents("a")), len(two.Documents("a"))
	if a+b != 60 || a < 20 || b < 20 {
		t.Errorf("%d and %d documents", a, b)
	}
	if n := c.Stats().Retries; n < 1 || n > 10 {
		t.Errorf("the dead endpoint was asked %d times", n)
	}
}

// deadEndpoint is a URL where nothing listens.
func deadEndpoint(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

func TestTheClusterThatComesBackGetsEverything(t *testing.T) {
	s := startFake(t, esfake.Options{})
	address := strings.TrimPrefix(s.URL, "http://")
	s.Close()
	o := quick(s.URL)
	c := newClient(t, o)
	var wg sync.WaitGroup
	wg.Go(func() {
		if rejections := write(t, c, numbered("a", 30)...); len(rejections) > 0 {
			t.Error(rejections)
		}
	})
	eventually(t, "it is tried", func() bool { return c.Stats().Retries > 30 })
	back, err := esfake.Start(esfake.Options{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(back.Close)
	wg.Wait()
	if n := len(back.Documents("a")); n != 30 {
		t.Errorf("%d documents", n)
	}
}

func TestWrongUseIsAnError(t *testing.T) {
	c := newClient(t, quick(startFake(t, esfake.Options{}).URL))
	for name, d := range map[string]*Document{
		"create with a version": {Op: Create, Index: []byte("a"), ID: []byte("1"), Source: []byte(`{}`), Version: 1},
		"update with a version": {Op: Update, Index: []byte("a"), ID: []byte("1"), Source: []byte(`{}`), Version: 1},
		"create with version 0": {Op: Create, Index: []byte("a"), ID: []byte("1"), Source: []byte(`{}`), Versioned: true},
		"update by a pipeline":  {Op: Update, Index: []byte("a"), ID: []byte("1"), Source: []byte(`{}`), Pipeline: []byte("p")},
		"unknown operation":     {Op: 9, Index: []byte("a"), ID: []byte("1"), Source: []byte(`{}`)},
		"pipeline's name":       {Index: []byte("a"), ID: []byte("1"), Source: []byte(`{}`), Pipeline: []byte("\xff")},
	} {
		if err := c.NewBulk().Add(t.Context(), d); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPutTemplateWaitsOutFaults(t *testing.T) {
	s := startFake(t, esfake.Options{})
	var n atomic.Int64
	s.OnRequest(func(esfake.Request) *esfake.Fault {
		if n.Add(1) <= 2 {
			return &esfake.Fault{Status: 503}
		}
		return nil
	})
	c := newClient(t, quick(s.URL))
	if err := c.PutTemplate(t.Context(), []byte(`{"index_templates":{"t":{"index_patterns":["t-*"]}}}`)); err != nil {
		t.Error(err)
	}
	if err := c.PutTemplate(t.Context(), []byte(`{"index_templates":{"t":{"index_patterns":["t-*"],"data_stream":{}}},"data_streams":["t-1"]}`)); err != nil {
		t.Error(err)
	}
	if err := c.PutTemplate(t.Context(), []byte(`{"data_streams":["other"]}`)); err == nil || !strings.Contains(err.Error(), "create data stream other") {
		t.Errorf("error %v", err)
	}
}

func TestTemplateFilesAreReadStrictly(t *testing.T) {
	for file, want := range map[string]string{
		``:                               "not a JSON object",
		`[]`:                             "not a JSON object",
		`{}`:                             "nothing to put",
		`{"templates":{}}`:               `"templates" is none of`,
		`{"index_templates":{"a":1}}`:    "a is not an object",
		`{"index_templates":{"a/b":{}}}`: "is not a name",
		`{"data_streams":["a?x=1"]}`:     "is not a name",
		`{"data_streams":["_all"]}`:      "is not a name",
		`{"data_streams":["a"],"data_streams":["b"]}`:    "stands twice",
		`{"data_streams":["a"]} x`:                       "follows",
		`{"index_templates":{"a":{"index_patterns":[}}}`: "index_templates",
	} {
		if _, err := parseTemplates([]byte(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", file, err, want)
		}
	}
}

// A node that stood still carries out a request that was made again elsewhere
// long ago. Only a version keeps what is older out.
func TestALateRequestPutsNothingOlderOverWhatHasAVersion(t *testing.T) {
	c := newCluster(t)
	for name, version := range map[string]int64{"versioned": 1, "unversioned": 0} {
		index := c.index(name)
		target, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		var late http.Handler
		rest := httputil.NewSingleHostReverseProxy(target)
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/_bulk" || late != nil {
				rest.ServeHTTP(w, r)
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			held := r.Clone(context.Background())
			late = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				held.Body = io.NopCloser(bytes.NewReader(body))
				rest.ServeHTTP(w, held)
			})
			panic(http.ErrAbortHandler)
		}))
		t.Cleanup(front.Close)
		client := newClient(t, quick(front.URL))
		for i, source := range []string{`{"n":1}`, `{"n":2}`} {
			d := doc(index, "a", source)
			if version > 0 {
				d.Version = version + int64(i)
			}
			if rejections := write(t, client, d); len(rejections) > 0 {
				t.Fatal(rejections)
			}
		}
		answer := httptest.NewRecorder()
		late.ServeHTTP(answer, nil)
		if answer.Code != http.StatusOK {
			t.Fatalf("%s: the late request is answered %d: %s", name, answer.Code, answer.Body)
		}
		want := map[bool]string{true: `{"n":2}`, false: `{"n":1}`}[version > 0]
		if sources, _ := c.documents(index); sources["a"] != want {
			t.Errorf("%s: the document is %s, want %s", name, sources["a"], want)
		}
	}
}
