package flink

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"

	"github.com/streaming-etl/streaming-etl/logging"
)

type recordedLog struct{ lines, files []string }

func (l *recordedLog) Log(_ context.Context, severity log.Severity, calldepth int, message string) {
	names := map[log.Severity]string{log.SevDebug: "debug", log.SevInfo: "info", log.SevWarn: "warn", log.SevError: "error"}
	l.lines = append(l.lines, names[severity]+" "+message)
	// As Beam's logger of a worker finds it.
	_, file, _, _ := runtime.Caller(calldepth + 1)
	l.files = append(l.files, filepath.Base(file))
}

func recordLog(t *testing.T) *recordedLog {
	recorded := &recordedLog{}
	log.SetLogger(recorded)
	t.Cleanup(func() { log.SetLogger(&log.Structural{}) })
	return recorded
}

func TestSlogRecordsReachBeamsLog(t *testing.T) {
	recorded := recordLog(t)
	l := slog.New(logging.New(newLogHandler(logging.Text), logging.Options{}))
	l.Debug("not this")
	l.Info("plain")
	l.WarnContext(logging.With(t.Context(), logging.Stage, "read"), "throttled", "shard", "shardId-000", "wait", "2 s")
	l.With("stream", "trips").WithGroup("s3").With("bucket", "b").Error("upload", "key", 7)
	want := []string{
		"info plain",
		`warn throttled stage=read shard=shardId-000 wait="2 s"`,
		"error upload stream=trips s3.bucket=b s3.key=7",
	}
	if !slices.Equal(recorded.lines, want) {
		t.Errorf("got %q, want %q", recorded.lines, want)
	}
	if want := slices.Repeat([]string{"log_test.go"}, 3); !slices.Equal(recorded.files, want) {
		t.Errorf("they are told to come from %q", recorded.files)
	}
}

func TestSlogRecordsReachBeamsLogAsJSON(t *testing.T) {
	recorded := recordLog(t)
	slog.New(newLogHandler(logging.JSON)).With("job", "trips").Error("it failed", "error", errors.New("no"))
	if len(recorded.lines) != 1 {
		t.Fatalf("lines %q", recorded.lines)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(strings.TrimPrefix(recorded.lines[0], "error ")), &got); err != nil {
		t.Fatalf("%s: %v", recorded.lines[0], err)
	}
	if got["job"] != "trips" || got["msg"] != "it failed" || got["error"] != "no" || got["level"] != "ERROR" {
		t.Errorf("got %v", got)
	}
}

func TestWhatTheLogNeedsTravelsToTheWorker(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		want := workerLog{job: "trips, all", options: logging.Options{Format: logging.JSON, Level: level}}
		if got := parseWorkerLog(want.args()); got != want {
			t.Errorf("%+v became %+v", want, got)
		}
	}
	if got := parseWorkerLog(nil); got != (workerLog{}) {
		t.Errorf("nothing became %+v", got)
	}
}

func TestALineOfTheStartNamesJobAndCrashFile(t *testing.T) {
	recorded := recordLog(t)
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	logStart(t.Context(), "1-1", crashFile{path: "/var/crash.log", reported: true}, workerLog{job: "trips"})
	if len(recorded.lines) != 2 || !strings.HasPrefix(recorded.lines[0], "info worker started job=trips worker=1-1 ") ||
		!strings.Contains(recorded.lines[0], "crash_file=/var/crash.log") || !strings.HasPrefix(recorded.lines[1], "warn an earlier worker did not end well job=trips") {
		t.Errorf("lines %q", recorded.lines)
	}
}
