package rest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/streaming-etl/streaming-etl/internal/pause"
)

// Savepoint takes a savepoint of a job that goes on, waits until it is complete and returns its path. It goes into a
// new directory below the target, by default the cluster's state.savepoints.dir.
func (c *Client) Savepoint(ctx context.Context, jobID, target string) (path string, err error) {
	path, err = c.savepoint(ctx, jobID, "savepoints", struct {
		Target string `json:"target-directory,omitempty"`
	}{target})
	return path, wrap(err, "take a savepoint of job "+jobID)
}

// Stop stops a job with a savepoint, waits until the savepoint is complete and returns its path. The job ends as
// Finished right after. It is not drained, which Beam's runner cannot do: what the job holds is in the savepoint.
func (c *Client) Stop(ctx context.Context, jobID, target string) (savepointPath string, err error) {
	savepointPath, err = c.savepoint(ctx, jobID, "stop", struct {
		Drain  bool   `json:"drain"`
		Target string `json:"targetDirectory,omitempty"`
	}{false, target})
	return savepointPath, wrap(err, "stop job "+jobID+" with a savepoint")
}

// savepoint triggers an operation and follows it to its end.
func (c *Client) savepoint(ctx context.Context, jobID, operation string, request any) (string, error) {
	var trigger struct {
		ID string `json:"request-id"`
	}
	if err := c.do(ctx, post(request, "jobs", jobID, operation), &trigger); err != nil {
		return "", err
	}
	goesOn := func(err error) error {
		return fmt.Errorf("%w; Flink goes on with it, as operation %s", err, trigger.ID)
	}
	lastAnswer := time.Now()
	for {
		path, done, err := c.savepointDone(ctx, jobID, trigger.ID)
		var unreachable *UnreachableError
		switch {
		case ctx.Err() != nil && !done:
			return "", goesOn(context.Cause(ctx))
		case errors.As(err, &unreachable):
			if time.Since(lastAnswer) >= DefaultRestartAllowance {
				return "", goesOn(err)
			}
		case err != nil || done:
			return path, err
		default:
			lastAnswer = time.Now()
		}
		if err := pause.Sleep(ctx, pollInterval); err != nil {
			return "", goesOn(err)
		}
	}
}

func (c *Client) savepointDone(ctx context.Context, jobID, trigger string) (path string, done bool, err error) {
	var answer struct {
		Status    struct{ ID string }
		Operation struct {
			Location string
			Failure  *struct {
				Class string
				Trace string `json:"stack-trace"`
			} `json:"failure-cause"`
		}
	}
	if err := c.do(ctx, get("jobs", jobID, "savepoints", trigger), &answer); err != nil {
		return "", false, err
	}
	if f := answer.Operation.Failure; f != nil {
		message := lastCauses(f.Trace)
		if message == "" {
			message = f.Class
		}
		if strings.Contains(f.Trace, "FlinkJobNotFoundException") {
			// So Flink says too if the job has ended.
			if j, err := c.Job(ctx, jobID); err == nil {
				return "", false, &JobEndedError{Job: j}
			}
			return "", false, fmt.Errorf("%s: %w", message, ErrNotFound)
		}
		return "", false, errors.New(message)
	}
	return answer.Operation.Location, answer.Status.ID == "COMPLETED", nil
}
