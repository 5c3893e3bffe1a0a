// Package leak tells what a job that is over has left in the process that ran it:
// goroutines, clients of Kafka that were not closed, open files. It is for the end of
// a test; a worker on a cluster ends with its job.
package leak

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// module is how names of functions of this program begin.
const module = "github.com/streaming-etl/streaming-etl"

// others are in the stacks of goroutines that are not a job's though functions of this program are there too: those of tests
// and of the servers in the process, and of steps that were asking for state when the job was canceled, whom Beam (Go SDK
// 2.77.0) never answers.
var others = []string{"testing.tRunner", "/kinesisfake.", "/s3fake.", "/esfake.", "harness.(*StateChannel)"}

// kafkaClient are names of the function that each open client of Kafka runs in one goroutine: when it runs, and before. A
// test has clients of its own: they are counted.
var kafkaClient = []string{"kgo.(*Client).updateMetadataLoop(", "kgo.NewClient.gowrap1("}

// patience is how long is waited for what ends by itself. A test that leaves nothing waits no longer than that takes.
const patience = time.Minute

// A Look is what a process had before a job.
type Look struct {
	kafka int
	files map[string]int // how many descriptors each open file has
}

// Before looks at the process before a job. What a test opens after it and keeps open is taken for the job's.
func Before() Look {
	return Look{kafka: kafkaClients(stacks()), files: openFiles()}
}

// NoneLeft fails the test if the process has goroutines of a job, or more Kafka clients or open files than before.
func (l Look) NoneLeft(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for left := l.Left(); left != ""; left = l.Left() {
		if time.Now().After(deadline) {
			t.Errorf("the job has left %s", left)
			return
		}
		time.Sleep(10 * time.Millisecond) // they end by themselves, and tell nobody
	}
}

// Left tells one thing that is there and was not before, nothing if there is none.
func (l Look) Left() string {
	all := stacks()
	if stack := jobStack(all); stack != "" {
		return "a goroutine:\n" + stack
	}
	if n := kafkaClients(all); n > l.kafka {
		return strconv.Itoa(n-l.kafka) + " clients of Kafka open"
	}
	for name, n := range openFiles() {
		if n > l.files[name] {
			return name + " open"
		}
	}
	return ""
}

func stacks() string {
	for size := 4 << 20; ; size *= 2 {
		all := make([]byte, size)
		if n := runtime.Stack(all, true); n < size {
			return string(all[:n])
		}
	}
}

// kafkaClients counts the open ones.
func kafkaClients(all string) (n int) {
	for stack := range strings.SplitSeq(all, "\n\n") {
		if slices.ContainsFunc(kafkaClient, func(name string) bool { return strings.Contains(stack, name) }) {
			n++
		}
	}
	return n
}

// jobStack returns the stack of a job's goroutine, if there is one.
func jobStack(all string) string {
	for stack := range strings.SplitSeq(all, "\n\n") {
		if slices.ContainsFunc(others, func(name string) bool { return strings.Contains(stack, name) }) {
			continue
		}
		for line := range strings.Lines(stack) {
			if strings.HasPrefix(strings.TrimPrefix(line, "created by "), module) {
				return stack
			}
		}
	}
	return ""
}

// openFiles are those on disks; there are none to see but on Linux. Connections are not among them: libraries keep them
// for a while.
func openFiles() map[string]int {
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		return nil
	}
	files := make(map[string]int)
	for _, link := range links {
		name, err := os.Readlink(link)
		if err == nil && strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "/proc/") && !strings.HasPrefix(name, "/dev/") {
			files[name]++
		}
	}
	return files
}
