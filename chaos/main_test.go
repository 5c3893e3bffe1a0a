//go:build unix

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/chaos/plan"
)

func TestMistakesOfTheCommandLineAreTold(t *testing.T) {
	for _, test := range []struct {
		args string
		want string
	}{
		{"-rate 7", "-rate: a multiple of 20"},
		{"-kills -1", "at least 0"},
		{"-only kill-nobody", `no damage "kill-nobody"`},
		{"more", `unknown command "more"`},
		{"-kills 1 more", `no argument "more"`},
		{"-longest 1s", "more than 1s"},
		{"check", "name the run's directory"},
	} {
		var stdout, stderr bytes.Buffer
		if code := command(t.Context(), strings.Fields(test.args), &stdout, &stderr); code != exitUsage {
			t.Errorf("%s: exit code %d", test.args, code)
		}
		if !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%s: %q, want %q", test.args, stderr.String(), test.want)
		}
	}
}

func TestPlanIsPrintedOfItsSeed(t *testing.T) {
	printed := func() string {
		var stdout, stderr bytes.Buffer
		if code := command(t.Context(), []string{"plan", "-kills", "5", "-seed", "3"}, &stdout, &stderr); code != exitOK {
			t.Fatalf("exit code %d: %s", code, stderr.String())
		}
		return stdout.String()
	}
	first := printed()
	if first != printed() || !strings.Contains(first, "seed 3\n") || strings.Count(first, "victim") != 5 {
		t.Errorf("printed %q", first)
	}
}

func TestARunThatIsNotThereIsTold(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := command(t.Context(), []string{"check", t.TempDir()}, &stdout, &stderr); code != exitWrong || !strings.Contains(stderr.String(), "history") {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
}

func TestEachDamageHasWords(t *testing.T) {
	n := &nemesis{jobs: []*job{{origin: fromKinesis}, {origin: fromKafka}}}
	said := make(map[string]plan.Kind)
	for _, k := range plan.Kinds() {
		words := n.words(plan.Damage{Kind: k, Victim: 1, For: time.Second, Server: plan.Kafka, Parallelism: 2})
		if other, ok := said[words]; ok || words == string(k) {
			t.Errorf("%s and %s are both told as %q", k, other, words)
		}
		said[words] = k
	}
}

func TestNewestCheckpointIsTheHighestComplete(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"chk-9": "x", "chk-10": "x", "chk-11": "", "chk-12": "none"} {
		at := filepath.Join(dir, "job", name)
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		if content == "none" { // a checkpoint that was not completed
			continue
		}
		if err := os.WriteFile(filepath.Join(at, "_metadata"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	path, number, err := newestCheckpoint(dir, "job")
	if err != nil || number != 10 || filepath.Base(path) != "chk-10" {
		t.Errorf("%s, %d, %v", path, number, err)
	}
	if _, _, err := newestCheckpoint(dir, "other"); err == nil {
		t.Error("a job without a checkpoint has one")
	}
}

func TestFillStopsWhereThereIsNoRoom(t *testing.T) {
	if err := fill("/dev/full"); err == nil || !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		t.Errorf("error %v", err)
	}
}

func TestARunWhoseServersDoNotStartIsTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := filepath.Join(t.TempDir(), "run")
	var stdout, stderr bytes.Buffer
	code := command(ctx, []string{"-jar", "not.jar", "-kills", "1", "-dir", dir}, &stdout, &stderr)
	if code != exitWrong || !strings.Contains(stderr.String(), dir) {
		t.Errorf("exit code %d: %s%s", code, stdout.String(), stderr.String())
	}
}
