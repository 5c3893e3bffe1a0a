package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc: 1/USER_HZ, which Linux keeps at 100 for programs.
const tick = 10 * time.Millisecond

// A usage is how much CPU time was used up to a moment, by whom. Differences of two are meant.
type usage struct {
	at          time.Time
	worker      time.Duration
	taskManager time.Duration
	jobManager  time.Duration
	s3, kinesis time.Duration
	// own is that of this program and all that it has started, machine that of all there is.
	own, machine time.Duration
}

// usage reads the CPU times of now.
func (l *lab) usage() (usage, error) {
	u := usage{at: time.Now()}
	all, err := processes()
	if err != nil {
		return u, err
	}
	sum := func(pids []int) (d time.Duration) {
		for _, pid := range pids {
			d += all[pid].cpu
		}
		return d
	}
	u.worker = sum(l.cluster.WorkerPIDs())
	u.taskManager = sum(l.cluster.TaskManagerPIDs())
	u.jobManager = sum([]int{l.cluster.JobManagerPID()})
	u.kinesis = all[l.kinesis.cmd.Process.Pid].cpu
	for pid, p := range all {
		if descends(all, pid, os.Getpid()) {
			u.own += p.cpu
			if p.name == "versitygw" {
				u.s3 += p.cpu
			}
		}
	}
	u.machine, err = machineCPU()
	return u, err
}

// since returns what was used between an earlier usage and this one.
func (u usage) since(b usage) usage {
	return usage{
		worker: u.worker - b.worker, taskManager: u.taskManager - b.taskManager, jobManager: u.jobManager - b.jobManager, s3: u.s3 - b.s3, kinesis: u.kinesis - b.kinesis,
		own: u.own - b.own, machine: u.machine - b.machine,
	}
}

// A serverUsage is how much CPU time was used up to a moment by the lab's servers other than Flink, by this program
// itself, and by the machine. Differences of two are meant, between which no server was started or stopped.
type serverUsage struct {
	at                     time.Time
	servers, self, machine time.Duration
}

// servers reads the CPU times of now.
func (l *lab) servers() (serverUsage, error) {
	u := serverUsage{at: time.Now()}
	all, err := processes()
	if err != nil {
		return u, err
	}
	job := append(l.cluster.TaskManagerPIDs(), l.cluster.JobManagerPID())
	self := os.Getpid()
	for pid, p := range all {
		switch {
		case pid == self:
			u.self = p.cpu
		case descends(all, pid, self) && !slices.ContainsFunc(job, func(of int) bool { return descends(all, pid, of) }):
			u.servers += p.cpu
		}
	}
	u.machine, err = machineCPU()
	return u, err
}

// others returns how many processors those had busy, on average since b, who are no part of the measurement.
func (u usage) others(b usage) float64 {
	d := u.since(b)
	return max(0, (d.machine-d.own).Seconds()/u.at.Sub(b.at).Seconds())
}

type processInfo struct {
	name   string
	parent int
	cpu    time.Duration
}

// processes returns all processes by their id. Those that end meanwhile are not in there.
func processes() (map[int]processInfo, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	all := make(map[int]processInfo, len(files))
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			continue
		}
		if p, ok := parseStat(text); ok {
			all[pid] = p
		}
	}
	return all, nil
}

// parseStat reads /proc/PID/stat as proc_pid_stat(5) describes it: "pid (name) state ppid … utime stime …", where the
// name may hold anything, and the times are the 14th and 15th field.
func parseStat(text []byte) (p processInfo, ok bool) {
	from, to := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if from < 0 || to < from {
		return p, false
	}
	p.name = string(text[from+1 : to])
	fields := strings.Fields(string(text[to+1:])) // begins with the 3rd field
	if len(fields) < 13 {
		return p, false
	}
	var err error
	if p.parent, err = strconv.Atoi(fields[1]); err != nil {
		return p, false
	}
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return p, false
		}
		p.cpu += time.Duration(n) * tick
	}
	return p, true
}

// descends reports whether a process is, or comes from, another one.
func descends(all map[int]processInfo, pid, from int) bool {
	for range 64 { // a list that was read while processes came and went may have a circle
		if pid == from {
			return true
		}
		p, ok := all[pid]
		if !ok || p.parent <= 1 {
			return false
		}
		pid = p.parent
	}
	return false
}

// machineCPU returns the time that processors were busy since the machine was started: the first line of /proc/stat is
// "cpu user nice system idle iowait irq softirq steal …".
func machineCPU() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 8 {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	var busy time.Duration
	for _, i := range []int{1, 2, 3, 6, 7} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		busy += time.Duration(n) * tick
	}
	return busy, nil
}

// peakMemory returns the most memory, in bytes, that processes had resident at a time each (VmHWM of proc_pid_status(5)).
func peakMemory(pids []int) int64 { return memoryOf(pids, "VmHWM:") }

// residentMemory returns the memory, in bytes, that processes have resident now.
func residentMemory(pids []int) int64 { return memoryOf(pids, "VmRSS:") }

func memoryOf(pids []int, field string) (sum int64) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), field)
		if fields := strings.Fields(rest); len(fields) > 0 {
			if kb, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
				sum += kb << 10
			}
		}
	}
	return sum
}

// loadAverage is that of the last minute.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	load, _, _ := strings.Cut(string(text), " ")
	return load
}

// machine describes what this runs on.
func machine() string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(text), "model name"); ok {
			line, _, _ := strings.Cut(rest, "\n")
			model = strings.TrimSpace(strings.TrimLeft(line, "\t: "))
		}
	}
	memory := "unknown"
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kb int64
		if _, err := fmt.Sscanf(string(text), "MemTotal: %d kB", &kb); err == nil {
			memory = fmt.Sprintf("%d GiB", (kb+1<<19)>>20)
		}
	}
	return fmt.Sprintf("%d processors (%s), %s of memory", runtime.NumCPU(), model, memory)
}
