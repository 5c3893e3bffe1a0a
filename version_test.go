package main

import (
	"encoding/json"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersionTellsTheCommit(t *testing.T) {
	info := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123abcd"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	got := readBuilt(info, true).String()
	for _, want := range []string{"streaming-etl v1.2.3", "commit 0123abcd of 2026-01-02T03:04:05Z with changes", "go1."} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if got := readBuilt(nil, false).String(); !strings.Contains(got, "commit unknown") {
		t.Errorf("without build info: %q", got)
	}
}

func TestVersionIsACommandAndAFlag(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if code, stdout, _ := runCommand(t, args...); code != exitOK || !strings.HasPrefix(stdout, "streaming-etl ") {
			t.Errorf("%v: exit code %d, %q", args, code, stdout)
		}
	}
	_, stdout, _ := runCommand(t, "--version", "--json")
	var b built
	if err := json.Unmarshal([]byte(stdout), &b); err != nil || b.Go == "" || b.Platform == "" {
		t.Errorf("%v: %q", err, stdout)
	}
}
