package flink

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// crashVariable makes TestCrashOutput, in a process of its own, crash with its crash file in a directory.
const crashVariable = "FLINK_TEST_CRASH_IN"

func TestCrashOutput(t *testing.T) {
	if dir := os.Getenv(crashVariable); dir != "" {
		if _, err := openCrashFileIn(dir); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { defer close(done); panic("as intended") }()
		<-done
		select {}
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestCrashOutput$")
	cmd.Env = append(os.Environ(), crashVariable+"="+dir)
	if err := cmd.Run(); err == nil {
		t.Fatal("the process did not crash")
	}
	trace, err := os.ReadFile(filepath.Join(dir, crashFileName))
	if err != nil || !strings.Contains(string(trace), "panic: as intended") || !strings.Contains(string(trace), "crash_test.go") {
		t.Errorf("crash file %q, %v: want the stack trace", trace, err)
	}
}

func TestCrashFileTellsOfEarlierWorkers(t *testing.T) {
	t.Cleanup(func() { openCrashFileIn(t.TempDir()) }) //nolint:errcheck // only to close the last one
	for _, test := range []struct {
		name     string
		content  string
		age      time.Duration
		reported bool
		kept     bool
	}{
		{"no file", "", 0, false, false},
		{"a recent crash", "panic", time.Minute, true, true},
		{"an old crash", "panic", time.Hour, false, true},
		{"a file grown too large", strings.Repeat("x", crashFileLimit+1), time.Minute, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, crashFileName)
			if test.content != "" {
				if err := os.WriteFile(path, []byte(test.content), 0o644); err != nil {
					t.Fatal(err)
				}
				then := time.Now().Add(-test.age)
				if err := os.Chtimes(path, then, then); err != nil {
					t.Fatal(err)
				}
			}
			c, err := openCrashFileIn(dir)
			if err != nil {
				t.Fatal(err)
			}
			if c.reported != test.reported {
				t.Errorf("reported %v, want %v", c.reported, test.reported)
			}
			c.note("worker %s: gone", "1-1")
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(string(content), "worker 1-1: gone\n") {
				t.Errorf("the note is not at the end: %.100q", content)
			}
			if kept := test.kept && strings.HasPrefix(string(content), test.content); kept != test.kept {
				t.Errorf("what was there is gone: %.100q", content)
			}
			if !test.kept && len(content) > 200 {
				t.Errorf("%d bytes, want a file begun anew", len(content))
			}
		})
	}
}
