package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// auditEvent has some columns of a file, as another reader knows them.
type auditEvent struct {
	EventTime int64   `parquet:"eventTime,timestamp(millisecond)"`
	EventID   string  `parquet:"eventID"`
	Source    string  `parquet:"eventSource"`
	ErrorCode *string `parquet:"errorCode,optional"`
	ReadOnly  *bool   `parquet:"readOnly,optional"`
}

func TestTryRunsAJobsPropertiesOnOwnEvents(t *testing.T) {
	out := t.TempDir()
	code, stdout, stderr := runCommand(t, "try", "--events=testdata/cloudtrail/events.jsonl", "--properties=testdata/cloudtrail/properties.json", "--out="+out)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	// What the sample has, found by encoding/json alone.
	want := map[string]map[string]any{}
	read, broken := 0, 0
	text, err := os.ReadFile("testdata/cloudtrail/events.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		read++
		var e map[string]any
		if json.Unmarshal(line, &e) != nil || e["eventSource"] == nil {
			broken++
			continue
		}
		want[e["eventID"].(string)] = e
	}
	rows := map[string]int{}
	files, err := filepath.Glob(filepath.Join(out, "service=*", "day=*", "*.parquet"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		list, err := parquet.ReadFile[auditEvent](name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, e := range list {
			rows[e.EventID]++
			in := want[e.EventID]
			if in == nil || in["eventSource"] != e.Source || !strings.Contains(name, "service="+e.Source+"/day="+in["eventTime"].(string)[:10]) {
				t.Errorf("row %+v of %s, event %v", e, name, in)
			}
			if code, ok := in["errorCode"]; ok != (e.ErrorCode != nil) || ok && code != *e.ErrorCode {
				t.Errorf("row %+v, event %v", e, in)
			}
		}
	}
	for id := range want {
		if rows[id] != 1 {
			t.Errorf("event %s is in %d rows", id, rows[id])
		}
	}
	if len(rows) != len(want) {
		t.Errorf("%d events in the files, want %d", len(rows), len(want))
	}

	documents := 0
	text, err = os.ReadFile(filepath.Join(out, "_elasticsearch", "cloudtrail-2023.11.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var d struct {
			ID     string         `json:"_id"`
			Source map[string]any `json:"_source"`
		}
		if err := json.Unmarshal(line, &d); err != nil {
			t.Fatal(err)
		}
		// What no column takes is in the document all the same.
		if want[d.ID] == nil || d.Source["userIdentity"] == nil {
			t.Errorf("document %s", line)
		}
		documents++
	}
	if documents != len(want) {
		t.Errorf("%d documents, want %d", documents, len(want))
	}
	letters, err := filepath.Glob(filepath.Join(out, "dead-letters", "job_start=*", "reason=*", "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range letters {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found += bytes.Count(text, []byte("\n"))
	}
	if found != broken || broken != 3 {
		t.Errorf("%d dead letters, want %d", found, broken)
	}
	if doubles := read - broken - len(want); doubles != 2 || !strings.Contains(stdout, "2 records dropped") {
		t.Errorf("the sample has %d doubles; the summary:\n%s", doubles, stdout)
	}
}

func TestTryReadsAFolderAndTheStandardInput(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(`{"id":"`+name+"\"}\n\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"--EventSchema=" + `{"type":"record","name":"E","fields":[{"name":"id","type":"string"}]}`, "--OutputPathTemplate=all", "--ParquetConversion=false"}
	out := t.TempDir()
	if code, stdout, stderr := runCommand(t, append([]string{"try", "--events=" + dir, "--out=" + out}, args...)...); code != exitOK || !strings.Contains(stdout, "delivered     2 records") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if _, err := os.Stat(filepath.Join(out, "_elasticsearch")); !os.IsNotExist(err) {
		t.Errorf("documents of a job without Elasticsearch: %v", err)
	}
	var stdout, stderr bytes.Buffer
	code := tryJob(t.Context(), append([]string{"--events=-", "--out=" + t.TempDir()}, args...), nil, strings.NewReader(`{"id":"c"}`), &stdout, &stderr)
	if code != exitOK || !strings.Contains(stdout.String(), "delivered     1 records") {
		t.Errorf("exit code %d: %s%s", code, stdout.String(), stderr.String())
	}
}

func TestTryRefusesWhatItCannotDo(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	long := filepath.Join(t.TempDir(), "long")
	for name, size := range map[string]int{empty: 0, long: maxEvent + 1} {
		if err := os.WriteFile(name, bytes.Repeat([]byte("x"), size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		code int
		args []string
		want []string
	}{
		{exitUsage, nil, []string{"events: is missing"}},
		{exitUsage, []string{"--events=x", "--InputKafkaTopic=t", "--OutputKinesisStream=s"}, []string{"InputKafkaTopic", "OutputKinesisStream", "cannot be tried"}},
		{exitFailure, []string{"--events=" + long}, []string{"line 1 has more than"}},
		{exitFailure, []string{"--events=" + empty}, []string{"it contains no events"}},
		{exitFailure, []string{"--events=" + empty + "/x"}, []string{"--events"}},
		{exitUsage, []string{"--events=testdata/cloudtrail/events.jsonl", "--OutputPathTemplate={nofield}"}, []string{"nofield"}},
	} {
		code, _, stderr := runCommand(t, append(append([]string{"try", "--out=" + t.TempDir()}, test.args...), "--Region=eu-west-1")...)
		for _, want := range test.want {
			if !strings.Contains(stderr, want) {
				t.Errorf("%v: %q is not in %s", test.args, want, stderr)
			}
		}
		if code != test.code {
			t.Errorf("%v: exit code %d, want %d: %s", test.args, code, test.code, stderr)
		}
	}
}

func TestTryAgainLeavesNothingOfTheLastOne(t *testing.T) {
	out := t.TempDir()
	own := filepath.Join(out, "service=mine", "notes.txt")
	if err := os.MkdirAll(filepath.Dir(own), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(own, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	try := func() []string {
		t.Helper()
		code, _, stderr := runCommand(t, "try", "--events=testdata/cloudtrail/events.jsonl", "--properties=testdata/cloudtrail/properties.json", "--out="+out)
		if code != exitOK {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		names, err := filesOf(out)
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	first, second := try(), try()
	if len(first) != len(second) || len(first) < 4 {
		t.Errorf("one try leaves %q, two %q", first, second)
	}
	if _, err := os.Stat(own); err != nil {
		t.Errorf("a file that no try has written: %v", err)
	}
}

func TestTryOutlivesAFolderThatNoFileSystemHas(t *testing.T) {
	out, events := t.TempDir(), filepath.Join(t.TempDir(), "events")
	if err := os.WriteFile(events, []byte(`{"id":"ok"}`+"\n"+`{"id":"`+strings.Repeat("x", 300)+`"}`+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := runCommand(t, "try", "--events="+events, "--out="+out, "--OutputPathTemplate=id={id}",
		`--EventSchema={"type":"record","name":"E","fields":[{"name":"id","type":"string"}]}`)
	if code != exitOK || !strings.Contains(stdout, "value_too_long 1") || !strings.Contains(stdout, "1 records") {
		t.Errorf("exit code %d, %s\n%s", code, stdout, stderr)
	}
}

func TestTryDeletesNothingElsewhere(t *testing.T) {
	dir := t.TempDir()
	out, other := filepath.Join(dir, "out"), filepath.Join(dir, "other")
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{other: "x", filepath.Join(out, writtenFile): "../other\n"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := forgetTry(out); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
}
