package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
	"github.com/streaming-etl/streaming-etl/runners/flink/submit"
	"github.com/streaming-etl/streaming-etl/stack"
)

const (
	// lookInterval is the time between two looks at a job. A look asks for the metrics of every step: with four a
	// second the JobManager took a quarter of a processor.
	lookInterval = 500 * time.Millisecond
	// patience ends a wait for what does not come.
	patience = 3 * time.Minute
	// cancelTimeout is how long the end of a job may take.
	cancelTimeout = 30 * time.Second
)

// A submission is how long the steps of one took.
type submission struct{ upload, run, tasks time.Duration }

func (s submission) total() time.Duration { return s.upload + s.run + s.tasks }

// A job is running in the lab.
type job struct {
	lab *lab
	id  string
	// running is when all tasks were seen running.
	running    time.Time
	submission submission
}

// run submits the job with properties beside those of the lab, from a savepoint or checkpoint if one is named.
func (l *lab) run(ctx context.Context, from string, properties ...string) (*job, error) {
	args := append([]string{
		"--JobName=bench", "--Region=" + stack.Region,
		"--OutputBucket=" + bucketName, "--OutputBucketEndpoint=" + l.s3.Endpoint(), "--InputStreamEndpoint=" + l.kinesis.url,
	}, properties...)
	j, err := l.submit(ctx, from, args)
	if err == nil {
		l.submitted = append(l.submitted, j.submission)
	}
	return j, err
}

// submit submits the job with these properties.
func (l *lab) submit(ctx context.Context, from string, args []string) (*job, error) {
	client := l.cluster.REST()
	var s submission
	began := time.Now()
	jar, err := client.UploadJar(ctx, l.jar)
	if err != nil {
		return nil, err
	}
	s.upload, began = time.Since(began), time.Now()
	id, err := client.RunJar(ctx, jar, rest.RunOptions{Args: args, SavepointPath: from})
	if err != nil {
		return nil, err
	}
	s.run, began = time.Since(began), time.Now()
	j := &job{lab: l, id: id}
	if _, err := client.WaitRunning(ctx, id, rest.WaitOptions{}); err != nil {
		j.cancel()
		return nil, err
	}
	s.tasks, j.running = time.Since(began), time.Now()
	j.submission = s
	return j, nil
}

// cancel ends the job and waits for the end of its workers. It is for the end of a part, which what went wrong with the
// job does not keep from telling what it has measured.
func (j *job) cancel() {
	ctx, cancel := context.WithTimeout(context.Background(), cancelTimeout)
	defer cancel()
	client := j.lab.cluster.REST()
	err := client.Cancel(ctx, j.id)
	if err == nil {
		_, err = client.WaitEnd(ctx, j.id, rest.WaitOptions{})
	}
	if err != nil {
		j.lab.say("end job %s: %v", j.id, err)
	}
	for len(j.lab.cluster.WorkerPIDs()) > 0 && ctx.Err() == nil {
		time.Sleep(lookInterval)
	}
}

// look returns what the cluster says of the job, which must be running.
func (j *job) look(ctx context.Context) (submit.Status, error) {
	s, err := submit.Look(ctx, j.lab.cluster.REST(), j.id, pipeline.Counters()...)
	if err != nil {
		return s, err
	}
	if s.Job.State.Ended() {
		return s, fmt.Errorf("job %s is %s: %s", j.id, s.Job.State, s.Failure)
	}
	return s, nil
}

// follow looks at the job until done says so.
func (j *job) follow(ctx context.Context, what string, done func(submit.Status) bool) error {
	return wait(ctx, what, func() (bool, error) {
		s, err := j.look(ctx)
		return err == nil && done(s), err
	})
}

// wait waits until something is so.
func wait(ctx context.Context, what string, so func() (bool, error)) error {
	return every(ctx, lookInterval, what, so)
}

// every waits until something is so, and looks for it at an interval.
func every(ctx context.Context, interval time.Duration, what string, so func() (bool, error)) error {
	return within(ctx, patience, interval, what, so)
}

// within is every with a patience of its own.
func within(ctx context.Context, patience, interval time.Duration, what string, so func() (bool, error)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; {
		ok, err := so()
		if err != nil || ok {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %s", patience, what)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// sizes collects the checkpoints of a job.
type sizes struct {
	seen map[int64]bool
	list []rest.Checkpoint
}

func (c *sizes) add(s submit.Status) {
	last := s.Checkpoints.Last
	if last == nil || c.seen[last.ID] {
		return
	}
	if c.seen == nil {
		c.seen = make(map[int64]bool)
	}
	c.seen[last.ID] = true
	c.list = append(c.list, *last)
}

// duration and size are those of the largest of all checkpoints.
func (c *sizes) duration() (most time.Duration) {
	for _, p := range c.list {
		most = max(most, p.Duration)
	}
	return most
}

func (c *sizes) size() (most int64) {
	for _, p := range c.list {
		most = max(most, p.Size)
	}
	return most
}

func median[T any, V cmp.Ordered](of []T, value func(T) V) V {
	values := make([]V, len(of))
	for i, v := range of {
		values[i] = value(v)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
