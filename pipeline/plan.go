package pipeline

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/streaming-etl/streaming-etl/io/kinesisio"
)

// WritePlan writes what the job would do, without starting anything.
func (c Config) WritePlan(w io.Writer) error {
	schema, err := c.Route.LoadSchema()
	if err != nil {
		return fmt.Errorf("event schema: %w", err)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(label, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", label, fmt.Sprintf(format, args...))
	}

	line("job", "%s, parallelism %d", c.JobName, c.Parallelism)
	line("source", "%s%s, in %s", c.SourceName(), where(c.Kinesis.Endpoint, c.Kinesis.Region), plural(c.Readers, "reader slot"))
	if c.Generate == 0 {
		line("  from", "%s", c.startsAt())
	}
	if !c.Kinesis.StopTimestamp.IsZero() {
		line("  up to", "what arrived before %s", c.Kinesis.StopTimestamp.Format(time.RFC3339))
	}
	line("events", "%s: %s", schema.Name, plural(len(schema.Fields), "field"))
	if c.Discard {
		line("sink", "none: events are counted and dropped")
	} else {
		kind := "JSON lines"
		if c.Parquet {
			kind = "Parquet, " + c.Compression
		}
		line("sink", "%s%s, %s", c.SinkName(), where(c.S3.Endpoint, c.S3.Region), kind)
		line("  folders", "%s", c.Route.Path)
		line("  files", "closed at %s of blocks or after %s, %s per folder", Bytes(c.TargetBytes), c.RollInterval, plural(c.Route.Writers, "writer"))
		line("  dead letters", "%sdead-letters/job_start=…/reason=…/", c.SinkName())
		line("  guarantee", "exactly once on Flink: each event is in one visible object; with --runner=direct at most one,")
		line("", "and what was read is delivered before the command ends, but positions are not kept across runs")
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	return nil
}

func (c Config) startsAt() string {
	switch c.Kinesis.InitialPosition {
	case kinesisio.TrimHorizon:
		return "the oldest record that the stream holds"
	case kinesisio.AtTimestamp:
		return "what arrived at or after " + c.Kinesis.InitialTimestamp.Format(time.RFC3339)
	}
	return "what arrives after the job's first start"
}

func where(endpoint, region string) string {
	var parts []string
	if region != "" {
		parts = append(parts, region)
	}
	if endpoint != "" {
		parts = append(parts, "at "+endpoint)
	}
	if parts == nil {
		return ""
	}
	return " (" + strings.Join(parts, " ") + ")"
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
