//go:build linux

package faults

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/internal/secrettest"
	"github.com/streaming-etl/streaming-etl/io/elasticsearchio/esfake"
	"github.com/streaming-etl/streaming-etl/stack"
)

// indexPassword is a secret from a file; stack.SecretKey is one from the cluster's environment.
const indexPassword = "planted-index-password"

var planted = secrettest.Planted{"Elasticsearch": indexPassword, "AWS": stack.SecretKey}

// TestSecretsAreInNoSavepointAndNoAnswerOfFlink looks for what the job logs in with in all that the cluster keeps of it
// and shows of it.
func TestSecretsAreInNoSavepointAndNoAnswerOfFlink(t *testing.T) {
	r := newRun(t)
	search, err := esfake.Start(esfake.Options{Authorize: func(request *http.Request, _ []byte) (int, string) {
		if _, password, _ := request.BasicAuth(); password != indexPassword {
			return http.StatusUnauthorized, "unable to authenticate"
		}
		return 0, ""
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(search.Close)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(indexPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.sinks = append(r.sinks, "--OutputElasticsearchEndpoint="+search.URL, "--ElasticsearchIndex=trips", "--ElasticsearchDocumentId={trip_id}",
		"--ElasticsearchAuth=BASIC", "--ElasticsearchUsername="+secrettest.User, "--ElasticsearchPasswordFrom=file:"+file)
	r.submit(t, r.lab.jar, taskManagers, "")
	r.steady(t)

	shown := 0 // answers about the job
	for _, path := range []string{
		"/jobs/" + r.jobID, "/jobs/" + r.jobID + "/config", "/jobs/" + r.jobID + "/plan", "/jobs/" + r.jobID + "/exceptions",
		"/jobs/" + r.jobID + "/checkpoints", "/jobs/" + r.jobID + "/checkpoints/config", "/jars", "/config",
		"/jobmanager/config", "/jobmanager/environment", "/jobmanager/logs", "/jobmanager/log", "/jobmanager/stdout", "/taskmanagers",
	} {
		answer := get(t, r.lab.cluster.URL()+path)
		planted.Absent(t, path, answer)
		if bytes.Contains(answer, []byte(r.jobID)) {
			shown++
		}
	}
	if shown == 0 {
		t.Error("no answer is about the job: it is not looked for rightly")
	}

	savepoint := strings.TrimPrefix(r.stop(t), "file:")
	positions := 0 // files with a position in the stream
	for _, dir := range []string{savepoint, filepath.Join(r.lab.cluster.Dir(), "checkpoints", r.jobID)} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			planted.Absent(t, path, content)
			if bytes.Contains(content, []byte("shardId-")) {
				positions++
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if positions == 0 {
		t.Errorf("no file below %s names a shard: state is not looked for rightly", savepoint)
	}
	for _, path := range r.lab.cluster.Logs() {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		planted.Absent(t, path, content)
	}
}
