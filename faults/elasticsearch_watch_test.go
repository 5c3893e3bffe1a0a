//go:build linux

package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/stack"
)

// theElasticsearch returns the lab's Elasticsearch, which the first test that needs it starts.
func (l *lab) theElasticsearch(t *testing.T) *stack.Server {
	t.Helper()
	if l.elasticsearch != nil {
		return l.elasticsearch
	}
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	s, err := stack.RunElasticsearch(ctx, l.dir+"/elasticsearch", stack.ElasticsearchOptions{ShortLived: true})
	if err != nil {
		t.Fatal(err)
	}
	l.elasticsearch = s
	return s
}

// An index is an Elasticsearch index, or several by a pattern, asked by its own REST API.
type index struct{ endpoint, pattern string }

// ask sends a request and decodes the answer.
func (x index) ask(ctx context.Context, method, path string, body, answer any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, x.endpoint+path, content)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return json.Unmarshal(text, answer)
}

type object = map[string]any

// A document is one of an index.
type document struct {
	Index  string          `json:"_index"`
	ID     string          `json:"_id"`
	Source json.RawMessage `json:"_source"`
}

// all returns all documents, those that cannot be found yet too. The field is to be no text, and in no two the same.
func (x index) all(ctx context.Context, field string) ([]document, error) {
	var refreshed object
	if err := x.ask(ctx, http.MethodPost, "/"+x.pattern+"/_refresh", nil, &refreshed); err != nil {
		return nil, err
	}
	return x.found(ctx, field, true)
}

// found returns all documents that can be found, with all of their source or only the field.
func (x index) found(ctx context.Context, field string, source any) ([]document, error) {
	var docs []document
	var after []any
	for {
		query := object{"size": 5000, "sort": []object{{field: "asc"}}, "_source": source}
		if after != nil {
			query["search_after"] = after
		}
		var answer struct {
			Hits struct {
				Hits []struct {
					document
					Sort []any
				}
			}
		}
		if err := x.ask(ctx, http.MethodPost, "/"+x.pattern+"/_search", query, &answer); err != nil {
			return nil, err
		}
		if len(answer.Hits.Hits) == 0 {
			return docs, nil
		}
		for _, h := range answer.Hits.Hits {
			docs = append(docs, h.document)
			after = h.Sort
		}
	}
}

// progress returns how many documents can be found, and the highest number of a trip among them.
func (x index) progress(ctx context.Context) (tally, error) {
	var answer struct {
		Hits struct {
			Total struct{ Value int64 }
		}
		Aggregations struct {
			Newest struct{ Value *float64 }
		}
	}
	err := x.ask(ctx, http.MethodPost, "/"+x.pattern+"/_search", object{
		"size": 0, "track_total_hits": true, "aggs": object{"newest": object{"max": object{"field": "trip_id"}}},
	}, &answer)
	got := tally{answer.Hits.Total.Value, -1}
	if v := answer.Aggregations.Newest.Value; v != nil {
		got.newest = int64(*v)
	}
	return got, err
}

// A documentWatch follows indices that hold each trip by its number.
type documentWatch struct {
	index index
	trips *trips
	feed  *feed
	poison

	mu  sync.Mutex
	now tally
}

func startDocumentWatch(t *testing.T, r *run, pattern string, p poison) *documentWatch {
	t.Helper()
	w := &documentWatch{index: index{r.lab.theElasticsearch(t).Endpoint(), pattern}, trips: r.lab.trips, feed: r.feed, poison: p, now: tally{0, -1}}
	follow(t, func(ctx context.Context) {
		if got, err := w.index.progress(ctx); err == nil { // else it is away
			w.mu.Lock()
			w.now = got
			w.mu.Unlock()
		}
	})
	return w
}

// follow calls a function from time to time until the test is over.
func follow(t *testing.T, look func(context.Context)) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { stop(); <-done })
	go func() {
		defer close(done)
		tick := time.NewTicker(lookInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				look(ctx)
			}
		}
	}()
}

// tally counts what is no document, as dead letters are to have it, as delivered.
func (w *documentWatch) tally() tally {
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.now
	if got.newest >= 0 {
		got.delivered += w.poisoned(w.feed.sent.Load())
	}
	return got
}

func (w *documentWatch) report(t *testing.T) {
	t.Helper()
	docs, err := w.index.all(t.Context(), "trip_id")
	if err != nil {
		t.Fatal(err)
	}
	var f faults
	var s seen
	sent := w.feed.sent.Load()
	indices := make(map[string]int)
	doubled := 0
	for _, d := range docs {
		indices[d.Index]++
		id, err := tripNumber(d.Source)
		if err != nil || id < 0 || id >= sent || w.kind(id) != wholesome {
			f.fault("%s/%s: %s was not sent, or is poison (%v)", d.Index, d.ID, d.Source, err)
			continue
		}
		if s.add(id) > 1 {
			doubled++
			f.fault("%s/%s: trip %d is there again", d.Index, d.ID, id)
		}
		if want := w.trips.line(id); !bytes.Equal(d.Source, want) {
			f.fault("%s/%s: trip %d is\n%s, was sent as\n%s", d.Index, d.ID, id, d.Source, want)
		}
		if want := indexOf(w.index.pattern, w.trips, id); d.Index != want || d.ID != strconv.FormatInt(id, 10)+w.trips.row(id).StoreAndFwdFlag {
			f.fault("%s/%s: trip %d belongs to %s", d.Index, d.ID, id, want)
		}
	}
	lost, first := s.lost(sent, w.poison)
	if lost > 0 {
		f.always("%d of %d trips are in no index, the first of them is %d", lost, sent, first)
	}
	for _, told := range f.told() {
		t.Error(told)
	}
	t.Logf("%d trips in %d indices: %d lost, %d doubled", s.delivered, len(indices), lost, doubled)
	if len(indices) < 12*len(tripTypes) {
		t.Errorf("there are %d indices, want one for each month and type", len(indices))
	}
}

// indexTemplate and idTemplate name the documents; what is empty but in poisoned trips is in them too.
const (
	indexTemplate = "{type}-{pickup_datetime:2006.01}{padding}"
	idTemplate    = "{trip_id}{store_and_fwd_flag}"
)

// indexOf is the index of a trip.
func indexOf(pattern string, s *trips, id int64) string {
	row := s.row(id)
	return strings.TrimSuffix(pattern, "*") + row.Type + "-" + time.UnixMilli(int64(row.PickupDatetime)).UTC().Format("2006.01")
}

// An updateWatch follows an index that holds the newest trip of each key.
type updateWatch struct {
	index index
	trips *trips
	feed  *feed

	mu      sync.Mutex
	numbers map[string]int64 // of the trips that are there
	faults
}

func startUpdateWatch(t *testing.T, r *run, name string) *updateWatch {
	t.Helper()
	w := &updateWatch{index: index{r.lab.theElasticsearch(t).Endpoint(), name}, trips: r.lab.trips, feed: r.feed, numbers: make(map[string]int64)}
	follow(t, func(ctx context.Context) {
		if docs, err := w.index.found(ctx, "trip_id", []string{"trip_id"}); err == nil { // else it is away
			w.take(docs)
		}
	})
	return w
}

// take notes what a look has found. What has become older since the one before is a fault, whatever it will be in the end:
// once all is there, the newest trips have come again.
func (w *updateWatch) take(docs []document) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range docs {
		id, err := tripNumber(d.Source)
		if err != nil {
			continue
		}
		if was, known := w.numbers[d.ID]; known && id < was {
			w.fault("document %s was of trip %d, and then of trip %d", d.ID, was, id)
		}
		w.numbers[d.ID] = id
	}
}

// newest returns the number of the last trip of each key below a number.
func (s *trips) newest(sent int64) map[string]int64 {
	last := make(map[string]int64)
	for id := max(0, sent-int64(len(s.rows))); id < sent; id++ {
		last[tripKey(s, id)] = id
	}
	return last
}

// tally counts a key whose document is an older one as a trip that has not come.
func (w *updateWatch) tally() tally {
	sent := w.feed.sent.Load()
	w.mu.Lock()
	defer w.mu.Unlock()
	got := tally{sent, -1}
	for key, id := range w.trips.newest(sent) {
		at, known := w.numbers[key]
		if !known || at < id {
			got.delivered--
		}
		if known {
			got.newest = max(got.newest, at)
		}
	}
	return got
}

func (w *updateWatch) report(t *testing.T) {
	t.Helper()
	docs, err := w.index.all(t.Context(), "trip_id")
	if err != nil {
		t.Fatal(err)
	}
	w.take(docs)
	w.mu.Lock()
	defer w.mu.Unlock()
	want := w.trips.newest(w.feed.sent.Load())
	for _, d := range docs {
		id, known := want[d.ID]
		if !known || !bytes.Equal(d.Source, w.trips.line(id)) {
			w.fault("document %s is %s, the last of its trips is %d", d.ID, d.Source, id)
		}
	}
	if len(docs) != len(want) {
		w.always("there are %d documents, want %d", len(docs), len(want))
	}
	for _, told := range w.told() {
		t.Error(told)
	}
	t.Logf("%d documents, each the last of its trips", len(docs))
}
