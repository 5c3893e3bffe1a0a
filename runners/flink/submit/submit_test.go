package submit_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
	"github.com/streaming-etl/streaming-etl/runners/flink/submit"
)

const job = "8dcd1c7a5aa4fe8ff1a5d95b1b0ccf21"

// cluster returns a client of a server that has the jar at the path, and runs it as told.
func cluster(t *testing.T, run http.HandlerFunc) (client *rest.Client, jar string) {
	t.Helper()
	content := []byte("a jar")
	jar = filepath.Join(t.TempDir(), "etl.jar")
	if err := os.WriteFile(jar, content, 0o644); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	name := "etl-" + hex.EncodeToString(sum[:8]) + ".jar"
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jars", func(w http.ResponseWriter, _ *http.Request) {
		answer(t, w, map[string]any{"files": []any{map[string]string{"id": "1_" + name, "name": name}}})
	})
	mux.HandleFunc("POST /jars/1_"+name+"/run", run)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	client, err := rest.New(server.URL, "a test")
	if err != nil {
		t.Fatal(err)
	}
	return client, jar
}

func answer(t *testing.T, w http.ResponseWriter, value any) {
	t.Helper()
	if err := json.NewEncoder(w).Encode(value); err != nil {
		t.Error(err)
	}
}

func TestJobThatIsSubmittedAtTheEndOfTheContextIsNamed(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	client, jar := cluster(t, func(w http.ResponseWriter, _ *http.Request) {
		interrupt()
		answer(t, w, map[string]string{"jobid": job})
	})
	id, err := submit.Run(ctx, client, submit.Options{Jar: jar})
	if id != job || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), job+" is submitted and goes on starting") {
		t.Errorf("job %q, error %v; want %s, which runs, and an error that says so", id, err, job)
	}
}

func TestStateOfAnotherGraphIsToldWithTheFlagThatDropsIt(t *testing.T) {
	client, jar := cluster(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		answer(t, w, map[string]any{"errors": []string{"java.lang.IllegalStateException: Failed to rollback. " +
			"Cannot map checkpoint/savepoint state for operator 79de to the new program.\n\tat a.B.c(B.java:1)\n"}})
	})
	_, err := submit.Run(t.Context(), client, submit.Options{Jar: jar, SavepointPath: "/savepoints/1"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, word := range []string{"/savepoints/1", "another graph", "--allow-non-restored-state", "operator 79de"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not in: %v", word, err)
		}
	}
}

// following returns a client of a server that answers each look at the job by the next function.
func following(t *testing.T, looks ...http.HandlerFunc) *rest.Client {
	t.Helper()
	next := 0
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jobs/"+job, func(w http.ResponseWriter, r *http.Request) {
		looks[min(next, len(looks)-1)](w, r)
		next++
	})
	mux.HandleFunc("GET /jobs/"+job+"/exceptions", func(w http.ResponseWriter, _ *http.Request) {
		answer(t, w, map[string]string{"root-exception": "java.lang.RuntimeException: the bucket is gone\n\tat a.B.c(B.java:1)\n"})
	})
	mux.HandleFunc("GET /jobs/"+job+"/", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError) // checkpoints, metrics
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	client, err := rest.New(server.URL, "a test")
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func state(t *testing.T, s rest.State) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { answer(t, w, map[string]any{"jid": job, "state": s}) }
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestFollowGoesOnWhereAClusterAnswersSomeQuestionsOnly(t *testing.T) {
	client := following(t, state(t, rest.Running), status(http.StatusServiceUnavailable), status(http.StatusInternalServerError),
		state(t, rest.Failing), state(t, rest.Canceled))
	last, err := submit.Follow(t.Context(), client, job, time.Millisecond, func(submit.Status) { t.Error("a look without its counters is shown") })
	if err != nil || last.Job.State != rest.Canceled {
		t.Errorf("the job is %s, %v", last.Job.State, err)
	}
}

func TestFollowTellsWhyAJobFailed(t *testing.T) {
	client := following(t, state(t, rest.Running), state(t, rest.Failed))
	_, err := submit.Follow(t.Context(), client, job, time.Millisecond, func(submit.Status) {})
	if err == nil || !strings.Contains(err.Error(), "failed: the bucket is gone") {
		t.Errorf("error %v", err)
	}
}

func TestFollowTellsThatAJobThatIsNotKnownMayGoOn(t *testing.T) {
	client := following(t, state(t, rest.Running), status(http.StatusNotFound))
	_, err := submit.Follow(t.Context(), client, job, time.Millisecond, func(submit.Status) {})
	if !errors.Is(err, rest.ErrNotFound) || !strings.Contains(err.Error(), job) || !strings.Contains(err.Error(), "may go on") {
		t.Errorf("error %v", err)
	}
}

func TestFollowShowsTheLastLookToo(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jobs/"+job, state(t, rest.Finished))
	mux.HandleFunc("GET /jobs/"+job+"/metrics", func(w http.ResponseWriter, _ *http.Request) { answer(t, w, []any{}) })
	mux.HandleFunc("GET /jobs/"+job+"/", func(w http.ResponseWriter, _ *http.Request) { answer(t, w, struct{}{}) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	client, err := rest.New(server.URL, "a test")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	if _, err := submit.Follow(t.Context(), client, job, time.Millisecond, func(submit.Status) { shown++ }); err != nil || shown != 1 {
		t.Errorf("%d looks are shown, %v", shown, err)
	}
}
