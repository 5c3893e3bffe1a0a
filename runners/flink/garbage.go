package flink

import (
	"os"
	"runtime/debug"
)

// gcPercent is how much a worker's heap may grow, in percent of what is in use, until garbage is collected: half of Go's
// own default. What a worker holds are mostly large buffers without pointers, which cost little to look at and much
// memory to leave lying about.
const gcPercent = 50

// collectSooner sets the worker's gcPercent, unless the TaskManager's environment says another one (GOGC).
func collectSooner() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
