package elasticsearchio

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio/esfake"
)

func TestTryingToWriteLeavesNothing(t *testing.T) {
	cluster := newCluster(t)
	c := newClient(t, quick(cluster.url))
	there, missing := cluster.index("there"), cluster.index("missing")
	if rejections := write(t, c, doc(there, "1", `{"a":1}`)); len(rejections) > 0 {
		t.Fatal(rejections)
	}
	if trial := c.TryWriting(t.Context(), there); trial.Write != nil || trial.Delete != nil {
		t.Errorf("an index that is there: %+v", trial)
	}
	if trial := c.TryWriting(t.Context(), missing); trial.Write != nil || !errors.Is(trial.Delete, ErrNoTrial) {
		t.Errorf("an index that is not there: %+v", trial)
	}
	if got, _ := cluster.documents(there); len(got) != 1 {
		t.Errorf("the index has %v", got)
	}
	if status, _ := cluster.call(http.MethodHead, "/"+missing, ""); status != http.StatusNotFound {
		t.Errorf("the index that was not there answers %d", status)
	}
	// Where the index's writing is blocked the user may write all the same.
	cluster.must(http.MethodPut, "/"+there+"/_settings", `{"index.blocks.write":true}`)
	var e *Error
	if trial := c.TryWriting(t.Context(), there); !errors.As(trial.Write, &e) || e.Denied() {
		t.Errorf("a blocked index: %+v", trial)
	}
}

func TestWhatMayNotBeWrittenIsDenied(t *testing.T) {
	denied := func(err error) bool {
		var e *Error
		return errors.As(err, &e) && e.Denied()
	}
	item := func(op string) func(esfake.Item) *esfake.ItemFault {
		return func(i esfake.Item) *esfake.ItemFault {
			if i.Op != op {
				return nil
			}
			return &esfake.ItemFault{Status: http.StatusForbidden, Type: "security_exception", Reason: "no permissions for [indices:data/write/" + op + "] and User [name=etl]"}
		}
	}
	forbidden := func(method, path string) func(*http.Request, []byte) (int, string) {
		return func(r *http.Request, _ []byte) (int, string) {
			if r.Method == method && strings.HasPrefix(r.URL.Path, path) {
				return http.StatusForbidden, "no permissions"
			}
			return 0, ""
		}
	}
	for _, test := range []struct {
		name          string
		authorize     func(*http.Request, []byte) (int, string)
		onItem        func(esfake.Item) *esfake.ItemFault
		there         bool
		write, delete bool
	}{
		{"bulk requests", forbidden(http.MethodPost, "/_bulk"), nil, true, true, true},
		{"documents of an index", nil, item("index"), true, true, false},
		{"deletions", nil, item("delete"), true, false, true},
		{"documents of an index that is not there", forbidden(http.MethodPut, "/trips/_doc/"), nil, false, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := startFake(t, esfake.Options{OpenSearch: true, Authorize: test.authorize})
			c := newClient(t, quick(server.URL))
			if test.there {
				res, err := http.Post(server.URL+"/trips/_doc/1", "application/json", strings.NewReader(`{"a":1}`))
				if err != nil || res.Body.Close() != nil || res.StatusCode != http.StatusCreated {
					t.Fatal(res, err)
				}
			}
			server.OnItem(test.onItem)
			trial := c.TryWriting(t.Context(), "trips")
			if denied(trial.Write) != test.write || denied(trial.Delete) != test.delete {
				t.Errorf("%+v", trial)
			}
			if n := len(server.Indices()); (n == 1) != test.there {
				t.Errorf("%d indices", n)
			}
		})
	}
}

func TestAGatewayThatRefusesOtherCallsDeniesNoWriting(t *testing.T) {
	server := startFake(t, esfake.Options{OpenSearch: true})
	server.OnRequest(func(r esfake.Request) *esfake.Fault {
		if r.Method != http.MethodPut {
			return nil
		}
		return &esfake.Fault{Status: http.StatusForbidden, Body: `{"Message":"User: etl is not authorized to perform: es:ESHttpPut"}`}
	})
	if trial := newClient(t, quick(server.URL)).TryWriting(t.Context(), "trips"); !errors.Is(trial.Write, ErrNoTrial) {
		t.Errorf("%+v", trial)
	}
}

func TestTryingADataStreamLeavesNothing(t *testing.T) {
	cluster := newCluster(t)
	c := newClient(t, quick(cluster.url))
	stream := cluster.name + "-stream"
	cluster.must(http.MethodPut, "/_index_template/"+stream, `{"index_patterns":["`+stream+`"],"data_stream":{},"priority":500}`)
	t.Cleanup(func() {
		cluster.call(http.MethodDelete, "/_data_stream/"+stream, "")
		cluster.call(http.MethodDelete, "/_index_template/"+stream, "")
	})
	if trial := c.TryWriting(t.Context(), stream); trial.Write != nil || !errors.Is(trial.Delete, ErrNoTrial) {
		t.Errorf("one that is not there: %+v", trial)
	}
	if status, _ := cluster.call(http.MethodHead, "/"+stream, ""); status != http.StatusNotFound {
		t.Errorf("the data stream that was not there answers %d", status)
	}
	if rejections := write(t, c, &Document{Op: Create, Index: []byte(stream), ID: []byte("1"), Source: []byte(`{"@timestamp":"2018-01-01T00:00:00Z"}`)}); len(rejections) > 0 {
		t.Fatal(rejections)
	}
	if trial := c.TryWriting(t.Context(), stream); trial.Write != nil || !errors.Is(trial.Delete, ErrNoTrial) {
		t.Errorf("one that is there: %+v", trial)
	}
	if n := cluster.count(stream); n != 1 {
		t.Errorf("the data stream has %d documents", n)
	}
}
