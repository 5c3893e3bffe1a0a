package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
)

// A linter that finds nothing may as well not have looked.
func TestMistakesAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the linters of the cache")
	}
	cache, err := cluster.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if installed, _ := filepath.Glob(filepath.Join(cache, "lint-*", complete)); len(installed) == 0 {
		t.Skip("the linters are not installed: go run ./deploy/lint installs them")
	}
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("aws/template.json", `{"Resources": {"Stream": {"Type": "AWS::Kinesis::Stream", "Properties": {"ShardCuont": 1}}}}`)
	write("kubernetes/Dockerfile", "FROM flink:latest\n")
	var out bytes.Buffer
	if err := lint(t.Context(), dir, &out, &out); err == nil {
		t.Error("all is well")
	}
	for _, want := range []string{"ShardCuont", "DL3007"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no word of %s:\n%s", want, &out)
		}
	}
}

func TestAFolderWithoutTemplatesIsRefused(t *testing.T) {
	if err := lint(t.Context(), t.TempDir(), nil, nil); err == nil || !strings.Contains(err.Error(), "at the top of the project") {
		t.Errorf("the error is %v", err)
	}
}
