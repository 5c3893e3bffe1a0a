// Package submit brings a jar to a Flink cluster as a job, and follows it.
package submit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
)

// Options say what is submitted, and how it starts.
type Options struct {
	// Jar is the path of the jar.
	Jar string
	// Args are the job's properties, as flags.
	Args []string
	// Parallelism is the job's where its properties name none; 0 is the cluster's.
	Parallelism int
	// SavepointPath is a savepoint or retained checkpoint to start from.
	SavepointPath string
	// AllowNonRestoredState lets the job start though it has no place for some of that state.
	AllowNonRestoredState bool
	// Report is called with a line for each thing that was done; may be nil.
	Report func(string)
}

// Run uploads the jar, unless the cluster has it, runs it and waits until all
// tasks are running. When the job was submitted its id is returned also with
// an error: a job that waits for slots (a *rest.NotEnoughSlotsError) goes on
// waiting, and one that was being submitted at the end of ctx goes on starting.
func Run(ctx context.Context, c *rest.Client, o Options) (jobID string, err error) {
	report := o.Report
	if report == nil {
		report = func(string) {}
	}
	start := time.Now()
	jar, err := c.UploadJar(ctx, o.Jar)
	if err != nil {
		return "", err
	}
	report(fmt.Sprintf("jar %s is on the cluster, %.1f s", jar, time.Since(start).Seconds()))
	start = time.Now()
	if jobID, err = runJar(ctx, c, jar, o); err != nil {
		return "", err
	}
	report(fmt.Sprintf("job %s is submitted, %.1f s", jobID, time.Since(start).Seconds()))
	start = time.Now()
	if _, err := c.WaitRunning(ctx, jobID, rest.WaitOptions{}); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("job %s is submitted and goes on starting, but whether all its tasks come to run was not waited for: %w",
				jobID, context.Cause(ctx))
		}
		return jobID, err
	}
	report(fmt.Sprintf("all tasks are running, %.1f s", time.Since(start).Seconds()))
	return jobID, nil
}

// answerGrace is how much longer the answer to a submission is waited for when
// the context has ended.
const answerGrace = time.Minute

// runJar runs the jar. A cluster that has begun with that does not stop when
// its answer is no longer waited for, and the job would run with nobody knowing
// its id. So the end of the context ends this call later.
func runJar(ctx context.Context, c *rest.Client, jar string, o Options) (jobID string, err error) {
	patient, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer giveUp(nil)
	defer context.AfterFunc(ctx, func() {
		select {
		case <-patient.Done():
		case <-time.After(answerGrace):
			giveUp(fmt.Errorf("%w, and the cluster did not answer within %s: the job may start all the same", context.Cause(ctx), answerGrace))
		}
	})()
	jobID, err = c.RunJar(patient, jar, rest.RunOptions{
		Args: o.Args, Parallelism: o.Parallelism, SavepointPath: o.SavepointPath, AllowNonRestoredState: o.AllowNonRestoredState,
	})
	var refused *rest.Error
	if errors.As(err, &refused) && strings.Contains(refused.Message, unmappedState) {
		return "", fmt.Errorf("start from %s: it was saved by a job of another graph, and this one has no place for some of its state "+
			"(--allow-non-restored-state would drop that): %w", o.SavepointPath, err)
	}
	return jobID, err
}

// unmappedState is how Flink refuses state that no step of the job would take.
const unmappedState = "Cannot map checkpoint/savepoint state"

// Status is what one look at a job has found.
type Status struct {
	Job         rest.Job
	Checkpoints rest.Checkpoints
	Restarts    int
	// Counters are Beam's by "namespace/name", of the present attempt.
	Counters map[string]int64
	// Failure is why the job's tasks were restarted last, empty if they were not.
	Failure string
}

// Look returns what the cluster says of a job now. With an error it has what
// was answered before: the job first, then why it failed, its counters last.
func Look(ctx context.Context, c *rest.Client, jobID string, counters ...string) (Status, error) {
	var s Status
	var err error
	if s.Job, err = c.Job(ctx, jobID); err != nil {
		return s, err
	}
	failures, err := c.Failures(ctx, jobID)
	if err != nil {
		return s, err
	}
	if len(failures) > 0 {
		s.Failure = failures[0].Message
	}
	if s.Checkpoints, err = c.Checkpoints(ctx, jobID); err != nil {
		return s, err
	}
	if s.Restarts, err = c.Restarts(ctx, jobID); err != nil {
		return s, err
	}
	s.Counters, err = c.Counters(ctx, jobID, counters...)
	return s, err
}

// outOfReach is how long a cluster may not answer while a job is followed: a
// JobManager that is started again is back in less, and one that is busy with a
// failure answers some questions only.
const outOfReach = time.Minute

// Follow looks at a job at each interval until it is over or ctx ends, and
// returns the last look. A job that failed is an error, the end of ctx is none,
// nor is a look without all answers, which is not shown. A cluster that
// does not answer for outOfReach, or does not know the job, is: the job may go on.
func Follow(ctx context.Context, c *rest.Client, jobID string, interval time.Duration, show func(Status), counters ...string) (Status, error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var last Status
	answered := time.Now()
	for {
		s, err := Look(ctx, c, jobID, counters...)
		if err == nil {
			last, answered = s, time.Now()
			show(s)
		}
		switch {
		case s.Job.State == rest.Failed:
			return s, fmt.Errorf("job %s failed: %s", jobID, s.Failure)
		case s.Job.State.Ended():
			return s, nil
		case ctx.Err() != nil:
			return last, nil
		case err == nil:
		case errors.Is(err, rest.ErrNotFound) || time.Since(answered) >= outOfReach:
			return last, fmt.Errorf("job %s is no longer followed, and may go on: %w", jobID, err)
		}
		select {
		case <-ctx.Done():
			return last, nil
		case <-tick.C:
		}
	}
}

// ErrWhichJob is returned by Find when the choice is not clear.
var ErrWhichJob = errors.New("name the job with --job")

// Find returns the id of the job that is meant: that id or, by its name, the
// only one that is not over. Without a name it is the only job of the cluster
// that is not over.
func Find(ctx context.Context, c *rest.Client, idOrName string) (string, error) {
	jobs, err := c.Jobs(ctx)
	if err != nil {
		return "", err
	}
	return choose(c, jobs, idOrName)
}

func choose(c *rest.Client, jobs []rest.Job, idOrName string) (string, error) {
	var found []rest.Job
	for _, j := range jobs {
		if j.ID == idOrName {
			return j.ID, nil
		}
		if !j.State.Ended() && (idOrName == "" || j.Name == idOrName) {
			found = append(found, j)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("%s has no job %q that is running: %w", c.URL(), idOrName, rest.ErrNotFound)
	case 1:
		return found[0].ID, nil
	}
	return "", fmt.Errorf("%s has %d running jobs %q: %w", c.URL(), len(found), idOrName, ErrWhichJob)
}
