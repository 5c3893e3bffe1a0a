package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
	"github.com/streaming-etl/streaming-etl/runners/flink/submit"
)

// LocalFlinkOptions are those of a try on a local Flink.
type LocalFlinkOptions struct {
	// Out is the folder for the files and the report.
	Out string
	// Jar is the path of the job's jar.
	Jar string
	// Progress is called about every second while the job works; may be nil.
	Progress func(Progress)
	// Messages takes a line for each thing that was done.
	Messages io.Writer
}

// Defaults of a try: a user wants to see files soon.
const (
	localCheckpointInterval = "2000"
	localRollInterval       = "2000"
)

// RunLocalFlink runs the sample of taxi trips through the job on a Flink
// cluster of this machine, started from the cache, with embedded servers, and
// ends when every trip is in a visible file. It leaves no process behind.
func RunLocalFlink(ctx context.Context, p *property.Set, o LocalFlinkOptions) (sum Summary, err error) {
	c, err := FromProperties(p, true)
	if err != nil {
		return sum, err
	}
	sum = Summary{Job: c.JobName, Started: time.Now(), Source: "an embedded Kinesis stream", Sink: o.Out + " through an embedded S3 server"}
	embedded, err := StartEmbedded(o.Out)
	if err != nil {
		return sum, err
	}
	defer embedded.Close()
	embedded.connect(&c)
	count, err := newTally(o.Out)
	if err != nil {
		return sum, fmt.Errorf("look into %s: %w", o.Out, err)
	}

	fmt.Fprintln(o.Messages, "starting Flink "+cluster.Version+": a JobManager and a TaskManager")
	slots := cluster.DefaultSlots
	if n := p.Int("Parallelism"); n > slots {
		slots = n
	}
	// The embedded servers take any credentials, but the AWS client wants some.
	flinkCluster, err := cluster.Start(ctx, cluster.Options{Slots: slots, Env: []string{
		"AWS_ACCESS_KEY_ID=embedded", "AWS_SECRET_ACCESS_KEY=embedded", "AWS_EC2_METADATA_DISABLED=true"}})
	if err != nil {
		return sum, err
	}
	defer flinkCluster.Stop()

	sum.Started = time.Now()
	client := flinkCluster.REST()
	jobID, err := submit.Run(ctx, client, submit.Options{
		Jar: o.Jar, Args: embedded.args(p), Report: func(line string) { fmt.Fprintln(o.Messages, line) },
	})
	if err != nil {
		return sum, err
	}
	if err := awaitSample(ctx, c, count, o, func(ctx context.Context) (submit.Status, error) {
		return submit.Look(ctx, client, jobID)
	}); err != nil {
		return sum, err
	}
	if err := client.Cancel(ctx, jobID); err != nil {
		return sum, err
	}
	sum.Elapsed = time.Since(sum.Started)
	sum.Progress, sum.Reasons = count.progress, count.reasons
	for _, part := range count.partitions {
		sum.Partitions = append(sum.Partitions, *part)
	}
	sortPartitions(sum.Partitions)
	report := filepath.Join(o.Out, "report.html")
	sum.Look = []string{c.Look(o.Out), report}
	return sum, sum.WriteReport(report)
}

// args are the properties for the job: those given, but for those of a real
// stream, and where the embedded servers are.
func (e *Embedded) args(p *property.Set) []string {
	args := slices.DeleteFunc(p.Args(), func(arg string) bool {
		return slices.ContainsFunc(serviceProperties, func(name string) bool { return strings.HasPrefix(arg, "--"+name+"=") })
	})
	for _, a := range [][2]string{
		{"CheckpointInterval", localCheckpointInterval},
		{"OutputFileRollIntervalMs", localRollInterval},
	} {
		if !p.Given(a[0]) {
			args = append(args, "--"+a[0]+"="+a[1])
		}
	}
	return append(args,
		"--InputKinesisStream="+embeddedStream, "--InputStreamEndpoint="+e.kinesis.URL(), "--InputStreamInitialPosition=TRIM_HORIZON",
		"--OutputBucket="+embeddedBucket, "--OutputBucketEndpoint="+e.s3.URL(), "--Region="+kinesisfake.DefaultRegion)
}

// awaitSample feeds the sample and returns when all of it is in files, or the
// job has failed.
func awaitSample(ctx context.Context, c Config, count *tally, o LocalFlinkOptions, look func(context.Context) (submit.Status, error)) error {
	g, ctx := errgroup.WithContext(ctx)
	input := &sample{}
	g.Go(func() error { return input.feed(ctx, c.Kinesis) })
	g.Go(func() error {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-tick.C:
			}
			if err := count.look(); err != nil {
				return err
			}
			done := count.progress.Delivered + count.progress.DeadLetters
			count.progress.Read = max(input.sent.Load(), done)
			if o.Progress != nil {
				o.Progress(count.progress)
			}
			if input.done.Load() && done >= input.sent.Load() {
				count.progress.ReadBytes = input.bytes.Load()
				return nil
			}
			s, err := look(ctx)
			if err != nil {
				return err
			}
			if s.Job.State.Ended() {
				return errors.New("the job ended: " + s.Failure)
			}
		}
	})
	return g.Wait()
}
