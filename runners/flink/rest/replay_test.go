package rest

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// A replay answers requests with what a Flink 1.19.3 has answered: files in testdata, cut to a few stack frames. Each
// request has a list of answers; the last one stays.
type replay struct {
	t       *testing.T
	mu      sync.Mutex
	answers map[string][]answer // by "METHOD path?query"
	asked   map[string]int
}

type answer struct {
	status int
	file   string
}

func newReplay(t *testing.T, answers map[string][]answer) (*replay, *Client) {
	t.Helper()
	r := &replay{t: t, answers: answers, asked: make(map[string]int)}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	c, err := New(server.URL, "--flink-rest")
	if err != nil {
		t.Fatal(err)
	}
	return r, c
}

func (r *replay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	key := req.Method + " " + req.URL.RequestURI()
	r.mu.Lock()
	list := r.answers[key]
	n := r.asked[key]
	r.asked[key]++
	r.mu.Unlock()
	if len(list) == 0 {
		r.t.Errorf("unexpected request %s", key)
		http.Error(w, `{"errors":["Not found: `+key+`"]}`, http.StatusNotFound)
		return
	}
	a := list[min(n, len(list)-1)]
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	if a.file == "" {
		_, _ = w.Write([]byte("{}"))
		return
	}
	content, err := os.ReadFile(filepath.Join("testdata", a.file))
	if err != nil {
		r.t.Error(err)
	}
	_, _ = w.Write(content)
}

func (r *replay) count(key string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked[key]
}

func ok(files ...string) []answer {
	list := make([]answer, len(files))
	for i, file := range files {
		list[i] = answer{http.StatusOK, file}
	}
	return list
}
