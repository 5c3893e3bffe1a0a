//go:build unix

package main

import (
	"fmt"
	"strings"
	"sync"
)

// faults are what was wrong in a run before its check. Its methods are safe for concurrent use.
type faults struct {
	mu    sync.Mutex
	texts []string
}

func (f *faults) add(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.texts = append(f.texts, text)
}

// after adds to the error that ended a run what was wrong before, which is likely its cause, and far above it in a log.
func (f *faults) after(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil || len(f.texts) == 0 {
		return err
	}
	return fmt.Errorf("%w\nwhat was wrong before that:\n%s", err, strings.Join(f.texts, "\n"))
}
