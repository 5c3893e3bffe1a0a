package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/pipeline/compare"
)

// outputOf makes a folder with a file of lines.
func outputOf(t *testing.T, lines ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "job_start=1", "day=1")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "part.jsonl"), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(filepath.Dir(dir))
}

func TestCompareTellsBothKindsOfDifference(t *testing.T) {
	a := outputOf(t, `{"id":1}`, `{"id":2}`, `{"id":3}`)
	b := outputOf(t, `{"id":1}`, `{"id":2}`, `{"id":2}`)
	code, stdout, stderr := runCommand(t, "compare", a, "--show=3", b)
	if code != exitFailure || !strings.Contains(stderr, "the outputs differ") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	text := strings.Join(strings.Fields(stdout), " ")
	for _, want := range []string{
		"records 3 3", "in both 2 2", "only here 1 0", "duplicates here 0 1", "1 partitions, 0 with different counts",
		`only in A: A job_start=1/day=1/part.jsonl row 3 {"id":3}`,
		`doubled in B: A job_start=1/day=1/part.jsonl row 2, B job_start=1/day=1/part.jsonl row 2, B job_start=1/day=1/part.jsonl row 3 {"id":2}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, stdout)
		}
	}
}

func TestCompareOfEqualOutputsEndsWell(t *testing.T) {
	a, b := outputOf(t, `{"id":1,"x":1}`, `{"id":2,"x":1}`), outputOf(t, `{"id":2,"x":2}`, `{"id":1}`)
	code, stdout, stderr := runCommand(t, "compare", "--columns=id", "--json", a, b)
	var r compare.Result
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != exitOK || !r.Equal || r.Common != 2 || r.A.Files != 1 {
		t.Errorf("exit code %d, %v: %s%s", code, err, stdout, stderr)
	}
}

func TestCompareWithDifferencesIsJSONToo(t *testing.T) {
	code, stdout, stderr := runCommand(t, "compare", "--json", outputOf(t, `{"id":1}`), outputOf(t, `{"id":2}`))
	var r compare.Result
	var told errorJSON
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != exitFailure || r.Equal || r.B.Only != 1 {
		t.Errorf("exit code %d, %v: %s", code, err, stdout)
	}
	if err := json.Unmarshal([]byte(stderr), &told); err != nil || told.Code != exitFailure {
		t.Errorf("%v: %s", err, stderr)
	}
}

func TestCompareRefusesWhatItCannotDo(t *testing.T) {
	a := outputOf(t, `{"id":1}`)
	for _, test := range []struct {
		code int
		args []string
		want string
	}{
		{exitUsage, []string{"compare", a}, "takes two outputs"},
		{exitUsage, []string{"compare", a, a, a}, "takes two outputs"},
		{exitUsage, []string{"compare", "--colums=id", a, a}, "colums"},
		{exitUsage, []string{"compare", "--show=-1", a, a}, "--show"},
		{exitFailure, []string{"compare", a, filepath.Join(a, "missing")}, "missing"},
		{exitFailure, []string{"compare", "--columns=id,ids", a, a}, "ids: neither output has such a column"},
		{exitFailure, []string{"compare", a, t.TempDir()}, "there is no Parquet file"},
	} {
		if code, stdout, stderr := runCommand(t, test.args...); code != test.code || !strings.Contains(stderr, test.want) || stdout != "" {
			t.Errorf("%v: exit code %d, %q, %q", test.args, code, stdout, stderr)
		}
	}
}
