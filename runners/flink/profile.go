package flink

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"sync"
)

// ProfileVariable is the environment variable, of the TaskManagers, that names a folder: each worker writes a CPU
// profile of its life there, worker-PID.pprof, when it ends other than by force.
const ProfileVariable = "ETL_CPU_PROFILE"

// startProfile starts a profile if one is asked for; stop completes it, and can be called again.
func startProfile(crashes crashFile) (stop func()) {
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
