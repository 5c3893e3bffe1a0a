//go:build unix

// Command chaos runs two jobs on a real Flink with real servers, damages all of
// it at random, and then compares what arrived with what was sent, record by
// record:
//
//	go run ./chaos -kills 40 -seed 7     runs, checks and reports
//	go run ./chaos check DIR             checks and reports again what a run has left
//	go run ./chaos plan -kills 40 -seed 7   prints what a seed stands for
//
// One job reads Kinesis, the other Kafka; each writes to S3, Elasticsearch, Kafka
// and Kinesis at once. It needs Linux, Java, and what go run ./stack/cmd install
// installs; Python 3 with pip for an independent reader of Parquet. The exit code
// is 0 only when nothing is wrong. docs/chaos.md tells what is done and compared.
//
// As a run walks it: lab.go starts the servers and the proxies before them; feed.go
// sends records, which are those of package record; job.go runs the jobs;
// watch.go follows what arrives, objects.go what becomes of files; nemesis.go does the damage that package plan has
// drawn; collect.go reads the sinks; package check compares; package report tells.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/streaming-etl/streaming-etl/chaos/check"
	"github.com/streaming-etl/streaming-etl/chaos/plan"
	"github.com/streaming-etl/streaming-etl/chaos/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once, and the kernel its children with it.
	context.AfterFunc(ctx, stop)
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes.
const (
	exitOK    = 0
	exitWrong = 1 // something is wrong with what arrived, or the run could not be done
	exitUsage = 2
)

// options are the flags of a run.
type options struct {
	dir     string
	seed    uint64
	kills   int
	minutes float64
	rate    int
	longest time.Duration
	pause   time.Duration
	kinds   []plan.Kind
	jar     string
	keep    bool
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	name := "run"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	var err error
	ok := true
	switch name {
	case "run", "plan":
		var o options
		if o, err = parse(name, args, stderr); err != nil {
			break
		}
		if name == "plan" {
			printPlan(stdout, o)
			return exitOK
		}
		ok, err = run(ctx, o, stdout, stderr)
	case "check":
		if len(args) != 1 {
			err = usageError{errors.New("check: name the run's directory")}
			break
		}
		ok, err = conclude(ctx, args[0], stdout, stderr)
	default:
		err = usageError{fmt.Errorf("unknown command %q; the commands are run, plan and check", name)}
	}
	var usage usageError
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, "chaos:", err)
		return exitUsage
	case err != nil:
		fmt.Fprintln(stderr, "chaos:", err)
		return exitWrong
	case !ok:
		return exitWrong
	}
	return exitOK
}

// A usageError is one of the command line.
type usageError struct{ error }

// maxRate is more than the processors of a small machine take.
const maxRate = 100_000

func parse(name string, args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("chaos "+name, flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.kills, "kills", 10, "how many damages are done")
	f.Uint64Var(&o.seed, "seed", 0, "the seed of the damages and their moments (default: a new one, printed)")
	f.Float64Var(&o.minutes, "minutes", 0, "begin no more damage after so many minutes (default: all is done)")
	f.IntVar(&o.rate, "rate", 300, "records sent per second into each source, a multiple of 20")
	f.DurationVar(&o.longest, "longest", time.Minute, "how long something is halted or away at most")
	f.DurationVar(&o.pause, "pause", 6*time.Second, "how long is waited before a damage at most: two checkpoints take 6s")
	kinds := f.String("only", "", "the kinds of damage, separated by commas (default: all)")
	f.StringVar(&o.dir, "dir", "", "a new directory for what the run leaves (default: chaos-SEED in the system's temporary directory)")
	f.StringVar(&o.jar, "jar", "", "the job's jar (default: it is built)")
	f.BoolVar(&o.keep, "keep", false, "keep the servers' data and logs, also when nothing is wrong")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, usageError{err}
	}
	var faults []error
	if f.NArg() > 0 {
		faults = append(faults, fmt.Errorf("no argument %q is taken", f.Arg(0)))
	}
	if o.kills < 0 || o.minutes < 0 {
		faults = append(faults, errors.New("-kills and -minutes: at least 0"))
	}
	if o.rate < ticksPerSecond || o.rate > maxRate || o.rate%ticksPerSecond != 0 {
		faults = append(faults, fmt.Errorf("-rate: a multiple of %d up to %d", ticksPerSecond, maxRate))
	}
	if o.longest <= time.Second || o.pause <= 0 {
		faults = append(faults, errors.New("-longest: more than 1s; -pause: more than 0"))
	}
	known := make(map[plan.Kind]bool)
	for _, k := range plan.Kinds() {
		known[k] = true
	}
	for name := range strings.SplitSeq(*kinds, ",") {
		if name == "" {
			continue
		}
		if !known[plan.Kind(name)] {
			faults = append(faults, fmt.Errorf("-only: there is no damage %q, but %v", name, plan.Kinds()))
		}
		o.kinds = append(o.kinds, plan.Kind(name))
	}
	if len(faults) > 0 {
		return o, usageError{errors.Join(faults...)}
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	if o.dir == "" {
		o.dir = filepath.Join(os.TempDir(), fmt.Sprintf("chaos-%d", o.seed))
	}
	return o, nil
}

// plan is what the options stand for.
func (o options) plan() []plan.Step {
	return plan.Draw(o.seed, plan.Options{Damages: o.kills, Pause: o.pause, Longest: o.longest, Parallelism: maxParallelism, Kinds: o.kinds})
}

func printPlan(w io.Writer, o options) {
	fmt.Fprintf(w, "seed %d\n", o.seed)
	for i, s := range o.plan() {
		for j, d := range s.Damages {
			at := fmt.Sprintf("%3d  after %4.1f s", i+1, s.Pause.Seconds())
			if j > 0 {
				at = "     at once     "
			}
			fmt.Fprintf(w, "%s  %v\n", at, d)
		}
	}
}

// run makes a run and checks it.
func run(ctx context.Context, o options, stdout, stderr io.Writer) (ok bool, err error) {
	if runtime.GOOS != "linux" {
		return false, errors.New("a run needs Linux")
	}
	fmt.Fprintf(stdout, "seed %d, directory %s\n", o.seed, o.dir)
	if err := perform(ctx, o, stderr); err != nil {
		return false, fmt.Errorf("%w\nwhat the run has left is in %s", err, o.dir)
	}
	if ok, err = conclude(ctx, o.dir, stdout, stderr); err != nil {
		return false, err
	}
	if ok && !o.keep {
		err = os.RemoveAll(filepath.Join(o.dir, serversDir))
	}
	return ok, err
}

// conclude checks what a run has left and writes its report.
func conclude(ctx context.Context, dir string, stdout, stderr io.Writer) (ok bool, err error) {
	result, events, err := check.Run(ctx, dir, sayer(stderr))
	if err != nil {
		return false, err
	}
	r := report.Make(events, result)
	if err := r.Write(dir); err != nil {
		return false, err
	}
	fmt.Fprint(stdout, r.Text())
	fmt.Fprintf(stdout, "%s\n", filepath.Join(dir, report.HTMLFile))
	return result.OK, nil
}

// sayer tells how far things are, with the time.
func sayer(w io.Writer) func(format string, args ...any) {
	return func(format string, args ...any) {
		fmt.Fprintln(w, time.Now().Format(time.TimeOnly)+" "+fmt.Sprintf(format, args...))
	}
}
