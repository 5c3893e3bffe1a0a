package pipeline

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/io/slots"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
	"github.com/streaming-etl/streaming-etl/transforms/file"
	"github.com/streaming-etl/streaming-etl/transforms/route"
	"github.com/streaming-etl/streaming-etl/transforms/template"
)

// Config is a job, complete and checked: what the properties came to. It
// travels inside the graph, so it is data only and holds no secrets.
type Config struct {
	JobName string
	// JobID tells runs of a job apart within a process.
	JobID string

	// Embedded says that the job reads the sample trips from a server in this
	// process and writes to another; where they listen is filled in by Run.
	Embedded bool

	// Parallelism is how many instances of each step run at once.
	Parallelism int
	// Readers is the number of the source's slots.
	Readers int
	// ReadMaxBytes is how much a slot reads in a firing.
	ReadMaxBytes int
	Kinesis      kinesisio.Options
	// Generate is the number of records to make in place of reading a stream; 0 reads.
	Generate int64

	Route route.Config

	// Discard drops what is read instead of writing it to S3.
	Discard bool
	S3      s3io.Options
	// Prefix is what every key begins with: that of the bucket's URI and OutputPrefix.
	Prefix string
	// Parquet is false for JSON lines.
	Parquet     bool
	Compression string
	// TargetBytes is the size of a partition's compressed blocks at which its file is closed.
	TargetBytes int64
	// RollInterval is the age at which it is closed at the latest.
	RollInterval time.Duration
}

// defaultReaders is not the parallelism, since that may change over a restore
// and the number of readers may not.
const defaultReaders = 8

// FromProperties builds the job's configuration from properties. Mistakes
// between properties are added to those that the set already has; the error
// is the set's, with all of them. An embedded job needs neither source nor sink.
func FromProperties(p *property.Set, embedded bool) (Config, error) {
	c := Config{
		Embedded:     embedded,
		JobName:      p.Get("JobName"),
		JobID:        strings.ToLower(rand.Text()),
		Parallelism:  p.Int("Parallelism"),
		Readers:      p.Int("InputReaders"),
		ReadMaxBytes: int(p.Size("InputReadMaxMb")),
		Discard:      p.Bool("OutputDiscarding"),
		Parquet:      p.Bool("ParquetConversion"),
		Compression:  p.Get("ParquetCompression"),
		TargetBytes:  p.Size("OutputFileTargetSizeMb"),
		RollInterval: p.Duration("OutputFileRollIntervalMs"),
	}
	if c.Parallelism == 0 {
		c.Parallelism = runtime.GOMAXPROCS(0)
	}
	if c.Readers == 0 {
		c.Readers = max(c.Parallelism, defaultReaders)
	}
	c.readFrom(p)
	c.writeTo(p)
	c.events(p)
	return c, p.Err()
}

func (c *Config) readFrom(p *property.Set) {
	c.Kinesis = kinesisio.Options{
		Stream:            p.Get("InputKinesisStream"),
		Region:            p.Get("InputStreamRegion"),
		Endpoint:          p.Get("InputStreamEndpoint"),
		InitialPosition:   kinesisio.InitialPosition(p.Get("InputStreamInitialPosition")),
		InitialTimestamp:  p.Time("InputStreamInitialTimestamp"),
		StopTimestamp:     p.Time("InputStreamStopTimestamp"),
		PollInterval:      p.Duration("InputPollIntervalMs"),
		DiscoveryInterval: p.Duration("InputDiscoveryIntervalMs"),
		BufferBytes:       p.Size("InputBufferMb"),
	}
	if strings.HasPrefix(c.Kinesis.Stream, "arn:") && !p.Given("InputStreamRegion") {
		c.Kinesis.Region = "" // the ARN's own
	}
	if c.Embedded {
		return
	}
	if c.Generate = int64(p.Int("InputGeneratedRecords")); c.Generate > 0 {
		if p.Given("InputKinesisStream") {
			p.Add(property.Mistake{Property: "InputGeneratedRecords", Problem: "is a second source beside InputKinesisStream", Allowed: "one of them"})
		}
		return
	}
	if !p.Given("InputKinesisStream") {
		p.Add(property.Mistake{Property: "InputKinesisStream", Problem: "no source is named", Allowed: "a stream's name or its ARN"})
		return
	}
	at := c.Kinesis.InitialPosition == kinesisio.AtTimestamp
	switch given := p.Given("InputStreamInitialTimestamp"); {
	case at && !given:
		p.Add(property.Mistake{Property: "InputStreamInitialTimestamp", Problem: "is missing: InputStreamInitialPosition is AT_TIMESTAMP", Allowed: "an ISO-8601 time such as 2018-01-01T00:00:00Z"})
	case !at && given:
		p.Add(property.Mistake{Property: "InputStreamInitialTimestamp", Problem: "needs InputStreamInitialPosition=AT_TIMESTAMP"})
	case p.Valid("InputKinesisStream"):
		addFault(p, "InputKinesisStream", c.Kinesis.Validate())
	}
}

func (c *Config) writeTo(p *property.Set) {
	bucket, prefix := p.Bucket("OutputBucket")
	c.Prefix = prefix + p.Get("OutputPrefix")
	c.S3 = s3io.Options{
		Bucket:   bucket,
		Prefix:   c.Prefix,
		Region:   p.Get("OutputBucketRegion"),
		Endpoint: p.Get("OutputBucketEndpoint"),
		PartSize: p.Size("OutputPartSizeMb"),
	}
	switch given := p.Given("OutputBucket"); {
	case c.Embedded:
	case !given && !c.Discard:
		p.Add(property.Mistake{Property: "OutputBucket", Problem: "no sink is named", Allowed: "a bucket's name or s3://bucket/prefix/, or OutputDiscarding=true"})
	case given && c.Discard:
		p.Add(property.Mistake{Property: "OutputDiscarding", Problem: "drops all events, but OutputBucket is named too", Allowed: "one of them"})
	case given && p.Valid("OutputBucket"):
		addFault(p, "OutputBucket", c.S3.Validate())
	}
}

// events reads the schema file and compiles what depends on it, so that a
// mistake in a template is told at start.
func (c *Config) events(p *property.Set) {
	c.Route = route.Config{Path: p.Get("OutputPathTemplate"), Writers: p.Int("OutputWritersPerPartition"), BlockBytes: p.Int("OutputBlockKb") << 10}
	if name := p.Get("EventSchema"); strings.HasPrefix(name, "{") {
		c.Route.Schema = name
	} else if name != "" {
		text, err := os.ReadFile(name)
		if err != nil {
			addFault(p, "EventSchema", err)
			return
		}
		c.Route.Schema = string(text)
	}
	schema, err := c.Route.LoadSchema()
	if err != nil {
		addFault(p, "EventSchema", err)
		return
	}
	if c.Discard {
		return
	}
	if _, err := template.CompilePath(c.Route.Path, schema, route.JobStart); err != nil {
		addFault(p, "OutputPathTemplate", err)
	}
	if _, err := c.format(); err != nil {
		addFault(p, "ParquetConversion", err)
	}
}

// addFault adds each of the errors that err joins as a mistake of the property.
func addFault(p *property.Set, name string, err error) {
	if err == nil {
		return
	}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		for _, e := range joined.Unwrap() {
			addFault(p, name, e)
		}
		return
	}
	p.Add(property.Mistake{Property: name, Problem: err.Error()})
}

// format returns the format of events' files.
func (c Config) format() (file.Format, error) {
	schema, err := c.Route.LoadSchema()
	if err != nil {
		return nil, fmt.Errorf("event schema: %w", err)
	}
	if !c.Parquet {
		return file.JSONLines(schema), nil
	}
	return file.Parquet(schema, file.ParquetOptions{Compression: c.Compression})
}

// source returns the job's source.
func (c Config) source() slots.Source {
	if c.Generate > 0 {
		return generated{Records: c.Generate}
	}
	return c.Kinesis
}

// SourceName names what is read, for people.
func (c Config) SourceName() string {
	if c.Generate > 0 {
		return Number(c.Generate) + " generated records"
	}
	return "Kinesis stream " + c.Kinesis.StreamName()
}

// SinkName names what is written to, for people.
func (c Config) SinkName() string {
	if c.Discard {
		return "nowhere (discarded)"
	}
	return "s3://" + c.S3.Bucket + "/" + c.Prefix
}
