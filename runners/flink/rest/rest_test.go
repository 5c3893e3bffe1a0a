package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	jobID = "4e81720db592110af729c5075a538c7c"
	jarID = "23a15a92-5d93-4e2d-98e4-f29e9322645e_demo-abc.jar"
)

func TestNewRefusesWhatIsNoAddress(t *testing.T) {
	for _, address := range []string{"", "http://", "ftp://x", "http://a b"} {
		if _, err := New(address, "--flink-rest"); err == nil || !strings.Contains(err.Error(), "--flink-rest") {
			t.Errorf("%q: error %v does not name the flag", address, err)
		}
	}
	for address, url := range map[string]string{
		"localhost:8081": "http://localhost:8081", "https://flink.example/ui/": "https://flink.example/ui",
	} {
		c, err := New(address, "--flink-rest")
		if err != nil || c.URL() != url {
			t.Errorf("%q: URL %v, error %v; want %s", address, c, err, url)
		}
	}
}

func TestUnreachableClusterIsNamedWithItsSetting(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there now
	c, err := New(l.Addr().String(), "--flink-rest")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Overview(t.Context())
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) {
		t.Fatalf("error %v is no UnreachableError", err)
	}
	for _, part := range []string{"--flink-rest", "http://" + l.Addr().String(), "connection refused"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not name %q", err, part)
		}
	}
}

func TestClusterThatDoesNotAnswerIsUnreachableWithin30Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New("flink:8081", "--flink-rest")
		if err != nil {
			t.Fatal(err)
		}
		c.http.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			silent, _ := net.Pipe()
			return silent, nil
		}}
		start := time.Now()
		_, err = c.Overview(t.Context())
		var unreachable *UnreachableError
		if !errors.As(err, &unreachable) {
			t.Errorf("error %v is no UnreachableError", err)
		}
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("told after %v", d)
		}
	})
}

func TestCancelledCallReturnsTheContextsError(t *testing.T) {
	_, c := newReplay(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Overview(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v is not the context's", err)
	}
}

func TestAnswerThatIsNotFlinksNamesTheSetting(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<html>")
	}))
	defer server.Close()
	c, err := New(server.URL, "--flink-rest")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Overview(t.Context()); err == nil || !strings.Contains(err.Error(), "--flink-rest") {
		t.Errorf("error %v does not name the flag", err)
	}
}

func TestOverview(t *testing.T) {
	_, c := newReplay(t, map[string][]answer{"GET /overview": ok("overview.json"), "GET /taskmanagers": ok("taskmanagers.json")})
	o, err := c.Overview(t.Context())
	if want := (Overview{TaskManagers: 2, SlotsTotal: 4, SlotsAvailable: 4, FlinkVersion: "1.19.3"}); err != nil || o != want {
		t.Errorf("overview %+v, error %v; want %+v", o, err, want)
	}
	ids, err := c.TaskManagers(t.Context())
	if want := []string{"taskmanager-1-1", "taskmanager-0-1"}; err != nil || !reflect.DeepEqual(ids, want) {
		t.Errorf("TaskManagers %q, error %v; want %q", ids, err, want)
	}
}

func TestJarIsUploadedOncePerContent(t *testing.T) {
	// A server that keeps what is uploaded, as Flink does: the id is a prefix and the name.
	var names []string
	var sizes []int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.Method + " " + req.URL.Path {
		case "GET /jars":
			files := []string{}
			for _, name := range names {
				files = append(files, `{"id":"uuid_`+name+`","name":"`+name+`"}`)
			}
			_, _ = io.WriteString(w, `{"files":[`+strings.Join(files, ",")+`]}`)
		case "POST /jars/upload":
			if req.ContentLength <= 0 {
				t.Error("the upload's length is not told")
			}
			f, header, err := req.FormFile("jarfile")
			if err != nil {
				t.Error(err)
				return
			}
			content, err := io.ReadAll(f)
			if err != nil {
				t.Error(err)
			}
			names, sizes = append(names, header.Filename), append(sizes, len(content))
			_, _ = io.WriteString(w, `{"filename":"/var/flink/uploads/uuid_`+header.Filename+`","status":"success"}`)
		}
	}))
	defer server.Close()
	c, err := New(server.URL, "--flink-rest")
	if err != nil {
		t.Fatal(err)
	}
	jar := filepath.Join(t.TempDir(), "etl.jar")
	upload := func(content string) string {
		t.Helper()
		if err := os.WriteFile(jar, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		id, err := c.UploadJar(t.Context(), jar)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first, again, other := upload("one"), upload("one"), upload("another")
	if first != again || first == other {
		t.Errorf("ids %s, again %s, of another content %s", first, again, other)
	}
	if want := []int{3, 7}; !reflect.DeepEqual(sizes, want) {
		t.Errorf("uploads of %v bytes, not %v", sizes, want)
	}
	if !strings.HasPrefix(first, "uuid_etl-") || !strings.HasSuffix(first, ".jar") {
		t.Errorf("id %s", first)
	}
	if _, err := c.UploadJar(t.Context(), jar+"x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v for a missing file", err)
	}
}

func TestRunJarReturnsTheJobOrTheReason(t *testing.T) {
	for _, test := range []struct {
		file   string
		status int
		want   string // the error's end
		never  string
	}{
		{"run.json", 200, "", ""},
		{"run-refused.json", 400, ": --Dor=/data/out: unknown property\n--Dir: required", "main method"},
		{"run-badsavepoint.json", 400, ": Cannot find checkpoint or savepoint file/directory 'file:///nope' on file system 'file'.", "JobMaster"},
		{"run-othergraph.json", 400, "you can set the --allowNonRestoredState option on the CLI.", "JobMaster"},
		{"run-nojar.json", 500, ": Jar file /var/flink/uploads/flink-web-upload/nope.jar does not exist", "server side"},
	} {
		t.Run(test.file, func(t *testing.T) {
			_, c := newReplay(t, map[string][]answer{"POST /jars/" + jarID + "/run": {{test.status, test.file}}})
			id, err := c.RunJar(t.Context(), jarID, RunOptions{Args: []string{"--Dir=/data/out"}, Parallelism: 2})
			if test.want == "" {
				if err != nil || id != jobID {
					t.Errorf("job %s, error %v", id, err)
				}
				return
			}
			if err == nil || !strings.HasSuffix(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "run demo-abc.jar: ") {
				t.Fatalf("error %v does not end with %q", err, test.want)
			}
			if strings.Contains(err.Error(), test.never) || strings.Contains(err.Error(), "\tat ") {
				t.Errorf("error %q tells more than the cause", err)
			}
			var answer *Error
			if !errors.As(err, &answer) || !strings.Contains(answer.Details, "\tat ") {
				t.Errorf("the stack trace is not in the details of %#v", answer)
			}
		})
	}
}

func TestRunJarSendsItsOptions(t *testing.T) {
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		raw, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		body = string(raw)
		_, _ = io.WriteString(w, `{"jobid":"x"}`)
	}))
	defer server.Close()
	c, err := New(server.URL, "--flink-rest")
	if err != nil {
		t.Fatal(err)
	}
	o := RunOptions{Args: []string{"--A=b c"}, Parallelism: 3, EntryClass: "a.B", SavepointPath: "file:/s", AllowNonRestoredState: true}
	if _, err := c.RunJar(t.Context(), "x.jar", o); err != nil {
		t.Fatal(err)
	}
	want := `{"programArgsList":["--A=b c"],"parallelism":3,"entryClass":"a.B","savepointPath":"file:/s","allowNonRestoredState":true}`
	if body != want {
		t.Errorf("request %s, not %s", body, want)
	}
	if _, err := c.RunJar(t.Context(), "x.jar", RunOptions{}); err != nil || body != "{}" {
		t.Errorf("request %s without options, error %v", body, err)
	}
}

func TestJob(t *testing.T) {
	_, c := newReplay(t, map[string][]answer{
		"GET /jobs/" + jobID: ok("job-starting.json", "job-running.json", "job-waiting.json", "job-finished.json"),
	})
	for _, want := range []struct {
		state   State
		running bool
		slots   int
	}{{Running, false, 2}, {Running, true, 2}, {Restarting, false, 16}, {Finished, false, 2}} {
		j, err := c.Job(t.Context(), jobID)
		if err != nil {
			t.Fatal(err)
		}
		if j.State != want.state || j.AllRunning() != want.running || j.Slots() != want.slots {
			t.Errorf("state %s, all running %t, %d slots; want %+v", j.State, j.AllRunning(), j.Slots(), want)
		}
		if j.Name != "demo" || len(j.Vertices) != 5 || j.Start.IsZero() || j.End.IsZero() == j.State.Ended() ||
			j.Since.IsZero() || want.running && j.Vertices[0].Start.IsZero() {
			t.Errorf("job %+v", j)
		}
	}
}

func TestJobThatIsNotThereIsNotFound(t *testing.T) {
	_, c := newReplay(t, map[string][]answer{
		"GET /jobs/00": {{404, "job-unknown.json"}}, "GET /jobs/xyz": {{400, "job-badid.json"}},
	})
	_, err := c.Job(t.Context(), "00")
	if !errors.Is(err, ErrNotFound) || !strings.HasSuffix(err.Error(), "Could not find Flink job (00000000000000000000000000000000)") {
		t.Errorf("error %v", err)
	}
	if _, err := c.Job(t.Context(), "xyz"); err == nil || errors.Is(err, ErrNotFound) ||
		!strings.Contains(err.Error(), `Cannot resolve path parameter (jobid) from value "xyz"`) {
		t.Errorf("error %v", err)
	}
}

func TestJobs(t *testing.T) {
	_, c := newReplay(t, map[string][]answer{"GET /jobs/overview": ok("jobs.json")})
	jobs, err := c.Jobs(t.Context())
	if err != nil || len(jobs) != 1 {
		t.Fatalf("jobs %+v, error %v", jobs, err)
	}
	if j := jobs[0]; j.ID != jobID || j.State != Running || j.Start.UnixMilli() != 1795446221336 || !j.End.IsZero() {
		t.Errorf("job %+v", j)
	}
}

func TestFailures(t *testing.T) {
	_, c := newReplay(t, map[string][]answer{
		"GET /jobs/a/exceptions": ok("exceptions.json"), "GET /jobs/a/metrics?get=numRestarts": ok("restarts.json"),
	})
	failures, err := c.Failures(t.Context(), "a")
	if err != nil || len(failures) != 1 {
		t.Fatalf("failures %+v, error %v", failures, err)
	}
	f := failures[0]
	if f.Task != "[1]Count/main.count (2/2) - execution #0" || f.TaskManager != "taskmanager-1-1" || f.Time.IsZero() {
		t.Errorf("failure %+v", f)
	}
	if want := "Failed to finish remote bundle: CANCELLED: call already cancelled."; !strings.HasPrefix(f.Message, want) {
		t.Errorf("message %q does not begin with %q", f.Message, want)
	}
	if hint := "in streaming-etl-*/crash.log under ETL_WORKER_DIR"; !strings.Contains(f.Message, hint) {
		t.Errorf("message %q of a worker that was killed does not say %q", f.Message, hint)
	}
	if n, err := c.Restarts(t.Context(), "a"); err != nil || n != 1 {
		t.Errorf("%d restarts, error %v", n, err)
	}
}

func TestFailureOfAWorkersEndNamesItsCrashFile(t *testing.T) {
	for _, test := range []struct {
		trace string
		hint  bool
	}{
		{"java.lang.RuntimeException: Failed to finish remote bundle\nCaused by: a.StatusRuntimeException: CANCELLED: client cancelled\n", true},
		{"a.UncheckedExecutionException: java.lang.IllegalStateException: Process died with exit code 134\n\tat a.B.c(B.java:1)\n", true},
		{"java.lang.IllegalStateException: SDK harness closed connection\n\tat a.B.c(B.java:1)\n", true},
		{"java.lang.RuntimeException: Error received from SDK harness for instruction 3: OutputBucket: access denied\n", false},
		{"a.JobException: heartbeat of TaskManager with id 1 timed out\n", false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]string{"root-exception": test.trace})
		}))
		defer server.Close()
		c, err := New(server.URL, "--flink-rest")
		if err != nil {
			t.Fatal(err)
		}
		failures, err := c.Failures(t.Context(), "a")
		if err != nil || len(failures) != 1 {
			t.Fatalf("failures %+v, error %v", failures, err)
		}
		if m := failures[0].Message; strings.Contains(m, "crash.log") != test.hint || strings.Count(m, "crash.log") > 1 {
			t.Errorf("%q becomes %q; a hint at the crash file: %v", test.trace, m, test.hint)
		}
	}
}

func TestCheckpoints(t *testing.T) {
	_, c := newReplay(t, map[string][]answer{"GET /jobs/a/checkpoints": ok("checkpoints.json", "checkpoints-restored.json")})
	cs, err := c.Checkpoints(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	want := Checkpoint{
		ID: 15, Triggered: time.UnixMilli(1795446324053), Duration: 205 * time.Millisecond, Size: 195087, WrittenSize: 195087,
		Path: "file:/var/flink/checkpoints/" + jobID + "/chk-15",
	}
	if cs.Last == nil || *cs.Last != want || cs.From != nil || cs.Failed != 5 {
		t.Errorf("checkpoints %+v, last %+v; want %+v", cs, cs.Last, want)
	}
	cs, err = c.Checkpoints(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if cs.From == nil || cs.From.ID != 23 || cs.From.Triggered.UnixMilli() != 1795446398986 || cs.Restored == 0 {
		t.Errorf("checkpoints %+v, from %+v", cs, cs.From)
	}
}

func TestSavepointIsFollowedToItsEnd(t *testing.T) {
	trigger := "GET /jobs/a/savepoints/1d8bf790518204ca4b560fa375a7eb89"
	for _, operation := range []string{"savepoints", "stop"} {
		r, c := newReplay(t, map[string][]answer{
			"POST /jobs/a/" + operation: ok("savepoint-trigger.json"), trigger: ok("savepoint-progress.json", "savepoint-done.json"),
		})
		do := c.Savepoint
		if operation == "stop" {
			do = c.Stop
		}
		path, err := do(t.Context(), "a", "")
		if want := "file:/var/flink/savepoints/savepoint-4e8172-fab8b0c77243"; err != nil || path != want {
			t.Errorf("%s: path %s, error %v; want %s", operation, path, err, want)
		}
		if n := r.count(trigger); n != 2 {
			t.Errorf("%s: asked %d times", operation, n)
		}
	}
}

func TestSavepointIsFollowedWhileAProxyHasNoAnswer(t *testing.T) {
	_, c := newReplay(t, map[string][]answer{
		"POST /jobs/a/stop": ok("savepoint-trigger.json"),
		"GET /jobs/a/savepoints/1d8bf790518204ca4b560fa375a7eb89": {{503, ""}, {502, ""}, ok("savepoint-done.json")[0]},
	})
	if path, err := c.Stop(t.Context(), "a", ""); err != nil || path == "" {
		t.Errorf("path %q, error %v", path, err)
	}
}

func TestSavepointThatIsNotWaitedForGoesOn(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPost {
			fmt.Fprint(w, `{"request-id":"0abc"}`)
			return
		}
		cancel()
		fmt.Fprint(w, `{"status":{"id":"IN_PROGRESS"}}`)
	}))
	t.Cleanup(server.Close)
	c, err := New(server.URL, "--flink-rest")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stop(ctx, "a", ""); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "goes on with it, as operation 0abc") {
		t.Errorf("error %v", err)
	}
}

func TestLoginInTheAddressIsNotTold(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if name, password, ok := req.BasicAuth(); !ok || name != "admin" || password != "hunter2" {
			t.Errorf("login %q %q", name, password)
		}
		fmt.Fprint(w, "no JSON")
	}))
	t.Cleanup(server.Close)
	login := "http://admin:hunter2@"
	c, err := New(login+strings.TrimPrefix(server.URL, "http://"), "--flink-rest")
	if err != nil {
		t.Fatal(err)
	}
	closed, err := New(login+"127.0.0.1:1", "--flink-rest")
	if err != nil {
		t.Fatal(err)
	}
	told := []string{c.URL()}
	for _, client := range []*Client{c, closed} {
		_, err := client.Overview(t.Context())
		told = append(told, fmt.Sprint(err))
	}
	_, err = New("ftp://admin:hunter2@flink", "--flink-rest")
	for _, text := range append(told, fmt.Sprint(err)) {
		if strings.Contains(text, "hunter2") {
			t.Errorf("told %s", text)
		}
	}
}

func TestSavepointThatFailsTellsWhy(t *testing.T) {
	trigger := "GET /jobs/a/savepoints/1d8bf790518204ca4b560fa375a7eb89"
	_, c := newReplay(t, map[string][]answer{
		"POST /jobs/a/savepoints": ok("savepoint-trigger.json"), trigger: ok("savepoint-failed.json", "stop-ended.json"),
		"POST /jobs/a/stop": ok("savepoint-trigger.json"), "GET /jobs/a": ok("job-finished.json"),
	})
	_, err := c.Savepoint(t.Context(), "a", "file:///proc/nope")
	if err == nil || !strings.HasSuffix(err.Error(), "Failed to create savepoint directory at file:/proc/nope") {
		t.Errorf("error %v", err)
	}
	_, err = c.Stop(t.Context(), "a", "")
	var ended *JobEndedError
	if !errors.As(err, &ended) || ended.Job.State != Finished {
		t.Errorf("stop of a job that has ended: %v", err)
	}
}

func TestCancel(t *testing.T) {
	r, c := newReplay(t, map[string][]answer{"PATCH /jobs/a?mode=cancel": {{202, ""}}})
	if err := c.Cancel(t.Context(), "a"); err != nil || r.count("PATCH /jobs/a?mode=cancel") != 1 {
		t.Errorf("error %v", err)
	}
}

func TestCounters(t *testing.T) {
	vertices := map[string]bool{ // whether it has counters
		"bc764cd8ddf7a0cff126f51c16239658": false, "0f7d72b7bf4ea766137c52abc6acbabb": false,
		"67f4205be582cc0be785876493b58d89": true, "801a48c24de67bcf62881112524ea98b": false,
		"81a82e6f7f8b7e3964cf2347c35984b7": true,
	}
	answers := map[string][]answer{"GET /jobs/" + jobID: ok("job-running.json")}
	for v, has := range vertices {
		path := "GET /jobs/" + jobID + "/vertices/" + v + "/subtasks/metrics"
		answers[path] = ok("empty.json")
		if has {
			answers[path] = ok("metrics-ids.json")
			answers[path+"?agg=sum&get=%5B2%5D%7BNumbers__Key%7D.etl_keyed"] = ok("metrics-sum.json")
		}
	}
	_, c := newReplay(t, answers)
	for _, test := range []struct {
		names []string
		want  map[string]int64
	}{
		{[]string{"etl/keyed"}, map[string]int64{"etl/keyed": 13000}}, // summed over both vertices
		{[]string{"etl/key*", "other/keyed"}, map[string]int64{}},
		{nil, map[string]int64{}},
	} {
		got, err := c.Counters(t.Context(), jobID, test.names...)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("counters %q: %v, error %v; want %v", test.names, got, err, test.want)
		}
	}
}

func TestMaximaAreNotSummedOverVertices(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path == "/jobs/a":
			_, _ = io.WriteString(w, `{"jid":"a","state":"RUNNING","vertices":[{"id":"v1"},{"id":"v2"}]}`)
		case req.URL.RawQuery == "":
			_, _ = io.WriteString(w, `[{"id":"[1]Read.source_millis_behind_latest_max"}]`)
		case req.URL.Query().Get("agg") != "max":
			t.Errorf("asked for %s", req.URL.RawQuery)
		default:
			_, _ = io.WriteString(w, map[bool]string{
				true:  `[{"id":"[1]Read.source_millis_behind_latest_max","max":4200.0}]`,
				false: `[{"id":"[1]Read.source_millis_behind_latest_max","max":900.0}]`,
			}[strings.Contains(req.URL.Path, "v1")])
		}
	}))
	defer server.Close()
	c, err := New(server.URL, "--flink-rest")
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Maxima(t.Context(), "a", "source/*")
	if want := map[string]int64{"source/millis_behind_latest_max": 4200}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("maxima %v, error %v; want %v", got, err, want)
	}
}

func TestCounterOfAMetric(t *testing.T) {
	for _, test := range []struct {
		id    string
		names []string
		want  string
	}{
		{"[1]Write/main_write.s3_rows", []string{"s3/rows"}, "s3/rows"},
		{"op.etl_lines_written", []string{"etl/lines.written"}, "etl/lines.written"},
		{"op.dead_letters_not_json", []string{"dead_letters/*"}, "dead_letters/not_json"},
		{"op.decode_events", []string{"decode/*", "decode/events"}, "decode/events"},
		{"op.decode_events", []string{"decode/event"}, ""},
		{"numRecordsIn", []string{"s3/rows"}, ""},
	} {
		if got, _ := counterOf(test.id, test.names); got != test.want {
			t.Errorf("%s of %q is %q, not %q", test.id, test.names, got, test.want)
		}
	}
}

func TestMetricQueriesFitIntoARequestLine(t *testing.T) {
	id := "[2]{" + strings.Repeat("x", 80) + "}.namespace_name"
	var ids []string
	for range 100 {
		ids = append(ids, id)
	}
	n := 0
	for _, q := range metricQueries("sum", ids) {
		if len(q) > maxQuery+20 {
			t.Errorf("a query of %d bytes", len(q))
		}
		n += strings.Count(q, "namespace_name")
	}
	if n != len(ids) {
		t.Errorf("%d metrics asked for, not %d", n, len(ids))
	}
}

func TestWaitRunningReturnsWhenAllTasksRun(t *testing.T) {
	r, c := newReplay(t, map[string][]answer{
		"GET /jobs/a": ok("job-starting.json", "job-starting.json", "job-running.json"),
	})
	seen := 0
	j, err := c.WaitRunning(t.Context(), "a", WaitOptions{Progress: func(Job) { seen++ }})
	if err != nil || !j.AllRunning() || seen != 3 || r.count("GET /jobs/a") != 3 {
		t.Errorf("job %s after %d looks, error %v", j.State, seen, err)
	}
}

func TestWaitRunningTellsWhyTheJobEnded(t *testing.T) {
	_, c := newReplay(t, map[string][]answer{"GET /jobs/a": ok("job-finished.json")})
	_, err := c.WaitRunning(t.Context(), "a", WaitOptions{})
	var ended *JobEndedError
	if !errors.As(err, &ended) || ended.Job.State != Finished || !strings.Contains(err.Error(), "FINISHED") {
		t.Errorf("error %v", err)
	}
	if j, err := c.WaitEnd(t.Context(), "a", WaitOptions{}); err != nil || j.State != Finished {
		t.Errorf("wait for the end: job %s, error %v", j.State, err)
	}
}

func TestWaitTellsWhyTheJobFailed(t *testing.T) {
	// The attempt that failed is the job's end if the restarts are used up: only the state differs.
	failed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/exceptions") {
			http.ServeFile(w, req, "testdata/exceptions.json")
			return
		}
		_, _ = io.WriteString(w, `{"jid":"a","name":"demo","state":"FAILED","start-time":1,"end-time":2,"vertices":[]}`)
	}))
	defer failed.Close()
	c, err := New(failed.URL, "--flink-rest")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.WaitEnd(t.Context(), "a", WaitOptions{})
	var ended *JobEndedError
	if !errors.As(err, &ended) || !strings.Contains(err.Error(), "it is FAILED: Failed to finish remote bundle") ||
		!strings.Contains(err.Error(), "(in [1]Count/main.count") {
		t.Errorf("error %v", err)
	}
}

func TestWaitTellsOfMissingSlots(t *testing.T) {
	const waiting = "177b2e4793b43208623d3e3b333f4ddc"
	_, c := newReplay(t, map[string][]answer{
		"GET /jobs/" + waiting: ok("job-waiting.json"), "GET /jobs/" + waiting + "/exceptions": ok("exceptions-waiting.json"),
		"GET /overview": ok("overview-busy.json"),
	})
	_, err := c.WaitRunning(t.Context(), waiting, WaitOptions{SlotPatience: time.Millisecond})
	var slots *NotEnoughSlotsError
	if !errors.As(err, &slots) {
		t.Fatalf("error %v", err)
	}
	if slots.Needed != 16 || slots.Total != 4 || slots.Available != 0 || slots.TaskManagers != 2 {
		t.Errorf("%+v", slots)
	}
	for _, part := range []string{"needs 16", "has 4 in 2", "add 12"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not tell %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "free") {
		t.Errorf("error %q tells of free slots, which would not do either", err)
	}
}

func TestSlotsOfOtherJobsAreTold(t *testing.T) {
	err := &NotEnoughSlotsError{JobID: "a", Needed: 3, Total: 4, Available: 1, TaskManagers: 2}
	for _, part := range []string{"needs 3", "has 4 in 2", "other jobs hold", "free are 1"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not tell %q", err, part)
		}
	}
}

func TestWaitOutlastsARestartOfTheJobManager(t *testing.T) {
	handler := &replay{t: t, answers: map[string][]answer{"GET /jobs/a": ok("job-running.json")}, asked: map[string]int{}}
	lost := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if lost++; lost <= 3 {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			conn.Close()
			return
		}
		handler.ServeHTTP(w, req)
	}))
	defer server.Close()
	c, err := New(server.URL, "--flink-rest")
	if err != nil {
		t.Fatal(err)
	}
	if j, err := c.WaitRunning(t.Context(), "a", WaitOptions{}); err != nil || !j.AllRunning() {
		t.Errorf("job %s, error %v", j.State, err)
	}
	server.Close()
	var unreachable *UnreachableError
	if _, err := c.WaitRunning(t.Context(), "a", WaitOptions{RestartAllowance: time.Millisecond}); !errors.As(err, &unreachable) {
		t.Errorf("error %v after the allowance", err)
	}
}
