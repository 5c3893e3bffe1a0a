//go:build unix

package blocktest

import (
	"syscall"
	"time"
)

// CPU returns the processor time of this process so far, for benchmarks on
// machines that do other things as well.
func CPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
