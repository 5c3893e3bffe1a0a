package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/streaming-etl/streaming-etl/logging"
	"github.com/streaming-etl/streaming-etl/pipeline/deadletters"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
)

// failed returns why a bundle of a stage failed, and logs it: on a cluster
// Flink shows the first cause only, under pages of Java's; on the local runner
// the command tells it.
func (p *process) failed(ctx context.Context, stage string, err error) error {
	if err != nil && p.monitor == nil && !errors.Is(err, context.Canceled) {
		slog.ErrorContext(logging.With(ctx, logging.Stage, stage), "a bundle failed; the job is set back to its last checkpoint",
			logging.Property, propertyOf(err), logging.Error, err, logging.Next, nextStep(err))
	}
	return p.monitor.failed(err)
}

// propertyOf returns the property that an error begins with, or "".
func propertyOf(err error) string {
	name, _, ok := strings.Cut(err.Error(), ": ")
	if !ok || name == "" || name[0] < 'A' || name[0] > 'Z' || strings.ContainsAny(name, " \t\n") {
		return ""
	}
	return name
}

// toldLetters are the reasons of which a bundle has told a dead letter: its
// counters have the others.
type toldLetters map[string]bool

// tell logs that a record became a dead letter. What is in the record may be
// anybody's secret: the id is what it is found by.
func (t toldLetters) tell(ctx context.Context, l *deadletter.Letter) {
	key := l.Output + "/" + l.Reason
	if t[key] {
		return
	}
	t[key] = true
	args := []any{logging.Reason, l.Reason, "field", l.Field}
	if l.Output != "" {
		args = append(args, "sink", l.Output)
	}
	id := deadletters.ID(l)
	args = append(args, "source", l.Source, logging.Shard, l.Shard, "position", l.Seq, "id", id, logging.Next, "deadletters show "+id)
	slog.WarnContext(ctx, "a record is a dead letter", args...)
}
