package esfake

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// call returns the status and the answer as text.
func call(t *testing.T, s *Server, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(data)
}

// TestAnswersAreElasticsearchs has requests and, word for word, what
// Elasticsearch 8.19 answered to them.
func TestAnswersAreElasticsearchs(t *testing.T) {
	s := start(t, Options{})
	const filter = "?filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason"
	for _, c := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"versions", `{"index":{"_index":"v","_id":"1","version":3,"version_type":"external_gte"}}
{"a":1}
{"index":{"_index":"v","_id":"1","version":3,"version_type":"external_gte"}}
{"a":1}
{"index":{"_index":"v","_id":"1","version":2,"version_type":"external_gte"}}
{"a":1}
{"delete":{"_index":"v","_id":"1","version":5,"version_type":"external_gte"}}
{"index":{"_index":"v","_id":"1","version":4,"version_type":"external_gte"}}
{"a":1}
{"create":{"_index":"v","_id":"2"}}
{"a":1}
{"create":{"_index":"v","_id":"2"}}
{"a":1}
{"delete":{"_index":"v","_id":"77"}}
{"delete":{"_index":"nope","_id":"77","version":5,"version_type":"external_gte"}}
{"update":{"_index":"v","_id":"99"}}
{"doc":{"x":1}}
`, 200, `{"errors":true,"items":[{"index":{"status":201}},{"index":{"status":200}},{"index":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[1]: version conflict, current version [3] is higher than the one provided [2]"}}},{"delete":{"status":200}},{"index":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[1]: version conflict, current version [5] is higher than the one provided [4]"}}},{"create":{"status":201}},{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[2]: version conflict, document already exists (current version [1])"}}},{"delete":{"status":404}},{"delete":{"status":404}},{"update":{"status":404,"error":{"type":"document_missing_exception","reason":"[99]: document missing"}}}]}`},
		{"an empty id", `{"index":{"_index":"ok","_id":""}}
{"a":1}
`, 200, `{"errors":true,"items":[{"index":{"status":400,"error":{"type":"illegal_argument_exception","reason":"if _id is specified it must not be empty"}}}]}`},
		{"a version of a create", `{"create":{"_index":"ok","_id":"1","version":3,"version_type":"external_gte"}}
{"a":1}
`, 400, `{"error":{"root_cause":[{"type":"action_request_validation_exception","reason":"Validation Failed: 1: create operations only support internal versioning. use index instead;"}],"type":"action_request_validation_exception","reason":"Validation Failed: 1: create operations only support internal versioning. use index instead;"},"status":400}`},
		{"a version of an update", `{"update":{"_index":"ok","_id":"1","version":3,"version_type":"external_gte"}}
{"doc":{"a":1}}
`, 400, `{"error":{"root_cause":[{"type":"illegal_argument_exception","reason":"Update requests do not support versioning. Please use ` + "`if_seq_no` and `if_primary_term`" + ` instead"}],"type":"illegal_argument_exception","reason":"Update requests do not support versioning. Please use ` + "`if_seq_no` and `if_primary_term`" + ` instead"},"status":400}`},
		{"no line end", `{"index":{"_index":"m","_id":"7"}}
{"a":5}`, 400, `{"error":{"root_cause":[{"type":"illegal_argument_exception","reason":"The bulk request must be terminated by a newline [\\n]"}],"type":"illegal_argument_exception","reason":"The bulk request must be terminated by a newline [\\n]"},"status":400}`},
		{"nothing", ``, 400, `{"error":{"root_cause":[{"type":"parse_exception","reason":"request body is required"}],"type":"parse_exception","reason":"request body is required"},"status":400}`},
		{"an unknown action", `{"foo":{"_index":"m","_id":"7"}}
{"a":5}
`, 400, `{"error":{"root_cause":[{"type":"illegal_argument_exception","reason":"Malformed action/metadata line [1], expected field [create], [delete], [index] or [update] but found [foo]"}],"type":"illegal_argument_exception","reason":"Malformed action/metadata line [1], expected field [create], [delete], [index] or [update] but found [foo]"},"status":400}`},
		{"a pipeline that is not there", `{"index":{"_index":"m","_id":"7","pipeline":"nope"}}
{"a":5}
`, 200, `{"errors":true,"items":[{"index":{"status":400,"error":{"type":"illegal_argument_exception","reason":"pipeline with id [nope] does not exist"}}}]}`},
		{"conditions", `{"index":{"_index":"v","_id":"check","if_seq_no":2147483647,"if_primary_term":2147483647,"pipeline":"_none"}}
{}
{"index":{"_index":"c","_id":"1"}}
{"a":1}
{"index":{"_index":"c","_id":"1","if_seq_no":7,"if_primary_term":1}}
{"a":1}
{"index":{"_index":"c","_id":"1","if_seq_no":0,"if_primary_term":1}}
{"a":1}
{"delete":{"_index":"c","_id":"1","if_seq_no":0,"if_primary_term":1}}
{"delete":{"_index":"gone","_id":"1","if_seq_no":0,"if_primary_term":1}}
`, 200, `{"errors":true,"items":[{"index":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[check]: version conflict, required seqNo [2147483647], primary term [2147483647]. but no document was found"}}},{"index":{"status":201}},{"index":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[1]: version conflict, required seqNo [7], primary term [1]. current document has seqNo [0] and primary term [1]"}}},{"index":{"status":200}},{"delete":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[1]: version conflict, required seqNo [0], primary term [1]. current document has seqNo [1] and primary term [1]"}}},{"delete":{"status":404,"error":{"type":"index_not_found_exception","reason":"no such index [gone]"}}}]}`},
		{"a condition of a create", `{"create":{"_index":"c","_id":"2","if_seq_no":7,"if_primary_term":7}}
{}
`, 400, `{"error":{"root_cause":[{"type":"action_request_validation_exception","reason":"Validation Failed: 1: create operations do not support compare and set. use index instead;"}],"type":"action_request_validation_exception","reason":"Validation Failed: 1: create operations do not support compare and set. use index instead;"},"status":400}`},
		{"half a condition", `{"index":{"_index":"c","_id":"2","if_seq_no":7}}
{}
`, 400, `{"error":{"root_cause":[{"type":"action_request_validation_exception","reason":"Validation Failed: 1: ifSeqNo is set, but primary term is [0];"}],"type":"action_request_validation_exception","reason":"Validation Failed: 1: ifSeqNo is set, but primary term is [0];"},"status":400}`},
	} {
		status, got := call(t, s, http.MethodPost, "/_bulk"+filter, c.body)
		if status != c.status || !same(t, got, c.want) {
			t.Errorf("%s: %d\n got %s\nwant %s", c.name, status, got, c.want)
		}
	}
	const wantAlias = `{"error":{"root_cause":[{"type":"index_not_found_exception","reason":"no such index [none] and [require_alias] request flag is [true] and [none] is not an alias"}],"type":"index_not_found_exception","reason":"no such index [none] and [require_alias] request flag is [true] and [none] is not an alias"},"status":404}`
	if status, got := call(t, s, http.MethodPut, "/none/_doc/1?require_alias=true", "{}"); status != http.StatusNotFound || !same(t, got, wantAlias) {
		t.Errorf("an alias that is not there: %d %s", status, got)
	}
	// A request with one malformed action leaves nothing.
	call(t, s, http.MethodPost, "/_bulk", `{"index":{"_index":"none","_id":"1"}}
{"a":1}
{"index":{"_index":"none","_id":"`+strings.Repeat("a", 513)+`"}}
{"a":1}
`)
	if n := len(s.Documents("none")); n != 0 {
		t.Errorf("%d documents of a refused request", n)
	}
}

// same compares JSON without regard to the order of members.
func same(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		t.Fatalf("%s: %v", a, err)
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	first, _ := json.Marshal(x)
	second, _ := json.Marshal(y)
	return bytes.Equal(first, second)
}

func TestNamesOfIndices(t *testing.T) {
	for _, name := range []string{"trips", "trips-2018.01", ".hidden", "é", "a+b_c"} {
		if why := invalidName(name); why != "" {
			t.Errorf("%s: %s", name, why)
		}
	}
	for _, name := range []string{"", "Trips", "_a", "-a", "+a", ".", "..", "a b", "a,b", "a*", "a/b", `a\b`, "a?", `a"`, "<a>", "a|b", "a#", "a:b", strings.Repeat("a", 256)} {
		if invalidName(name) == "" {
			t.Errorf("%s passes", name)
		}
	}
}

func TestMappingsTakeWhatElasticsearchCoerces(t *testing.T) {
	s := start(t, Options{})
	status, _ := call(t, s, http.MethodPut, "/_index_template/t", `{"index_patterns":["m*"],"template":{"mappings":{"dynamic":"strict","properties":{
		"n":{"type":"long"},"d":{"type":"date"},"b":{"type":"boolean"},"k":{"type":"keyword"},"o":{"type":"object"}}}}}`)
	if status != 200 {
		t.Fatal(status)
	}
	for source, ok := range map[string]bool{
		`{"n":1}`: true, `{"n":"1"}`: true, `{"n":[1,"2"]}`: true, `{"n":null}`: true, `{"n":"x"}`: false, `{"n":{}}`: false, `{"n":true}`: false,
		`{"d":"2018-01-01"}`: true, `{"d":"2018-01-01T00:00:00.5Z"}`: true, `{"d":1514764800000}`: true, `{"d":"1514764800000"}`: true, `{"d":"x"}`: false,
		`{"b":true}`: true, `{"b":"false"}`: true, `{"b":1}`: false, `{"k":1}`: true, `{"k":{}}`: false,
		`{"o":{"a":1}}`: true, `{"o":1}`: false, `{"new":1}`: false, `{"n":1,"n":2}`: false, `{"n":`: false, `[]`: false,
	} {
		_, got := call(t, s, http.MethodPost, "/_bulk?filter_path=errors", `{"index":{"_index":"m","_id":"1"}}`+"\n"+source+"\n")
		if want := map[bool]string{true: `{"errors":false}`, false: `{"errors":true}`}[ok]; got != want {
			t.Errorf("%s: %s", source, got)
		}
	}
}

func TestReadsShowWhatWasWritten(t *testing.T) {
	s := start(t, Options{})
	call(t, s, http.MethodPost, "/a/_bulk", `{"index":{"_id":"1","routing":"r"}}
{"x":1}
{"create":{}}
{"x":2}
{"index":{"_index":"b","_id":"3"}}
{"x":3}
{"index":{"_id":"4"}}
{"x":4}
{"delete":{"_id":"4"}}
`)
	for path, want := range map[string]string{
		"/a/_count": `{"count":2}`,
		"/_count":   `{"count":3}`,
		"/b*/_search?filter_path=hits.total.value,hits.hits._id": `{"hits":{"total":{"value":1},"hits":[{"_id":"3"}]}}`,
		"/_search?size=1&from=1&filter_path=hits.hits._source":   `{"hits":{"hits":[{"_source":{"x":2}}]}}`,
		"/a/_doc/1":  `{"_index":"a","_id":"1","_version":1,"found":true,"_source":{"x":1},"_routing":"r"}`,
		"/a/_doc/4":  `{"_index":"a","_id":"4","found":false}`,
		"/no/_count": `{"error":{"root_cause":[{"type":"index_not_found_exception","reason":"no such index [no]"}],"type":"index_not_found_exception","reason":"no such index [no]"},"status":404}`,
	} {
		if _, got := call(t, s, http.MethodGet, path, ""); !same(t, got, want) {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	if _, got := call(t, s, http.MethodPost, "/_mget", `{"docs":[{"_index":"b","_id":"3"},{"_index":"c","_id":"3"}]}`); !same(t, got,
		`{"docs":[{"_index":"b","_id":"3","_version":1,"found":true,"_source":{"x":3}},{"_index":"c","_id":"3","found":false}]}`) {
		t.Errorf("got %s", got)
	}
	if status, got := call(t, s, http.MethodPost, "/a/_search", `{"query":{"term":{"x":1}}}`); status != 400 || !strings.Contains(got, "match_all") {
		t.Errorf("an unknown query: %d %s", status, got)
	}
	if got := strings.Join(s.Indices(), " "); got != "a b" {
		t.Errorf("indices %s", got)
	}
}

func TestLimitsAndFaults(t *testing.T) {
	s := start(t, Options{MaxBodyBytes: 1000})
	if status, _ := call(t, s, http.MethodPost, "/_bulk", strings.Repeat("x", 1001)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d", status)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(bytes.Repeat([]byte("x"), 1001))
	z.Close()
	req, err := http.NewRequest(http.MethodPost, s.URL+"/_bulk", &packed)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Encoding", "gzip")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("too large when unpacked: %d", res.StatusCode)
	}
	action := `{"index":{"_index":"a","_id":"1"}}` + "\n{}\n"
	s.OnRequest(func(r Request) *Fault {
		if string(r.Body) != action {
			t.Errorf("the hook sees %q", r.Body)
		}
		return &Fault{Cut: true}
	})
	if _, err := http.Post(s.URL+"/_bulk", "", strings.NewReader(action)); err == nil || len(s.Documents("a")) != 1 {
		t.Errorf("cut after the work: %v, %v", err, s.Documents("a"))
	}
	s.OnRequest(nil)
	s.OnItem(func(i Item) *ItemFault { return &ItemFault{Status: 429, Type: i.Op, Reason: i.Index + i.ID} })
	if _, got := call(t, s, http.MethodPost, "/_bulk?filter_path=items", action); !same(t, got,
		`{"items":[{"index":{"_index":"a","_id":"1","status":429,"error":{"type":"index","reason":"a1"}}}]}`) {
		t.Errorf("got %s", got)
	}
	if n := s.Requests(); n != 2 {
		t.Errorf("%d requests", n)
	}
}
