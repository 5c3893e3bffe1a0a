// Package direct runs a pipeline in this process, on Beam's local runner
// prism: for tests and a first try. The old Go "direct" runner ignores
// continuations and would lose what a source has to read after its first
// firing, so it is not what this package uses.
//
// Prism keeps everything in memory and nothing across runs, has no
// back-pressure, and opens its job port on all interfaces.
package direct

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal/extworker"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal/runnerlib"

	"github.com/streaming-etl/streaming-etl/logging"
)

// ErrEnded is returned by Run when the pipeline came to an end by itself.
var ErrEnded = errors.New("local runner: the job ended by itself")

// Run runs a pipeline that never ends until it fails or ctx is cancelled,
// which is how it is ended and not an error. beam.Init must have been called.
// One pipeline runs at a time.
//
// After a failure prism may go on spinning a core: the process should end.
func Run(ctx context.Context, p *beam.Pipeline) error {
	if ctx.Err() != nil {
		return nil
	}
	ending.Store(false)
	client, err := server()
	if err != nil {
		return fmt.Errorf("local runner: %w", err)
	}
	pool, err := workers()
	if err != nil {
		return fmt.Errorf("local runner: start workers: %w", err)
	}
	// The job is cancelled, not the calls about it: prism goes on with a job
	// whose client is gone, and the steps of two jobs would run side by side.
	calls := context.WithoutCancel(ctx)
	id, err := submit(calls, client, p, pool)
	if err != nil {
		return fmt.Errorf("local runner: %w", err)
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		// Prism complains of the bundles that a cancel interrupts: it is kept
		// quiet before it is told.
		ending.Store(true)
		_, err := client.Cancel(calls, &jobpb.CancelJobRequest{JobId: id})
		if err != nil {
			slog.Error("local runner: cancel the job", logging.Error, err)
		}
	})
	err = runnerlib.WaitForCompletion(calls, client, id)
	if !stop() {
		<-stopped
		return nil
	}
	if err != nil {
		return fmt.Errorf("local runner: %w", err)
	}
	return ErrEnded
}

// server is the process's one prism; it lives as long as the process.
var server = sync.OnceValues(func() (jobpb.JobServiceClient, error) {
	return prism.CreateJobServer(context.Background(), prism.Options{})
})

// workers starts the jobs' workers in this process and stops them when prism
// says so. It lives as long as the process: prism panics when it is gone before
// a job, cancelled as soon as it was submitted, has asked it for its worker.
var workers = sync.OnceValues(func() (*extworker.Loopback, error) {
	return extworker.StartLoopback(context.Background(), 0)
})

// submit starts the pipeline, whose steps are to run in this process, and
// returns the job's id.
func submit(ctx context.Context, client jobpb.JobServiceClient, p *beam.Pipeline, pool *extworker.Loopback) (string, error) {
	edges, _, err := p.Build()
	if err != nil {
		return "", fmt.Errorf("build the graph: %w", err)
	}
	environment, err := graphx.CreateEnvironment(ctx, graphx.URNEnvExternal, pool.EnvironmentConfig)
	if err != nil {
		return "", fmt.Errorf("build the graph: %w", err)
	}
	environment.Dependencies = nil // nothing is staged: the worker is here
	pipeline, err := graphx.Marshal(edges, &graphx.Options{Environment: environment})
	if err != nil {
		return "", fmt.Errorf("build the graph: %w", err)
	}
	prepared, _, token, err := runnerlib.Prepare(ctx, client, pipeline, &runnerlib.JobOptions{
		Name: jobopts.GetJobName(), Experiments: []string{noSplits}, Loopback: true,
	})
	if err != nil {
		return "", err
	}
	return runnerlib.Submit(ctx, client, prepared, token)
}

// noSplits turns the runner's bundle splits off. Prism (2.77.0) splits a
// bundle that makes no progress for a tenth of a second, also one of a
// stateful step, and frees the keys of the part that it gives back even when
// elements of the same key are still at work in the other part: two bundles
// then change the state of one key at once, and blocks are lost or doubled.
const noSplits = "prism_disable_sdf_split"

// ending says that the pipeline that runs is being ended.
var ending atomic.Bool

// Quiet has warnings and errors logged as text to standard error, and nothing
// while a pipeline is being ended.
func Quiet() { LogTo(logging.NewWriter(os.Stderr, logging.Options{Level: slog.LevelWarn})) }

// LogTo has all that is logged in this process go to h: the job's own lines as
// h chooses, the runner's from warnings on, and none of either while a pipeline
// is being ended, whose last words are of what was interrupted.
func LogTo(h slog.Handler) {
	log.SetLogger(beamLogger{to: h})
	// Prism's own messages go to the default structured logger, as the job's do.
	slog.SetDefault(slog.New(processHandler{h}))
}

// beamLogger hands what Beam logs on.
type beamLogger struct{ to slog.Handler }

func (l beamLogger) Log(ctx context.Context, sev log.Severity, calldepth int, msg string) {
	if sev < log.SevWarn || ending.Load() {
		return
	}
	level := slog.LevelWarn
	if sev >= log.SevError {
		level = slog.LevelError
	}
	var pc [1]uintptr
	runtime.Callers(calldepth+2, pc[:])
	_ = l.to.Handle(ctx, slog.NewRecord(time.Now(), level, msg, pc[0])) // there is nowhere else to tell
}

// processHandler takes the records of the whole process.
type processHandler struct{ slog.Handler }

func (h processHandler) Handle(ctx context.Context, r slog.Record) error {
	if ending.Load() || r.Level < slog.LevelWarn && !own(r.PC) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// own says that a record was logged by this module's code.
func own(pc uintptr) bool {
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	return strings.HasPrefix(frame.Function, "github.com/streaming-etl/streaming-etl/")
}

func (h processHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return processHandler{h.Handler.WithAttrs(attrs)}
}

func (h processHandler) WithGroup(name string) slog.Handler {
	return processHandler{h.Handler.WithGroup(name)}
}
