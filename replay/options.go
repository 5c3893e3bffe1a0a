package replay

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"
	"time"
)

// The defaults of Options and of the command's flags.
const (
	// DefaultSpeedup replays 1.8 hours a second, as the original tool does.
	DefaultSpeedup = 6480.0
	// DefaultTimestampField is the field of the taxi trips by which their
	// files are sorted.
	DefaultTimestampField = "dropoff_datetime"
	// DefaultPartitionKeyField is the taxi trips' id.
	DefaultPartitionKeyField = "trip_id"
	// DefaultBufferSize is the number of records held for sorting; 100,000 taxi
	// trips take about 60 MB.
	DefaultBufferSize = 100_000
	// DefaultStatisticsInterval is the time between two reports.
	DefaultStatisticsInterval = 5 * time.Second
)

// Options tell what is replayed and how fast. The zero value of a field is its
// default where one is named, so only the source has to be set.
type Options struct {
	// Source is a folder, a file, or s3://bucket/prefix. Files are read in the
	// order of their names; README.md and what begins with "." or "_" (but not
	// a partition such as "_day=1") is not data and left out. A file is LZ4
	// frames, gzip, zstd or plain text, told by its first bytes. Its lines are
	// JSON objects of at most 10 MiB; each is sent as it stands, without the
	// white space around it. A stream takes 1 MiB if it was not told to take
	// more; what is larger than it takes is left out.
	Source string
	// Files is read instead of Source when it is set.
	Files fs.FS
	// SourceRegion and SourceEndpoint are of an s3:// source. Default: the
	// region of the environment or profile, and AWS's own endpoint. With an
	// endpoint, buckets are addressed by path.
	SourceRegion, SourceEndpoint string

	// Speedup divides the time between events: 3600 sends an hour a second.
	// 0 sends as fast as the stream takes. The command's default is
	// DefaultSpeedup.
	Speedup float64
	// Seek leaves out events that are older. Default: none.
	Seek time.Time
	// TimestampField is the top-level field with the event's time: ISO 8601
	// text (UTC where it names no zone) or a number of milliseconds since
	// 1970. Default: DefaultTimestampField.
	TimestampField string
	// PartitionKeyField is the top-level field whose text, number or boolean is
	// the partition key, so that events of one value stay in order. An event
	// without it, or with one of more than 256 characters or that is no UTF-8,
	// gets a hash of its line: the same in every replay. Default: DefaultPartitionKeyField.
	PartitionKeyField string
	// RateLimit is the highest number of records a second; what it delays is
	// sent later, never dropped. 0: none.
	RateLimit float64
	// Repeat is how often the source is sent. 0 and 1: once; negative: until
	// stopped. A repetition begins when the one before has ended, and its
	// events are the same bytes: ids and times do not change.
	Repeat int
	// BufferSize is the number of records held to sort them by time. Up to 16
	// files are merged at a time, in the order of their names, and within a
	// file a record may be out of place by its share of the buffer. A record
	// that comes later still is sent at once and counted. The records held
	// take 256 MiB at most. Default: DefaultBufferSize.
	BufferSize int

	// StatisticsInterval is the time between two calls of OnStatistics.
	// Default: DefaultStatisticsInterval.
	StatisticsInterval time.Duration
	// OnStatistics, if set, is called with the counts so far, from Run's goroutine.
	OnStatistics func(Statistics)
	// OnSkip, if set, is called for each line that cannot be sent because it is
	// not a JSON object, has no time, or is too large for the stream; from Run's
	// goroutine. Lines beyond the first ten of a pass, or ten that are too large,
	// are only counted.
	OnSkip func(Skip)
	// Clock is what the schedule goes by. Default: the system's clock.
	Clock Clock
}

// Mistake is one wrong option, as Options.Validate finds it.
type Mistake struct {
	// Option is the name of the field.
	Option string
	// Text says what is wrong with it.
	Text string
}

func (m *Mistake) Error() string { return m.Option + ": " + m.Text }

// Validate returns all mistakes, each a *Mistake, in one error made by
// errors.Join; nil if there is none.
func (o *Options) Validate() error {
	var mistakes []error
	add := func(option, format string, args ...any) {
		mistakes = append(mistakes, &Mistake{Option: option, Text: fmt.Sprintf(format, args...)})
	}
	switch {
	case o.Files != nil:
	case o.Source == "":
		add("Source", "is missing: a folder or s3://bucket/prefix")
	case isS3(o.Source):
		if bucket, _ := splitS3(o.Source); bucket == "" {
			add("Source", "%q names no bucket: s3://bucket/prefix", o.Source)
		}
	case strings.Contains(o.Source, "://"):
		add("Source", "%q is neither a folder nor s3://bucket/prefix", o.Source)
	}
	if !(o.Speedup >= 0) || math.IsInf(o.Speedup, 0) {
		add("Speedup", "%v is not a number of at least 0", o.Speedup)
	}
	if !(o.RateLimit >= 0) || math.IsInf(o.RateLimit, 0) {
		add("RateLimit", "%v is not a number of at least 0", o.RateLimit)
	}
	if o.BufferSize < 0 {
		add("BufferSize", "%d is less than one record", o.BufferSize)
	}
	if o.StatisticsInterval < 0 {
		add("StatisticsInterval", "%v is negative", o.StatisticsInterval)
	}
	return errors.Join(mistakes...)
}

func (o Options) withDefaults() Options {
	if o.TimestampField == "" {
		o.TimestampField = DefaultTimestampField
	}
	if o.PartitionKeyField == "" {
		o.PartitionKeyField = DefaultPartitionKeyField
	}
	if o.BufferSize == 0 {
		o.BufferSize = DefaultBufferSize
	}
	if o.StatisticsInterval == 0 {
		o.StatisticsInterval = DefaultStatisticsInterval
	}
	if o.Repeat == 0 {
		o.Repeat = 1
	}
	if o.Clock == nil {
		o.Clock = systemClock{}
	}
	return o
}
