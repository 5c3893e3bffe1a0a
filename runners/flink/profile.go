package flink

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/metrics"
	"runtime/pprof"
	"sync"
	"time"
)

// Environment variables of the TaskManagers, or of a job's workers alone ([JobOptions].ProfileDir), that ask for profiles
// of the workers. A worker is started anew after a failure, so the files have its process id in their names.
const (
	// ProfileVariable names a folder: each worker writes a CPU profile of its life there, worker-PID.pprof, when it
	// ends other than by force.
	ProfileVariable = "ETL_CPU_PROFILE"
	// HeapProfileVariable names a folder: each worker writes what its heap holds there, worker-PID-heap.pprof, each
	// time that it has grown by a tenth, so that in the end the file has the most it ever was.
	HeapProfileVariable = "ETL_HEAP_PROFILE"
)

// startProfile starts the profiles that are asked for; stop completes them, and can be called again.
func startProfile(crashes crashFile) (stop func()) {
	for _, variable := range []string{ProfileVariable, HeapProfileVariable} {
		if dir := os.Getenv(variable); dir != "" {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				crashes.note("profile: %v", err)
			}
		}
	}
	if dir := os.Getenv(HeapProfileVariable); dir != "" {
		go profileHeap(filepath.Join(dir, fmt.Sprintf("worker-%d-heap.pprof", os.Getpid())), crashes)
	}
	dir := os.Getenv(ProfileVariable)
	if dir == "" {
		return func() {}
	}
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("worker-%d.pprof", os.Getpid())))
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		crashes.note("profile: %v", err) // the job is more important
		return func() {}
	}
	return sync.OnceFunc(func() {
		pprof.StopCPUProfile()
		if err := f.Close(); err != nil {
			crashes.note("profile: %v", err)
		}
	})
}

// heapInterval is the time between two looks at the heap.
const heapInterval = 100 * time.Millisecond

// profileHeap writes the file whenever the last collection of garbage has left a tenth more than any before.
func profileHeap(name string, crashes crashFile) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	most := uint64(0)
	for range time.Tick(heapInterval) {
		metrics.Read(live)
		if now := live[0].Value.Uint64(); now <= most+most/10 {
			continue
		}
		most = live[0].Value.Uint64()
		if err := writeHeap(name); err != nil {
			crashes.note("profile: %v", err)
			return
		}
	}
}

// writeHeap replaces the file by what the heap held when garbage was collected last.
func writeHeap(name string) error {
	f, err := os.Create(name + ".new")
	if err != nil {
		return err
	}
	err = pprof.Lookup("heap").WriteTo(f, 0)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
