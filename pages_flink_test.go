//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
	"github.com/streaming-etl/streaming-etl/stack"
)

var (
	hasDelivered  = regexp.MustCompile(`, delivered [1-9]`)
	savepointPath = regexp.MustCompile(`(?m)^\S*savepoint-\S+$`)
)

// TestCommandsOfThePagesThatNeedFlink runs the blocks that are marked so on a
// real Flink, in the order of the pages: a job is submitted and followed, what
// the next blocks ask is asked of it, it is stopped by them, and goes on from
// its savepoint. Stream and bucket are in this process.
func TestCommandsOfThePagesThatNeedFlink(t *testing.T) {
	if os.Getenv("ETL_FLINK_TESTS") == "" {
		t.Skip("starts a Flink cluster: set ETL_FLINK_TESTS")
	}
	program := filepath.Join(t.TempDir(), programName)
	if text, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, text)
	}
	w := newPageWorld(t, program)
	var env []string
	for _, variable := range os.Environ() {
		if strings.HasPrefix(variable, "AWS_") {
			env = append(env, variable)
		}
	}
	flink := stack.StartFlink(t, cluster.Options{Env: env})
	w.words["host:8081"] = strings.TrimPrefix(flink.URL(), "http://")
	cache, err := cluster.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	// The home is another, and the cache is in it.
	w.env = append(w.env, cluster.CacheVariable+"="+cache)

	var followed *startedBlock
	ran, asked := 0, 0
	for _, page := range pages(t) {
		for _, b := range shellBlocks(t, page) {
			if !b.onFlink() {
				continue
			}
			ran++
			t.Log(b.name())
			if strings.Contains(b.reason, "followed") {
				followed = w.start(t, b)
				followed.says(t, hasDelivered)
				asked = w.askRunning(t)
				continue
			}
			output := w.run(t, b)
			if path := savepointPath.FindAllString(output, -1); path != nil {
				w.words["SAVEPOINT"] = path[len(path)-1]
			}
			if followed != nil {
				followed.ends(t) // since the block has stopped the job
				followed = nil
			}
		}
	}
	if ran < 5 || asked < 2 || w.words["SAVEPOINT"] == "" {
		t.Errorf("%d blocks were run, %d asked the running job, the savepoint is %q", ran, asked, w.words["SAVEPOINT"])
	}
}

// askRunning runs the blocks that ask a running job and change nothing, which
// elsewhere get their answers from a server in the process.
func (w *pageWorld) askRunning(t *testing.T) (asked int) {
	t.Helper()
	for _, page := range pages(t) {
		for _, b := range shellBlocks(t, page) {
			if b.mark == "" && strings.Contains(b.text, "status --flink-rest=host:8081") {
				t.Log(b.name())
				w.run(t, b)
				asked++
			}
		}
	}
	return asked
}
