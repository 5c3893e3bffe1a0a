package rest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/streaming-etl/streaming-etl/internal/pause"
)

// Defaults of WaitOptions.
const (
	DefaultSlotPatience     = 20 * time.Second
	DefaultRestartAllowance = 60 * time.Second
)

// WaitOptions say how patient a wait is, and who is told about it. The zero value is ready for use.
type WaitOptions struct {
	// SlotPatience is how long the job may wait for slots until that is an error, by default DefaultSlotPatience.
	// Negative means for ever: for a job whose cluster is being scaled.
	SlotPatience time.Duration
	// RestartAllowance is how long the cluster may be out of reach until that is an error, by default
	// DefaultRestartAllowance: a JobManager that is started again is back in less.
	RestartAllowance time.Duration
	// Progress is called with what each look at the job has found, if it is not nil. Looks are a quarter of a second
	// apart.
	Progress func(Job)
}

// WaitRunning waits until all tasks of a job are running. If the job ends before, the error is a JobEndedError that
// tells why; if it gets no slots, a NotEnoughSlotsError.
func (c *Client) WaitRunning(ctx context.Context, jobID string, o WaitOptions) (Job, error) {
	j, err := c.wait(ctx, jobID, Job.AllRunning, o)
	return j, wrap(err, "wait for job "+jobID+" to run")
}

// WaitEnd waits until a job is over, in whatever way, and returns it. If it failed the error is a JobEndedError.
func (c *Client) WaitEnd(ctx context.Context, jobID string, o WaitOptions) (Job, error) {
	j, err := c.wait(ctx, jobID, func(j Job) bool { return j.State == Finished || j.State == Canceled }, o)
	return j, wrap(err, "wait for the end of job "+jobID)
}

func (c *Client) wait(ctx context.Context, id string, reached func(Job) bool, o WaitOptions) (Job, error) {
	if o.SlotPatience == 0 {
		o.SlotPatience = DefaultSlotPatience
	}
	if o.RestartAllowance == 0 {
		o.RestartAllowance = DefaultRestartAllowance
	}
	var lastAnswer, waitsSince time.Time
	lastAnswer = time.Now()
	for {
		j, err := c.Job(ctx, id)
		var unreachable *UnreachableError
		switch {
		case errors.As(err, &unreachable) && time.Since(lastAnswer) < o.RestartAllowance:
		case err != nil:
			return j, err
		default:
			lastAnswer = time.Now()
			if o.Progress != nil {
				o.Progress(j)
			}
			if reached(j) {
				return j, nil
			}
			if j.State.Ended() {
				return j, c.ended(ctx, j)
			}
			if waitsSince, err = c.checkSlots(ctx, j, waitsSince, o.SlotPatience); err != nil {
				return j, err
			}
		}
		if err := pause.Sleep(ctx, pollInterval); err != nil {
			return j, err
		}
	}
}

func (c *Client) ended(ctx context.Context, j Job) error {
	e := &JobEndedError{Job: j}
	if j.State == Failed {
		failures, err := c.Failures(ctx, j.ID)
		if err != nil {
			return errors.Join(e, err)
		}
		if len(failures) > 0 {
			e.Failure = failures[0]
		}
	}
	return e
}

// noSlots is in the failure of an attempt that the cluster had no slots for.
const noSlots = "NoResourceAvailableException"

// checkSlots returns since when the job waits for slots, or an error if that is too long ago. A cluster of a fixed
// size does not let the job wait quietly: it fails each attempt, and restarts it as its restart strategy says.
func (c *Client) checkSlots(ctx context.Context, j Job, since time.Time, patience time.Duration) (time.Time, error) {
	if patience < 0 || j.AllRunning() {
		return time.Time{}, nil
	}
	waits := j.WaitsForSlots()
	if !waits && (j.State == Restarting || j.State == Failing) {
		failures, err := c.Failures(ctx, j.ID)
		if err != nil {
			return since, err
		}
		waits = len(failures) > 0 && strings.Contains(failures[0].Trace, noSlots)
	}
	switch {
	case !waits && j.State == Running:
		return time.Time{}, nil // the tasks are being started
	case !waits:
		return since, nil
	case since.IsZero():
		return time.Now(), nil
	case time.Since(since) < patience:
		return since, nil
	}
	o, err := c.Overview(ctx)
	if err != nil {
		return since, err
	}
	return since, &NotEnoughSlotsError{
		JobID: j.ID, Needed: j.Slots(), Total: o.SlotsTotal, Available: o.SlotsAvailable, TaskManagers: o.TaskManagers,
	}
}
