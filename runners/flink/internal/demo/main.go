// Command demo is a small endless job for the tests of package flink: numbers, counted per key in state, checked
// against their count, and appended to a file behind a stable-input barrier.
//
// Arguments: --Dir=DIR (required; takes numbers.txt), --PerSecond=N (100), --Interval=DURATION (the cluster's),
// --PanicAt=N (a panic outside of any bundle when number N is emitted), --ExitAtStart=true (workers that end at once).
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/rtrackers/offsetrange"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/streaming-etl/streaming-etl/runners/flink"
)

const keys = 4

// exitVariable has a worker end before it has done anything.
const exitVariable = "DEMO_EXIT_AT_START"

func main() {
	if os.Getenv(exitVariable) != "" {
		os.Exit(3)
	}
	if handled, code := flink.WorkerMain(os.Args[1:]); handled {
		os.Exit(code)
	}
	if handled, code := flink.EmitMain(os.Args[1:], build); handled {
		os.Exit(code)
	}
	fmt.Fprintln(os.Stderr, "demo: this program is started by Flink")
	os.Exit(2)
}

func build(_ context.Context, cluster flink.Cluster, args []string) (flink.Job, error) {
	job := flink.Job{
		Name:        "demo",
		StableInput: []string{"Write/main.write"},
		Options:     flink.DefaultJobOptions(),
	}
	job.Options.MemoryLimit = 256 << 20
	numbers, sink := &numbers{PerSecond: 100, PanicAt: -1}, &write{}
	var faults []error
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		var err error
		switch name {
		case "--Dir":
			sink.Dir = value
		case "--PerSecond":
			numbers.PerSecond, err = strconv.ParseInt(value, 10, 64)
		case "--PanicAt":
			numbers.PanicAt, err = strconv.ParseInt(value, 10, 64)
		case "--ExitAtStart":
			job.Options.Environment = map[string]string{exitVariable: value}
		case "--Interval":
			job.Options.CheckpointInterval, err = time.ParseDuration(value)
		default:
			err = errors.New("unknown property")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", arg, err))
		}
	}
	if sink.Dir == "" {
		faults = append(faults, errors.New("--Dir: required"))
	}
	if err := errors.Join(faults...); err != nil {
		return job, err
	}

	p, s := beam.NewPipelineWithRoot()
	job.Pipeline = p
	all := beam.ParDo(s.Scope("Numbers"), numbers, beam.Impulse(s))
	keyed := beam.ParDo(s.Scope("Key"), &key{}, all)
	counted := beam.ParDo(s.Scope("Count"), &count{N: state.MakeValueState[int64]("n")}, keyed)
	w := s.Scope("Write")
	beam.ParDo0(w, sink, beam.Reshuffle(w, counted))
	return job, nil
}

func init() {
	register.DoFn4x1[context.Context, *sdf.LockRTracker, []byte, func(int64), sdf.ProcessContinuation](&numbers{})
	register.DoFn2x0[int64, func(int64, int64)](&key{})
	register.DoFn4x1[state.Provider, int64, int64, func(string), error](&count{})
	register.DoFn2x1[context.Context, string, error](&write{})
	register.Emitter1[int64]()
	register.Emitter1[string]()
	register.Emitter2[int64, int64]()
}

// numbers emits 0, 1, 2, … for ever, some a second.
type numbers struct{ PerSecond, PanicAt int64 }

func (f *numbers) CreateInitialRestriction([]byte) offsetrange.Restriction {
	return offsetrange.Restriction{Start: 0, End: 1 << 62}
}

func (f *numbers) SplitRestriction(_ []byte, r offsetrange.Restriction) []offsetrange.Restriction {
	return []offsetrange.Restriction{r}
}

func (f *numbers) RestrictionSize(_ []byte, r offsetrange.Restriction) float64 { return r.Size() }

func (f *numbers) CreateTracker(r offsetrange.Restriction) *sdf.LockRTracker {
	return sdf.NewLockRTracker(offsetrange.NewTracker(r))
}

func (f *numbers) ProcessElement(_ context.Context, rt *sdf.LockRTracker, _ []byte, emit func(int64)) sdf.ProcessContinuation {
	start := rt.GetRestriction().(offsetrange.Restriction).Start
	for n := start; n < start+f.PerSecond; n++ {
		if !rt.TryClaim(n) {
			return sdf.StopProcessing()
		}
		if n == f.PanicAt {
			go panic("demo: number " + strconv.FormatInt(n, 10))
			time.Sleep(time.Minute)
		}
		emit(n)
	}
	return sdf.ResumeProcessingIn(time.Second)
}

type key struct{}

func (*key) ProcessElement(n int64, emit func(int64, int64)) { emit(n%keys, n) }

// count checks its state against the number: the n-th number of a key has count n.
type count struct{ N state.Value[int64] }

func (f *count) ProcessElement(p state.Provider, _, n int64, emit func(string)) error {
	c, _, err := f.N.Read(p)
	if err != nil {
		return err
	}
	if err := f.N.Write(p, c+1); err != nil {
		return err
	}
	line := strconv.FormatInt(n, 10)
	if c != n/keys {
		line += " but count " + strconv.FormatInt(c, 10)
	}
	emit(line)
	return nil
}

// write appends lines to a file.
type write struct{ Dir string }

func (f *write) ProcessElement(_ context.Context, line string) error {
	if line == "0" {
		slog.Info("first number", "limit", os.Getenv("GOMEMLIMIT"))
	}
	w, err := os.OpenFile(filepath.Join(f.Dir, "numbers.txt"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, line)
	return errors.Join(err, w.Close())
}
