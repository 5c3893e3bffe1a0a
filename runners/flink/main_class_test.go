package flink

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// mainClass returns a command that starts the jar's main class on clusters of these configurations (see MainStart),
// with a shell's script in the worker's place.
func mainClass(t *testing.T, worker string, clusters ...string) *exec.Cmd {
	t.Helper()
	dir := installedFlink(t)
	jar := filepath.Join(t.TempDir(), "etl.jar")
	if _, err := writeJar(jar, builtBaseJar(t), map[string][]byte{runtime.GOARCH: []byte("#!/bin/sh\n" + worker)}); err != nil {
		t.Fatal(err)
	}
	java := exec.CommandContext(t.Context(), "java", append([]string{"-Dlog4j2.level=INFO", "-cp", jar + ":" + filepath.Join(dir, "lib", "*"),
		"java/src/test/java/streamingetl/flink/MainStart.java"}, clusters...)...)
	java.Env = append(java.Environ(), "ETL_WORKER_DIR="+t.TempDir())
	return java
}

func TestMainClassSaysWhetherTheClusterRecoversTheJob(t *testing.T) {
	const (
		embedded = "execution.target=embedded"
		jobID    = "$internal.pipeline.job-id=00000000000000000000000000000001"
		ha       = "high-availability.type=kubernetes"
	)
	tests := []struct {
		name, cluster string
		recovers      bool
	}{
		{"an application cluster with high availability", embedded + "," + jobID + "," + ha, true},
		{"a session cluster with it, which sets the same target", embedded + "," + ha, false},
		{"an application cluster whose job id is set, without it", embedded + "," + jobID, false},
		{"a session cluster without it", embedded, false},
	}
	var clusters []string
	for _, test := range tests {
		clusters = append(clusters, test.cluster)
	}
	out, err := mainClass(t, `echo "asked with $*" >&2; exit 1`, clusters...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var asked []string
	for line := range strings.Lines(string(out)) {
		if arguments, ok := strings.CutPrefix(line, "refused: asked with "); ok {
			asked = append(asked, arguments)
		}
	}
	if len(asked) != len(tests) {
		t.Fatalf("asked %q: %s", asked, out)
	}
	for i, test := range tests {
		if got := strings.Contains(asked[i], "--cluster-recovers"); got != test.recovers {
			t.Errorf("%s: recovers is %v: %s", test.name, got, asked[i])
		}
	}
}

func TestMainClassLogsWhatTheWorkerWaitsForAtOnce(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "service")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	java := mainClass(t, `echo "`+waitingMark+`OutputKafkaTopic: nobody listens" >&2
		read answer < `+fifo+`
		echo "the service said $answer" >&2
		exit 1`, "execution.target=embedded")
	stdout, err := java.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := java.Start(); err != nil {
		t.Fatal(err)
	}
	logged := false
	refusal := ""
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.Contains(line, "WARN") && strings.HasSuffix(line, "OutputKafkaTopic: nobody listens"):
			logged = true
			if err := os.WriteFile(fifo, []byte("no\n"), 0); err != nil {
				t.Error(err)
			}
		case strings.HasPrefix(line, "refused: "):
			refusal = line
		}
	}
	if err := java.Wait(); err != nil || !logged || refusal != "refused: the service said no" {
		t.Errorf("%v, logged is %v, %q", err, logged, refusal)
	}
}
