package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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

func TestCheckSaysWhatIsTheClustersToDecide(t *testing.T) {
	job := []string{"check", "--InputKinesisStream=trips", "--Region=eu-west-1", "--OutputKafkaBootstrapServers=b:9092", "--OutputKafkaTopic=clean"}
	for name, test := range map[string]struct {
		flags     []string
		want, not []string
	}{
		"on Flink":       {[]string{"--runner=flink"}, []string{"the cluster's parallelism", "at least 8 reader slots", "at least 8 lanes"}, []string{"parallelism 3"}},
		"set":            {[]string{"--runner=flink", "--Parallelism=3"}, []string{"parallelism 3", "8 reader slots"}, []string{"at least"}},
		"of the slots":   {[]string{"--runner=flink", "--InputReaders=8"}, []string{"in 8 reader slots", "at least 8 lanes"}, []string{"at least 8 reader"}},
		"on the machine": {[]string{"--runner=direct"}, []string{"parallelism 3", "in 8 reader slots"}, []string{"at least", "cluster's"}},
	} {
		t.Run(name, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
			code, stdout, stderr := runCommand(t, slices.Concat(job, test.flags)...)
			if code != exitOK {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			for _, want := range test.want {
				if !strings.Contains(stdout, want) {
					t.Errorf("%q is not in:\n%s", want, stdout)
				}
			}
			for _, not := range test.not {
				if strings.Contains(stdout, not) {
					t.Errorf("%q is in:\n%s", not, stdout)
				}
			}
		})
	}
}
