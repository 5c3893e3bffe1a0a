package replay

import (
	"context"
	"encoding/json"
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
		return fail(stderr, err, exitUsage)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The second signal ends the program at once.
	context.AfterFunc(ctx, stop)

	if err := c.run(ctx, stdout, stderr); err != nil {
		var mistake *Mistake
		if errors.As(err, &mistake) {
			return fail(stderr, err, exitUsage)
		}
		return fail(stderr, err, exitFailed)
	}
	return exitDone
}

// fail tells an error and returns the code. A stderr that can tell it by itself,
// for programs, does.
func fail(stderr io.Writer, err error, code int) int {
	if f, ok := stderr.(interface{ Fail(err error, code int) }); ok {
		f.Fail(err, code)
		return code
	}
	if code == exitUsage {
		writeMistakes(stderr, err)
	} else {
		fmt.Fprintf(stderr, "replay: %v\n", err)
	}
	return code
}

// run replays and writes what there is to tell.
func (c *command) run(ctx context.Context, stdout, stderr io.Writer) error {
	if err := c.target.Check(ctx); err != nil {
		if ctx.Err() != nil {
			return c.tell(stdout, Statistics{Stopped: true}, "stopped before the first record")
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
		return c.tell(stdout, stats, stats.Summary())
	}
	return fmt.Errorf("after %d records up to event time %s: %w", stats.Records, formatTime(stats.EventTime), err)
}

// tell writes the result.
func (c *command) tell(stdout io.Writer, s Statistics, summary string) error {
	if !c.json {
		_, err := fmt.Fprintf(stdout, "replay: %s\n", summary)
		return err
	}
	out := resultJSON{
		Records: s.Records, Bytes: s.Bytes, Before: s.Before, Broken: s.Broken, Refused: s.Refused, Late: s.Late, Seconds: s.Elapsed.Seconds(), Rate: s.Rate,
		Requests: s.Sender.Requests, Retries: s.Sender.Retries, Stopped: s.Stopped,
	}
	if s.Records > 0 {
		out.First, out.Last = &s.First, &s.EventTime
	}
	return json.NewEncoder(stdout).Encode(out)
}

// resultJSON is what was replayed, for programs.
type resultJSON struct {
	Records  int64   `json:"records"`
	Bytes    int64   `json:"bytes"`
	Before   int64   `json:"before_the_start"`
	Broken   int64   `json:"lines_skipped"`
	Refused  int64   `json:"refused_as_too_large"` // of the records
	Late     int64   `json:"late"`
	Seconds  float64 `json:"seconds"`
	Rate     float64 `json:"records_per_second"`
	Requests int64   `json:"requests"`
	Retries  int64   `json:"retries"`
	// First and Last are the lowest and highest times of what was sent; null for nothing.
	First   *time.Time `json:"first_event_time"`
	Last    *time.Time `json:"last_event_time"`
	Stopped bool       `json:"stopped"`
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
