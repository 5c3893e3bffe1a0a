package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
	"github.com/streaming-etl/streaming-etl/runners/flink"
	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
	"github.com/streaming-etl/streaming-etl/runners/flink/submit"
)

// flinkJob builds the job for the jar's main class.
func flinkJob(ctx context.Context, on flink.Cluster, args []string) (flink.Job, error) {
	p, err := property.Load(property.Sources{File: property.DefaultFile, Env: os.Environ(), Args: args})
	if errors.Is(err, property.ErrHelp) {
		return flink.Job{}, errors.New("a job on Flink takes properties only; --help is for the command line")
	}
	return pipeline.FlinkJob(ctx, p, on)
}

// flinkOptions are the flags of the runner flink.
func flinkOptions() []property.Property {
	return []property.Property{
		{
			Name: "flink-rest", Group: property.GroupCommand, Kind: property.String, DefaultNote: "a local Flink",
			Doc: "With --runner=flink: the address of the cluster's REST endpoint, host:port or a URL. Without it, a local Flink is started from the cache and runs the sample.",
		},
		{
			Name: "endpoint", Group: property.GroupCommand, Kind: property.String,
			Doc: "With --runner=flink: the job endpoint, host:port, of a Beam job server to submit to instead of a cluster's REST endpoint. This program must be at --worker-path on the TaskManagers.",
		},
		{
			Name: "worker-path", Group: property.GroupCommand, Kind: property.Path, DefaultNote: "this program's own path",
			Doc: "With --endpoint: where this program, built with CGO_ENABLED=0 for their system, is on the TaskManagers.",
		},
		{
			Name: "detached", Group: property.GroupCommand, Kind: property.Bool, Default: "false",
			Doc: "With --runner=flink: returns once the job is running. Otherwise the job is followed, and cancelled on SIGINT or SIGTERM.",
		},
		{
			Name: "jar", Group: property.GroupCommand, Kind: property.Path, DefaultNote: "built and cached",
			Doc: "With --runner=flink: the jar to submit.",
		},
		{
			Name: "savepoint-path", Group: property.GroupCommand, Kind: property.String,
			Doc: "With --runner=flink: the savepoint or retained checkpoint to start from.",
		},
		{
			Name: "allow-non-restored-state", Group: property.GroupCommand, Kind: property.Bool, Default: "false",
			Doc: "With --savepoint-path: lets the job start although it has no place for some of the saved state.",
		},
	}
}

const restSetting = "--flink-rest"

// runFlink runs the job on Flink.
func runFlink(ctx context.Context, p *property.Set, stdout, stderr io.Writer) int {
	if p.Get("endpoint") != "" {
		return runJobServer(ctx, p, stdout, stderr)
	}
	local := p.Get("flink-rest") == ""
	if !local || !pipeline.NamesNoServers(p) {
		// What can be told here need not go to the cluster and back.
		if _, err := pipeline.FromProperties(p, false); err != nil {
			return fail(stderr, err)
		}
	}
	if local && !pipeline.NamesNoServers(p) {
		return misuse(stderr, "--flink-rest is missing: the local Flink runs the sample only, with embedded servers")
	}
	if local {
		if _, err := cluster.Installed(""); err != nil {
			return fail(stderr, err)
		}
	}
	jarPath, err := jobJar(ctx, p.Get("jar"), stderr)
	if err != nil {
		return fail(stderr, err)
	}
	line := newProgressLine(stderr)
	if local {
		sum, err := pipeline.RunLocalFlink(ctx, p, pipeline.LocalFlinkOptions{
			Out: p.Get("out"), Jar: jarPath, Progress: line.show, Messages: stderr,
		})
		line.end()
		if err != nil {
			return fail(stderr, err)
		}
		if err := sum.Print(stdout); err != nil {
			return fail(stderr, err)
		}
		return exitOK
	}
	return submitFlink(ctx, p, jarPath, stdout, stderr)
}

func submitFlink(ctx context.Context, p *property.Set, jarPath string, stdout, stderr io.Writer) int {
	client, err := rest.New(p.Get("flink-rest"), restSetting)
	if err != nil {
		return fail(stderr, err)
	}
	args, err := portableArgs(p)
	if err != nil {
		return fail(stderr, err)
	}
	jobID, err := submit.Run(ctx, client, submit.Options{
		Jar: jarPath, Args: args, Parallelism: p.Int("Parallelism"),
		SavepointPath: p.Get("savepoint-path"), AllowNonRestoredState: p.Bool("allow-non-restored-state"),
		Report: func(s string) { fmt.Fprintln(stderr, s) },
	})
	detached := p.Bool("detached")
	if ctx.Err() != nil && jobID != "" && !detached {
		return cancelInterrupted(ctx, client, jobID, stderr)
	}
	if err != nil {
		return fail(stderr, err)
	}
	if detached {
		fmt.Fprintln(stdout, jobID)
		return exitOK
	}
	line := &followLine{w: stderr}
	last, err := submit.Follow(ctx, client, jobID, time.Second, line.show, pipeline.Counters()...)
	if err != nil {
		return fail(stderr, err)
	}
	if ctx.Err() != nil {
		return cancelInterrupted(ctx, client, jobID, stderr)
	}
	fmt.Fprintf(stdout, "job %s is %s\n", jobID, last.Job.State)
	return exitOK
}

// runJobServer submits the job to a Beam job server.
func runJobServer(ctx context.Context, p *property.Set, stdout, stderr io.Writer) int {
	if p.Get("flink-rest") != "" {
		return misuse(stderr, "--flink-rest and --endpoint are two ways to submit: give one")
	}
	initBeam()
	job, err := pipeline.FlinkJob(ctx, p, flink.Cluster{})
	if err != nil {
		return fail(stderr, err)
	}
	job.Options.SavepointPath = p.Get("savepoint-path")
	job.Options.AllowNonRestoredState = p.Bool("allow-non-restored-state")
	worker := p.Get("worker-path")
	if worker == "" {
		if worker, err = os.Executable(); err != nil {
			return fail(stderr, err)
		}
	}
	server, err := flink.DialJobServer(ctx, p.Get("endpoint"))
	if err != nil {
		return fail(stderr, fmt.Errorf("--endpoint: %w", err))
	}
	defer server.Close()
	id, err := server.Submit(ctx, job, worker)
	if err != nil {
		return fail(stderr, fmt.Errorf("--endpoint: %w", err))
	}
	if p.Bool("detached") {
		fmt.Fprintln(stdout, id)
		return exitOK
	}
	if err := server.Follow(ctx, id, func(line string) { fmt.Fprintln(stderr, line) }); err != nil {
		return fail(stderr, err)
	}
	if ctx.Err() != nil {
		cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
		defer cancel()
		if err := server.Cancel(cctx, id); err != nil {
			return fail(stderr, err)
		}
		fmt.Fprintf(stderr, "the job server has cancelled job %s; if it is Beam's own, Flink continues to run it: "+
			"cancel it there too, with %s cancel --flink-rest=host:port --job=%s\n", id, filepath.Base(os.Args[0]), job.Name)
	}
	return exitOK
}

// textProperties are JSON texts, or name files that hold them.
var textProperties = [...]string{"EventSchema", "ElasticsearchIndexTemplate"}

// portableArgs are the given properties, with such files replaced by their
// text: the file is here, the job is built there.
func portableArgs(p *property.Set) ([]string, error) {
	args := p.Args()
	for _, name := range textProperties {
		file := p.Get(name)
		if !p.Given(name) || file == "" || strings.HasPrefix(file, "{") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		var line bytes.Buffer // properties are single lines
		if err := json.Compact(&line, text); err != nil {
			return nil, fmt.Errorf("%s %s: %w", name, file, err)
		}
		prefix := "--" + name + "="
		args[slices.Index(args, prefix+file)] = prefix + line.String()
	}
	return args, nil
}

// followText is a followed job's state as a line.
func followText(s submit.Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s, %s", s.Job.ID, s.Job.Name, s.Job.State)
	if last := s.Checkpoints.Last; last != nil {
		fmt.Fprintf(&b, ", checkpoint %d (%s, %.1f s)", last.ID, pipeline.Bytes(last.Size), last.Duration.Seconds())
	} else {
		b.WriteString(", no checkpoint yet")
	}
	p := pipeline.Counted(s.Counters)
	fmt.Fprintf(&b, ", read %s, delivered %s", pipeline.Number(p.Read), pipeline.Number(p.Delivered))
	if len(p.Sinks) > 1 {
		var each []string
		for _, name := range slices.Sorted(maps.Keys(p.Sinks)) {
			each = append(each, name+" "+pipeline.Number(p.Sinks[name]))
		}
		fmt.Fprintf(&b, " (%s)", strings.Join(each, ", "))
	}
	fmt.Fprintf(&b, ", dead letters %s, files %s", pipeline.Number(p.DeadLetters), pipeline.Number(p.Files))
	if s.Restarts > 0 {
		fmt.Fprintf(&b, ", %d restarts, the last for: %s", s.Restarts, s.Failure)
	}
	return b.String()
}

// followLine prints a job's status when it has changed.
type followLine struct {
	w    io.Writer
	last string
}

func (l *followLine) show(s submit.Status) {
	if text := followText(s); text != l.last {
		l.last = text
		fmt.Fprintln(l.w, text)
	}
}
