package elasticsearchio

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio/esfake"
)

// cluster is what a contract test runs against: the server in the process, or
// the one that TEST_ELASTICSEARCH_ENDPOINT names.
type cluster struct {
	t    *testing.T
	url  string
	name string // what this test's indices begin with
}

var clusters atomic.Int64

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, name: fmt.Sprintf("suite-%x-%d", time.Now().UnixNano(), clusters.Add(1))}
	if c.url = os.Getenv("TEST_ELASTICSEARCH_ENDPOINT"); c.url == "" {
		c.url = startFake(t, esfake.Options{}).URL
	}
	return c
}

func startFake(t testing.TB, o esfake.Options) *esfake.Server {
	t.Helper()
	s, err := esfake.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// index returns a name of this test's own; the index goes with the test.
func (c *cluster) index(name string) string {
	index := c.name + "-" + name
	c.t.Cleanup(func() { c.call(http.MethodDelete, "/"+index, "") })
	return index
}

// call returns the status and the answer, which is nil if it is no JSON.
func (c *cluster) call(method, path, body string) (int, map[string]any) {
	c.t.Helper()
	req, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	var out map[string]any
	if json.Unmarshal(data, &out) != nil {
		return res.StatusCode, nil
	}
	return res.StatusCode, out
}

// must makes a call that has to succeed.
func (c *cluster) must(method, path, body string) map[string]any {
	c.t.Helper()
	status, out := c.call(method, path, body)
	if status/100 != 2 {
		c.t.Fatalf("%s %s: %d %v", method, path, status, out)
	}
	return out
}

// documents returns the sources of an index by id, with their versions.
func (c *cluster) documents(index string) (sources map[string]string, versions map[string]int64) {
	c.t.Helper()
	c.must(http.MethodPost, "/"+index+"/_refresh", "")
	out := c.must(http.MethodGet, "/"+index+"/_search?version=true&size=10000", "")
	sources, versions = map[string]string{}, map[string]int64{}
	for _, hit := range out["hits"].(map[string]any)["hits"].([]any) {
		hit := hit.(map[string]any)
		source, err := json.Marshal(hit["_source"])
		if err != nil {
			c.t.Fatal(err)
		}
		sources[hit["_id"].(string)] = string(source)
		versions[hit["_id"].(string)] = int64(hit["_version"].(float64))
	}
	return sources, versions
}

// count returns the number of documents of an index.
func (c *cluster) count(index string) int {
	c.t.Helper()
	c.must(http.MethodPost, "/"+index+"/_refresh", "")
	return int(c.must(http.MethodGet, "/"+index+"/_count", "")["count"].(float64))
}

// quick are options with short waits.
func quick(endpoints ...string) Options {
	return Options{
		Endpoints: endpoints, RequestTimeout: 20 * time.Second,
		RetryBackoff: time.Millisecond, RetryBackoffMax: 20 * time.Millisecond,
	}
}

func newClient(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// doc is a document to be indexed.
func doc(index, id, source string) *Document {
	return &Document{Index: []byte(index), ID: []byte(id), Source: []byte(source)}
}

// write puts documents through one bulk; Ref is their place.
func write(t testing.TB, c *Client, documents ...*Document) []Rejection {
	t.Helper()
	b := c.NewBulk()
	for i, d := range documents {
		d.Ref = i
		if err := b.Add(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	rejections, err := b.Flush(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return rejections
}

// eventually waits for what becomes true by the work of others.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func reasons(rejections []Rejection) map[int]string {
	out := map[int]string{}
	for _, r := range rejections {
		out[r.Ref] = r.Reason
	}
	return out
}
