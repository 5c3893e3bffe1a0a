//go:build linux

package faults

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// checkSpread checks that at the highest parallelism each subtask of the reader has its share of the
// records: its slots are keys, which fall on subtasks by their hashes.
func (r *run) checkSpread(t *testing.T) {
	t.Helper()
	const counter = "source_records"
	for _, v := range r.status(t).Job.Vertices {
		var read []int
		for i := range v.Parallelism {
			if n, ok := r.subtaskCounter(t, v.ID, i, counter); ok {
				read = append(read, n)
			}
		}
		if read == nil {
			continue // another step
		}
		t.Logf("records read by each subtask: %v", read)
		least, most := read[0], read[0]
		for _, n := range read {
			least, most = min(least, n), max(most, n)
		}
		if len(read) != taskManagers*slotsEach || least < most/2 {
			t.Errorf("the %d subtasks of the reader read %v: not all have the same work", v.Parallelism, read)
		}
		return
	}
	t.Errorf("no step has the counter %s", counter)
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
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		t.Fatalf("%s: %v", address, err)
	}
}
