// Command streaming-etl reads JSON events from a stream and delivers each of
// them exactly once, partitioned by what is in it.
//
//	go run . --runner=direct       the main job on real taxi trips, with embedded servers
//	go run . check --Name=value    what a job would do
//	go run . replay --stream=…     historic events into a stream
//	go run . jar --out etl.jar     the job as one jar for any Flink cluster
//	go run . --help                all properties
//
// commands.go lists the others.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/streaming-etl/streaming-etl/logging"
	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
	"github.com/streaming-etl/streaming-etl/replay"
	"github.com/streaming-etl/streaming-etl/runners/direct"
	"github.com/streaming-etl/streaming-etl/runners/flink"
)

func main() {
	if handled, code := flink.WorkerMain(os.Args[1:]); handled {
		os.Exit(code)
	}
	if handled, code := flink.EmitMain(os.Args[1:], flinkJob); handled {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(command(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// command runs what the arguments name and returns the exit code.
func command(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	name := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	if wantsJSON(args) {
		stderr = &jsonLines{w: stderr}
	}
	if name == "" && len(args) > 0 && (args[0] == "--version" || args[0] == "-version") {
		name, args = "version", args[1:]
	}
	switch name {
	case "", "run":
		return run(ctx, args, env, stdout, stderr)
	case "check":
		return check(ctx, args, env, stdout, stderr)
	case "try":
		return tryJob(ctx, args, env, os.Stdin, stdout, stderr)
	case "compare":
		return compareOutputs(ctx, args, stdout, stderr)
	case "replay":
		return replay.Main(ctx, args, stdout, stderr)
	case "jar":
		return jar(ctx, args, stdout, stderr)
	case "deadletters":
		return letters(ctx, args, env, stdout, stderr)
	case "status":
		return status(ctx, args, env, stdout, stderr)
	case "savepoint", "stop", "cancel":
		return control(ctx, name, args, stdout, stderr)
	case "deregister":
		return deregister(ctx, args, env, stdout, stderr)
	case "completion":
		return completion(args, stdout, stderr)
	case "version":
		return version(args, stdout, stderr)
	case "help":
		return help(stdout, stderr, usage(), options()...)
	}
	return misuse(stderr, "unknown command %q; the commands are %s", name, commandNames())
}

// options are the command's own flags.
func options() []property.Property {
	return append([]property.Property{
		{
			Name: "runner", Group: property.GroupCommand, Kind: property.Enum, Default: "direct", Values: []string{"direct", "flink"},
			Doc: "What the job runs on: direct is Beam's local runner in this process, flink is a Flink cluster.",
		},
		{
			Name: "out", Group: property.GroupCommand, Kind: property.Path, Default: "out",
			Doc: "The folder for the report and, if no source and sink are named, for the files.",
		},
		{
			Name: jsonFlag, Group: property.GroupCommand, Kind: property.Bool, Default: "false",
			Doc: "Writes errors and progress messages as JSON, one object per line.",
		},
	}, flinkOptions()...)
}

// load reads the properties and a command's options. Where help is asked for
// it writes that and returns no set, and the code to end with; wrong values are
// reported by pipeline.FromProperties, together with all else.
func load(args, env []string, does string, options []property.Property, stdout, stderr io.Writer) (*property.Set, int) {
	p, err := property.Load(property.Sources{File: property.DefaultFile, Env: env, Args: args, Options: options})
	if errors.Is(err, property.ErrHelp) {
		return nil, help(stdout, stderr, does, options...)
	}
	return p, exitOK
}

func run(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	p, code := load(args, env, usage(), options(), stdout, stderr)
	if p == nil {
		return code
	}
	if p.Get("runner") == "flink" {
		return runFlink(ctx, p, stdout, stderr)
	}
	c, err := pipeline.FromProperties(p, pipeline.NamesNoServers(p))
	if err != nil {
		return fail(stderr, err)
	}
	initBeam()
	direct.LogTo(localLog(p).WithAttrs([]slog.Attr{slog.String(logging.Job, c.JobName)}))
	fmt.Fprintln(stderr, "streaming-etl: "+c.JobName+" on Beam's local runner, from "+from(c))
	line := newProgressLine(stderr)
	sum, err := pipeline.RunDirect(ctx, c, pipeline.DirectOptions{Out: p.Get("out"), Progress: line.show, Messages: stderr})
	line.end()
	if err != nil {
		return fail(stderr, err)
	}
	if err := sum.Print(stdout); err != nil {
		return fail(stderr, err)
	}
	return exitOK
}

// localLog writes to the process's own standard error: steps log at any time,
// beside the command, whose writer is the command's alone.
func localLog(p *property.Set) slog.Handler {
	o := pipeline.LogOptions(p, slog.LevelWarn)
	if p.Bool(jsonFlag) {
		o.Format = logging.JSON
	}
	return logging.NewWriter(os.Stderr, o)
}

func from(c pipeline.Config) string {
	if c.Embedded {
		return "the sample of real taxi trips, with embedded servers"
	}
	return c.SourceName() + " to " + c.SinkName()
}

// initBeam readies Beam without its flags: ours are not its.
func initBeam() {
	if err := flag.CommandLine.Parse(nil); err != nil {
		panic(err) // no arguments, no error
	}
	beam.Init()
	direct.Quiet()
}

// help writes what a command does, and its options and properties.
func help(stdout, stderr io.Writer, does string, options ...property.Property) int {
	fmt.Fprintln(stdout, does)
	if err := property.Help(stdout, options...); err != nil {
		return fail(stderr, err)
	}
	return exitOK
}

// programSum returns the SHA-256 of this program in hexadecimal.
func programSum() (string, error) {
	name, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
