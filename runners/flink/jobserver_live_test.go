//go:build linux

package flink

import (
	"context"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
	"github.com/streaming-etl/streaming-etl/stack/process"
)

// beamJobServer returns the directory with the jars of Beam's own job server, all of them but Flink's. They are copied into
// the cache at first, which is a download of 80 MB. The released jar that holds them all is not in every mirror.
func beamJobServer(t *testing.T) string {
	t.Helper()
	cache, err := cluster.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	pom, err := filepath.Abs("testdata/jobserver/pom.xml")
	if err != nil {
		t.Fatal(err)
	}
	key, err := hashFiles(os.DirFS(filepath.Dir(pom)))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "beam-job-server-"+key)
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	work, err := os.MkdirTemp(cache, ".beam-job-server-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(work) })
	lib := filepath.Join(work, "lib")
	copied := exec.CommandContext(t.Context(), "mvn", "-B", "-q", "-f", pom, "dependency:copy-dependencies",
		"-DincludeScope=runtime", "-DoutputDirectory="+lib)
	if words, err := copied.CombinedOutput(); err != nil {
		t.Fatalf("copy the job server's jars: %v\n%s", err, lastLines(string(words), 20))
	}
	if err := os.Rename(lib, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// startBeamJobServer starts Beam's own job server for a cluster and returns its job endpoint.
func startBeamJobServer(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	ports, err := process.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	master, err := url.Parse(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	host := process.NewHost()
	t.Cleanup(host.Close)
	dir := t.TempDir()
	log := filepath.Join(dir, "jobserver.log")
	p, err := host.Start(process.Spec{
		Name: "jobserver",
		Args: []string{
			"java", "-Xmx256m", "-Dlog.file=" + log, "-Dlog4j.configurationFile=" + filepath.Join(c.Dir(), "conf", "log4j.properties"),
			"-cp", filepath.Join(beamJobServer(t), "*") + ":" + filepath.Join(releaseOf(t, cluster.Flink119), "lib", "*"),
			"org.apache.beam.runners.flink.FlinkJobServerDriver",
			"--flink-master=" + master.Host, "--job-host=127.0.0.1", "--job-port=" + strconv.Itoa(ports[0]),
			"--artifact-port=0", "--expansion-port=-1", "--artifacts-dir=" + filepath.Join(dir, "artifacts"),
		},
		Dir: dir, Output: filepath.Join(dir, "jobserver.out"), Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop(5 * time.Second)
		if t.Failed() {
			text, _ := os.ReadFile(log)
			t.Logf("the job server's log:\n%s", text)
		}
	})
	endpoint := net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := process.Await(ctx, "the job server", func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", endpoint)
		if err != nil {
			return err
		}
		return conn.Close()
	}, p); err != nil {
		t.Fatal(err)
	}
	return endpoint
}

func TestCommandSubmitsToBeamsJobServer(t *testing.T) {
	needVersions(t)
	program := buildProgram(t)
	s := newSample(t)
	c, err := cluster.Start(t.Context(), cluster.Options{Flink: releaseOf(t, cluster.Flink119), Slots: 1, TaskManagerMemory: 2048, Env: emulatorCredentials()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	endpoint := startBeamJobServer(t, c)

	var said strings.Builder
	args := append([]string{"--runner=flink", "--endpoint=" + endpoint, "--Parallelism=1"}, s.args()...)
	command := exec.CommandContext(t.Context(), program, args...)
	command.Env = append(os.Environ(), emulatorCredentials()...)
	command.Stdout, command.Stderr = &said, &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var ended error
	done := make(chan struct{})
	go func() {
		ended = command.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		<-done // at the latest when the test's context ends
		t.Logf("the command said\n%s", said.String())
	})

	job := onlyJob(t, c.REST())
	s.deliverThroughKill(t, c, job)
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-done
	if ended != nil {
		t.Errorf("the terminated command: %v", ended)
	}
	if !strings.Contains(said.String(), "cancel --flink-rest=host:port --job=sample") {
		t.Error("the command does not say how the job is cancelled in Flink")
	}
	cancel := exec.CommandContext(t.Context(), program, "cancel", "--flink-rest="+c.URL(), "--job=sample")
	if words, err := cancel.CombinedOutput(); err != nil {
		t.Errorf("cancel: %v\n%s", err, words)
	}
	if j, err := c.REST().WaitEnd(t.Context(), job, rest.WaitOptions{}); err != nil || j.State != rest.Canceled {
		t.Errorf("the job is %s, %v", j.State, err)
	}
	s.awaitDelivered(t, func() error { return nil }) // once each
}
