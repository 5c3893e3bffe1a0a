package replay

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// command is what the flags say.
type command struct {
	options Options
	target  KinesisOptions
	json    bool
}

var errHelp = errors.New("help is asked for")

// flag is one flag of the command. It is parsed here and not by package flag
// because that one stops at the first mistake.
type flag struct {
	name string
	// option is the field of Options that it sets, if it sets one.
	option string
	// value names the value in the help; "" for a flag that has none.
	value string
	// usage says what it does; standard is its default as the help shows it.
	usage, standard string
	set             func(c *command, value string) error
}

func flags() []flag {
	return []flag{
		{name: "stream", value: "NAME", usage: "the Kinesis stream, by name or ARN; required",
			set: func(c *command, v string) error { c.target.Stream = v; return nil }},
		{name: "source", option: "Source", value: "PATH", usage: "a folder, a file or s3://bucket/prefix with JSON lines: plain, LZ4, gzip or zstd", standard: "a built-in sample of 20,000 taxi trips",
			set: func(c *command, v string) error { c.options.Source = v; return nil }},
		{name: "speedup", option: "Speedup", value: "FACTOR", usage: "how much faster than they happened the events are sent; 0: as fast as the stream takes them", standard: number(DefaultSpeedup),
			set: func(c *command, v string) (err error) { c.options.Speedup, err = parseFloat(v); return err }},
		{name: "seek", option: "Seek", value: "TIME", usage: "leave out older events: an ISO 8601 time, UTC where it names no zone", standard: "from the first",
			set: func(c *command, v string) (err error) { c.options.Seek, err = parseSeek(v); return err }},
		{name: "timestamp-field", option: "TimestampField", value: "FIELD", usage: "the field with the event's time: ISO 8601 or milliseconds since 1970", standard: DefaultTimestampField,
			set: func(c *command, v string) error { c.options.TimestampField = v; return notEmpty(v) }},
		{name: "partition-key-field", option: "PartitionKeyField", value: "FIELD", usage: "the field with the partition key; events without it get a hash of their line", standard: DefaultPartitionKeyField,
			set: func(c *command, v string) error { c.options.PartitionKeyField = v; return notEmpty(v) }},
		{name: "aggregate", usage: "put many events into one record, in the format of the Kinesis Producer Library",
			set: func(c *command, v string) (err error) { c.target.Aggregate, err = parseBool(v); return err }},
		{name: "rate-limit", option: "RateLimit", value: "N", usage: "send at most N events a second; 0: no limit", standard: "0",
			set: func(c *command, v string) (err error) { c.options.RateLimit, err = parseFloat(v); return err }},
		{name: "repeat", option: "Repeat", value: "N", usage: "send everything N times, ids unchanged; negative: until stopped", standard: "1",
			set: func(c *command, v string) (err error) { c.options.Repeat, err = parseRepeat(v); return err }},
		{name: "buffer", option: "BufferSize", value: "N", usage: "events held to sort them by time", standard: number(DefaultBufferSize),
			set: func(c *command, v string) (err error) { c.options.BufferSize, err = parseCount(v); return err }},
		{name: "json", usage: "write the result and errors as JSON, one object per line",
			set: func(c *command, v string) (err error) { c.json, err = parseBool(v); return err }},
		{name: "statistics-interval", option: "StatisticsInterval", value: "TIME", usage: "time between two lines of statistics", standard: DefaultStatisticsInterval.String(),
			set: func(c *command, v string) (err error) {
				c.options.StatisticsInterval, err = parseInterval(v)
				return err
			}},
		{name: "region", value: "REGION", usage: "the stream's AWS region", standard: "of the ARN, the environment, the profile",
			set: func(c *command, v string) error { c.target.Region = v; return nil }},
		{name: "endpoint", value: "URL", usage: "the address of another Kinesis, such as an emulator",
			set: func(c *command, v string) error { c.target.Endpoint = v; return nil }},
		{name: "source-region", option: "SourceRegion", value: "REGION", usage: "the AWS region of an s3:// source", standard: "that of the stream",
			set: func(c *command, v string) error { c.options.SourceRegion = v; return nil }},
		{name: "source-endpoint", option: "SourceEndpoint", value: "URL", usage: "the address of another S3, for an s3:// source",
			set: func(c *command, v string) error { c.options.SourceEndpoint = v; return nil }},
	}
}

// parse reads the arguments: --name=value, --name value, and --name for what
// has no value. It returns errHelp, or all mistakes joined.
func parse(args []string) (*command, error) {
	c := &command{options: Options{Speedup: DefaultSpeedup}}
	known := flags()
	var mistakes []error
	mistake := func(format string, a ...any) { mistakes = append(mistakes, fmt.Errorf(format, a...)) }

	for i := 0; i < len(args); i++ {
		name, value, hasValue := strings.Cut(args[i], "=")
		bare := strings.TrimLeft(name, "-")
		if bare == name || len(name)-len(bare) > 2 || bare == "" {
			mistake("%q is not a flag", args[i])
			continue
		}
		if bare == "help" || bare == "h" {
			return nil, errHelp
		}
		f := find(known, bare)
		if f == nil {
			mistake("--%s is not known", bare)
			// Its value, if it has one, is no second mistake.
			if !hasValue && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
				i++
			}
			continue
		}
		if !hasValue {
			switch {
			case f.value == "":
				value = "true"
			case i+1 < len(args) && !strings.HasPrefix(args[i+1], "--"):
				i++
				value = args[i]
			default:
				mistake("--%s needs a value: --%s=%s", f.name, f.name, f.value)
				continue
			}
		}
		if err := f.set(c, value); err != nil {
			mistake("--%s: %w", f.name, err)
		}
	}
	if c.target.Stream == "" {
		mistake("--stream is missing: the name or the ARN of a Kinesis stream")
	} else if err := c.target.Validate(); err != nil {
		mistakes = append(mistakes, unjoin(err)...)
	}
	if c.options.SourceRegion == "" {
		c.options.SourceRegion = c.target.region()
	}
	if c.options.Source != "" {
		if err := c.options.Validate(); err != nil {
			mistakes = append(mistakes, unjoin(err)...)
		}
	}
	return c, errors.Join(mistakes...)
}

func find(known []flag, name string) *flag {
	for i := range known {
		if known[i].name == name {
			return &known[i]
		}
	}
	return nil
}

// flagText returns the error's text with the flag in place of the option.
func flagText(err error) string {
	var m *Mistake
	if errors.As(err, &m) {
		for _, f := range flags() {
			if f.option == m.Option {
				return "--" + f.name + ": " + m.Text
			}
		}
	}
	return err.Error()
}

func writeHelp(w io.Writer) {
	fmt.Fprintln(w, "replay sends historic events into a Kinesis stream, in the order of their times,\nas if they happened now, faster by a factor.\n\nFlags:")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range flags() {
		name := "--" + f.name
		if f.value != "" {
			name += "=" + f.value
		}
		usage := f.usage
		if f.standard != "" {
			usage += " (default: " + f.standard + ")"
		}
		fmt.Fprintf(table, "  %s\t%s\n", name, usage)
	}
	_ = table.Flush() // as little can be done about a closed stdout as above
	fmt.Fprintln(w, "\nExit codes: 0 all sent or stopped by a signal, 1 failed, 2 wrong flags.")
}

func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func parseFloat(v string) (float64, error) {
	n, err := strconv.ParseFloat(v, 64)
	if err != nil || n < 0 || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("%q is not a number of at least 0", v)
	}
	return n, nil
}

func parseCount(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not a whole number of at least 1", v)
	}
	return n, nil
}

func parseRepeat(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is neither a number of times nor negative (until stopped)", v)
	}
	return n, nil
}

func parseBool(v string) (bool, error) {
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, fmt.Errorf("%q is neither true nor false", v)
	}
	return b, nil
}

func parseSeek(v string) (time.Time, error) {
	micros, ok := parseTimeText([]byte(v))
	if !ok {
		return time.Time{}, fmt.Errorf("%q is not a time such as 2018-01-31T12:00:00Z", v)
	}
	return time.UnixMicro(micros).UTC(), nil
}

func parseInterval(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is not a time such as 5s or 1m", v)
	}
	return d, nil
}

func notEmpty(v string) error {
	if v == "" {
		return errors.New("is empty")
	}
	return nil
}
