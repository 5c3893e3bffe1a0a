package logging

import (
	"context"
	"log/slog"
	"runtime"
	"time"
)

// ordinaryAttempts is how many failures in a row of one call are nothing to
// warn of: connections end, and services throttle.
const ordinaryAttempts = 2

// Retry logs to the default logger that a call failed for the attempt-th time
// in a row (1 for the first) and is made again after wait: as a warning from
// the third time on, as information before. args are keys and values that say
// which call it was; they come first.
func Retry(ctx context.Context, message string, attempt int, wait time.Duration, err error, args ...any) {
	level := slog.LevelInfo
	if attempt > ordinaryAttempts {
		level = slog.LevelWarn
	}
	h := slog.Default().Handler()
	if !h.Enabled(ctx, level) {
		return
	}
	var pc [1]uintptr
	runtime.Callers(2, pc[:]) // the caller: it is what the limit counts
	r := slog.NewRecord(time.Now(), level, message, pc[0])
	r.Add(args...)
	r.Add(Attempt, attempt, Wait, wait.Round(time.Millisecond), Error, err)
	_ = h.Handle(ctx, r) // there is nobody to tell that a log cannot be written
}
