package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

const (
	// partsCommand is this command as go test's -exec.
	partsCommand = "parts"
	// partTests is how many tests of a package run in one process. The detector keeps 256 KiB for each goroutine there is,
	// and gives none of it back. Beam's local runner has tens of thousands: while a key that has a timer due is worked on, its
	// loop tries again and again, each time with two goroutines more for each such key, which wait for the loop's own lock.
	partTests = 4
	// threadsPerCPU lets these goroutines keep up with the loop: with one thread they had 11 GB after 70 seconds of the
	// pipeline's tests, with two 9 GB after two minutes, with eight 7 GB when twelve of them had passed.
	threadsPerCPU = 4
)

// parts runs a test binary with its flags, so many of its tests in a process of their own at a time. What it writes reads as
// what one process writes.
func parts(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errors.New("there is no test binary to run")
	}
	run := func(more ...string) error {
		cmd := exec.CommandContext(ctx, args[0], slices.Concat(args[1:], more)...)
		cmd.Env = append([]string{fmt.Sprintf("GOMAXPROCS=%d", threadsPerCPU*runtime.NumCPU())}, os.Environ()...)
		cmd.Stdout, cmd.Stderr = stdout, stderr
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		return cmd.Run()
	}
	if slices.ContainsFunc(args[1:], func(a string) bool { return strings.HasPrefix(a, "-test.run=") }) {
		return run()
	}
	// Without the flags of go test, which have it write more than the names.
	var list strings.Builder
	listing := exec.CommandContext(ctx, args[0], "-test.list", testName.String())
	listing.Stdout, listing.Stderr = &list, stderr
	if err := listing.Run(); err != nil {
		return fmt.Errorf("list the tests: %w", err)
	}
	names := slices.DeleteFunc(strings.Fields(list.String()), func(name string) bool { return !testName.MatchString(name) })
	if len(names) == 0 {
		return run()
	}
	var errs []error
	for part := range slices.Chunk(names, partTests) {
		if err := run("-test.run=^(" + strings.Join(part, "|") + ")$"); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// testName is what a test's name is; a test binary's TestMain may print other lines.
var testName = regexp.MustCompile(`^(Test|Example|Fuzz)\w*$`)
