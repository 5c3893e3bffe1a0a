package flink

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"
)

const (
	crashFileName = "crash.log"
	// crashFileLimit is the size from which a crash file is begun anew: a job that restarts for ever must not fill
	// the disk.
	crashFileLimit = 1 << 20
	// crashIsRecent is how old a crash may be to be told in the log of the next worker.
	crashIsRecent = 10 * time.Minute
)

// A crashFile takes what a worker says when it can no longer log: the stack traces of its crash, and why it could not
// be reached in the first place. The workers of one executable on one machine share it.
type crashFile struct {
	path     string // empty if it could not be opened
	w        io.Writer
	reported bool // it holds something recent, of an earlier worker
}

// openCrashFile opens the file beside the executable, or in the temp directory if it cannot be written there, and has
// the Go runtime write crashes to it.
func openCrashFile() crashFile {
	dirs := []string{os.TempDir()}
	if executable, err := os.Executable(); err == nil {
		dirs = append([]string{filepath.Dir(executable)}, dirs...)
	}
	for _, dir := range dirs {
		if c, err := openCrashFileIn(dir); err == nil {
			return c
		}
	}
	return crashFile{w: io.Discard}
}

func openCrashFileIn(dir string) (crashFile, error) {
	c := crashFile{path: filepath.Join(dir, crashFileName)}
	mode := os.O_APPEND
	if info, err := os.Stat(c.path); err == nil {
		c.reported = info.Size() > 0 && time.Since(info.ModTime()) < crashIsRecent
		if info.Size() > crashFileLimit {
			mode = os.O_TRUNC
		}
	}
	f, err := os.OpenFile(c.path, mode|os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return crashFile{}, err
	}
	c.w = f
	return c, debug.SetCrashOutput(f, debug.CrashOptions{})
}

// note writes a line with the time and the process.
func (c crashFile) note(format string, a ...any) {
	fmt.Fprintf(c.w, "%s process %d: %s\n", time.Now().UTC().Format(time.RFC3339), os.Getpid(), fmt.Sprintf(format, a...))
}
