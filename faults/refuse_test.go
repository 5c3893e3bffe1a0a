//go:build linux

package faults

import (
	"archive/zip"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// refused runs the command, which must fail in time with a message that holds all the words.
func (r *run) refused(t *testing.T, args []string, words ...string) {
	t.Helper()
	began := time.Now()
	c := startCommand(t, r.lab, args...)
	code := c.ends(t)
	if code == 0 {
		t.Errorf("exit code 0")
	}
	said := c.stderr.String()
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("%q is not in what the command said", w)
		}
	}
	if strings.Contains(said, "\tat ") {
		t.Error("a stack trace is in what the command said")
	}
	t.Logf("exit code %d after %s:\n%s", code, seconds(time.Since(began)), said)
	if m := submitted.FindStringSubmatch(said); m != nil {
		r.jobID = m[1]
		r.cancel(t)
	}
}

func TestUnreachableClusterIsTold(t *testing.T) {
	r := newIdleRun(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	t.Run("nobody listens", func(t *testing.T) {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		nobody := free.Addr().String()
		if err := free.Close(); err != nil {
			t.Fatal(err)
		}
		r.refused(t, r.submission(1, "--flink-rest="+nobody), nobody, "--flink-rest", "cannot be reached")
	})
	t.Run("nobody answers", func(t *testing.T) {
		defer listener.Close()
		r.refused(t, r.submission(1, "--flink-rest="+address), address, "--flink-rest", "cannot be reached")
	})
}

func TestTooFewSlotsAreTold(t *testing.T) {
	r := newIdleRun(t)
	r.refused(t, r.submission(100), "needs 100", "the cluster has 4")
}

func TestSavepointOfAnotherGraphIsRefused(t *testing.T) {
	r := newIdleRun(t)
	r.submit(t, r.lab.jar, 1, "")
	savepoint := r.stop(t)
	args := []string{"--OutputDiscarding=true", "--savepoint-path=" + savepoint}
	for _, a := range r.submission(1) {
		if !strings.HasPrefix(a, "--Output") {
			args = append(args, a)
		}
	}
	r.refused(t, args, savepoint, "another graph", "--allow-non-restored-state")
}

func TestMissingSavepointIsTold(t *testing.T) {
	r := newIdleRun(t)
	missing := filepath.Join(r.lab.dir, "no-such-savepoint")
	r.refused(t, r.submission(1, "--savepoint-path="+missing), missing)
}

func TestJarOfAnotherArchitectureIsRefused(t *testing.T) {
	r := newIdleRun(t)
	jar := filepath.Join(t.TempDir(), "other.jar")
	if err := renameWorkers(r.lab.jar, jar); err != nil {
		t.Fatal(err)
	}
	r.refused(t, r.submission(1, "--jar="+jar), "holds no worker for linux/", "only for linux/other", "--arch")
}

// renameWorkers copies a jar and says that its workers are of an architecture that no machine has.
func renameWorkers(from, to string) error {
	in, err := zip.OpenReader(from)
	if err != nil {
		return err
	}
	defer in.Close()
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	defer file.Close()
	out := zip.NewWriter(file)
	found := false
	for _, f := range in.File {
		name := worker.ReplaceAllString(f.Name, "linux${1}other")
		found = found || name != f.Name
		content, err := readEntry(f)
		if err != nil {
			return err
		}
		if f.Name == workerList {
			content = worker.ReplaceAll(content, []byte("linux${1}other"))
		}
		// Stored, since to compress all of it takes longer than the test.
		w, err := out.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	if !found {
		return errors.New("the jar holds no worker")
	}
	return out.Close()
}

// worker is how a jar names the architecture of a worker; workerList is the list of their hashes.
var worker = regexp.MustCompile(`linux([-/])(amd64|arm64)`)

const workerList = "worker/sha256.properties"

func readEntry(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// TestUnwritableCheckpointDirectoryIsTold gives the JobManager another configuration: the directory is a cluster's
// setting. No permission stops who is root, but a file in the place of a directory does.
func TestUnwritableCheckpointDirectoryIsTold(t *testing.T) {
	r := newIdleRun(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(r.lab.cluster.Dir(), "conf", "config.yaml")
	config, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	setting := regexp.MustCompile(`(?m)^state\.checkpoints\.dir: .*$`)
	if !setting.Match(config) {
		t.Fatalf("no state.checkpoints.dir in\n%s", config)
	}
	restart := func(config []byte) {
		if err := os.WriteFile(path, config, 0o644); err != nil {
			t.Fatal(err)
		}
		r.lab.cluster.KillJobManager()
		if err := r.lab.cluster.StartJobManager(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { restart(config) })
	restart(setting.ReplaceAll(config, []byte(`state.checkpoints.dir: "file://`+file+`/checkpoints"`)))
	r.refused(t, r.submission(1), "checkpoint storage", "FileAlreadyExists", file)
}
