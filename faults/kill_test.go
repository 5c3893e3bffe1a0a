//go:build linux

package faults

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// spread is the time within which a damage is done, at a random moment: two checkpoints.
const spread = 2 * checkpointInterval

func TestKillTaskManager(t *testing.T) {
	random := randomness(t)
	r := newRun(t)
	r.submit(t, r.lab.jar, taskManagers*slotsEach, "")
	r.steady(t)
	for range rounds(t) {
		time.Sleep(within(random, spread))
		r.killTaskManager(t, random)
	}
	r.finish(t)
}

func TestKillWorker(t *testing.T) {
	random := randomness(t)
	r := newRun(t)
	r.submit(t, r.lab.jar, taskManagers*slotsEach, "")
	r.steady(t)
	r.checkSpread(t)
	for range rounds(t) + 1 {
		time.Sleep(within(random, spread))
		if workers := r.lab.cluster.WorkerPIDs(); len(workers) != taskManagers {
			t.Errorf("there are %d workers, want one for each TaskManager", len(workers))
		}
		r.killWorker(t, random)
	}
	r.finish(t)
}

// TestKillDuringRecovery does not wait for a recovery before the next kill, so checkpoints fail in a row and a restored
// job is restored again. It is for the long variant.
func TestKillDuringRecovery(t *testing.T) {
	l := theLab(t)
	forMoreThan(t, defaultRounds)
	n := rounds(t)
	random := randomness(t)
	r := newRun(t)
	r.submit(t, l.jar, taskManagers*slotsEach, "")
	r.steady(t)
	var next int64
	for range 2 * n {
		time.Sleep(within(random, 2*spread))
		r.damaged = time.Now()
		next = r.feed.sent.Load()
		workers := l.cluster.WorkerPIDs()
		if random.IntN(2) == 0 && len(workers) > 0 {
			victim := workers[random.IntN(len(workers))]
			t.Logf("kill -9 of worker %d", victim)
			if err := syscall.Kill(victim, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				t.Fatal(err)
			}
			continue
		}
		victim := random.IntN(taskManagers)
		t.Logf("kill -9 of TaskManager %d", victim)
		if err := l.cluster.KillTaskManager(victim); err != nil {
			t.Fatal(err)
		}
		if err := l.cluster.StartTaskManager(t.Context(), victim); err != nil {
			t.Fatal(err)
		}
	}
	r.recovered(t, "the last of "+strconv.Itoa(2*n)+" kills", next)
	r.finish(t)
}

func TestKillJobManager(t *testing.T) {
	random := randomness(t)
	r := newRun(t)
	r.submit(t, r.lab.jar, taskManagers, "")
	r.steady(t)
	for range max(1, rounds(t)-1) { // a round takes longest here
		time.Sleep(within(random, spread))
		r.killJobManager(t)
	}
	r.finish(t)
}

// killTaskManager kills a TaskManager, replaces it and waits until the job has recovered.
func (r *run) killTaskManager(t *testing.T, random *rand.Rand) {
	t.Helper()
	before := r.status(t).Restarts
	victim := random.IntN(taskManagers)
	r.damage()
	if err := r.lab.cluster.KillTaskManager(victim); err != nil {
		t.Fatal(err)
	}
	if err := r.lab.cluster.StartTaskManager(t.Context(), victim); err != nil {
		t.Fatal(err)
	}
	replaced := time.Since(r.damaged)
	next := r.restarted(t, before)
	r.recovered(t, "kill -9 of TaskManager "+strconv.Itoa(victim)+", replaced after "+seconds(replaced), next)
}

// killWorker kills a worker and waits until the job has recovered.
func (r *run) killWorker(t *testing.T, random *rand.Rand) {
	t.Helper()
	before := r.status(t).Restarts
	workers := r.lab.cluster.WorkerPIDs()
	victim := workers[random.IntN(len(workers))]
	r.damage()
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	next := r.restarted(t, before)
	r.recovered(t, "kill -9 of a worker", next)
}

// killJobManager kills the JobManager and starts the job from the checkpoint that it has left.
func (r *run) killJobManager(t *testing.T) {
	t.Helper()
	next := r.damage()
	r.lab.cluster.KillJobManager()
	if err := r.lab.cluster.StartJobManager(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkpoint := newestCheckpoint(t, r.lab, r.jobID)
	r.submit(t, r.lab.jar, taskManagers, checkpoint)
	r.recovered(t, "kill -9 of the JobManager and a start from "+filepath.Base(checkpoint), next)
}

// damage notes that something is damaged now, and returns the number of the next trip.
func (r *run) damage() (next int64) {
	r.damaged = time.Now()
	return r.feed.sent.Load()
}

// recovered waits until a trip that was sent after the damage is delivered.
func (r *run) recovered(t *testing.T, from string, next int64) {
	t.Helper()
	r.comes(t, "recovery from "+from, func(got tally) bool { return got.newest >= next })
	t.Logf("%s: a trip sent after it is delivered after %s", from, seconds(time.Since(r.damaged)))
}

// newestCheckpoint returns the path of the last checkpoint that a job has completed. It is looked for on disk: what the
// JobManager said last of it may be older, and a job started from an older one would deliver again what was committed since.
func newestCheckpoint(t *testing.T, l *lab, jobID string) string {
	t.Helper()
	newest, path := -1, ""
	for _, metadata := range glob(t, filepath.Join(l.cluster.Dir(), "checkpoints", jobID, "chk-*", "_metadata")) {
		dir := filepath.Dir(metadata)
		n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), "chk-"))
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(metadata); err == nil && info.Size() > 0 && n > newest {
			newest, path = n, dir
		}
	}
	if path == "" {
		t.Fatalf("job %s has no checkpoint", jobID)
	}
	return path
}
