package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"time"

	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
	"github.com/streaming-etl/streaming-etl/runners/flink/submit"
)

// statusInterval is how often the screen is refreshed by default.
const statusInterval = 2 * time.Second

// statusOptions are what the flags of status say.
type statusOptions struct {
	address, job string
	// properties is the file of the job's properties.
	properties string
	once       bool
	json       *bool
	interval   time.Duration
}

func statusFlags() (*flag.FlagSet, *statusOptions) {
	f, asJSON := newFlagsJSON("status", "[--Name=value …]")
	o := &statusOptions{json: asJSON}
	f.StringVar(&o.address, "flink-rest", "", "the address of the cluster's REST endpoint, host:port or a URL")
	f.StringVar(&o.job, "job", "", "the job's id or name; not needed if only one job is running")
	f.StringVar(&o.properties, "properties", "", "the file with the job's properties, which say where its dead letters are; they can also be given as flags")
	f.BoolVar(&o.once, "once", false, "print the state once and exit (the default when the output is not a terminal)")
	f.DurationVar(&o.interval, "interval", statusInterval, "how often the screen is refreshed")
	return f, o
}

// status is the subcommand that shows how a job is. With the job's properties it
// shows samples of its dead letters too.
func status(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	f, o := statusFlags()
	args, properties := splitProperties(args)
	if code, ok := parse(f, args, stdout, stderr); !ok {
		return code
	}
	if o.interval <= 0 {
		return misuse(stderr, "--interval is not greater than 0")
	}
	if o.address == "" {
		return misuse(stderr, "--flink-rest is missing: the address of the cluster's REST endpoint")
	}
	client, err := rest.New(o.address, restSetting)
	if err != nil {
		return fail(stderr, err)
	}
	samples, err := newSampler(o.properties, env, properties)
	if err != nil {
		return fail(stderr, err)
	}
	s := &statusScreen{client: client, job: o.job, out: stdout, samples: samples}
	switch {
	case *o.json:
		err = s.writeJSON(ctx)
	case o.once || !isTerminal(stdout):
		err = s.writeOnce(ctx)
	default:
		err = s.follow(ctx, o.interval)
	}
	if err != nil {
		return fail(stderr, err)
	}
	return exitOK
}

// statusScreen shows a job again and again.
type statusScreen struct {
	client *rest.Client
	job    string // id or name, "" for the only one
	out    io.Writer
	rates  rates
	// samples is nil where the job's properties are not known.
	samples *sampler
}

// look asks the cluster and makes a view of what it says.
func (s *statusScreen) look(ctx context.Context) (statusView, error) {
	id, err := submit.FindLast(ctx, s.client, s.job)
	if err != nil {
		return statusView{}, err
	}
	report, err := submit.Inspect(ctx, s.client, id, append(pipeline.Counters(), deadReasons), []string{sourceGauges})
	if err != nil {
		return statusView{}, err
	}
	v := newStatusView(s.client.URL(), report, time.Now())
	s.rates.add(&v)
	if s.samples != nil && (v.DeadLetters.any() || !report.Job.AllRunning()) {
		if v.DeadLetters.Samples, err = s.samples.samples(ctx, v.DeadLetters.ByReason, v.Time); err != nil {
			v.Unknown = append(v.Unknown, "samples of dead letters: "+err.Error())
		}
	}
	return v, nil
}

func (s *statusScreen) writeJSON(ctx context.Context) error {
	v, err := s.look(ctx)
	if err != nil {
		return err
	}
	return writeJSON(s.out, v)
}

func (s *statusScreen) writeOnce(ctx context.Context) error {
	v, err := s.look(ctx)
	if err != nil {
		return err
	}
	_, err = io.WriteString(s.out, v.text())
	return err
}

// Sequences of a terminal.
const (
	clearScreen = "\x1b[H\x1b[2J"
	topOfScreen = "\x1b[H"
	clearBelow  = "\x1b[J"
	clearRight  = "\x1b[K"
)

// follow shows the job until it is over or the command is interrupted. A
// cluster that does not answer for a while, since its JobManager is started
// again, is waited for: the last that is known of the job stays on the screen.
func (s *statusScreen) follow(ctx context.Context, interval time.Duration) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var last statusView
	begin := clearScreen
	for {
		v, err := s.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			last = v
		case last.Job.ID == "" || !passes(err):
			return err
		default:
			last.Health = health{State: "unreachable", Text: "the state below is from " + last.Time.Format(time.TimeOnly) + ": " + err.Error()}
		}
		if _, err := io.WriteString(s.out, begin+onScreen(last.text())); err != nil {
			return err
		}
		if last.Job.State.Ended() && err == nil {
			return nil
		}
		begin = topOfScreen
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// passes says that asking again may help: the cluster is out of reach, has
// been started again and has not yet taken up its jobs, or is busy.
func passes(err error) bool {
	var unreachable *rest.UnreachableError
	var refused *rest.Error
	return errors.As(err, &unreachable) || errors.Is(err, rest.ErrNotFound) || errors.As(err, &refused) && refused.Status >= 500
}
