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
