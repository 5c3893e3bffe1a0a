//go:build unix

package stack

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/streaming-etl/streaming-etl/stack/process"
)

// startFront starts a front before a server of the handler, until the function is called.
func startFront(t *testing.T, handler http.HandlerFunc) (endpoint string, end func()) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(address.Port())
	if err != nil {
		t.Fatal(err)
	}
	free, err := process.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	f := newFront(free[0], port)
	done := make(chan struct{})
	if err := f.start(done); err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		close(done)
		f.wait()
	})
	t.Cleanup(end)
	return "http://" + f.address, end
}

// call calls an operation and returns the answer's body.
func call(t *testing.T, endpoint, operation, body string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("X-Amz-Target", "Kinesis_20131202."+operation)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return string(answer), err
}

func TestFrontLetsInOnePutAtATime(t *testing.T) {
	const puts = 20
	var inside atomic.Int32
	entered, leave := make(chan struct{}, puts), make(chan struct{})
	endpoint, _ := startFront(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetRecords") {
			io.WriteString(w, "got")
			return
		}
		if n := inside.Add(1); n > 1 {
			t.Errorf("%d puts at once", n)
		}
		entered <- struct{}{}
		<-leave
		inside.Add(-1)
		io.Copy(w, r.Body)
	})
	var calls sync.WaitGroup
	for i := range puts {
		calls.Go(func() {
			operation, body := [...]string{"PutRecord", "PutRecords"}[i%2], strconv.Itoa(i)
			if answer, err := call(t, endpoint, operation, body); err != nil || answer != body {
				t.Errorf("answer %q to %q, error %v", answer, body, err)
			}
		})
	}
	for range puts {
		<-entered
		// While one is inside and the others wait, other calls pass.
		if answer, err := call(t, endpoint, "GetRecords", ""); err != nil || answer != "got" {
			t.Errorf("answer %q, error %v", answer, err)
		}
		leave <- struct{}{}
	}
	calls.Wait()
}

func TestFrontStreamsAnswers(t *testing.T) {
	next := make(chan string)
	endpoint, _ := startFront(t, func(w http.ResponseWriter, _ *http.Request) {
		for line := range next {
			io.WriteString(w, line)
			w.(http.Flusher).Flush()
		}
	})
	defer close(next)
	go func() { next <- "first\n" }()
	resp, err := http.Get(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for _, want := range []string{"first\n", "second\n"} {
		// The answer goes on: each line is there before the next one is written.
		if line, err := lines.ReadString('\n'); err != nil || line != want {
			t.Fatalf("line %q, error %v", line, err)
		}
		if want == "first\n" {
			next <- "second\n"
		}
	}
}

func TestFrontEndsWithItsServer(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	endpoint, end := startFront(t, func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-leave
	})
	defer close(leave)
	failed := make(chan error, 1)
	go func() {
		_, err := call(t, endpoint, "GetRecords", "")
		failed <- err
	}()
	<-entered
	end()
	if err := <-failed; err == nil {
		t.Error("the call that was under way has an answer")
	}
	if _, err := call(t, endpoint, "GetRecords", ""); err == nil {
		t.Error("the front answers after its end")
	}
}

func TestFrontBreaksTheConnectionWhenTheServerDoes(t *testing.T) {
	endpoint, _ := startFront(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for _, operation := range []string{"PutRecords", "GetRecords", "PutRecords"} {
		if answer, err := call(t, endpoint, operation, ""); err == nil {
			t.Errorf("%s has an answer, %q", operation, answer)
		}
	}
}
