package submit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
)

// A Report is as much as can be found out about a job while it runs, restarts
// or fails, and when it is over.
type Report struct {
	Status
	// Interval is how far apart checkpoints are; 0 if that is not known.
	Interval time.Duration
	// Gauges are the highest values of Beam's gauges by "namespace/name".
	Gauges map[string]int64
	// Failures are why tasks were restarted, the newest first.
	Failures []rest.Failure
	// Unknown tells what the cluster did not answer.
	Unknown []error
}

// Inspect looks at a job as Look does, and goes on where the cluster does not
// answer one of the questions: a JobManager that is busy with a failure has no
// metrics, for one. The error is of the question for the job itself.
func Inspect(ctx context.Context, c *rest.Client, jobID string, counters, gauges []string) (Report, error) {
	var r Report
	var err error
	if r.Job, err = c.Job(ctx, jobID); err != nil {
		return r, err
	}
	ask := func(question func() error) {
		if err := question(); err != nil {
			r.Unknown = append(r.Unknown, err)
		}
	}
	ask(func() (err error) { r.Checkpoints, err = c.Checkpoints(ctx, jobID); return err })
	ask(func() (err error) { r.Interval, err = c.CheckpointInterval(ctx, jobID); return err })
	ask(func() (err error) { r.Restarts, err = c.Restarts(ctx, jobID); return err })
	ask(func() (err error) { r.Failures, err = c.Failures(ctx, jobID); return err })
	ask(func() (err error) { r.Counters, err = c.Counters(ctx, jobID, counters...); return err })
	ask(func() (err error) { r.Gauges, err = c.Maxima(ctx, jobID, gauges...); return err })
	if len(r.Failures) > 0 {
		r.Failure = r.Failures[0].Message
	}
	return r, ctx.Err()
}

// FindLast is Find for a look at a job: where none that is meant is running, it
// is the one that ended last.
func FindLast(ctx context.Context, c *rest.Client, idOrName string) (string, error) {
	jobs, err := c.Jobs(ctx)
	if err != nil {
		return "", err
	}
	jobs = slices.DeleteFunc(jobs, func(j rest.Job) bool { return idOrName != "" && j.ID != idOrName && j.Name != idOrName })
	if len(jobs) == 0 {
		return "", fmt.Errorf("%s has no job %q: %w", c.URL(), idOrName, rest.ErrNotFound)
	}
	if slices.ContainsFunc(jobs, func(j rest.Job) bool { return !j.State.Ended() }) {
		return choose(c, jobs, idOrName)
	}
	return slices.MaxFunc(jobs, func(a, b rest.Job) int { return cmp.Compare(a.End.UnixMilli(), b.End.UnixMilli()) }).ID, nil
}
