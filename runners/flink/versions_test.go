//go:build linux

package flink

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
)

// buildSampleJar has the command make its jar.
func buildSampleJar(t *testing.T) string {
	t.Helper()
	jar := filepath.Join(t.TempDir(), "etl.jar")
	pack := exec.CommandContext(t.Context(), buildProgram(t), "jar", "--out", jar)
	if words, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("build the jar: %v\n%s", err, words)
	}
	return jar
}

// releaseOf returns the directory of a release, which must be there.
func releaseOf(t *testing.T, r cluster.Release) string {
	t.Helper()
	dir, err := r.Installed("")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// inSession runs the sample's job on a session cluster, from a savepoint if one is named.
func (s *sample) inSession(t *testing.T, c *cluster.Cluster, jar, savepoint string) (job string) {
	t.Helper()
	id, err := c.REST().UploadJar(t.Context(), jar)
	if err != nil {
		t.Fatal(err)
	}
	job, err = c.REST().RunJar(t.Context(), id, rest.RunOptions{Args: s.args(), SavepointPath: savepoint})
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// alive tells whether a job goes on, which includes its restarts.
func alive(t *testing.T, c *cluster.Cluster, job string) func() error {
	return func() error {
		j, err := c.REST().Job(t.Context(), job)
		if err == nil && j.State.Ended() {
			_, err = c.REST().WaitRunning(t.Context(), job, rest.WaitOptions{}) // tells why
		}
		return err
	}
}

// deliverThroughKill has a job deliver, loses its worker, and has it deliver again.
func (s *sample) deliverThroughKill(t *testing.T, c *cluster.Cluster, job string) {
	t.Helper()
	s.send(t, 500)
	s.awaitDelivered(t, alive(t, c, job))
	s.send(t, 500)
	workers := c.WorkerPIDs()
	if len(workers) == 0 {
		t.Error("there is no worker to kill")
	}
	for _, pid := range workers {
		if p, err := os.FindProcess(pid); err == nil {
			p.Kill() //nolint:errcheck // it may have ended by itself, and then the job restarts as well
		}
	}
	s.send(t, 500)
	s.awaitDelivered(t, alive(t, c, job))
	if n, err := c.REST().Restarts(t.Context(), job); err != nil || n == 0 {
		t.Errorf("%d restarts after a kill, error %v", n, err)
	}
}

// logged checks that the log of a cluster's first TaskManager holds a text.
func logged(t *testing.T, c *cluster.Cluster, text string) {
	t.Helper()
	name := c.Logs()[1]
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if _, java, ok := strings.Cut(line, " JVM: "); ok {
			t.Logf("the JVM is %s", strings.TrimSpace(java))
		}
	}
	if !strings.Contains(string(content), text) {
		t.Errorf("%q is not in the TaskManager's log", text)
	}
}

// TestJobRunsOnOtherReleasesAndStateBackends uses the Java of $JAVA_HOME, so that it shows the same for other versions of it.
func TestJobRunsOnOtherReleasesAndStateBackends(t *testing.T) {
	needVersions(t)
	jar := buildSampleJar(t)
	for _, test := range []struct {
		release cluster.Release
		backend string
		logged  string
	}{
		{cluster.Flink119, cluster.RocksDB, "EmbeddedRocksDBStateBackend"},
		{cluster.Flink120, cluster.HashMap, "HashMapStateBackend"},
		{cluster.Flink120, cluster.RocksDB, "EmbeddedRocksDBStateBackend"},
	} {
		t.Run(string(test.release)+" "+test.backend, func(t *testing.T) {
			c, err := cluster.Start(t.Context(), cluster.Options{
				Flink: releaseOf(t, test.release), StateBackend: test.backend, TaskManagerMemory: 2560, Env: emulatorCredentials(),
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Stop)
			if o, err := c.REST().Overview(t.Context()); err != nil || o.FlinkVersion != string(test.release) {
				t.Fatalf("overview %+v, error %v", o, err)
			}
			s := newSample(t)
			job := s.inSession(t, c, jar, "")
			s.deliverThroughKill(t, c, job)
			savepoint, err := c.REST().Stop(t.Context(), job, "")
			if err != nil {
				t.Fatal(err)
			}
			s.send(t, 500)
			job = s.inSession(t, c, jar, savepoint)
			s.awaitDelivered(t, alive(t, c, job))
			if err := c.REST().Cancel(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			logged(t, c, test.logged)
		})
	}
}

func TestJobRunsOnAnApplicationCluster(t *testing.T) {
	needVersions(t)
	jar := buildSampleJar(t)
	s := newSample(t)
	savepoints := t.TempDir()
	start := func(savepoint string) *cluster.Cluster {
		c, err := cluster.Start(t.Context(), cluster.Options{
			Flink: releaseOf(t, cluster.Flink119), TaskManagerMemory: 2048, SavepointDir: savepoints, Env: emulatorCredentials(),
			Application: &cluster.Application{Jar: jar, Args: s.args(), SavepointPath: savepoint},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Stop)
		return c
	}
	c := start("")
	job := onlyJob(t, c.REST())
	s.deliverThroughKill(t, c, job)
	savepoint, err := c.REST().Stop(t.Context(), job, "")
	if err != nil {
		t.Fatal(err)
	}
	c.Stop() // the JobManager ends with its job, the TaskManagers do not

	s.send(t, 500)
	c = start(savepoint)
	s.awaitDelivered(t, alive(t, c, onlyJob(t, c.REST())))
}
