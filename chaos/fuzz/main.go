//go:build unix

// Command fuzz spends processor time on every fuzz target of the project, and keeps account of it in a file, so that
// several runs add up:
//
//	go run ./chaos/fuzz -cpu 24m
//
// It takes what has had the least so far first, and can be stopped at any time. The corpus is Go's own, in its build
// cache. A finding ends the target's turns, and is told again at the end: the input that caused it lies in the package's
// testdata/fuzz, and fails go test from then on.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stdout); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		stop()
		os.Exit(1)
	}
}

// command does what the arguments ask for until each target has had its time, or ctx ends.
func command(ctx context.Context, args []string, stdout io.Writer) error {
	f := flag.NewFlagSet("fuzz", flag.ContinueOnError)
	cpu := f.Duration("cpu", 24*time.Minute, "processor time of each target, earlier runs included")
	slice := f.Duration("slice", time.Minute, "how long a target runs at most before the account is written and the next one has its turn")
	file := f.String("account", filepath.Join("docs", "fuzz.tsv"), "the account")
	only := f.String("only", "", "a regular expression of targets, as they are in the account's first column")
	if err := f.Parse(args); err != nil {
		return err
	}
	chosen, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if *slice < time.Second || *cpu <= 0 {
		return errors.New("-slice: at least 1s; -cpu: more than 0")
	}
	targets, err := find(ctx, ".")
	if err != nil {
		return err
	}
	account, err := readAccount(*file)
	if err != nil {
		return err
	}
	account.keep(targets)
	dir, err := os.MkdirTemp("", "fuzz")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := runner{bin: dir}
	if r.cache, err = goEnv(ctx, "GOCACHE"); err != nil {
		return err
	}
	var findings []error
	for {
		t, ok := account.next(targets, chosen, *cpu)
		if !ok {
			fmt.Fprintf(stdout, "each target has had %s, but for %d with a finding\n", *cpu, len(findings))
			return errors.Join(findings...)
		}
		did, err := r.run(ctx, t, turn(*cpu-account[t.name()].cpu, *slice, runtime.GOMAXPROCS(0)))
		if ctx.Err() != nil {
			return errors.Join(findings...)
		}
		if err != nil {
			fmt.Fprintln(stdout, err)
			findings = append(findings, err)
			targets = slices.DeleteFunc(targets, func(other target) bool { return other == t })
			continue
		}
		spent := account.add(t.name(), did)
		if err := account.write(*file); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%-50s %9s of %s, %d inputs\n", t.name(), spent.cpu.Round(time.Second), *cpu, spent.inputs)
	}
}

// A runner runs targets.
type runner struct {
	bin, cache string            // directories
	built      map[string]string // test binaries by package
}

// shortestTurn has the corpus tried, after which Go first tells how many inputs it has tried.
const shortestTurn = 20 * time.Second

// turn returns how long a target runs that misses so much processor time: no longer than that takes when it has all the
// processors, but shortestTurn at least, and never longer than a slice.
func turn(missing, slice time.Duration, processors int) time.Duration {
	return min(slice, max(missing/time.Duration(processors), shortestTurn))
}

// run fuzzes a target for a while. The error holds what Go printed when there is a finding.
func (r *runner) run(ctx context.Context, t target, length time.Duration) (spending, error) {
	bin, err := r.binary(ctx, t)
	if err != nil {
		return spending{}, err
	}
	cmd := exec.CommandContext(ctx, bin, "-test.run=^$", "-test.fuzz=^"+t.function+"$", "-test.fuzztime="+length.String(),
		"-test.fuzzcachedir="+filepath.Join(r.cache, "fuzz", filepath.FromSlash(t.pkg)), "-test.parallel="+strconv.Itoa(runtime.GOMAXPROCS(0)))
	cmd.Dir = t.dir
	// An interrupt has it tell its workers to end.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return spending{}, fmt.Errorf("%s: %w\n%s", t.name(), err, out.Bytes())
	}
	inputs, err := inputsOf(out.String())
	if err != nil {
		return spending{}, fmt.Errorf("%s: %w", t.name(), err)
	}
	// Linux and the BSDs count the workers, which the process has waited for, too.
	return spending{cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), inputs: inputs}, nil
}

// binary builds a package's tests, instrumented for fuzzing, once.
func (r *runner) binary(ctx context.Context, t target) (string, error) {
	if bin, ok := r.built[t.pkg]; ok {
		return bin, nil
	}
	bin := filepath.Join(r.bin, strconv.Itoa(len(r.built)))
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-fuzz=^"+t.function+"$", "-o", bin, t.pkg)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the tests of %s: %w\n%s", t.pkg, err, out)
	}
	if r.built == nil {
		r.built = make(map[string]string)
	}
	r.built[t.pkg] = bin
	return bin, nil
}

var executions = regexp.MustCompile(`execs: (\d+)`)

// inputsOf returns how many inputs a run has tried, by the last line that tells.
func inputsOf(out string) (int64, error) {
	all := executions.FindAllStringSubmatch(out, -1)
	if len(all) == 0 {
		return 0, fmt.Errorf("no number of executions in what Go printed:\n%s", out)
	}
	return strconv.ParseInt(all[len(all)-1][1], 10, 64)
}

func goEnv(ctx context.Context, name string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", name).Output()
	if err != nil {
		return "", fmt.Errorf("go env %s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}
