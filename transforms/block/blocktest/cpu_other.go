//go:build !unix

package blocktest

import "time"

var start = time.Now()

// CPU returns the time since the start, where processor time is not known.
func CPU() time.Duration { return time.Since(start) }
