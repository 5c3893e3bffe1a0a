package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
)

const testJob = "4e81720db592110af729c5075a538c7c"

// flinkServer answers as Flink 1.19 does of one job.
type flinkServer struct {
	mu      sync.Mutex
	state   rest.State
	tasks   string // of its one vertex of two tasks
	since   time.Time
	age     time.Duration // of the last checkpoint
	metrics map[string]int64
	failure string // stack trace
	broken  string // requests with this in their path fail
	down    bool
	looks   int
	// endsWithJob has the server be gone once the job is stopped.
	endsWithJob bool
	onLook      func(n int, s *flinkServer)
	onCancel    func(s *flinkServer)
}

func newFlinkServer(t *testing.T) (*flinkServer, string) {
	t.Helper()
	s := &flinkServer{
		state: rest.Running, tasks: `{"RUNNING":2}`, since: time.Now().Add(-time.Hour), age: 20 * time.Second,
		metrics: map[string]int64{
			"[1]Read.source_records": 36_000, "[1]Read.source_millis_behind_latest_max": 4200,
			"[1]Read.source_millis_behind_latest_trips_shardId-000000000000": 4200,
			"[1]Read.source_millis_behind_latest_trips_shardId-000000000001": 0,
			"[1]Commit.s3_rows_committed":                                    35_000, "[1]Commit.s3_files_committed": 254,
			"[1]Commit.s3_dead_letters_committed": 11, "[1]Route.dead_letters_out_of_range": 9, "[1]Route.dead_letters_not_json": 3,
			"[1]Route.dead_letters_written": 0,
		},
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

func (s *flinkServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if req.URL.Path == "/jobs/overview" {
		if s.looks++; s.onLook != nil {
			s.onLook(s.looks, s)
		}
	}
	if s.down {
		panic(http.ErrAbortHandler) // the connection is closed without an answer
	}
	if s.broken != "" && strings.Contains(req.URL.Path, s.broken) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"errors":["java.util.concurrent.TimeoutException: busy\n\tat a.B.c(B.java:1)\n"]}`)
		return
	}
	job := "/jobs/" + testJob
	switch path := req.URL.Path; path {
	case "/jobs/overview":
		end := int64(-1)
		if s.state.Ended() {
			end = time.Now().UnixMilli()
		}
		fmt.Fprintf(w, `{"jobs":[{"jid":%q,"name":"trips","state":%q,"start-time":1,"end-time":%d}]}`, testJob, s.state, end)
	case job:
		if req.Method == http.MethodPatch {
			s.down = s.endsWithJob
			if s.onCancel != nil {
				s.onCancel(s)
			}
			w.WriteHeader(http.StatusAccepted)
			return
		}
		fmt.Fprintf(w, `{"jid":%q,"name":"trips","state":%q,"start-time":%d,"end-time":-1,"timestamps":{%q:%d},
			"vertices":[{"id":"v","name":"Read","parallelism":2,"start-time":%d,"tasks":%s}]}`,
			testJob, s.state, s.since.UnixMilli(), s.state, s.since.UnixMilli(), s.since.UnixMilli(), s.tasks)
	case job + "/checkpoints":
		fmt.Fprintf(w, `{"counts":{"completed":59,"failed":1},"latest":{"completed":{"id":59,"trigger_timestamp":%d,
			"end_to_end_duration":205,"state_size":195087,"external_path":"s3://lake/chk-59"},"failed":{"failure_message":"Checkpoint expired before completing."}}}`,
			time.Now().Add(-s.age).UnixMilli())
	case job + "/checkpoints/config":
		fmt.Fprint(w, `{"mode":"exactly_once","interval":60000}`)
	case job + "/exceptions":
		if s.failure == "" {
			fmt.Fprint(w, `{"root-exception":null,"exceptionHistory":{"entries":[]}}`)
			return
		}
		fmt.Fprintf(w, `{"exceptionHistory":{"entries":[{"stacktrace":%q,"timestamp":%d,"taskName":"Commit (1/2)"}]}}`,
			s.failure, time.Now().Add(-time.Minute).UnixMilli())
	case job + "/metrics":
		fmt.Fprint(w, `[{"id":"numRestarts","value":"3"}]`)
	case job + "/stop":
		fmt.Fprint(w, `{"request-id":"1"}`)
	case job + "/savepoints/1":
		s.down = s.endsWithJob
		fmt.Fprint(w, `{"status":{"id":"COMPLETED"},"operation":{"location":"s3://lake/savepoint-1"}}`)
	case job + "/vertices/v/subtasks/metrics":
		s.answerMetrics(w, req)
	default:
		http.NotFound(w, req)
	}
}

func (s *flinkServer) answerMetrics(w http.ResponseWriter, req *http.Request) {
	var out []map[string]any
	aggregate := req.URL.Query().Get("agg")
	asked := strings.Split(req.URL.Query().Get("get"), ",")
	for id, value := range s.metrics {
		switch {
		case aggregate == "":
			out = append(out, map[string]any{"id": id})
		case slices.Contains(asked, id):
			out = append(out, map[string]any{"id": id, aggregate: float64(value)})
		}
	}
	_ = json.NewEncoder(w).Encode(out)
}

func TestStatusShowsAJobOnOneScreen(t *testing.T) {
	_, url := newFlinkServer(t)
	code, stdout, stderr := runCommand(t, "status", "--flink-rest="+url, "--once")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{
		"trips " + testJob + " on " + url, "running: all 2 tasks are running for 60 min", "4.2 s behind the newest record",
		"trips_shardId-000000000000: 4.2 s", "36,000 records, 10/s on average", "35,000 records to s3, 10/s on average",
		"11 written; found: out_of_range 9, not_json 3", "59, 19 s ago, took 0.2 s, 195.1 kB", "59 completed, 1 failed, the last: Checkpoint expired",
		"restarts      3\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the screen lacks %q:\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "shardId-000000000001") {
		t.Errorf("a shard that is not behind is shown:\n%s", stdout)
	}
	if strings.Contains(stdout, "\x1b") {
		t.Error("a terminal's sequences are written though there is none")
	}
}

func TestStatusSaysHowAJobIs(t *testing.T) {
	const trace = "a.XException: Commit failed.\n\tat a.B.c(B.java:1)\nCaused by: java.io.IOException: access to s3://lake is denied\n\t... 1 more\n"
	for _, test := range []struct {
		name   string
		set    func(*flinkServer)
		health string
		words  []string
	}{
		{"restarting", func(s *flinkServer) {
			s.state, s.tasks, s.failure = rest.Restarting, `{"CANCELED":2}`, trace
			s.since = time.Now().Add(-30 * time.Second)
		}, "restarting", []string{"its tasks are not running for 30 s", "access to s3://lake is denied (in Commit (1/2))"}},
		{"failing", func(s *flinkServer) { s.state, s.failure = rest.Failing, trace }, "failing", []string{"access to s3://lake is denied"}},
		{"failed for good", func(s *flinkServer) { s.state, s.failure = rest.Failed, trace }, "failed", []string{"access to s3://lake is denied"}},
		{"starting", func(s *flinkServer) { s.tasks = `{"RUNNING":1,"INITIALIZING":1}` }, "starting", []string{"1 of 2 tasks are running"}},
		{"without slots", func(s *flinkServer) { s.tasks = `{"SCHEDULED":2}` }, "waiting", []string{"0 of 2", "TaskManagers"}},
		{"without checkpoints", func(s *flinkServer) { s.age = 6 * time.Minute }, "late", []string{"no checkpoint for 6 min", "1m0s"}},
		{"without metrics", func(s *flinkServer) { s.broken = "subtasks" }, "running", []string{"not known", "busy", "59, 19 s ago", "lag           not reported yet"}},
		{"without any answer but the job", func(s *flinkServer) { s.broken = testJob + "/" }, "running", []string{"ask for checkpoints"}},
		{"behind its retention", func(s *flinkServer) {
			s.metrics["[1]Read.source_positions_passed"], s.metrics["[1]Read.source_shards_lost"] = 1200, 3
		}, "running", []string{"missing       what came after 1,200 positions, and the rest of 3 shards: retention has deleted it"}},
		{"cancelled", func(s *flinkServer) { s.state = rest.Canceled }, "canceled", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, url := newFlinkServer(t)
			test.set(s)
			code, stdout, stderr := runCommand(t, "status", "--flink-rest="+url, "--job=trips")
			if code != exitOK {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			for _, want := range append(test.words, "health        "+test.health+": ") {
				if !strings.Contains(stdout, want) {
					t.Errorf("the screen lacks %q:\n%s", want, stdout)
				}
			}
			code, stdout, _ = runCommand(t, "status", "--flink-rest="+url, "--json")
			var v statusView
			if err := json.Unmarshal([]byte(stdout), &v); err != nil || code != exitOK {
				t.Fatalf("exit code %d, %v: %s", code, err, stdout)
			}
			if v.Health.State != test.health {
				t.Errorf("health %q in JSON", v.Health.State)
			}
		})
	}
}

// Where a network policy keeps the JobManager from the TaskManagers' metrics,
// Flink answers with none, which is no error.
func TestStatusDoesNotTakeMissingMetricsForZeros(t *testing.T) {
	for _, test := range []struct {
		running time.Duration
		broken  string
		tells   bool
	}{{running: time.Hour, tells: true}, {running: time.Minute}, {running: time.Hour, broken: "subtasks"}} {
		s, url := newFlinkServer(t)
		s.metrics, s.since, s.broken = nil, time.Now().Add(-test.running), test.broken
		_, stdout, _ := runCommand(t, "status", "--flink-rest="+url)
		if got := strings.Contains(stdout, "not known     counters and lag: "); got != test.tells {
			t.Errorf("%+v: it tells that metrics are missing: %t:\n%s", test, got, stdout)
		}
		if got := strings.Contains(stdout, "0 records") || strings.Contains(stdout, "nothing yet") || strings.Contains(stdout, "0 written"); got == test.tells {
			t.Errorf("%+v: it shows zeros: %t:\n%s", test, got, stdout)
		}
	}
}

func TestStatusInJSONIsOneObject(t *testing.T) {
	_, url := newFlinkServer(t)
	code, stdout, stderr := runCommand(t, "status", "--flink-rest="+url, "--json")
	if code != exitOK || strings.Count(stdout, "\n") != 1 {
		t.Fatalf("exit code %d, output %s%s", code, stdout, stderr)
	}
	var v statusView
	if err := json.Unmarshal([]byte(stdout), &v); err != nil {
		t.Fatal(err)
	}
	if v.Job.ID != testJob || v.Read.Records != 36_000 || v.DeadLetters.Written != 11 || v.Missing != (missingView{}) || v.DeadLetters.ByReason["out_of_range"] != 9 ||
		v.Lag == nil || v.Lag.Unit != "milliseconds" || v.Lag.Max != 4200 || len(v.Lag.Shards) != 2 || v.Restarts.Count != 3 ||
		v.Checkpoints.Last == nil || v.Checkpoints.Last.ID != 59 || v.Checkpoints.IntervalMs != 60_000 || len(v.Sinks) != 1 {
		t.Errorf("%+v", v)
	}
}

func TestLagOfKafkaIsInRecords(t *testing.T) {
	s, url := newFlinkServer(t)
	s.metrics = map[string]int64{"op.source_offsets_behind_latest_max": 12_000, "op.source_offsets_behind_latest_trips_3": 12_000}
	_, stdout, _ := runCommand(t, "status", "--flink-rest="+url)
	if !strings.Contains(stdout, "12,000 records behind the newest record") || !strings.Contains(stdout, "trips_3: 12,000 records") {
		t.Errorf("screen:\n%s", stdout)
	}
}

func TestStatusFollowsAJobOverAnOutageToItsEnd(t *testing.T) {
	s, url := newFlinkServer(t)
	s.onLook = func(n int, s *flinkServer) {
		s.down = n > 1 && n < 5 // a client may ask again by itself
		if n == 5 {
			s.state = rest.Canceled
		}
	}
	client, err := rest.New(url, restSetting)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := (&statusScreen{client: client, out: &out}).follow(t.Context(), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	screens := strings.Split(out.String(), topOfScreen)[1:]
	if len(screens) < 3 {
		t.Fatalf("%d screens:\n%q", len(screens), out.String())
	}
	for i, screen := range screens {
		want := "unreachable: the state below is from "
		switch i {
		case 0:
			want = "running: "
		case len(screens) - 1:
			want = "canceled: "
		}
		if !strings.Contains(screen, want) || !strings.Contains(screen, "36,000 records") {
			t.Errorf("screen %d lacks %q or the counters:\n%s", i, want, screen)
		}
	}
}

func TestRatesAreOfTheLastHalfMinuteAndEndWithTheAttempt(t *testing.T) {
	var r rates
	start := time.Now()
	look := func(seconds int, read int64, attempt int) *float64 {
		v := statusView{Time: start.Add(time.Duration(seconds) * time.Second), CountersSince: start.Add(time.Duration(attempt) * time.Hour), Read: counted{Records: read}}
		r.add(&v)
		return v.Read.PerSecond
	}
	if got := look(0, 1000, 0); got != nil {
		t.Errorf("rate %v of one look", *got)
	}
	if got := look(20, 3000, 0); got == nil || *got != 100 {
		t.Errorf("rate %v, want 100", got)
	}
	if got := look(40, 3000, 0); got == nil || *got != 0 {
		t.Errorf("rate %v after 20 s without a record, want 0: what was 40 s ago is not in it", got)
	}
	if got := look(50, 10, 1); got != nil {
		t.Errorf("rate %v over a restart", *got)
	}
}

func TestErrorsInJSONAreObjectsWithTheExitCode(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"check", "--json", "--InputKinesisStrem=trips"}, exitUsage, []string{"InputKinesisStream"}},
		{[]string{"status", "--json"}, exitUsage, []string{"--flink-rest is missing"}},
		{[]string{"status", "--json", "--flink-rest=127.0.0.1:1"}, exitFailure, []string{"cannot be reached"}},
		{[]string{"stop", "--json", "--nosuchflag"}, exitUsage, []string{"nosuchflag"}},
		{[]string{"chek", "--json"}, exitUsage, []string{`unknown command \"chek\"`}},
	} {
		code, stdout, stderr := runCommand(t, test.args...)
		var e errorJSON
		if err := json.Unmarshal([]byte(stderr), &e); err != nil {
			t.Errorf("%v: %v: %q", test.args, err, stderr)
			continue
		}
		if code != test.code || e.Code != code || stdout != "" {
			t.Errorf("%v: exit code %d, in the object %d, output %q; want %d", test.args, code, e.Code, stdout, test.code)
		}
		for _, want := range test.want {
			if !strings.Contains(stderr, want) {
				t.Errorf("%v: %q is not in %s", test.args, want, stderr)
			}
		}
	}
}

func TestMistakesOfPropertiesAreEachAnObjectInJSON(t *testing.T) {
	_, _, stderr := runCommand(t, "check", "--json", "--InputKinesisStrem=trips", "--OutputFileRollIntervalMs=soon")
	var e errorJSON
	if err := json.Unmarshal([]byte(stderr), &e); err != nil {
		t.Fatal(err)
	}
	want := mistakeJSON{Property: "OutputFileRollIntervalMs", Value: "soon", Source: "flag --OutputFileRollIntervalMs"}
	if !slices.ContainsFunc(e.Mistakes, func(m mistakeJSON) bool {
		return m.Property == want.Property && m.Value == want.Value && m.Source == want.Source && m.Problem != "" && m.Allowed != ""
	}) {
		t.Errorf("%+v is not among %+v", want, e.Mistakes)
	}
}

func TestStopTellsTheSavepointWhateverComesAfter(t *testing.T) {
	for name, test := range map[string]struct {
		endsWithJob bool
		state       rest.State
		code        int
	}{
		"the job ends":                 {false, rest.Finished, exitOK},
		"the cluster ends with it":     {true, rest.Running, exitOK},
		"the job fails after all that": {false, rest.Failed, exitFailure},
	} {
		t.Run(name, func(t *testing.T) {
			s, url := newFlinkServer(t)
			s.state, s.endsWithJob = rest.Running, test.endsWithJob
			s.onLook = func(int, *flinkServer) { s.state = test.state } // found running, and asked for again by its id
			code, stdout, stderr := runCommand(t, "stop", "--flink-rest="+url, "--job="+testJob)
			if code != test.code || stdout != "s3://lake/savepoint-1\n" {
				t.Errorf("exit code %d, says %q, errors %q", code, stdout, stderr)
			}
		})
	}
}

func TestCancelOfTheOnlyJobOfACluster(t *testing.T) {
	s, url := newFlinkServer(t)
	s.endsWithJob = true
	if code, _, stderr := runCommand(t, "cancel", "--flink-rest="+url, "--job="+testJob); code != exitOK || !strings.Contains(stderr, "its cluster may have ended with it") {
		t.Errorf("exit code %d, errors %q", code, stderr)
	}
}

func TestCancelWritesOneObjectForPrograms(t *testing.T) {
	for name, test := range map[string]struct {
		endsWithJob bool
		state       string
	}{
		"the job ends":             {false, "CANCELED"},
		"the cluster ends with it": {true, "UNKNOWN"},
	} {
		t.Run(name, func(t *testing.T) {
			s, url := newFlinkServer(t)
			s.endsWithJob = test.endsWithJob
			s.onCancel = func(s *flinkServer) { s.state = rest.Canceled }
			code, stdout, stderr := runCommand(t, "cancel", "--json", "--flink-rest="+url)
			if want := fmt.Sprintf("{\"job\":%q,\"state\":%q}\n", testJob, test.state); code != exitOK || stdout != want {
				t.Errorf("exit code %d, says %q, want %q; errors %q", code, stdout, want, stderr)
			}
		})
	}
}

func TestCancelCanBeInterrupted(t *testing.T) {
	s, url := newFlinkServer(t)
	ctx, interrupt := context.WithCancel(t.Context())
	s.onCancel = func(*flinkServer) { interrupt() } // and the job goes on running
	var stdout, stderr bytes.Buffer
	code := command(ctx, []string{"cancel", "--flink-rest=" + url}, nil, &stdout, &stderr)
	if code != exitFailure || !strings.Contains(stderr.String(), context.Canceled.Error()) {
		t.Errorf("exit code %d, errors %q", code, stderr.String())
	}
}
