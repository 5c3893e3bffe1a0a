package process

import (
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	tailLines = 15
	tailBytes = 4096
)

// logEnds says how the first of the files that is not empty ends.
func logEnds(files ...string) string {
	for _, file := range files {
		if tail := tail(file); tail != "" {
			return fmt.Sprintf("its log %s ends with:\n%s", file, tail)
		}
	}
	return fmt.Sprintf("its log %s is empty", files[0])
}

// tail returns the last lines of a file, or nothing if it cannot be read.
func tail(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := f.Seek(-tailBytes, io.SeekEnd); err != nil {
			return ""
		}
	}
	end, err := io.ReadAll(io.LimitReader(f, tailBytes))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(end)), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
