package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
)

// deadJob returns the properties of a job that has made dead letters of three reasons.
func deadJob(t *testing.T) []string {
	t.Helper()
	s := newServers(t)
	s.put(t, `{"trip_id":`+"\x1b[31m", "[1]", `{"trip_id":"x","type":"`+strings.Repeat("long ", 500)+`"}`, `{"trip_id":`)
	args := append([]string{"--runner=direct", "--out=" + t.TempDir(), "--InputStreamStopTimestamp=" + time.Now().UTC().Add(time.Second).Format(time.RFC3339)}, s.properties...)
	if code, stdout, stderr := runCommand(t, args...); code != exitOK || !strings.Contains(stdout, "dead letters  4") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	return s.properties
}

func TestStatusShowsASampleOfEachReason(t *testing.T) {
	properties := deadJob(t)
	s, url := newFlinkServer(t)
	for name := range s.metrics {
		if strings.HasPrefix(name, "[1]Route.dead_letters_") {
			delete(s.metrics, name)
		}
	}
	s.metrics["[1]Route.dead_letters_malformed_json"], s.metrics["[1]Route.dead_letters_not_an_object"] = 2, 1
	s.metrics["[1]Route.dead_letters_mapping"] = 7 // of which none is there

	code, stdout, stderr := runCommand(t, append([]string{"status", "--flink-rest=" + url, "--once"}, properties...)...)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{"mapping 7, malformed_json 2, not_an_object 1", "malformed_json: ", `: {"trip_id":`, "not_an_object: ", ": [1]"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the screen lacks %q:\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "\x1b") || strings.Contains(stdout, "mapping: ") {
		t.Errorf("the screen has what it should not:\n%s", stdout)
	}
}

func TestStatusShowsSamplesWhileTheJobFails(t *testing.T) {
	properties := deadJob(t)
	s, url := newFlinkServer(t)
	s.state, s.tasks, s.metrics = rest.Restarting, `{"CANCELED":2}`, map[string]int64{}
	s.failure = "a.XException: Commit failed.\nCaused by: java.io.IOException: access to s3://lake is denied\n"
	code, stdout, stderr := runCommand(t, append([]string{"status", "--flink-rest=" + url, "--json"}, properties...)...)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var v statusView
	if err := json.Unmarshal([]byte(stdout), &v); err != nil {
		t.Fatal(err)
	}
	if v.Health.State != "restarting" || !strings.Contains(v.Health.Text, "access to s3://lake is denied") {
		t.Errorf("health is %+v", v.Health)
	}
	samples := v.DeadLetters.Samples
	var reasons []string
	for _, s := range samples {
		reasons = append(reasons, s.Reason)
		if s.ID == "" || s.Source != "trips" || s.Shard == "" || s.Sequence == "" || s.Detail == "" || s.Payload == "" {
			t.Errorf("sample %+v", s)
		}
		if cut := s.Reason == "malformed_json" || s.Reason == "not_an_object"; s.Cut == cut || len(s.Payload) > samplePayload {
			t.Errorf("%s: a payload of %d bytes, cut %v", s.Reason, len(s.Payload), s.Cut)
		}
	}
	if len(reasons) != 3 || !slices.Contains(reasons, "malformed_json") || !slices.Contains(reasons, "not_an_object") || !slices.IsSorted(reasons) {
		t.Errorf("reasons %q", reasons)
	}
}

func TestStatusIsShownThoughSamplesAreOutOfReach(t *testing.T) {
	s := newServers(t)
	_, url := newFlinkServer(t)
	code, stdout, stderr := runCommand(t, append(append([]string{"status", "--flink-rest=" + url, "--once"}, s.properties...), "--OutputBucket=none")...)
	if code != exitOK || !strings.Contains(stdout, "samples of dead letters: ") || !strings.Contains(stdout, "out_of_range 9") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

func TestStatusTellsWrongProperties(t *testing.T) {
	_, url := newFlinkServer(t)
	code, _, stderr := runCommand(t, "status", "--flink-rest="+url, "--OutputBukket=lake")
	if code != exitUsage || !strings.Contains(stderr, "OutputBukket") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestPropertiesArePartedFromACommandsFlags(t *testing.T) {
	flags, properties := splitProperties([]string{"--once", "--OutputBucket=lake", "--job", "trips", "--Region", "eu-west-1", "--InputKeyOrder", "--json", "stray", "-X=1"})
	if want := []string{"--once", "--job", "trips", "--json", "stray"}; !slices.Equal(flags, want) {
		t.Errorf("flags %q", flags)
	}
	if want := []string{"--OutputBucket=lake", "--Region", "eu-west-1", "--InputKeyOrder", "-X=1"}; !slices.Equal(properties, want) {
		t.Errorf("properties %q", properties)
	}
}
