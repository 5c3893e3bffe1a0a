package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/pipeline/property"
)

var oneDash = regexp.MustCompile(`^ *-[a-z]`)

func TestEveryCommandHasHelpOfTheSameForm(t *testing.T) {
	for _, c := range commands() {
		code, stdout, stderr := runCommand(t, c.name, "--help")
		if code != exitOK || stderr != "" {
			t.Errorf("%s --help: exit code %d, to standard error: %s", c.name, code, stderr)
		}
		first, _, _ := strings.Cut(stdout, "\n")
		if !strings.Contains(first, c.name) && c.name != "run" && c.name != "help" { // which list all
			t.Errorf("%s --help begins with %q", c.name, first)
		}
		for line := range strings.Lines(stdout) {
			if oneDash.MatchString(line) {
				t.Errorf("%s --help has a flag of one dash: %s", c.name, line)
			}
		}
		for _, f := range flagsOf(c.name) {
			if !strings.Contains(stdout, "  --"+f.Name) && c.name != "status" { // which refers to the properties
				t.Errorf("%s --help has no --%s", c.name, f.Name)
			}
		}
		if hasJSON := strings.Contains(stdout, "  --"+jsonFlag); hasJSON != slices.ContainsFunc(flagsOf(c.name), isJSON) && c.name != "help" {
			t.Errorf("%s --help and its flags do not agree on --%s", c.name, jsonFlag)
		}
	}
}

func TestHelpOfACommandTellsPurposeArgumentsAndDefaults(t *testing.T) {
	for command, want := range map[string]string{
		"cancel": `streaming-etl cancel [flags]

Cancels a job.

Flags:
  --flink-rest  the address of the cluster's REST endpoint, host:port or a URL
  --job         the job's id or name; not needed if only one job is running
  --json        write the result and errors as JSON, one object per line
`,
		"completion": `streaming-etl completion bash|zsh|fish

Writes the completion script for bash, zsh or fish.
`,
	} {
		if _, stdout, _ := runCommand(t, command, "--help"); stdout != want {
			t.Errorf("got:\n%swant:\n%s", stdout, want)
		}
	}
	_, stdout, _ := runCommand(t, "compare", "-h")
	for _, want := range []string{"streaming-etl compare [flags] A B\n", " (default: 5)\n", " (default: job_start)\n"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("help of compare has no %q:\n%s", want, stdout)
		}
	}
}

func isJSON(f property.Flag) bool { return f.Name == jsonFlag }
