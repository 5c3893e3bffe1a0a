package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
)

// checkOptions are the flags of check, beside those of run, so that the same
// command line can be checked that will run.
func checkOptions() []property.Property {
	return append(options(), []property.Property{
		{
			Name: "svg", Group: property.GroupCommand, Kind: property.Path,
			Doc: "The file into which the plan is drawn, as SVG.",
		},
		{
			Name: "connect", Group: property.GroupCommand, Kind: property.Bool, Default: "false",
			Doc: "Tries each permission that the job needs at its services, without writing, and prints what is missing as IAM statements, Kafka access rules and an Elasticsearch role.",
		},
	}...)
}

const checkUsage = `check shows what the job with these properties would do, or everything that is wrong with them. It contacts no service,
unless --connect makes it try each permission that the job needs, without writing.
`

// check is the subcommand that tells what the job would do.
func check(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	p, code := load(args, env, checkUsage, checkOptions(), stdout, stderr)
	if p == nil {
		return code
	}
	var c pipeline.Config
	var err error
	if p.Get("runner") == "flink" {
		c, err = pipeline.FlinkPlan(p)
	} else {
		c, err = pipeline.FromProperties(p, false)
	}
	if err != nil {
		return fail(stderr, err)
	}
	if name := p.Get("svg"); name != "" {
		if err := drawPlan(name, c); err != nil {
			return fail(stderr, err)
		}
	}
	if p.Bool(jsonFlag) {
		return checkJSON(ctx, p, c, stdout, stderr)
	}
	if err := c.WritePlan(stdout); err != nil {
		return fail(stderr, err)
	}
	fmt.Fprint(stdout, "\nset by\n")
	if err := p.WriteValues(stdout); err != nil {
		return fail(stderr, err)
	}
	if !p.Bool("connect") {
		return exitOK
	}
	report := pipeline.Connect(ctx, c)
	fmt.Fprint(stdout, "\npermissions\n")
	if err := report.Write(stdout); err != nil {
		return fail(stderr, err)
	}
	if !report.OK() {
		return fail(stderr, errNotUsable)
	}
	return exitOK
}

var errNotUsable = errors.New("some of what the job needs is missing or unreachable")

// checkJSON writes one object: {"ok": true} where the properties are right,
// with what was tried where that is asked for.
func checkJSON(ctx context.Context, p *property.Set, c pipeline.Config, stdout, stderr io.Writer) int {
	if !p.Bool("connect") {
		return tell(stdout, stderr, true, map[string]any{"ok": true, "source": c.SourceName(), "sink": c.SinkName()}, "")
	}
	report := pipeline.Connect(ctx, c)
	if err := writeJSON(stdout, &report); err != nil {
		return fail(stderr, err)
	}
	if !report.OK() {
		return fail(stderr, errNotUsable)
	}
	return exitOK
}

func drawPlan(name string, c pipeline.Config) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("--svg: %w", err)
	}
	if err := errors.Join(c.WriteSVG(f), f.Close()); err != nil {
		return fmt.Errorf("--svg %s: %w", name, err)
	}
	return nil
}
