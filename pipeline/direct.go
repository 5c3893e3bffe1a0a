package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"golang.org/x/sync/errgroup"

	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/replay"
	"github.com/streaming-etl/streaming-etl/runners/direct"
	"github.com/streaming-etl/streaming-etl/testdata"
)

// DirectOptions are the direct runner's own.
type DirectOptions struct {
	// Out is the folder for the report and, with embedded servers, for the files.
	Out string
	// Progress is called several times a second while the job works; may be nil.
	Progress func(Progress)
	// Messages takes what is worth a line; may be nil.
	Messages io.Writer
	// StartPatience is for how long a source or sink that is away is asked
	// again before the job is refused; the default 0 means 25 s.
	StartPatience time.Duration
}

// RunDirect runs the job in this process. An embedded job ends by itself when
// every trip of the sample is delivered, one with InputStreamStopTimestamp
// when all that arrived up to it is; any other one reads until ctx is
// cancelled. Either way, what was read is delivered before it returns, unless
// it fails.
func RunDirect(ctx context.Context, c Config, o DirectOptions) (Summary, error) {
	c.Local = true
	sum := Summary{Job: c.JobName, Started: time.Now()}
	report := filepath.Join(o.Out, "report.html")
	var input *sample
	if c.Embedded {
		e, err := StartEmbedded(o.Out)
		if err != nil {
			return sum, err
		}
		defer e.Close()
		e.connect(&c)
		input = &sample{}
		sum.Look = append(sum.Look, c.Look(o.Out))
	} else if err := c.start(ctx, cmp.Or(o.StartPatience, startPatience)); err != nil {
		return sum, err
	}
	sum.Look = append(sum.Look, report)
	sum.Source, sum.Sink = c.SourceName(), c.SinkName()
	if c.Embedded {
		sum.Sink = o.Out + " through an embedded S3 server"
		sum.Source = "an embedded Kinesis stream"
	}

	monitor, detach := Attach(c)
	defer detach()
	if err := run(ctx, c, monitor, input, o); err != nil {
		return sum, err
	}
	sum.Elapsed = time.Since(sum.Started)
	sum.Progress, sum.Partitions, sum.Reasons = monitor.Progress(), monitor.Partitions(), monitor.Reasons()
	if err := sum.WriteReport(report); err != nil {
		return sum, err
	}
	return sum, nil
}

// sample feeds the sample trips into the embedded stream.
type sample struct {
	// sent is the number of trips in the stream once done is set.
	sent  atomic.Int64
	bytes atomic.Int64
	done  atomic.Bool
}

func (s *sample) feed(ctx context.Context, o kinesisio.Options) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("replay the sample: %w", err)
		}
	}()
	sender, err := replay.OpenKinesis(ctx, replay.KinesisOptions{
		Stream: o.Stream, Region: o.Region, Endpoint: o.Endpoint, EmulatorCredentials: o.EmulatorCredentials,
	})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := sender.Close(ctx); err == nil {
			err = cerr
		}
	}()
	stats, err := replay.Run(ctx, replay.Options{Files: testdata.Trips()}, sender)
	if err != nil {
		return err
	}
	s.sent.Store(stats.Records)
	s.bytes.Store(stats.Bytes)
	s.done.Store(true)
	return nil
}

// checkInterval is the time between two looks at the counters.
const checkInterval = 100 * time.Millisecond

// restTimeout bounds the wait for a job, of which all is delivered, to come to rest.
const restTimeout = 30 * time.Second

// restLooks is how many looks in a row must find a job at rest: the runner
// still has to take in the bundles that its steps have ended.
const restLooks = 5

func run(ctx context.Context, c Config, monitor *Monitor, input *sample, o DirectOptions) error {
	monitor.CloseFiles(c.RollInterval)
	p, s := beam.NewPipelineWithRoot()
	Build(s, c)

	// The job is ended by cancelling its context, once all is delivered.
	jobCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, jobCtx := errgroup.WithContext(jobCtx)
	readers := processFor(c.JobID).readers
	g.Go(func() error { return direct.Run(jobCtx, p) })
	if input != nil {
		g.Go(func() error { return input.feed(jobCtx, c.Kinesis) })
	}
	delivered := false
	g.Go(func() error {
		tick := time.NewTicker(checkInterval)
		defer tick.Stop()
		interrupted := ctx.Done()
		var patience <-chan time.Time
		rests := 0
		for {
			select {
			case <-jobCtx.Done():
				return nil
			case <-interrupted:
				interrupted = nil
				if o.Messages != nil {
					fmt.Fprintln(o.Messages, "stopping: delivering what was read")
				}
				monitor.Drain()
			case <-patience:
				stop()
				return nil
			case <-tick.C:
			}
			now := monitor.Progress()
			if o.Progress != nil {
				o.Progress(now)
			}
			sampleRead := input != nil && input.done.Load() && now.Read >= input.sent.Load()
			if sampleRead || readers.Done(c.Readers) {
				monitor.Drain()
			}
			if err := monitor.Failure(); err != nil && !delivered {
				return err
			}
			if !delivered && monitor.Drained() {
				delivered = true
				monitor.End()
				patience = time.After(restTimeout)
				continue
			}
			// Several times in a row: the runner has to take note of a bundle's end.
			if !monitor.AtRest(c.Readers) {
				rests = 0
			} else if rests++; rests == restLooks {
				stop()
				return nil
			}
		}
	})
	err := g.Wait()
	// Steps that the end of the job interrupts find their state gone, and fail.
	if cause := monitor.Failure(); cause != nil && !delivered {
		return cause
	}
	return err
}
