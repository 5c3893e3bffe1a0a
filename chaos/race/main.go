// Command race runs tests under Go's race detector and tells races of this project from those of the libraries it uses:
//
//	go run ./chaos/race ./...
//
// A race is the project's when one of its two accesses is made by the project's code: the innermost function of a stack
// that is not of the standard library decides. Beam's local runner has races of its own, which go test counts as
// failures of the tests that start it; they are listed here, and fail nothing. A test that fails for another reason than
// a race fails the command. A package's tests run some at a time, each time in another process, since the detector's own
// memory grows with each.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if args := os.Args[1:]; len(args) > 0 && args[0] == partsCommand {
		err = parts(ctx, args[1:], os.Stdout, os.Stderr)
	} else {
		err = command(ctx, args, os.Stdout)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "race:", err)
		os.Exit(1)
	}
}

// command runs go test with the arguments, which are packages and flags of go test.
func command(ctx context.Context, args []string, stdout io.Writer) error {
	module, err := exec.CommandContext(ctx, "go", "list", "-m").Output()
	if err != nil {
		return fmt.Errorf("go list -m: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-race", "-count=1", "-json", "-exec", "'" + self + "' " + partsCommand}, args...)...)
	cmd.Env = append(os.Environ(), "GORACE=halt_on_error=0")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	o := newOutcome(strings.TrimSpace(string(module)))
	read := o.read(out, stdout)
	ended := cmd.Wait()
	if read != nil {
		return read
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var exit *exec.ExitError
	if ended != nil && !errors.As(ended, &exit) {
		return ended
	}
	if ended != nil && len(o.failed) == 0 {
		return fmt.Errorf("go test: %w\n%s", ended, stderr.Bytes())
	}
	return o.verdict(stdout)
}

// verdict tells what was found, and returns an error for what is wrong.
func (o *outcome) verdict(w io.Writer) error {
	foreign := make(map[string]int)
	var own []string
	for _, r := range o.races {
		if r.of(o.module) {
			own = append(own, r.text)
		} else {
			foreign[strings.Join(r.accesses, " and ")]++
		}
	}
	var names []string
	for name := range foreign {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(w, "a race of libraries, %d times: %s\n", foreign[name], name)
	}
	var errs []error
	for _, text := range own {
		errs = append(errs, errors.New(text))
	}
	for _, name := range o.failed {
		if !o.raced[name] {
			errs = append(errs, fmt.Errorf("%s failed:\n%s", name, o.output[name]))
		}
	}
	fmt.Fprintf(w, "%d tests passed, %d races of the project, %d of libraries\n", o.passed, len(own), len(o.races)-len(own))
	return errors.Join(errs...)
}
