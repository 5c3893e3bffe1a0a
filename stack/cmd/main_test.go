//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
	"github.com/streaming-etl/streaming-etl/stack"
	"github.com/streaming-etl/streaming-etl/stack/process"
)

// TestMain is the command's main for the process that up starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

// needTools skips or fails the test as package stack does.
func needTools(t *testing.T) {
	t.Helper()
	for _, tool := range needed(stack.Kinesalite) {
		_, err := tool.Path()
		switch {
		case os.Getenv(stack.Variable) == "off":
			t.Skipf("needs the whole stack, and %s=off", stack.Variable)
		case errors.Is(err, stack.ErrNotInstalled) && os.Getenv(stack.Variable) != "require":
			t.Skip(err)
		case err != nil:
			t.Fatal(err)
		}
	}
}

func runCommand(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, said bytes.Buffer
	err = command(t.Context(), args, &out, &said)
	return out.String(), said.String(), err
}

func TestUpRunsTheStackUntilDown(t *testing.T) {
	needTools(t)
	dir := filepath.Join(t.TempDir(), "stack")
	env, _, err := runCommand(t, "up", "-dir", dir, "-task-managers", "1", "-short-lived")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = down(context.Background(), dir, &bytes.Buffer{}) })
	urls := make(map[string]string)
	for _, m := range regexp.MustCompile(`export (\w+)=(\S+)\n`).FindAllStringSubmatch(env, -1) {
		urls[m[1]] = m[2]
	}
	if err := dial(urls["KAFKA_BOOTSTRAP"]); err != nil {
		t.Errorf("KAFKA_BOOTSTRAP: %v", err)
	}
	for _, name := range []string{"S3_ENDPOINT", "KINESIS_ENDPOINT", "ELASTICSEARCH_ENDPOINT"} {
		resp, err := http.Get(urls[name])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		resp.Body.Close()
	}
	flink, err := rest.New(urls["FLINK_REST"], "FLINK_REST")
	if err != nil {
		t.Fatal(err)
	}
	if o, err := flink.Overview(t.Context()); err != nil || o.TaskManagers != 1 {
		t.Errorf("overview %+v, error %v", o, err)
	}
	for _, target := range strings.Split(urls["FLINK_METRICS"], ",") {
		if err := dial(target); err != nil {
			t.Errorf("FLINK_METRICS: %v", err)
		}
	}
	if _, err := stack.Prometheus.Path(); err == nil {
		if err := dial(urls["PROMETHEUS_ENDPOINT"]); err != nil {
			t.Errorf("PROMETHEUS_ENDPOINT: %v", err)
		}
	}
	if again, said, err := runCommand(t, "up", "-dir", dir); err != nil || again != env || !strings.Contains(said, "running already") {
		t.Errorf("up again: %q, said %q, error %v", again, said, err)
	}

	// However the process in the background ends, so do the servers.
	pid, err := runningPID(dir)
	if err != nil || pid == 0 {
		t.Fatalf("process %d, error %v", pid, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	expectGone(t, urls)
	if _, said, err := runCommand(t, "down", "-dir", dir); err != nil || !strings.Contains(said, "not running") {
		t.Errorf("down of a killed stack: said %q, error %v", said, err)
	}

	if env, _, err = runCommand(t, "up", "-dir", dir, "-task-managers", "1", "-short-lived"); err != nil {
		t.Fatal(err)
	}
	if printed, _, err := runCommand(t, "env", "-dir", dir); err != nil || printed != env {
		t.Errorf("env %q, error %v; up said %q", printed, err, env)
	}
	if _, _, err := runCommand(t, "down", "-dir", dir); err != nil {
		t.Fatal(err)
	}
	expectGone(t, urls)
	if _, _, err := runCommand(t, "env", "-dir", dir); err == nil || !strings.Contains(err.Error(), "not running") {
		t.Errorf("env after down: error %v", err)
	}
}

// dial says whether somebody listens at a URL or address.
func dial(url string) error {
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return err
	}
	return c.Close()
}

// expectGone waits until nothing listens at the URLs.
func expectGone(t *testing.T, urls map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, name := range []string{"FLINK_REST", "S3_ENDPOINT", "KINESIS_ENDPOINT", "KAFKA_BOOTSTRAP", "ELASTICSEARCH_ENDPOINT"} {
		err := process.Await(ctx, "the end of "+name, func(context.Context) error {
			if dial(urls[name]) == nil {
				return fmt.Errorf("somebody listens at %s", urls[name])
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestCommandRefusesWhatItDoesNotKnow(t *testing.T) {
	if _, _, err := runCommand(t, "docker"); err == nil || !strings.Contains(err.Error(), "install, up, env and down") {
		t.Errorf("error %v", err)
	}
	if _, _, err := runCommand(t, "install", "docker"); err == nil || !strings.Contains(err.Error(), "docker") {
		t.Errorf("error %v", err)
	}
	if _, said, err := runCommand(t, "down", "-dir", t.TempDir()); err != nil || !strings.Contains(said, "not running") {
		t.Errorf("down without a stack: said %q, error %v", said, err)
	}
}

func TestStackThatCannotStartTellsWhy(t *testing.T) {
	needTools(t)
	dir := filepath.Join(t.TempDir(), "stack")
	_, _, err := runCommand(t, "up", "-dir", dir, "-state-backend", "disk")
	if err == nil || !strings.Contains(err.Error(), `state backend "disk"`) {
		t.Errorf("error %v", err)
	}
	if pid, err := runningPID(dir); err != nil || pid != 0 {
		t.Errorf("process %d is left, error %v", pid, err)
	}
}
