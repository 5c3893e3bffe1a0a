//go:build linux

package cluster_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
	"github.com/streaming-etl/streaming-etl/stack"
)

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestClusterOutlivesItsProcesses(t *testing.T) {
	dir := t.TempDir()
	c := stack.StartFlink(t, cluster.Options{TaskManagers: 2, Slots: 3, Dir: dir})
	expect := func(when string, taskManagers int) {
		t.Helper()
		o, err := c.REST().Overview(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if o.TaskManagers != taskManagers || o.SlotsTotal != 3*taskManagers || o.FlinkVersion != cluster.Version {
			t.Errorf("%s: %+v", when, o)
		}
	}
	expect("at first", 2)
	first := append(c.TaskManagerPIDs(), c.JobManagerPID())
	for _, log := range c.Logs() {
		if info, err := os.Stat(log); err != nil || info.Size() == 0 {
			t.Errorf("log %s: %v", log, err)
		}
	}

	if err := c.KillTaskManager(1); err != nil {
		t.Fatal(err)
	}
	if pids := c.TaskManagerPIDs(); len(pids) != 1 || alive(first[1]) && !isZombie(first[1]) {
		t.Errorf("TaskManagers %v after one of %v was killed", pids, first[:2])
	}
	if err := c.StartTaskManager(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := c.StartTaskManager(t.Context(), 1); err == nil {
		t.Error("a running TaskManager was started again")
	}
	ids, err := c.REST().TaskManagers(t.Context())
	if err != nil || !strings.Contains(strings.Join(ids, " "), "taskmanager-1-2") {
		t.Errorf("TaskManagers %q, error %v", ids, err)
	}

	url := c.URL()
	c.KillJobManager()
	var unreachable *rest.UnreachableError
	if _, err := c.REST().Overview(t.Context()); !errors.As(err, &unreachable) {
		t.Errorf("error %v without a JobManager", err)
	}
	if err := c.StartJobManager(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.URL() != url {
		t.Errorf("URL %s after the restart, %s before", c.URL(), url)
	}
	expect("after the restarts", 2)

	last := append(c.TaskManagerPIDs(), c.JobManagerPID())
	c.Stop()
	c.Stop() // does nothing
	for _, pid := range append(first, last...) {
		if alive(pid) {
			t.Errorf("process %d is alive", pid)
		}
	}
	if pids := c.WorkerPIDs(); len(pids) > 0 {
		t.Errorf("workers %v are alive", pids)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the given directory is gone: %v", err)
	}
}

// isZombie reports whether a process has ended and only its parent has not taken note.
func isZombie(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestClusterThatCannotStartTellsWhy(t *testing.T) {
	flink, err := stack.Flink.Path()
	if err != nil {
		t.Skip(err)
	}
	if os.Getenv(stack.Variable) == "off" {
		t.Skipf("needs Flink, and %s=off", stack.Variable)
	}
	dir := t.TempDir()
	start := time.Now()
	_, err = cluster.Start(t.Context(), cluster.Options{
		Flink: flink, Dir: dir, Config: map[string]string{"rest.bind-port": "nonsense"},
	})
	if err == nil {
		t.Fatal("it started")
	}
	if !strings.Contains(err.Error(), "jobmanager has ended") || !strings.Contains(err.Error(), filepath.Join(dir, "log")) {
		t.Errorf("error %v after %v", err, time.Since(start))
	}
}
