package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckConnectTriesEachPermission(t *testing.T) {
	s := newServers(t)
	code, stdout, stderr := runCommand(t, append([]string{"check", "--connect"}, s.properties...)...)
	if code != exitOK {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	for _, want := range []string{"granted  kinesis:GetRecords", "granted  s3:AbortMultipartUpload", "arn:aws:s3:::lake/raw/*"} {
		if !strings.Contains(strings.Join(strings.Fields(stdout), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("%q is not in:\n%s", want, stdout)
		}
	}
}

func TestCheckConnectFailsWhereSomethingDoes(t *testing.T) {
	s := newServers(t)
	args := append([]string{"check", "--connect", "--json"}, s.properties...)
	code, stdout, stderr := runCommand(t, append(args, "--OutputBucket=pond")...)
	var report struct {
		OK          bool
		Permissions []struct{ Property, Action, Outcome, Why string }
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != exitFailure || report.OK {
		t.Fatalf("exit code %d, %v: %s%s", code, err, stdout, stderr)
	}
	failed := 0
	for _, p := range report.Permissions {
		if p.Outcome == "failed" && p.Property == "OutputBucket" && strings.Contains(p.Why, "pond") {
			failed++
		}
	}
	if failed == 0 {
		t.Errorf("no failure names the bucket: %s", stdout)
	}
	var told errorJSON
	if err := json.Unmarshal([]byte(stderr), &told); err != nil || told.Code != exitFailure {
		t.Errorf("%v: %s", err, stderr)
	}
}

// docs/migration.md tells that check says what it makes of this file.
func TestCheckTellsEachPropertyOfAFileWithItsSource(t *testing.T) {
	const file = "testdata/java-sample.json"
	code, stdout, stderr := runCommand(t, "check", "--properties="+file, "--Region=eu-west-1")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	_, given, _ := strings.Cut(stdout, "\nset by\n")
	for _, want := range []string{"InputKinesisStream trips", "OutputBucket s3://lake/streaming-etl-output/", "ParquetConversion true"} {
		if !strings.Contains(strings.Join(strings.Fields(given), " "), want+" file "+file) {
			t.Errorf("%q is not in:\n%s", want, given)
		}
	}
}

func TestCheckDrawsThePlan(t *testing.T) {
	name := filepath.Join(t.TempDir(), "plan.svg")
	code, stdout, stderr := runCommand(t, "check", "--svg="+name, "--InputKinesisStream=trips", "--OutputBucket=lake", "--Region=eu-west-1")
	if code != exitOK || !strings.Contains(stdout, "Kinesis stream trips") {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if text, err := os.ReadFile(name); err != nil || !strings.HasPrefix(string(text), "<svg ") || !strings.Contains(string(text), "s3://lake/") {
		t.Errorf("%v: %.200s", err, text)
	}
	if code, _, stderr := runCommand(t, "check", "--svg="+filepath.Join(name, "x"), "--InputKinesisStream=trips", "--OutputBucket=lake", "--Region=eu-west-1"); code != exitFailure || !strings.Contains(stderr, "--svg") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
