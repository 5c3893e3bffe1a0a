package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
	"github.com/streaming-etl/streaming-etl/runners/flink/submit"
)

// controlOptions are what the flags of control say.
type controlOptions struct {
	address, job, target string
	json                 *bool
}

func controlFlags(name string) (*flag.FlagSet, *controlOptions) {
	f, asJSON := newFlagsJSON(name, "")
	o := &controlOptions{json: asJSON}
	f.StringVar(&o.address, "flink-rest", "", "the address of the cluster's REST endpoint, host:port or a URL")
	f.StringVar(&o.job, "job", "", "the job's id or name; not needed if only one job is running")
	if name == "savepoint" || name == "stop" {
		f.StringVar(&o.target, "target", "", "the directory for the savepoint (default: the cluster's)")
	}
	return f, o
}

// control is a subcommand on a job that runs: savepoint, stop or cancel.
func control(ctx context.Context, name string, args []string, stdout, stderr io.Writer) int {
	f, o := controlFlags(name)
	if code, ok := parse(f, args, stdout, stderr); !ok {
		return code
	}
	if o.address == "" {
		return misuse(stderr, "--flink-rest is missing: the address of the cluster's REST endpoint")
	}
	client, err := rest.New(o.address, restSetting)
	if err != nil {
		return fail(stderr, err)
	}
	id, err := submit.Find(ctx, client, o.job)
	if err != nil {
		return fail(stderr, err)
	}
	switch name {
	case "savepoint", "stop":
		take := client.Savepoint
		if name == "stop" {
			take = client.Stop
		}
		path, err := take(ctx, id, o.target)
		if err != nil {
			return fail(stderr, err)
		}
		code := tell(stdout, stderr, *o.json, map[string]string{"job": id, "savepoint": path}, path)
		if name == "stop" {
			if _, err := awaitEnd(ctx, client, id, "the savepoint is complete", stderr); err != nil {
				return fail(stderr, err)
			}
		}
		return code
	case "cancel":
		state, err := cancelJob(ctx, client, id, stderr)
		if err == nil && *o.json {
			err = writeJSON(stdout, cancelledJSON{id, state})
		}
		if err != nil {
			return fail(stderr, err)
		}
	}
	return exitOK
}

// cancelTimeout is how long the end of a cancelled job is waited for.
const cancelTimeout = 30 * time.Second

// cancelInterrupted cancels the job of a command whose context has ended.
func cancelInterrupted(ctx context.Context, client *rest.Client, jobID string, stderr io.Writer) int {
	if _, err := cancelJob(context.WithoutCancel(ctx), client, jobID, stderr); err != nil {
		return fail(stderr, err)
	}
	return exitOK
}

// cancelJob cancels a job, waits for its end and returns its last state.
func cancelJob(ctx context.Context, client *rest.Client, jobID string, stderr io.Writer) (rest.State, error) {
	ctx, cancel := context.WithTimeout(ctx, cancelTimeout)
	defer cancel()
	fmt.Fprintln(stderr, "cancelling job "+jobID+"; its last checkpoint is kept if the cluster is configured to retain checkpoints")
	if err := client.Cancel(ctx, jobID); err != nil {
		return "", err
	}
	return awaitEnd(ctx, client, jobID, "the cluster has accepted the request", stderr)
}

// goneAllowance is how long a cluster is asked for the end of a job when that is on its way.
const goneAllowance = 5 * time.Second

// cancelledJSON is a job that was cancelled, for programs.
type cancelledJSON struct {
	Job   string     `json:"job"`
	State rest.State `json:"state"`
}

// unknownState is that of a job which was not seen to end.
const unknownState rest.State = "UNKNOWN"

// awaitEnd waits for the end of a job, after what is told, and returns its
// last state. A cluster of that job alone ends with it.
func awaitEnd(ctx context.Context, client *rest.Client, id, done string, stderr io.Writer) (rest.State, error) {
	job, err := client.WaitEnd(ctx, id, rest.WaitOptions{RestartAllowance: goneAllowance})
	var unreachable *rest.UnreachableError
	switch {
	case errors.As(err, &unreachable), errors.Is(err, rest.ErrNotFound):
		fmt.Fprintf(stderr, "%s; job %s was not seen to end, and its cluster may have ended with it: %v\n", done, id, err)
		return unknownState, nil
	case err != nil:
		return job.State, fmt.Errorf("%s, but: %w", done, err)
	}
	return job.State, nil
}
