//go:build linux

package faults

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// checkSpread waits until, at the highest parallelism, each subtask of the reader has its share of the records: its
// slots are keys, which fall on subtasks by their hashes.
func (r *run) checkSpread(t *testing.T) {
	t.Helper()
	r.awaitSubtasks(t, "the same work for all subtasks of the reader", "source_records", func(read []int) bool {
		return slices.Min(read) >= slices.Max(read)/2
	})
}

// The writers of one folder are keys too. The workers write profiles, as they do for who wants to know what they do.
func TestEachSubtaskWritesFilesOfTheOneFolder(t *testing.T) {
	r := newIdleRun(t)
	profiles := filepath.Join(t.TempDir(), "profiles")
	r.source = []string{"--InputGeneratedRecords=5000000"}
	r.sinks = []string{
		"--OutputBucket=" + bucketName, "--OutputPrefix=" + t.Name() + "/", "--OutputBucketEndpoint=" + r.lab.s3.Endpoint(),
		"--OutputPathTemplate=all", "--OutputWritersPerPartition=4", "--OutputFileRollIntervalMs=2000",
		"--WorkerProfileDir=" + profiles,
	}
	r.submit(t, r.lab.jar, taskManagers*slotsEach, "")
	r.awaitSubtasks(t, "files of each subtask", "s3_files_uploaded", func(files []int) bool { return slices.Min(files) > 0 })
	r.cancel(t)
	r.clean(t)
	checkProfiles(t, profiles)
}

// checkProfiles has Go's own tool read what the workers, which have ended, have written.
func checkProfiles(t *testing.T, dir string) {
	t.Helper()
	cpu, heap := 0, 0
	for _, name := range glob(t, filepath.Join(dir, "worker-*.pprof")) {
		top, err := exec.CommandContext(t.Context(), "go", "tool", "pprof", "-top", name).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, top)
		}
		switch {
		case !strings.HasSuffix(name, "-heap.pprof"):
			cpu++
		case strings.Contains(string(top), "Type: inuse_space"):
			heap++
		}
	}
	if cpu != taskManagers || heap != taskManagers {
		t.Errorf("there are %d profiles of CPU time and %d of heaps, want %d of each", cpu, heap, taskManagers)
	}
}

// awaitSubtasks waits until each subtask of a step has a Beam counter, and the counts are as they are to be. Flink asks
// each TaskManager for its counters now and then, so those of one may come later than those of another.
func (r *run) awaitSubtasks(t *testing.T, what, counter string, so func(counts []int) bool) {
	t.Helper()
	var counts []int
	defer func() { t.Logf("%s of each subtask: %v", counter, counts) }()
	r.await(t, what, func() bool {
		counts = r.subtaskCounters(t, counter)
		return len(counts) == taskManagers*slotsEach && so(counts)
	})
}

// subtaskCounters returns a Beam counter of those subtasks that have it, of the step that does.
func (r *run) subtaskCounters(t *testing.T, counter string) (counts []int) {
	t.Helper()
	for _, v := range r.status(t).Job.Vertices {
		for i := range v.Parallelism {
			if n, ok := r.subtaskCounter(t, v.ID, i, counter); ok {
				counts = append(counts, n)
			}
		}
		if counts != nil {
			break
		}
	}
	return counts
}

// subtaskCounter returns a Beam counter of one subtask.
func (r *run) subtaskCounter(t *testing.T, vertex string, subtask int, counter string) (n int, ok bool) {
	t.Helper()
	path := fmt.Sprintf("%s/jobs/%s/vertices/%s/subtasks/%d/metrics", r.lab.cluster.URL(), r.jobID, vertex, subtask)
	var metrics []struct{ ID, Value string }
	getJSON(t, path, &metrics)
	for _, m := range metrics {
		if !strings.HasSuffix(m.ID, "."+counter) {
			continue
		}
		var values []struct{ ID, Value string }
		getJSON(t, path+"?get="+url.QueryEscape(m.ID), &values)
		if len(values) != 1 {
			t.Fatalf("%s: %v", m.ID, values)
		}
		n, err := strconv.Atoi(values[0].Value)
		if err != nil {
			t.Fatalf("%s: %v", m.ID, err)
		}
		return n, true
	}
	return 0, false
}

func getJSON(t *testing.T, address string, out any) {
	t.Helper()
	if err := json.Unmarshal(get(t, address), out); err != nil {
		t.Fatalf("%s: %v", address, err)
	}
}

// get returns what Flink answers.
func get(t *testing.T, address string) []byte {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, error %v: %s", address, resp.Status, err, body)
	}
	return body
}
