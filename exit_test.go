package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestExitCodesAreThoseOfThePage(t *testing.T) {
	_, section, ok := strings.Cut(page(t), "## For scripts")
	if !ok {
		t.Fatal("the page has no section for scripts")
	}
	documented := map[int]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \| `).FindAllStringSubmatch(section, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		documented[n] = true
	}
	if len(documented) != 3 || !documented[exitOK] || !documented[exitFailure] || !documented[exitUsage] {
		t.Errorf("the page has %v", documented)
	}
}

// TestEveryCommandEndsWithTheCodeOfWhatHappened runs each command so that it
// does what it is asked, cannot, or is asked wrongly, in so far as that can be
// without a cluster.
func TestEveryCommandEndsWithTheCodeOfWhatHappened(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_PROFILE": "", "AWS_REGION": "us-east-1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_MAX_ATTEMPTS": "1",
	} {
		t.Setenv(name, value)
	}
	_, address := newFlinkServer(t)
	dir := t.TempDir()
	job := []string{"--InputKinesisStream=trips", "--OutputBucket=lake", "--Region=us-east-1"}
	with := func(first string, more ...string) []string { return append(append([]string{first}, job...), more...) }

	covered := map[string]map[int]bool{}
	for _, test := range []struct {
		code int
		args []string
	}{
		{exitOK, []string{"run", "--help"}},
		{exitUsage, []string{"run", "--runner=spark"}},
		{exitUsage, []string{"run", "--runner=flink", "--OutputBucket=lake"}},
		{exitFailure, with("run", "--runner=flink", "--flink-rest="+address, "--jar="+filepath.Join(dir, "missing.jar"))},
		{exitOK, with("check")},
		{exitUsage, with("check", "--OutputPathTemplate={nofield}")},
		{exitFailure, with("check", "--svg="+filepath.Join(dir, "missing", "plan.svg"))},
		{exitOK, []string{"try", "--help"}},
		{exitUsage, []string{"try"}},
		{exitFailure, []string{"try", "--out=" + dir, "--events=" + filepath.Join(dir, "missing")}},
		{exitOK, []string{"replay", "--help"}},
		{exitUsage, []string{"replay", "--speed=1"}},
		{exitFailure, []string{"replay", "--stream=trips", "--endpoint=http://127.0.0.1:1", "--source=" + filepath.Join(dir, "missing")}},
		{exitOK, []string{"jar", "--help"}},
		{exitUsage, []string{"jar", "--archs=amd64"}},
		{exitFailure, []string{"jar", "--arch=z80", "--out=" + filepath.Join(dir, "etl.jar")}},
		{exitOK, []string{"status", "--once", "--flink-rest=" + address}},
		{exitUsage, []string{"status"}},
		{exitFailure, []string{"status", "--once", "--flink-rest=http://127.0.0.1:1"}},
		{exitOK, []string{"deadletters", "--help"}},
		{exitUsage, with("deadletters", "remove")},
		{exitFailure, append([]string{"deadletters", "show", "none"}, append(job, "--OutputBucketEndpoint=http://127.0.0.1:1")...)},
		{exitOK, []string{"compare", "--help"}},
		{exitUsage, []string{"compare", dir}},
		{exitFailure, []string{"compare", dir, dir}},
		{exitOK, []string{"savepoint", "--help"}},
		{exitUsage, []string{"savepoint"}},
		{exitFailure, []string{"savepoint", "--flink-rest=http://127.0.0.1:1"}},
		{exitOK, []string{"stop", "--help"}},
		{exitUsage, []string{"stop"}},
		{exitFailure, []string{"stop", "--flink-rest=http://127.0.0.1:1"}},
		{exitOK, []string{"cancel", "--help"}},
		{exitUsage, []string{"cancel"}},
		{exitFailure, []string{"cancel", "--flink-rest=http://127.0.0.1:1"}},
		{exitOK, []string{"deregister", "--help"}},
		{exitUsage, with("deregister")},
		{exitFailure, with("deregister", "--InputStreamConsumer=EFO", "--InputStreamEndpoint=http://127.0.0.1:1")},
		{exitOK, []string{"completion", "bash"}},
		{exitUsage, []string{"completion", "tcsh"}},
		{exitOK, []string{"version"}},
		{exitUsage, []string{"version", "now"}},
		{exitOK, []string{"help"}},
		{exitUsage, []string{"halp"}},
	} {
		code, stdout, stderr := runCommand(t, test.args...)
		if code != test.code {
			t.Errorf("%v: exit code %d, want %d: %s%s", test.args, code, test.code, stdout, stderr)
		}
		if code != exitOK && stderr == "" {
			t.Errorf("%v: exit code %d, and nothing is told", test.args, code)
		}
		if covered[test.args[0]] == nil {
			covered[test.args[0]] = map[int]bool{}
		}
		covered[test.args[0]][test.code] = true
	}
	for _, name := range names() {
		if !covered[name][exitOK] {
			t.Errorf("%s was not run so that it ends well", name)
		}
	}
}

// TestTheProcessEndsWithTheCodeOfTheCommand starts the program: a code that
// main does not pass on would help nobody.
func TestTheProcessEndsWithTheCodeOfTheCommand(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for want, args := range map[int][]string{
		exitOK: {"--version", "--json"}, exitFailure: {"compare", dir, dir}, exitUsage: {"check", "--json", "--NoSuchProperty=1"},
	} {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		_ = cmd.Run() // the code is looked at
		if code := cmd.ProcessState.ExitCode(); code != want {
			t.Errorf("%v: exit code %d, want %d: %s%s", args, code, want, stdout.String(), stderr.String())
		}
		switch want {
		case exitOK:
			var b built
			if err := json.Unmarshal(stdout.Bytes(), &b); err != nil || b.Go == "" {
				t.Errorf("%v: %v: %s", args, err, stdout.String())
			}
		case exitUsage:
			var told errorJSON
			if err := json.Unmarshal(stderr.Bytes(), &told); err != nil || told.Code != exitUsage || len(told.Mistakes) == 0 {
				t.Errorf("%v: %v: %s", args, err, stderr.String())
			}
		}
	}
}

func TestReplayTellsProgramsWhatItSent(t *testing.T) {
	s := newServers(t)
	file := filepath.Join(t.TempDir(), "trips.json")
	if err := os.WriteFile(file, []byte(`{"trip_id":1,"dropoff_datetime":"2018-03-01T00:00:00.000Z"}`+"\n{\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"replay", "--json", "--stream=trips", "--region=us-east-1", "--speedup=0", "--source=" + file}
	for _, p := range s.properties {
		if endpoint, ok := strings.CutPrefix(p, "--InputStreamEndpoint="); ok {
			args = append(args, "--endpoint="+endpoint)
		}
	}
	code, stdout, stderr := runCommand(t, args...)
	var told struct {
		Records int64     `json:"records"`
		Skipped int64     `json:"lines_skipped"`
		Last    time.Time `json:"last_event_time"`
	}
	if err := json.Unmarshal([]byte(stdout), &told); err != nil || code != exitOK || told.Records != 1 || told.Skipped != 1 || told.Last.Year() != 2018 {
		t.Errorf("exit code %d, %v: %s%s", code, err, stdout, stderr)
	}
	for line := range strings.Lines(stderr) {
		if !json.Valid([]byte(line)) {
			t.Errorf("on the way it told %q", line)
		}
	}
	code, _, stderr = runCommand(t, "replay", "--json", "--speedup=fast", "--stream=trips")
	var failed errorJSON
	if err := json.Unmarshal([]byte(stderr), &failed); err != nil || code != exitUsage || failed.Code != exitUsage || !strings.Contains(failed.Error, "fast") {
		t.Errorf("exit code %d, %v: %s", code, err, stderr)
	}
}
