package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

const (
	// partsCommand is this command as go test's -exec.
	partsCommand = "parts"
	// partTests is how many tests of a package run in one process. The detector gives none of the memory back that it keeps
	// for itself: after 72 tests of whole jobs it had 8 GB, beside a heap of 200 MB.
	partTests = 12
)

// parts runs a test binary with its flags, so many of its tests in a process of their own at a time. What it writes reads as
// what one process writes.
func parts(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errors.New("there is no test binary to run")
	}
	run := func(more ...string) error {
		cmd := exec.CommandContext(ctx, args[0], slices.Concat(args[1:], more)...)
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
