package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/pipeline/compare"
)

// compareOptions are what the flags of compare say.
type compareOptions struct {
	columns, ignore  string
	region, endpoint string
	anonymous        bool
	show             int
	json             *bool
}

func compareFlags() (*flag.FlagSet, *compareOptions) {
	f, asJSON := newFlagsJSON("compare", "A B")
	o := &compareOptions{json: asJSON}
	f.StringVar(&o.columns, "columns", "", "the columns to compare, separated by commas (default: all)")
	f.StringVar(&o.ignore, "ignore", "job_start", "folder variables to ignore when matching partitions, separated by commas; * for all folders")
	f.IntVar(&o.show, "show", compare.DefaultShow, "how many records to show of each kind of difference, and how many partitions")
	f.StringVar(&o.region, "region", "", "the region of buckets (default: that of the environment, the profile or the instance)")
	f.StringVar(&o.endpoint, "endpoint", "", "the URL of another S3 service")
	f.BoolVar(&o.anonymous, "anonymous", false, "read buckets without signing")
	return f, o
}

var errDifferent = errors.New("the outputs differ")

// compareOutputs is the subcommand that compares two outputs, record by record.
func compareOutputs(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f, o := compareFlags()
	places, code, ok := parseMixed(f, args, stdout, stderr)
	if !ok {
		return code
	}
	if len(places) != 2 {
		return misuse(stderr, "compare takes two outputs, each a folder, a file or s3://bucket/prefix, not %d", len(places))
	}
	if o.show < 0 {
		return misuse(stderr, "--show is less than 0")
	}
	list := func(text string) []string {
		return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
	}
	line := newProgressLine(stderr)
	r, err := compare.Run(ctx, compare.Options{
		A: places[0], B: places[1], Columns: list(o.columns), Ignore: list(o.ignore), Show: o.show,
		Region: o.region, Endpoint: o.endpoint, Anonymous: o.anonymous, Progress: line.showComparison,
	})
	line.end()
	if err != nil {
		return fail(stderr, err)
	}
	if *o.json {
		err = writeJSON(stdout, r)
	} else {
		err = writeComparison(stdout, r, o.show)
	}
	if err == nil && !r.Equal {
		err = errDifferent
	}
	if err != nil {
		return fail(stderr, err)
	}
	return exitOK
}

func writeComparison(w io.Writer, r compare.Result, show int) error {
	n := pipeline.Number
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(what, a, b string) { fmt.Fprintf(t, "  %s\t%s\t%s\n", what, a, b) }
	row("", "A", "B")
	row("output", r.A.Place, r.B.Place)
	row("files", n(int64(r.A.Files)), n(int64(r.B.Files)))
	row("records", n(r.A.Records), n(r.B.Records))
	row("in both", n(r.Common), n(r.Common))
	row("only here", n(r.A.Only), n(r.B.Only))
	row("duplicates here", n(r.A.Doubled), n(r.B.Doubled))
	row("columns only here", orDash(strings.Join(r.A.Columns, " ")), orDash(strings.Join(r.B.Columns, " ")))
	if err := t.Flush(); err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n  %s partitions, %s with different counts; %s records in another partition; %s more than once in both\n",
		n(int64(r.Partitions)), n(int64(len(r.Differing))), n(r.Moved), n(r.Repeated))
	if shown := r.Differing[:min(show, len(r.Differing))]; len(shown) > 0 {
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintf(t, "\n  partition\tin A\tin B\n")
		for _, p := range shown {
			fmt.Fprintf(t, "  %s\t%s\t%s\n", p.Name, n(p.A), n(p.B))
		}
		_ = t.Flush() // into memory
	}
	for _, e := range r.Examples {
		fmt.Fprintf(&b, "\n  %s: %s\n    %s\n", e.Kind, at(e), e.Record)
	}
	verdict := "equal"
	if !r.Equal {
		verdict = "different"
	}
	fmt.Fprintf(&b, "\n  %s\n", verdict)
	_, err := io.WriteString(w, b.String())
	return err
}

// at tells where a record is.
func at(e compare.Example) string {
	var all []string
	for _, side := range []struct {
		name string
		list []compare.Location
	}{{"A", e.A}, {"B", e.B}} {
		for _, l := range side.list {
			all = append(all, fmt.Sprintf("%s %s row %d", side.name, l.File, l.Row))
		}
	}
	return strings.Join(all, ", ")
}
