package cluster

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// workerFlag is an argument that Beam's Flink runner starts each worker with.
const workerFlag = "--provision_endpoint="

// WorkerPIDs returns the process ids of the workers: the children of the TaskManagers that serve a job's stages, and
// those that run an executable from TempDir, though their TaskManager is gone. It reads /proc, and so knows none on
// other systems than Linux.
func (c *Cluster) WorkerPIDs() []int {
	return workers(c.layout.temp(), c.TaskManagerPIDs())
}

func workers(tempDir string, taskManagers []int) []int {
	lists, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil // the pattern is constant
	}
	var pids []int
	for _, list := range lists {
		// A process that ends meanwhile cannot be read, and is none.
		cmdline, err := os.ReadFile(list)
		if err != nil || !isWorker(cmdline) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(list)))
		if err != nil {
			continue
		}
		executable, _, _ := bytes.Cut(cmdline, []byte{0})
		if strings.HasPrefix(string(executable), tempDir+string(filepath.Separator)) ||
			slices.Contains(taskManagers, parent(pid)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func isWorker(cmdline []byte) bool {
	for _, arg := range bytes.Split(cmdline, []byte{0}) {
		if bytes.HasPrefix(arg, []byte(workerFlag)) {
			return true
		}
	}
	return false
}

// parent returns the id of a process's parent, or -1.
func parent(pid int) int {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return -1
	}
	// "pid (name) state ppid …", where the name may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return -1
	}
	id, err := strconv.Atoi(fields[1])
	if err != nil {
		return -1
	}
	return id
}

// endWorkers waits until the workers have followed their TaskManagers, and kills those that do not.
func (c *Cluster) endWorkers() {
	deadline := time.Now().Add(workerGrace)
	for {
		left := workers(c.layout.temp(), nil)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			for _, pid := range left {
				if p, err := os.FindProcess(pid); err == nil {
					_ = p.Kill() // it may have ended by now
				}
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}
