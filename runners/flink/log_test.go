package flink

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"
)

type recordedLog struct{ lines []string }

func (l *recordedLog) Log(_ context.Context, severity log.Severity, _ int, message string) {
	names := map[log.Severity]string{log.SevInfo: "info", log.SevWarn: "warn", log.SevError: "error"}
	l.lines = append(l.lines, names[severity]+" "+message)
}

func TestSlogRecordsReachBeamsLog(t *testing.T) {
	recorded := &recordedLog{}
	log.SetLogger(recorded)
	t.Cleanup(func() { log.SetLogger(&log.Structural{}) })

	l := slog.New(newLogHandler())
	l.Debug("not this")
	l.Info("plain")
	l.Warn("throttled", "shard", "shardId-000", "wait", "2 s")
	l.With("stream", "trips").WithGroup("s3").With("bucket", "b").Error("upload", "key", 7)
	want := []string{
		"info plain",
		`warn throttled shard=shardId-000 wait="2 s"`,
		"error upload stream=trips s3.bucket=b s3.key=7",
	}
	if !slices.Equal(recorded.lines, want) {
		t.Errorf("got %q, want %q", recorded.lines, want)
	}
}
