package flink

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
)

// flinkTests makes the tests on a real cluster run, and fail where a part for them is missing. Without it those that
// take long are skipped, and the others where a part is missing.
const flinkTests = "ETL_FLINK_TESTS"

var update = flag.Bool("update", false, "rewrite golden files")

// installedFlink returns the directory of Flink.
func installedFlink(t *testing.T) string {
	t.Helper()
	cache, err := cluster.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := cluster.Installed(cache)
	if err != nil {
		if os.Getenv(flinkTests) == "" && errors.Is(err, cluster.ErrNotInstalled) {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	return dir
}

// builtBaseJar returns the path of the base jar.
func builtBaseJar(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("Maven builds the base jar")
	}
	base, err := baseJarPath()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(base); err != nil {
		if os.Getenv(flinkTests) == "" {
			t.Skip("the base jar has not been built yet")
		}
		if base, err = BaseJar(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return base
}

func TestBaseJarIsForJava11(t *testing.T) {
	jar, err := zip.OpenReader(builtBaseJar(t))
	if err != nil {
		t.Fatal(err)
	}
	defer jar.Close()
	classes := 0
	for _, f := range jar.File {
		if !strings.HasSuffix(f.Name, ".class") || strings.HasPrefix(f.Name, "META-INF/versions/") { // for newer Java
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		r.Close()
		const java11 = 55
		if version := binary.BigEndian.Uint16(head[6:]); version > java11 {
			t.Errorf("%s is of class file version %d: Java 11 refuses it", f.Name, version)
		}
		classes++
	}
	if classes == 0 {
		t.Error("there is no class in the base jar")
	}
}

func TestPlacementAgreesWithFlink(t *testing.T) {
	const golden = "keygroup/testdata/keygroups.txt"
	dir := installedFlink(t)
	base := builtBaseJar(t)
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var keys bytes.Buffer // the lines' first three columns
	for line := range bytes.Lines(want) {
		fmt.Fprintf(&keys, "%s\n", bytes.Join(bytes.SplitN(bytes.TrimSuffix(line, []byte("\n")), []byte("\t"), 5)[:3], []byte("\t")))
	}
	java := exec.CommandContext(t.Context(), "java", "-cp", base+":"+filepath.Join(dir, "lib", "*"),
		"java/src/test/java/streamingetl/flink/KeyGroups.java")
	java.Stdin = &keys
	got, err := java.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(got, want) {
		t.Errorf("Flink places keys otherwise than %s says; look at the difference with -update", golden)
	}
}

const demoMain = "github.com/streaming-etl/streaming-etl/runners/flink/internal/demo"

// demo is the demonstration job on a cluster, with the jar uploaded.
type demo struct {
	cluster *cluster.Cluster
	jar     string
	dir     string // takes numbers.txt
}

func startDemo(t *testing.T) *demo {
	t.Helper()
	if os.Getenv(flinkTests) == "" {
		t.Skip("a test on a real cluster: set " + flinkTests)
	}
	jar := filepath.Join(t.TempDir(), "demo.jar")
	if _, err := BuildJar(t.Context(), jar, JarOptions{Package: demoMain}); err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Start(t.Context(), cluster.Options{Flink: installedFlink(t), CheckpointInterval: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	id, err := c.REST().UploadJar(t.Context(), jar)
	if err != nil {
		t.Fatal(err)
	}
	return &demo{cluster: c, jar: id, dir: t.TempDir()}
}

func (d *demo) run(t *testing.T, parallelism int, savepoint string, args ...string) (job string) {
	t.Helper()
	job, err := d.cluster.REST().RunJar(t.Context(), d.jar, rest.RunOptions{
		Args: append(args, "--Dir="+d.dir), Parallelism: parallelism, SavepointPath: savepoint})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.cluster.REST().WaitRunning(t.Context(), job, rest.WaitOptions{}); err != nil {
		t.Fatal(err)
	}
	return job
}

// numbers returns the numbers written, in the order of their writing, and checks their counts.
func (d *demo) numbers(t *testing.T) []int {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(d.dir, "numbers.txt"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var numbers []int
	for line := range strings.Lines(string(content)) {
		n, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatalf("state does not fit its key: %s", line)
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// awaitMore waits until so many more numbers have been written than now.
func (d *demo) awaitMore(t *testing.T, more int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	want := len(d.numbers(t)) + more
	for len(d.numbers(t)) < want {
		select {
		case <-ctx.Done():
			t.Fatalf("%d numbers in two minutes, want %d; logs: %v", len(d.numbers(t)), want, d.cluster.Logs())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// awaitNoWorkers waits until no worker is left, which is at most two looks at their parent away.
func (d *demo) awaitNoWorkers(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for len(d.cluster.WorkerPIDs()) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("workers left: %v", d.cluster.WorkerPIDs())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestJobOnCluster(t *testing.T) {
	d := startDemo(t)

	t.Run("refuses properties in the worker's words", func(t *testing.T) {
		_, err := d.cluster.REST().RunJar(t.Context(), d.jar, rest.RunOptions{Args: []string{"--PerSecond=x", "--Color=red"}})
		if err == nil {
			t.Fatal("no error")
		}
		for _, want := range []string{"--PerSecond=x: ", "--Color=red: unknown property", "--Dir: required"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in: %v", want, err)
			}
		}
		if strings.Contains(err.Error(), "\tat ") {
			t.Errorf("there are stack frames in: %v", err)
		}
	})

	t.Run("keeps its state through kills and rescales", func(t *testing.T) {
		savepoint := ""
		for _, parallelism := range []int{1, 2, 1} {
			job := d.run(t, parallelism, savepoint)
			d.awaitMore(t, 200)
			for _, pid := range d.cluster.WorkerPIDs() {
				if p, err := os.FindProcess(pid); err == nil {
					p.Kill() //nolint:errcheck // it may have ended by itself, and then the job restarts as well
				}
			}
			d.awaitMore(t, 200)
			var err error
			if savepoint, err = d.cluster.REST().Stop(t.Context(), job, ""); err != nil {
				t.Fatal(err)
			}
			d.awaitNoWorkers(t)
		}
		seen := d.numbers(t)
		slices.Sort(seen)
		for i, n := range slices.Compact(seen) { // a batch may come again after a restore
			if i != n {
				t.Fatalf("number %d is missing", i)
			}
		}
	})

	t.Run("says where the trace of a crash is", func(t *testing.T) {
		d.dir = t.TempDir()
		job := d.run(t, 1, "", "--PanicAt=150")
		const notice, at = "an earlier worker did not end well", "crash_file="
		deadline := time.Now().Add(time.Minute)
		for !strings.Contains(d.logs(t), notice) {
			if time.Now().After(deadline) {
				t.Fatal("no log line tells of the crash, in a minute")
			}
			time.Sleep(100 * time.Millisecond)
		}
		_, after, _ := strings.Cut(d.logs(t), notice)
		line, _, _ := strings.Cut(after, "\n")
		_, file, _ := strings.Cut(line, at)
		file, _, _ = strings.Cut(file, " ")
		trace, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(trace), "demo: number 150") {
			t.Errorf("crash file %s: %v, without the panic:\n%.500s", file, err, trace)
		}
		if err := d.cluster.REST().Cancel(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		d.awaitNoWorkers(t)
	})

	// The TaskManager would keep the threads, and by them the classes of each such job, until it has no more room.
	t.Run("leaves no servers for workers that do not start", func(t *testing.T) {
		job, err := d.cluster.REST().RunJar(t.Context(), d.jar, rest.RunOptions{
			Args: []string{"--Dir=" + t.TempDir(), "--ExitAtStart=true"}, Parallelism: 1})
		if err != nil {
			t.Fatal(err)
		}
		const restarts = 2
		for deadline := time.Now().Add(2 * time.Minute); ; {
			failures, err := d.cluster.REST().Failures(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			if len(failures) > restarts {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("failures in two minutes: %v", failures)
			}
			time.Sleep(200 * time.Millisecond)
		}
		if err := d.cluster.REST().Cancel(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		if _, err := d.cluster.REST().WaitEnd(t.Context(), job, rest.WaitOptions{}); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(30 * time.Second); d.grpcThreads(t) > 0; {
			if time.Now().After(deadline) {
				t.Fatalf("%d threads of servers for workers are left", d.grpcThreads(t))
			}
			time.Sleep(200 * time.Millisecond)
		}
	})
}

// grpcThreads returns how many threads of the TaskManager belong to servers for workers. Java gives them their names, of
// which the kernel keeps 15 letters.
func (d *demo) grpcThreads(t *testing.T) (n int) {
	t.Helper()
	for _, pid := range d.cluster.TaskManagerPIDs() {
		names, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/comm", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if comm, err := os.ReadFile(name); err == nil && strings.HasPrefix(string(comm), "grpc-default-") {
				n++
			}
		}
	}
	return n
}

// logs returns what the cluster's processes have logged.
func (d *demo) logs(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, name := range d.cluster.Logs() {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(content)
	}
	return all.String()
}
