//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/streaming-etl/streaming-etl/chaos/history"
	"github.com/streaming-etl/streaming-etl/chaos/plan"
	"github.com/streaming-etl/streaming-etl/chaos/record"
	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
	"github.com/streaming-etl/streaming-etl/runners/flink/submit"
	"github.com/streaming-etl/streaming-etl/stack"
)

const (
	checkpointInterval = 3 * time.Second
	rollInterval       = 2 * time.Second
	firstParallelism   = 2
	// lookInterval is the time between two looks at the jobs, and at the sinks.
	lookInterval = time.Second
	// patience ends a wait for what does not come.
	patience = 6 * time.Minute
)

// A job is one of the two, through all of its submissions.
type job struct {
	origin string
	lab    *lab

	// changing is held while the job is stopped or submitted: only one may do so at a time.
	changing sync.Mutex

	mu          sync.Mutex
	id          string   // empty while none runs
	former      []string // ids of earlier submissions, whose checkpoints are still there
	parallelism int
	seen        sightings
}

// args are the job's properties.
func (j *job) args(parallelism int) []string {
	l := j.lab
	output := copies(j.origin)
	args := []string{
		"--JobName=chaos-" + j.origin, fmt.Sprintf("--Parallelism=%d", parallelism), "--Region=" + stack.Region,
		fmt.Sprintf("--CheckpointInterval=%d", checkpointInterval.Milliseconds()), "--EventSchema=" + record.Schema,

		"--OutputBucket=" + bucketName, "--OutputPrefix=" + output + "/", "--OutputBucketEndpoint=" + l.url(plan.S3),
		"--OutputPathTemplate=job_start={job_start}/" + record.FolderTemplate, fmt.Sprintf("--OutputFileRollIntervalMs=%d", rollInterval.Milliseconds()),

		"--OutputElasticsearchEndpoint=" + l.url(plan.Elasticsearch), "--ElasticsearchIndex=" + output, "--ElasticsearchDocumentId={trip_id}",

		"--OutputKafkaBootstrapServers=" + strings.Join(l.bootstrap(), ","), "--OutputKafkaTopic=" + output, "--OutputKafkaKey={key}",

		"--OutputKinesisStream=" + output, "--OutputStreamEndpoint=" + l.outputStreamURL(j.origin), "--OutputKinesisPartitionKey={key}",
	}
	if j.origin == fromKinesis {
		return append(args, "--InputKinesisStream="+sourceName, "--InputStreamEndpoint="+l.url(plan.Kinesis),
			"--InputStreamInitialPosition=TRIM_HORIZON", "--InputKeyOrder=true", "--InputDiscoveryIntervalMs=1000")
	}
	return append(args, "--InputKafkaBootstrapServers="+strings.Join(l.bootstrap(), ","), "--InputKafkaTopic="+sourceName,
		"--InputKafkaInitialPosition=EARLIEST", "--InputKafkaDiscoveryInterval=1000")
}

// current returns the id of the job that runs, empty if none does.
func (j *job) current() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.id
}

// start submits the job, from a savepoint or checkpoint if one is named, and waits until all of its tasks run. What
// was done after that point was taken may be done again: since is when it was begun.
func (j *job) start(ctx context.Context, parallelism int, from string, since time.Time) error {
	if from != "" {
		j.restored(history.Restored{Since: since, Times: 2, Submitted: true, Cause: "started from " + filepath.Base(from)})
	}
	id, err := j.submit(ctx, parallelism, from)
	if id != "" {
		j.mu.Lock()
		if j.id != "" {
			j.former = append(j.former, j.id)
		}
		j.id, j.parallelism = id, parallelism
		j.seen.submitted(from != "")
		j.mu.Unlock()
		j.lab.history.Add(history.Event{Kind: history.Submitted, Job: j.origin, Submission: &history.Submission{JobID: id, Parallelism: parallelism, From: from}})
	}
	var slots *rest.NotEnoughSlotsError
	if errors.As(err, &slots) { // until the cluster has missed those that hold them
		_, err = j.lab.cluster.REST().WaitRunning(ctx, id, rest.WaitOptions{SlotPatience: -1})
	}
	if err != nil {
		return fmt.Errorf("start the job from %s: %w", j.origin, err)
	}
	j.lab.say("the job from %s runs at parallelism %d", j.origin, parallelism)
	return nil
}

// submit submits the job until it is taken: it is refused, by design, when it finds a source or sink out of reach, and
// another damage may be at work there.
func (j *job) submit(ctx context.Context, parallelism int, from string) (id string, err error) {
	for deadline := time.Now().Add(patience); ; {
		id, err = submit.Run(ctx, j.lab.cluster.REST(), submit.Options{Jar: j.lab.jar, Args: j.args(parallelism), SavepointPath: from})
		if err == nil || id != "" || ctx.Err() != nil || time.Now().After(deadline) {
			return id, err
		}
		j.lab.say("the job from %s was refused: %v", j.origin, err)
		j.lab.history.Add(history.Event{Kind: history.Note, Job: j.origin, Text: "submission refused: " + err.Error()})
		if err := pause.Sleep(ctx, lookInterval); err != nil {
			return "", err
		}
	}
}

func (j *job) restored(r history.Restored) {
	j.lab.history.Add(history.Event{Kind: history.Restart, Job: j.origin, Restored: &r})
}

// look notes what the cluster says of the job. Errors pass: the JobManager may be away.
func (j *job) look(ctx context.Context) {
	id := j.current()
	if id == "" {
		return
	}
	client := j.lab.cluster.REST()
	checkpoints, err := client.Checkpoints(ctx, id)
	if err != nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.id != id {
		return
	}
	restored, completed := j.seen.take(checkpoints)
	if restored != nil {
		restored.Cause = j.cause(ctx, id)
		j.restored(*restored)
	}
	if completed != nil {
		j.forget()
		j.lab.history.Add(history.Event{Kind: history.Checkpoint, Job: j.origin, Snapshot: completed})
	}
}

// forget removes the checkpoints that the job's former submissions have left, whose room is the present one's. It has
// completed one of its own, so that nothing is started from them again.
func (j *job) forget() {
	for _, id := range j.former {
		if err := os.RemoveAll(filepath.Join(j.lab.checkpoints, id)); err != nil {
			j.lab.say("%v", err)
		}
	}
	j.former = nil
}

// maxCause bounds how much of a cause is told.
const maxCause = 400

func (j *job) cause(ctx context.Context, id string) string {
	failures, err := j.lab.cluster.REST().Failures(ctx, id)
	if err != nil || len(failures) == 0 {
		return ""
	}
	text := failures[0].String()
	return text[:min(len(text), maxCause)]
}

// completed returns the number of the last checkpoint that was seen.
func (j *job) completed() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.seen.last
}

// ended returns whether the job has come to an end that nobody has asked for.
func (j *job) ended(ctx context.Context) (rest.State, bool) {
	id := j.current()
	if id == "" || !j.changing.TryLock() {
		return "", false
	}
	defer j.changing.Unlock()
	state, err := j.lab.cluster.REST().Job(ctx, id)
	if err != nil || !state.State.Ended() || id != j.current() {
		return "", false
	}
	return state.State, true
}

// resume stops the job with a savepoint and starts it from there.
func (j *job) resume(ctx context.Context, parallelism int) error {
	j.changing.Lock()
	defer j.changing.Unlock()
	client := j.lab.cluster.REST()
	var savepoint string
	var began time.Time
	// Another damage may be at work; the job is to run for that.
	for deadline := time.Now().Add(patience); ; {
		var err error
		began = time.Now()
		if savepoint, err = client.Stop(ctx, j.current(), ""); err == nil {
			break
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return fmt.Errorf("stop the job from %s: %w", j.origin, err)
		}
		j.lab.say("the job from %s cannot be stopped yet: %v", j.origin, err)
		if err := pause.Sleep(ctx, lookInterval); err != nil {
			return err
		}
		if _, err := client.WaitRunning(ctx, j.current(), rest.WaitOptions{SlotPatience: -1}); err != nil {
			return fmt.Errorf("stop the job from %s: %w", j.origin, err)
		}
	}
	if _, err := client.WaitEnd(ctx, j.current(), rest.WaitOptions{}); err != nil {
		return err
	}
	return j.start(ctx, parallelism, savepoint, began)
}

// revive starts the job from the last checkpoint that it has left.
func (j *job) revive(ctx context.Context) error {
	j.changing.Lock()
	defer j.changing.Unlock()
	path, number, err := newestCheckpoint(j.lab.checkpoints, j.current())
	if err != nil {
		return err
	}
	j.mu.Lock()
	since := j.seen.triggered(number)
	parallelism := j.parallelism
	j.mu.Unlock()
	return j.start(ctx, parallelism, path, since)
}

// newestCheckpoint returns the last checkpoint that a job has completed. It is looked for on disk: what the JobManager
// has told may be older, and a job started from an older one would deliver again what was committed since.
func newestCheckpoint(dir, jobID string) (path string, number int64, err error) {
	metadata, err := filepath.Glob(filepath.Join(dir, jobID, "chk-*", "_metadata"))
	if err != nil {
		return "", 0, err
	}
	for _, m := range metadata {
		dir := filepath.Dir(m)
		n, err := strconv.ParseInt(strings.TrimPrefix(filepath.Base(dir), "chk-"), 10, 64)
		if err != nil {
			return "", 0, err
		}
		if info, err := os.Stat(m); err == nil && info.Size() > 0 && n > number {
			number, path = n, dir
		}
	}
	if path == "" {
		return "", 0, fmt.Errorf("job %s has left no checkpoint", jobID)
	}
	return path, number, nil
}

// cancel ends the job.
func (j *job) cancel(ctx context.Context) error {
	j.changing.Lock()
	defer j.changing.Unlock()
	id := j.current()
	if id == "" {
		return nil
	}
	client := j.lab.cluster.REST()
	if err := client.Cancel(ctx, id); err != nil {
		return err
	}
	_, err := client.WaitEnd(ctx, id, rest.WaitOptions{})
	return err
}

// tell says what the cluster knows of a job that does not do what it should.
func (j *job) tell(ctx context.Context) {
	id := j.current()
	s, err := submit.Look(ctx, j.lab.cluster.REST(), id)
	if err != nil {
		j.lab.say("job from %s: %v", j.origin, err)
		return
	}
	j.lab.say("job from %s, %s, is %s: %d restarts, checkpoints %+v", j.origin, id, s.Job.State, s.Restarts, s.Checkpoints)
	failures, err := j.lab.cluster.REST().Failures(ctx, id)
	if err != nil {
		j.lab.say("%v", err)
	}
	for _, f := range failures {
		j.lab.say("  %s %s", f.Time.Format(time.TimeOnly), f)
	}
}
