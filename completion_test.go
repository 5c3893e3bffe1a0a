package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/pipeline/property"
)

// completed is what bash offers behind a command line, whose words are split as bash splits them.
func completed(t *testing.T, words ...string) []string {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	code, script, stderr := runCommand(t, "completion", "bash")
	if code != exitOK {
		t.Fatal(stderr)
	}
	name := filepath.Join(t.TempDir(), "completion")
	if err := os.WriteFile(name, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), bash, append([]string{"--norc", "-c",
		`source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _streaming_etl; printf '%s\n' "${COMPREPLY[@]}"`, "bash", name}, words...)...)
	run.Dir = t.TempDir()
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Fields(string(out))
}

func TestBashCompletesCommandsFlagsAndValues(t *testing.T) {
	for _, test := range []struct {
		words []string
		want  []string
	}{
		{[]string{"streaming-etl", "s"}, []string{"savepoint", "status", "stop"}},
		{[]string{"streaming-etl", "deadletters", "re"}, []string{"resend"}},
		{[]string{"streaming-etl", "completion", ""}, []string{"bash", "fish", "zsh"}},
		{[]string{"streaming-etl", "check", "--InputKinesis"}, []string{"--InputKinesisStream="}},
		{[]string{"streaming-etl", "check", "--conn"}, []string{"--connect="}},
		{[]string{"streaming-etl", "--runn"}, []string{"--runner="}},
		{[]string{"streaming-etl", "--runner", "=", ""}, []string{"direct", "flink"}},
		{[]string{"streaming-etl", "--runner", "="}, []string{"direct", "flink"}},
		{[]string{"streaming-etl", "check", "--ParquetCompression", "=", "s"}, []string{"snappy"}},
		{[]string{"streaming-etl", "check", "--ParquetConversion", "=", ""}, []string{"false", "true"}},
		{[]string{"streaming-etl", "replay", "--speed"}, []string{"--speedup="}},
		{[]string{"streaming-etl", "status", "--on"}, []string{"--once="}},
		{[]string{"streaming-etl", "stop", "--tar"}, []string{"--target="}},
	} {
		got := completed(t, test.words...)
		slices.Sort(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, want %q", test.words, got, test.want)
		}
	}
}

func TestEveryShellKnowsEveryPropertyAndCommand(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, script, stderr := runCommand(t, "completion", shell)
		if code != exitOK {
			t.Fatal(stderr)
		}
		for _, f := range property.Flags(options()...) {
			if n := strings.Count(script, f.Name); n < 3 { // of run, check and deadletters
				if slices.ContainsFunc(options(), func(p property.Property) bool { return p.Name == f.Name }) && n > 0 {
					continue
				}
				t.Errorf("%s has %s %d times", shell, f.Name, n)
			}
		}
		for _, c := range commands() {
			if !strings.Contains(script, c.name) {
				t.Errorf("%s lacks the command %s", shell, c.name)
			}
		}
		// The shell itself reads it, where it is installed.
		if path, err := exec.LookPath(shell); err == nil {
			name := filepath.Join(t.TempDir(), "completion")
			if err := os.WriteFile(name, []byte(script), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.CommandContext(t.Context(), path, "-n", name).CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", shell, err, out)
			}
		}
	}
}

func TestEveryListedCommandIsOne(t *testing.T) {
	for _, c := range commands() {
		if c.name == "run" {
			continue // which would
		}
		code, stdout, stderr := runCommand(t, c.name, "--help")
		if code != exitOK || strings.Contains(stderr, "unknown command") {
			t.Errorf("%s --help: exit code %d, %s%.100s", c.name, code, stdout, stderr)
		}
		if !strings.Contains(commandNames(), c.name) {
			t.Errorf("%s is not in %q", c.name, commandNames())
		}
	}
}
