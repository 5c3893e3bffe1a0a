package elasticsearchio

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio/esfake"
	"github.com/streaming-etl/streaming-etl/logging"
)

func TestDocumentsOfManyIndicesAreReadBack(t *testing.T) {
	cluster := newCluster(t)
	o := quick(cluster.url)
	o.MaxActions = 50 // several requests per lane
	c := newClient(t, o)
	const months, each = 12, 100
	b := c.NewBulk()
	indices := map[string]map[string]string{}
	for month := range months {
		indices[cluster.index(fmt.Sprintf("2018.%02d", month+1))] = map[string]string{}
	}
	for i := range each {
		for index, want := range indices {
			id, source := fmt.Sprintf("trip-%d", i), fmt.Sprintf(`{"fare":%d,"index":"%s"}`, i, index)
			want[id] = source
			if err := b.Add(t.Context(), doc(index, id, source)); err != nil {
				t.Fatal(err)
			}
		}
	}
	rejections, err := b.Flush(t.Context())
	if err != nil || len(rejections) > 0 {
		t.Fatal(rejections, err)
	}
	for index, want := range indices {
		if got, _ := cluster.documents(index); !maps.Equal(got, want) {
			t.Errorf("%s: got %d documents, want %d: %v", index, len(got), len(want), got)
		}
	}
	if s := c.Stats(); s.Documents != months*each || s.Retries != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestIDsOfAnyTextAreKept(t *testing.T) {
	cluster := newCluster(t)
	c := newClient(t, quick(cluster.url))
	index := cluster.index("ids")
	want := map[string]string{}
	var documents []*Document
	for i, id := range []string{
		"plain", `quote " and \ backslash`, "tab\tnewline\nreturn\r", "\x01\x1f\x7f", "é ü 漢字 🚕", "</script>", "a b", " ",
		strings.Repeat("x", 512), strings.Repeat("漢", 170), "{}", `"`, `\`, `\u0041`, "\u2028",
	} {
		d := doc(index, id, fmt.Sprintf(`{"n":%d}`, i))
		d.Routing = []byte(id[:1]) // also bytes that are half a rune
		if i != 4 && i != 9 {
			d.Routing = []byte(id)
		} else {
			d.Routing = nil
		}
		documents = append(documents, d)
		want[id] = string(d.Source)
	}
	if rejections := write(t, c, documents...); len(rejections) > 0 {
		t.Fatal(rejections)
	}
	if got, _ := cluster.documents(index); !maps.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDocumentsOverSeveralLinesStayOne(t *testing.T) {
	cluster := newCluster(t)
	c := newClient(t, quick(cluster.url))
	index := cluster.index("lines")
	update := doc(index, "2", "{\r\n\t\"a\":\n2}\n")
	update.Op = Update
	if rejections := write(t, c, doc(index, "1", "{\n  \"a\": 1,\n  \"b\": \"x\\ny\"\n}"), update); len(rejections) > 0 {
		t.Fatal(rejections)
	}
	want := map[string]string{"1": `{"a":1,"b":"x\ny"}`, "2": `{"a":2}`}
	if got, _ := cluster.documents(index); !maps.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestOlderVersionsNeverOverwriteNewerOnes(t *testing.T) {
	cluster := newCluster(t)
	c := newClient(t, quick(cluster.url))
	index := cluster.index("versions")
	versioned := func(op Op, id string, version int64) *Document {
		d := doc(index, id, fmt.Sprintf(`{"v":%d}`, version))
		d.Op, d.Version, d.Versioned = op, version, true
		if op == Delete {
			d.Source = nil
		}
		return d
	}
	documents := func() []*Document {
		return []*Document{
			versioned(Index, "a", 5), versioned(Index, "a", 7), versioned(Index, "a", 6),
			versioned(Index, "b", 1), versioned(Delete, "b", 9), versioned(Index, "b", 8),
			versioned(Delete, "c", 2), versioned(Index, "c", 3), versioned(Delete, "c", 2),
			versioned(Index, "d", 9223372036854775807),
			versioned(Index, "e", 0), versioned(Index, "f", 1), versioned(Index, "f", 0),
		}
	}
	for range 2 { // and once more, as a bundle that is done anew
		if rejections := write(t, c, documents()...); len(rejections) > 0 {
			t.Fatal(rejections)
		}
	}
	sources, versions := cluster.documents(index)
	if want := map[string]string{"a": `{"v":7}`, "c": `{"v":3}`, "d": `{"v":9223372036854776000}`, "e": `{"v":0}`, "f": `{"v":1}`}; !maps.Equal(sources, want) {
		t.Errorf("got %v, want %v", sources, want)
	}
	if versions["a"] != 7 || versions["c"] != 3 || versions["e"] != 0 {
		t.Errorf("versions %v", versions)
	}
	if s := c.Stats(); s.Documents != 26 || s.Conflicts < 3 {
		t.Errorf("stats %+v", s)
	}
}

func TestCreateOfAReplayIsDone(t *testing.T) {
	cluster := newCluster(t)
	c := newClient(t, quick(cluster.url))
	index := cluster.index("create")
	for _, source := range []string{`{"n":1}`, `{"n":2}`} {
		d := doc(index, "1", source)
		d.Op = Create
		if rejections := write(t, c, d); len(rejections) > 0 {
			t.Fatal(rejections)
		}
	}
	if got, _ := cluster.documents(index); got["1"] != `{"n":1}` {
		t.Errorf("got %v, want the first one", got)
	}
	if s := c.Stats(); s.Conflicts != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestUpdatesMergeAndCreate(t *testing.T) {
	cluster := newCluster(t)
	c := newClient(t, quick(cluster.url))
	index := cluster.index("update")
	update := func(id, source string) *Document {
		d := doc(index, id, source)
		d.Op = Update
		return d
	}
	if rejections := write(t, c, doc(index, "1", `{"a":1,"b":1}`), update("1", `{"b":2,"c":3}`), update("2", `{"a":5}`)); len(rejections) > 0 {
		t.Fatal(rejections)
	}
	want := map[string]string{"1": `{"a":1,"b":2,"c":3}`, "2": `{"a":5}`}
	if got, _ := cluster.documents(index); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestDeletingWhatIsNotThereIsDone(t *testing.T) {
	cluster := newCluster(t)
	c := newClient(t, quick(cluster.url))
	index := cluster.index("delete")
	gone := doc(index, "1", "")
	gone.Op = Delete
	missing := doc(index, "2", "")
	missing.Op = Delete
	nowhere := doc(index+"-none", "1", "")
	nowhere.Op = Delete
	if rejections := write(t, c, doc(index, "1", `{"a":1}`), nowhere, gone, missing, doc(index, "3", `{"a":1}`)); len(rejections) > 0 {
		t.Fatal(rejections)
	}
	if got, _ := cluster.documents(index); len(got) != 1 || got["3"] == "" {
		t.Errorf("got %v", got)
	}
}

func TestPoisonIsRefusedWithItsReasonAndHoldsNothingBack(t *testing.T) {
	cluster := newCluster(t)
	o := quick(cluster.url)
	o.Concurrency = 1
	c := newClient(t, o)
	index := cluster.index("poison")
	template := cluster.name
	cluster.must(http.MethodPut, "/_index_template/"+template,
		fmt.Sprintf(`{"index_patterns":["%s*"],"priority":700,"template":{"mappings":{"properties":{"fare":{"type":"double"},"at":{"type":"date"}}}}}`, index))
	t.Cleanup(func() { cluster.call(http.MethodDelete, "/_index_template/"+template, "") })

	twice := doc(index, "twice", `{"fare":1,"fare":2}`) // fails the whole request of an update
	twice.Op = Update
	half := doc(index, "half", `{"fare":`)
	half.Op = Update
	pipeline := doc(index, "pipeline", `{"fare":1}`)
	pipeline.Pipeline = []byte(cluster.name + "-none")
	negative := doc(index, "negative", `{"fare":1}`)
	negative.Version = -4
	gone := doc(index, strings.Repeat("d", 513), "")
	gone.Op = Delete
	poison := []struct {
		document *Document
		reason   string
		detail   string
	}{
		{doc(index, "fare", `{"fare":"much"}`), ReasonMapping, "failed to parse field [fare] of type [double]"},
		{doc(index, "at", `{"at":"soon"}`), ReasonMapping, "document_parsing_exception"},
		{doc(strings.ToUpper(index), "1", `{"fare":1}`), ReasonInvalidIndex, "must be lowercase"},
		{doc(index+"*", "1", `{"fare":1}`), ReasonInvalidIndex, "must not contain"},
		{doc("_"+index, "1", `{"fare":1}`), ReasonInvalidIndex, "must not start with"},
		{doc("<"+index+"-{fare}>", "1", `{"fare":1}`), ReasonInvalidIndex, "'<'"},
		{doc(index+strings.Repeat("x", 255), "1", `{"fare":1}`), ReasonInvalidIndex, "too long"},
		{doc("", "1", `{"fare":1}`), ReasonInvalidIndex, "empty"},
		{doc("\xff", "1", `{"fare":1}`), ReasonInvalidIndex, "UTF-8"},
		{doc(index, strings.Repeat("é", 257), `{"fare":1}`), ReasonTooLongID, "514 bytes"},
		{gone, ReasonTooLongID, "513 bytes"},
		{doc(index, "", `{"fare":1}`), ReasonMissingID, "empty"},
		{doc(index, "\xff", `{"fare":1}`), ReasonInvalidID, "UTF-8"},
		{negative, ReasonInvalidVersion, "-4"},
		{doc(index, "json", `{"fare":`), ReasonMapping, "document_parsing_exception"},
		{doc(index, "array", `[1]`), ReasonMapping, "document_parsing_exception"},
		{doc(index, "lines", "{\"fare\":\n1"), ReasonInvalidJSON, "JSON object"},
		{doc(index, "nothing", ""), ReasonInvalidJSON, "empty"},
		{half, ReasonInvalidJSON, "JSON object"},
		{twice, ReasonInvalidJSON, "x_content_parse_exception"},
		{pipeline, "illegal_argument", "does not exist"},
	}
	var documents []*Document
	want := 0
	for i, p := range poison {
		documents = append(documents, doc(index, fmt.Sprintf("good-%d", i), `{"fare":1.5,"at":"2018-01-01T00:00:00Z"}`), p.document)
		want++
	}
	got := map[int]Rejection{}
	for _, r := range write(t, c, documents...) {
		got[r.Ref] = r
	}
	for i, p := range poison {
		r, ok := got[2*i+1]
		if !ok || r.Reason != p.reason || !strings.Contains(r.Detail, p.detail) {
			t.Errorf("%s: got %+v, want %s with %q", p.document.ID, r, p.reason, p.detail)
		}
	}
	if len(got) != len(poison) {
		t.Errorf("got %d rejections, want %d", len(got), len(poison))
	}
	if n := cluster.count(index); n != want {
		t.Errorf("%d documents are there, want %d", n, want)
	}
}

func TestBlockedIndexStopsTheFlowUntilItIsFree(t *testing.T) {
	for _, block := range []string{"index.blocks.write", "index.blocks.read_only_allow_delete"} {
		t.Run(block, func(t *testing.T) {
			cluster := newCluster(t)
			c := newClient(t, quick(cluster.url))
			index := cluster.index("blocked")
			cluster.must(http.MethodPut, "/"+index, "")
			cluster.must(http.MethodPut, "/"+index+"/_settings", fmt.Sprintf(`{"%s":true}`, block))
			b := c.NewBulk()
			for i := range 20 {
				if err := b.Add(t.Context(), doc(index, fmt.Sprint(i), `{"a":1}`)); err != nil {
					t.Fatal(err)
				}
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				if rejections, err := b.Flush(t.Context()); err != nil || len(rejections) > 0 {
					t.Error(rejections, err)
				}
			})
			eventually(t, "documents are tried again", func() bool { return c.Stats().Retries > 40 })
			if n := c.Stats().Documents; n != 0 {
				t.Errorf("%d documents in a blocked index", n)
			}
			cluster.must(http.MethodPut, "/"+index+"/_settings", fmt.Sprintf(`{"%s":null}`, block))
			wg.Wait()
			if n := cluster.count(index); n != 20 {
				t.Errorf("%d documents are there", n)
			}
		})
	}
}

// Events name the indices of days that somebody has closed for writing: they
// hold nothing back, while one that is full or that all events go to is waited for.
func TestAReadOnlyIndexThatADocumentHasChosenRefusesIt(t *testing.T) {
	for _, test := range []struct {
		name, settings string
		varies, waits  bool
	}{
		{"write", `{"index.blocks.write":%v}`, true, false},
		{"read-only", `{"index.blocks.read_only":%v}`, true, false},
		{"both", `{"index.blocks.write":%[1]v,"index.blocks.read_only":%[1]v}`, true, false},
		{"flood stage", `{"index.blocks.read_only_allow_delete":%v}`, true, true},
		{"write and flood stage", `{"index.blocks.write":%[1]v,"index.blocks.read_only_allow_delete":%[1]v}`, true, true},
		{"the one index", `{"index.blocks.write":%v}`, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			cluster := newCluster(t)
			o := quick(cluster.url)
			o.ItemDeadline = time.Nanosecond
			c := newClient(t, o)
			index, other := cluster.index("closed"), cluster.index("open")
			cluster.must(http.MethodPut, "/"+index, "")
			free := func() { cluster.must(http.MethodPut, "/"+index+"/_settings", fmt.Sprintf(test.settings, "null")) }
			cluster.must(http.MethodPut, "/"+index+"/_settings", fmt.Sprintf(test.settings, "true"))
			b := c.NewBulk()
			for i, d := range append(numbered(other, 10), doc(index, "closed", `{"a":1}`)) {
				d.Ref, d.IndexVaries = i, test.varies
				if err := b.Add(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			var (
				wg         sync.WaitGroup
				rejections []Rejection
			)
			wg.Go(func() {
				var err error
				if rejections, err = b.Flush(t.Context()); err != nil {
					t.Error(err)
				}
			})
			if !test.waits {
				wg.Wait()
				if len(rejections) != 1 || rejections[0].Ref != 10 || rejections[0].Reason != ReasonIndexBlocked || !strings.Contains(rejections[0].Detail, "(api)") {
					t.Errorf("rejections %+v", rejections)
				}
				free()
				return
			}
			eventually(t, "it is tried again and again", func() bool { return c.Stats().Retries > 20 })
			free()
			wg.Wait()
			if n := cluster.count(index); n != 1 || len(rejections) > 0 {
				t.Errorf("%d documents, rejections %+v", n, rejections)
			}
		})
	}
}

func TestTheLastOfManyDocumentsOfAnIDStays(t *testing.T) {
	cluster := newCluster(t)
	o := quick(cluster.url)
	o.MaxActions = 7 // many requests, so that some could overtake
	c := newClient(t, o)
	index := cluster.index("order")
	want := map[string]string{}
	const ids, writes = 25, 40
	for range 3 { // bundles one after the other
		b := c.NewBulk()
		for n := range writes {
			for id := range ids {
				source := fmt.Sprintf(`{"n":%d}`, n)
				if err := b.Add(t.Context(), doc(index, fmt.Sprint(id), source)); err != nil {
					t.Fatal(err)
				}
				want[fmt.Sprint(id)] = source
			}
		}
		if rejections, err := b.Flush(t.Context()); err != nil || len(rejections) > 0 {
			t.Fatal(rejections, err)
		}
		got, versions := cluster.documents(index)
		if !maps.Equal(got, want) {
			t.Fatalf("got %v", got)
		}
		if v := versions["0"]; v%writes != 0 {
			t.Errorf("%d writes", v)
		}
	}
}

func TestBundlesAtTheSameTimeGetTheirOwnRejections(t *testing.T) {
	cluster := newCluster(t)
	c := newClient(t, quick(cluster.url))
	index := cluster.index("bundles")
	var wg sync.WaitGroup
	for bundle := range 8 {
		wg.Go(func() {
			b := c.NewBulk()
			for i := range 50 {
				d := doc(index, fmt.Sprintf("%d-%d", bundle, i), `{"a":1}`)
				if i == bundle {
					d.Source = []byte(`[]`)
				}
				d.Ref = 1000*bundle + i
				if err := b.Add(t.Context(), d); err != nil {
					t.Error(err)
				}
			}
			rejections, err := b.Flush(t.Context())
			if err != nil || len(rejections) != 1 || rejections[0].Ref != 1001*bundle || rejections[0].Reason != ReasonMapping {
				t.Errorf("bundle %d: %v, %v", bundle, rejections, err)
			}
		})
	}
	wg.Wait()
	if n := cluster.count(index); n != 8*49 {
		t.Errorf("%d documents", n)
	}
}

func TestTemplatesArePutAgainAndAgain(t *testing.T) {
	cluster := newCluster(t)
	c := newClient(t, quick(cluster.url))
	name := cluster.name
	t.Cleanup(func() {
		cluster.call(http.MethodDelete, "/_index_template/"+name, "")
		cluster.call(http.MethodDelete, "/_component_template/"+name, "")
	})
	file := fmt.Sprintf(`{
		"component_templates": {"%[1]s": {"template": {"mappings": {"properties": {"fare": {"type": "double"}}}}}},
		"index_templates": {"%[1]s": {"index_patterns": ["%[1]s*"], "priority": 701, "composed_of": ["%[1]s"]}}
	}`, name)
	for range 3 {
		if err := c.PutTemplate(t.Context(), []byte(file)); err != nil {
			t.Fatal(err)
		}
	}
	index := cluster.index("templates")
	got := reasons(write(t, c, doc(index, "1", `{"fare":"x"}`), doc(index, "2", `{"fare":1}`)))
	if len(got) != 1 || got[0] != ReasonMapping {
		t.Errorf("rejections %v", got)
	}
	changed := strings.Replace(file, "double", "keyword", 1)
	if err := c.PutTemplate(t.Context(), []byte(changed)); err != nil {
		t.Fatal(err)
	}
	if rejections := write(t, c, doc(cluster.index("changed"), "1", `{"fare":"x"}`)); len(rejections) > 0 {
		t.Errorf("the new template does not act: %v", rejections)
	}
	err := c.PutTemplate(t.Context(), fmt.Appendf(nil, `{"index_templates": {"%s": {"index_patterns": ["%s*"], "colour": 1}}}`, name, name))
	if err == nil || !strings.Contains(err.Error(), "put index template "+name) || !strings.Contains(err.Error(), "colour") {
		t.Errorf("error %v", err)
	}
}

// What nobody has mapped is mapped by the first document that has it.
func TestTheFirstStringOfAFieldMakesADateOfIt(t *testing.T) {
	cluster := newCluster(t)
	c := newClient(t, quick(cluster.url))
	for i, test := range []struct {
		first  string
		isDate bool
	}{
		{"2026-01-01", true}, {"2026-01", true}, {"2026-01-01T12:30", true}, {"2026-01-01T12:30:15.250Z", true}, {"2026-01-01T12:30:15+0100", true},
		{"2026/01/01", true}, {"2026/01/01 12:30:15", true},
		{"2026", false}, {"1514764800000", false}, {"1.5", false}, {"2026-13-01", false}, {"2026-01-01 12:30", false}, {"01.01.2026", false}, {"", false}, {"text", false},
		{"2026-1-1", false}, {`{"at":"2026-01-01"}`, false},
	} {
		index := cluster.index(fmt.Sprintf("first-%d", i))
		first := doc(index, "1", string(appendString([]byte(`{"payload":`), []byte(test.first)))+"}")
		if rejections := write(t, c, first); len(rejections) > 0 {
			t.Fatalf("%s: %+v", test.first, rejections)
		}
		rejections := write(t, c, doc(index, "2", `{"payload":"no date"}`))
		if test.isDate != (len(rejections) == 1 && rejections[0].Reason == ReasonMapping) {
			t.Errorf("after %q: rejections %+v", test.first, rejections)
		}
	}
}

func TestAnIndexIsMadeOnceWithItsMapping(t *testing.T) {
	cluster := newCluster(t)
	c := newClient(t, quick(cluster.url))
	index := cluster.index("made")
	const mapping = `{"mappings":{"date_detection":false,"properties":{"at":{"type":"date"},"raw":{"type":"binary"}}}}`
	for range 2 {
		if err := c.CreateIndex(t.Context(), index, []byte(mapping)); err != nil {
			t.Fatal(err)
		}
	}
	got := reasons(write(t, c,
		doc(index, "1", `{"payload":"2026-01-01","at":"2026-01-01","raw":"MjAyNi0wMS0wMQ=="}`), doc(index, "2", `{"payload":"no date"}`), doc(index, "3", `{"at":"no date"}`)))
	if len(got) != 1 || got[2] != ReasonMapping {
		t.Errorf("rejections %v", got)
	}
	// One that is there keeps its own.
	other := cluster.index("there")
	write(t, c, doc(other, "1", `{"payload":"2026-01-01"}`))
	if err := c.CreateIndex(t.Context(), other, []byte(mapping)); err != nil {
		t.Fatal(err)
	}
	if got := reasons(write(t, c, doc(other, "2", `{"payload":"no date"}`))); got[0] != ReasonMapping {
		t.Errorf("rejections %v", got)
	}
	err := c.CreateIndex(t.Context(), strings.ToUpper(index), []byte(mapping))
	if err == nil || !strings.Contains(err.Error(), "create index ") || !strings.Contains(err.Error(), "lowercase") {
		t.Errorf("error %v", err)
	}
}

// An index is made while nobody may make one, or look at one: the error comes at
// once, and one that is there is none.
func TestABlockOfNewIndicesIsNotWaitedFor(t *testing.T) {
	s := startFake(t, esfake.Options{OpenSearch: true})
	cluster := &cluster{t: t, url: s.URL, name: "blocked"}
	c := newClient(t, quick(s.URL))
	cluster.must(http.MethodPut, "/there", "")
	cluster.must(http.MethodPut, "/closed", "")
	cluster.must(http.MethodPut, "/closed/_settings", `{"index.blocks.metadata":true}`)
	cluster.must(http.MethodPut, "/_cluster/settings", `{"persistent":{"cluster.blocks.create_index":true}}`)
	if err := c.CreateIndex(t.Context(), "there", []byte("{}")); err != nil {
		t.Errorf("an index that is there: %v", err)
	}
	for name, kind := range map[string]string{"new": createBlockedKind, "closed": blockedKind} {
		var fault *Error
		err := c.CreateIndex(t.Context(), name, []byte("{}"))
		if !errors.As(err, &fault) || fault.Kind != kind || fault.Attempts != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := write(t, c, doc("closed", "1", "{}"), doc("there", "1", "{}")); len(got) > 0 {
		t.Errorf("rejections %v", got)
	}
}

// A user may write to an index, and make it, but not ask for it.
func TestAnIndexIsMadeByWhoMayNotAskForIt(t *testing.T) {
	s := startFake(t, esfake.Options{})
	s.OnRequest(func(r esfake.Request) *esfake.Fault {
		if r.Method == http.MethodHead {
			return &esfake.Fault{Status: http.StatusForbidden}
		}
		return nil
	})
	c := newClient(t, quick(s.URL))
	for range 2 {
		if err := c.CreateIndex(t.Context(), "made", []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Indices(); !slices.Equal(got, []string{"made"}) {
		t.Errorf("indices %v", got)
	}
}

// A cluster that has no master answers with a block too, which passes.
func TestAnIndexIsMadeAfterAnOutageThatIsTold(t *testing.T) {
	s := startFake(t, esfake.Options{})
	var puts atomic.Int64
	s.OnRequest(func(r esfake.Request) *esfake.Fault {
		if r.Method != http.MethodPut {
			return nil
		}
		if puts.Add(1) > 3 {
			return nil
		}
		return &esfake.Fault{Status: http.StatusServiceUnavailable, Body: `{"error":{"type":"cluster_block_exception","reason":"blocked by: [SERVICE_UNAVAILABLE/2/no master];"},"status":503}`}
	})
	var log bytes.Buffer
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(logging.NewWriter(&log, logging.Options{Burst: -1})))
	if err := newClient(t, quick(s.URL)).CreateIndex(t.Context(), "made", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "create index made") || !strings.Contains(got, "no master") {
		t.Errorf("logged %q", got)
	}
}

func TestDataStreamsTakeCreates(t *testing.T) {
	cluster := newCluster(t)
	c := newClient(t, quick(cluster.url))
	stream := cluster.name + "-stream"
	template := fmt.Sprintf(`"index_templates": {"%[1]s": {"index_patterns": ["%[1]s*"], "priority": 702, "data_stream": {}}}`, stream)
	file := `{` + template + fmt.Sprintf(`, "data_streams": ["%s"]}`, stream)
	if status, _ := cluster.call(http.MethodGet, "/_data_stream/"+stream, ""); status == http.StatusMethodNotAllowed {
		// A distribution without that module makes streams by writing to them.
		file = `{` + template + `}`
	}
	t.Cleanup(func() {
		cluster.call(http.MethodDelete, "/_data_stream/"+stream, "")
		cluster.call(http.MethodDelete, "/_index_template/"+stream, "")
	})
	for range 2 {
		if err := c.PutTemplate(t.Context(), []byte(file)); err != nil {
			t.Fatal(err)
		}
	}
	create := func(id string) *Document {
		d := doc(stream, id, `{"@timestamp":"2018-01-01T00:00:00Z"}`)
		d.Op = Create
		return d
	}
	untimed := doc(stream, "3", `{}`)
	untimed.Op = Create
	got := reasons(write(t, c, create("1"), create("2"), create("1"), untimed, doc(stream, "4", `{"@timestamp":"2018-01-01T00:00:00Z"}`)))
	if len(got) != 2 || got[3] != ReasonMapping || got[4] != "illegal_argument" {
		t.Errorf("rejections %v", got)
	}
	if n := cluster.count(stream); n != 2 {
		t.Errorf("%d documents", n)
	}
}

func TestCheckFindsTheCluster(t *testing.T) {
	cluster := newCluster(t)
	if err := quick(cluster.url, cluster.url+"/").Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPlainRequestsWorkToo(t *testing.T) {
	cluster := newCluster(t)
	o := quick(cluster.url)
	o.Uncompressed = true
	index := cluster.index("plain")
	if rejections := write(t, newClient(t, o), doc(index, "1", `{"a":1}`)); len(rejections) > 0 {
		t.Fatal(rejections)
	}
	if n := cluster.count(index); n != 1 {
		t.Errorf("%d documents", n)
	}
}

func TestADocumentLargerThanARequestGoesAlone(t *testing.T) {
	cluster := newCluster(t)
	o := quick(cluster.url)
	o.MaxBytes, o.Concurrency = 10_000, 1
	c := newClient(t, o)
	index := cluster.index("large")
	large := doc(index, "2", fmt.Sprintf(`{"a":"%s"}`, strings.Repeat("x", 30_000)))
	if rejections := write(t, c, doc(index, "1", `{"a":"y"}`), large, doc(index, "3", `{"a":"z"}`)); len(rejections) > 0 {
		t.Fatal(rejections)
	}
	if n := cluster.count(index); n != 3 {
		t.Errorf("%d documents", n)
	}
	if s := c.Stats(); s.Requests != 3 {
		t.Errorf("%d requests", s.Requests)
	}
}
