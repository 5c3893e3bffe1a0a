package flink

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"
)

// startHook runs in a worker as soon as the connection to the TaskManager's log is set up, which is not before the
// worker serves.
const startHook = "streaming_etl_start"

// onStart has f called when a worker begins to serve, if the job was emitted with the hook enabled. Beam finds hooks
// by their names only, in the worker as well as where the job is built.
func onStart(f func(context.Context)) {
	hooks.RegisterHook(startHook, func([]string) hooks.Hook {
		return hooks.Hook{Init: func(ctx context.Context) (context.Context, error) {
			f(ctx)
			return ctx, nil
		}}
	})
}

// logStart sets up logging in a worker and says where to look if it dies.
func logStart(ctx context.Context, id string, crashes crashFile) {
	slog.SetDefault(slog.New(newLogHandler()))
	log.Infof(ctx, "worker %s started as process %d; should it crash, its stack trace is in %s on this machine",
		id, os.Getpid(), crashes.path)
	if crashes.reported {
		log.Warnf(ctx, "an earlier worker did not end well: see %s", crashes.path)
	}
}

// logHandler hands the records of log/slog, and with it those of package log, to Beam's logger.
type logHandler struct {
	attributes string // of WithAttrs, rendered
	groups     []string
}

func newLogHandler() slog.Handler { return logHandler{} }

func (h logHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	var attributes []slog.Attr
	r.Attrs(func(a slog.Attr) bool { attributes = append(attributes, a); return true })
	severity := log.SevInfo
	switch {
	case r.Level >= slog.LevelError:
		severity = log.SevError
	case r.Level >= slog.LevelWarn:
		severity = log.SevWarn
	}
	const callers = 4 // this function, Logger.log, Logger.Info, slog.Info
	log.Output(ctx, severity, callers, r.Message+h.attributes+h.render(attributes))
	return nil
}

func (h logHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	h.attributes += h.render(attributes)
	return h
}

func (h logHandler) WithGroup(name string) slog.Handler {
	h.groups = append(h.groups[:len(h.groups):len(h.groups)], name)
	return h
}

// render returns " key=value" of each attribute, quoted where needed.
func (h logHandler) render(attributes []slog.Attr) string {
	if len(attributes) == 0 {
		return ""
	}
	var b bytes.Buffer
	var text slog.Handler = slog.NewTextHandler(&b, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
				return slog.Attr{}
			}
			return a
		},
	})
	for _, g := range h.groups {
		text = text.WithGroup(g)
	}
	r := slog.Record{}
	r.AddAttrs(attributes...)
	if err := text.Handle(context.Background(), r); err != nil {
		return ""
	}
	return " " + strings.TrimSuffix(b.String(), "\n")
}
