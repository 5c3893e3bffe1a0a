package flink

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"runtime"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"

	"github.com/streaming-etl/streaming-etl/logging"
)

// startHook runs in a worker as soon as the connection to the TaskManager's log is set up, which is not before the
// worker serves.
const startHook = "streaming_etl_start"

// workerLog is what a worker's log needs to know. It travels to the worker as the arguments of the hook.
type workerLog struct {
	job     string
	options logging.Options
}

func (l workerLog) args() []string {
	return []string{l.job, l.options.Format, strings.ToLower(l.options.Level.String())}
}

// parseWorkerLog reads what args wrote. What is missing, since an older program has emitted the job, is the default.
func parseWorkerLog(args []string) workerLog {
	var l workerLog
	if len(args) != len(l.args()) {
		return l
	}
	l.job, l.options.Format = args[0], args[1]
	if level, err := logging.ParseLevel(args[2]); err == nil {
		l.options.Level = level
	}
	return l
}

// onStart has f called when a worker begins to serve, if the job was emitted with the hook enabled. Beam finds hooks
// by their names only, in the worker as well as where the job is built.
func onStart(f func(context.Context, workerLog)) {
	hooks.RegisterHook(startHook, func(args []string) hooks.Hook {
		return hooks.Hook{Init: func(ctx context.Context) (context.Context, error) {
			f(ctx, parseWorkerLog(args))
			return ctx, nil
		}}
	})
}

// logStart sets up logging in a worker and says where to look if it dies.
func logStart(ctx context.Context, id string, crashes crashFile, l workerLog) {
	logger := slog.New(logging.New(newLogHandler(l.options.Format), l.options))
	if l.job != "" {
		logger = logger.With(logging.Job, l.job)
	}
	slog.SetDefault(logger)
	slog.InfoContext(ctx, "worker started", "worker", id, "process", os.Getpid(), "processors", runtime.GOMAXPROCS(0),
		"memory_limit", os.Getenv(goMemLimit), "crash_file", crashes.path,
		logging.Next, "should it crash, its stack trace is in the crash file, on this machine")
	if crashes.reported {
		slog.WarnContext(ctx, "an earlier worker did not end well", "crash_file", crashes.path, logging.Next, "read the crash file, on this machine")
	}
}

// logHandler hands the records of log/slog, and with it those of package log, to Beam's logger.
type logHandler struct {
	format string
	// with is what WithAttrs and WithGroup added, in order.
	with []func(slog.Handler) slog.Handler
}

func newLogHandler(format string) slog.Handler { return logHandler{format: format} }

// Enabled takes all: package logging chooses.
func (h logHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	text, err := h.render(ctx, r)
	if err != nil {
		return err
	}
	severity := log.SevDebug
	switch {
	case r.Level >= slog.LevelError:
		severity = log.SevError
	case r.Level >= slog.LevelWarn:
		severity = log.SevWarn
	case r.Level >= slog.LevelInfo:
		severity = log.SevInfo
	}
	log.Output(ctx, severity, callers(r.PC), text)
	return nil
}

// callers returns how many calls lie between Handle and the one that logged, so that Beam's logger, which Flink's
// takes the name of a line's origin from, finds it. A line that comes later, from another goroutine, has none.
func callers(pc uintptr) int {
	pcs := make([]uintptr, 32)
	pcs = pcs[:runtime.Callers(2, pcs)] // from Handle on
	for i, p := range pcs {
		if p == pc {
			return i
		}
	}
	return 0
}

func (h logHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	return h.and(func(to slog.Handler) slog.Handler { return to.WithAttrs(attributes) })
}

func (h logHandler) WithGroup(name string) slog.Handler {
	return h.and(func(to slog.Handler) slog.Handler { return to.WithGroup(name) })
}

func (h logHandler) and(more func(slog.Handler) slog.Handler) slog.Handler {
	h.with = append(h.with[:len(h.with):len(h.with)], more)
	return h
}

// render returns the record as one line: an object, or the message and " key=value" of each attribute, quoted where
// needed. Time and level of text are Flink's.
func (h logHandler) render(ctx context.Context, r slog.Record) (string, error) {
	var b bytes.Buffer
	var to slog.Handler
	options := &slog.HandlerOptions{Level: slog.LevelDebug}
	if h.format == logging.JSON {
		to = slog.NewJSONHandler(&b, options)
	} else {
		options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
				return slog.Attr{}
			}
			return a
		}
		to = slog.NewTextHandler(&b, options)
	}
	for _, more := range h.with {
		to = more(to)
	}
	if err := to.Handle(ctx, r); err != nil {
		return "", err
	}
	text := strings.TrimSuffix(b.String(), "\n")
	if h.format != logging.JSON {
		text = strings.TrimSuffix(r.Message+" "+text, " ")
	}
	return text, nil
}
