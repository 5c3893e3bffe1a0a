// Command streaming-etl reads JSON events from a stream and delivers each of
// them exactly once, partitioned by what is in it.
//
//	go run . --runner=direct       the main job on real taxi trips, with embedded servers
//	go run . check --Name=value    what a job would do
//	go run . replay --stream=…     historic events into a stream
//	go run . jar --out etl.jar     the job as one jar for any Flink cluster
//	go run . --help                all properties
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
	"github.com/streaming-etl/streaming-etl/replay"
	"github.com/streaming-etl/streaming-etl/runners/direct"
	"github.com/streaming-etl/streaming-etl/runners/flink"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
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
	switch name {
	case "", "run":
		return run(ctx, args, env, stdout, stderr)
	case "check":
		return check(args, env, stdout, stderr)
	case "replay":
		return replay.Main(ctx, args, stdout, stderr)
	case "jar":
		return jar(ctx, args, stdout, stderr)
	case "help":
		return help(stdout, stderr)
	}
	fmt.Fprintf(stderr, "%s is not a command; there are run (the default), check, jar, replay and help\n", name)
	return exitUsage
}

// options are the command's own flags.
func options() []property.Property {
	return []property.Property{
		{
			Name: "runner", Group: "Command", Kind: property.Enum, Default: "direct", Values: []string{"direct"},
			Doc: "What the job runs on: direct is Beam's local runner in this process.",
		},
		{
			Name: "out", Group: "Command", Kind: property.Path, Default: "out",
			Doc: "The folder for the report and, where no source and sink are named, for the files.",
		},
	}
}

// load reads the properties; ok is false when the command is to end with code.
func load(args, env []string, embedded bool, stdout, stderr io.Writer) (p *property.Set, c pipeline.Config, code int, ok bool) {
	p, err := property.Load(property.Sources{File: property.DefaultFile, Env: env, Args: args, Options: options()})
	if errors.Is(err, property.ErrHelp) {
		return nil, c, help(stdout, stderr), false
	}
	c, err = pipeline.FromProperties(p, embedded && pipeline.NamesNoServers(p))
	if err != nil {
		fmt.Fprintln(stderr, err)
		return nil, c, exitUsage, false
	}
	return p, c, exitOK, true
}

func run(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	p, c, code, ok := load(args, env, true, stdout, stderr)
	if !ok {
		return code
	}
	initBeam()
	fmt.Fprintln(stderr, "streaming-etl: "+c.JobName+" on Beam's local runner, from "+from(c))
	line := newProgressLine(stderr)
	sum, err := pipeline.RunDirect(ctx, c, pipeline.DirectOptions{Out: p.Get("out"), Progress: line.show, Messages: stderr})
	line.end()
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return exitFailure
	}
	if err := sum.Print(stdout); err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return exitFailure
	}
	return exitOK
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

func check(args, env []string, stdout, stderr io.Writer) int {
	_, c, code, ok := load(args, env, false, stdout, stderr)
	if !ok {
		return code
	}
	if err := c.WritePlan(stdout); err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return exitFailure
	}
	return exitOK
}

// flinkJob builds the job for the jar's main class.
func flinkJob(ctx context.Context, cluster flink.Cluster, args []string) (flink.Job, error) {
	p, err := property.Load(property.Sources{File: property.DefaultFile, Env: os.Environ(), Args: args})
	if errors.Is(err, property.ErrHelp) {
		return flink.Job{}, errors.New("a job on Flink takes properties only; --help is for the command line")
	}
	return pipeline.FlinkJob(ctx, p, cluster)
}

// jar builds the job's jar.
func jar(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("jar", flag.ContinueOnError)
	f.SetOutput(stderr)
	out := f.String("out", "etl.jar", "the file to write")
	arch := f.String("arch", runtime.GOARCH, "the cluster's processors: amd64, arm64 or both, separated by a comma")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case f.NArg() > 0:
		fmt.Fprintf(stderr, "jar takes no argument %q\n", f.Arg(0))
		return exitUsage
	}
	sum, err := flink.BuildJar(ctx, *out, flink.JarOptions{Archs: strings.Split(*arch, ",")})
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return exitFailure
	}
	fmt.Fprintf(stdout, "%s, sha256 %s\n", *out, sum)
	return exitOK
}

func help(stdout, stderr io.Writer) int {
	if err := property.Help(stdout, options()...); err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return exitFailure
	}
	return exitOK
}

// progressLine shows how far the job is: in place on a terminal, elsewhere
// as a line every few seconds.
type progressLine struct {
	w        io.Writer
	terminal bool
	start    time.Time
	shown    time.Time
	open     bool
}

const quietInterval = time.Second

func newProgressLine(w io.Writer) *progressLine {
	terminal := false
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil {
			terminal = info.Mode()&os.ModeCharDevice != 0
		}
	}
	return &progressLine{w: w, terminal: terminal, start: time.Now()}
}

func (l *progressLine) show(p pipeline.Progress) {
	now := time.Now()
	if !l.terminal && !l.shown.IsZero() && now.Sub(l.shown) < quietInterval {
		return
	}
	l.shown = now
	text := fmt.Sprintf("%6.1f s  read %s  delivered %s  dead letters %s  files %s", now.Sub(l.start).Seconds(),
		pipeline.Number(p.Read), pipeline.Number(p.Delivered), pipeline.Number(p.DeadLetters), pipeline.Number(p.Files))
	if l.terminal {
		fmt.Fprintf(l.w, "\r\033[K%s", text)
		l.open = true
		return
	}
	fmt.Fprintln(l.w, text)
}

func (l *progressLine) end() {
	if l.open {
		fmt.Fprintln(l.w)
	}
}
