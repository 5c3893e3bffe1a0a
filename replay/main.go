package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/streaming-etl/streaming-etl/testdata"
)

// The exit codes of Main.
const (
	exitDone   = 0 // everything was sent, or it was told to stop
	exitFailed = 1
	exitUsage  = 2
)

// Main is the command: it replays what its flags name into a Kinesis stream
// and returns the exit code: 0 when all was sent or SIGINT or SIGTERM stopped
// it (what was sent is then delivered first), 1 when it failed, 2 for wrong
// flags, all of which are told at once. The summary and the help go to stdout,
// reports and errors to stderr.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := parse(args)
	switch {
	case errors.Is(err, errHelp):
		writeHelp(stdout)
		return exitDone
	case err != nil:
		writeMistakes(stderr, err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The second signal ends the program at once.
	context.AfterFunc(ctx, stop)

	if err := c.run(ctx, stdout, stderr); err != nil {
		var mistake *Mistake
		if errors.As(err, &mistake) {
			writeMistakes(stderr, err)
			return exitUsage
		}
		fmt.Fprintf(stderr, "replay: %v\n", err)
		return exitFailed
	}
	return exitDone
}

// run replays and writes what there is to tell.
func (c *command) run(ctx context.Context, stdout, stderr io.Writer) error {
	if err := c.target.Check(ctx); err != nil {
		if ctx.Err() != nil {
			fmt.Fprintln(stdout, "replay: stopped before the first record")
			return nil
		}
		return err
	}
	to, err := OpenKinesis(ctx, c.target)
	if err != nil {
		return err
	}
	o := c.options
	what := o.Source
	if what == "" {
		what, o.Files = "the built-in sample of taxi trips", testdata.Trips()
	}
	fmt.Fprintf(stderr, "replay: %s into stream %s, %s\n", what, c.target.Stream, describeSpeed(o))
	o.OnStatistics = func(s Statistics) { fmt.Fprintf(stderr, "replay: %v\n", s) }
	o.OnSkip = func(s Skip) { fmt.Fprintf(stderr, "replay: %s line %d is left out: %v\n", s.File, s.Line, s.Err) }

	stats, err := Run(ctx, o, to)
	// Run has delivered everything, or has tried long enough.
	closing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	cancel()
	if closeErr := to.Close(closing); err == nil {
		err = closeErr
	}
	if err != nil && stats.Records == 0 {
		return err
	}
	if err == nil {
		fmt.Fprintf(stdout, "replay: %s\n", stats.Summary())
		return nil
	}
	return fmt.Errorf("after %d records up to event time %s: %w", stats.Records, formatTime(stats.EventTime), err)
}

func describeSpeed(o Options) string {
	speed := fmt.Sprintf("%g times as fast as they happened", o.Speedup)
	if o.Speedup == 0 {
		speed = "as fast as the stream takes them"
	}
	if o.RateLimit > 0 {
		speed += fmt.Sprintf(", at most %g records/s", o.RateLimit)
	}
	if !o.Seek.IsZero() {
		speed += ", from " + o.Seek.UTC().Format(time.RFC3339)
	}
	return speed
}

func writeMistakes(w io.Writer, err error) {
	mistakes := unjoin(err)
	if len(mistakes) == 1 {
		fmt.Fprintf(w, "replay: %s\n", flagText(mistakes[0]))
	} else {
		fmt.Fprintf(w, "replay: %d mistakes:\n", len(mistakes))
		for _, m := range mistakes {
			fmt.Fprintf(w, "  %s\n", flagText(m))
		}
	}
	fmt.Fprintln(w, "--help lists the flags.")
}

// unjoin returns the errors that errors.Join put together, or err alone.
func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
