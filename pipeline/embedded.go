package pipeline

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
)

// Names inside the embedded servers.
const (
	embeddedStream = "trips"
	embeddedBucket = "out"
	embeddedShards = 4
)

// Embedded are a Kinesis and an S3 server in this process, for a run that
// needs nothing else.
type Embedded struct {
	kinesis *kinesisfake.Server
	s3      *s3fake.Server
}

// StartEmbedded starts both on free ports of the loopback interface. Objects
// are plain files under dir.
func StartEmbedded(dir string) (*Embedded, error) {
	k, err := kinesisfake.New(kinesisfake.SeedStream(embeddedStream, embeddedShards))
	if err != nil {
		return nil, fmt.Errorf("start embedded Kinesis server: %w", err)
	}
	s, err := s3fake.New(s3fake.Options{Bucket: embeddedBucket, Dir: dir})
	if err != nil {
		k.Close()
		return nil, fmt.Errorf("start embedded S3 server: %w", err)
	}
	return &Embedded{kinesis: k, s3: s}, nil
}

// Close stops both.
func (e *Embedded) Close() {
	e.kinesis.Close()
	_ = e.s3.Close() // its files are in place; nothing can be done about a late connection
}

// serviceProperties are of a real stream: the embedded one has no role,
// consumer or time at which the sample is over.
var serviceProperties = []string{"InputRoleArn", "InputStreamConsumer", "InputStreamInitialTimestamp", "InputStreamStopTimestamp"}

// connect has the job read from and write to the embedded servers, whatever is
// said of real ones.
func (e *Embedded) connect(c *Config) {
	c.ForEmbedded()
	c.Kinesis.InitialTimestamp, c.Kinesis.StopTimestamp = time.Time{}, time.Time{}
	c.Kinesis.Stream = embeddedStream
	c.Kinesis.Endpoint = e.kinesis.URL()
	c.Kinesis.Region = kinesisfake.DefaultRegion
	c.Kinesis.InitialPosition = kinesisio.TrimHorizon
	c.S3.Bucket = embeddedBucket
	c.S3.Endpoint = e.s3.URL()
}

// ForEmbedded says what no property does of servers in the process: that they
// ask for no credentials, have no roles or consumers, and may be asked more often
// than a real stream allows.
func (c *Config) ForEmbedded() {
	c.Kinesis.RoleARN, c.Kinesis.Consumer = "", ""
	c.Kinesis.EmulatorCredentials = true
	c.Kinesis.PollInterval, c.Kinesis.CallInterval = 50*time.Millisecond, 20*time.Millisecond
	c.S3.Anonymous = true
}

// serverNames are the properties that name what a job reads or writes, and
// where that is.
var serverNames = []string{
	"InputKinesisStream", "InputStreamEndpoint", "InputKafkaBootstrapServers", "InputKafkaTopic", "InputGeneratedRecords",
	"OutputBucket", "OutputBucketEndpoint", "DeadLetterBucket",
	"OutputKafkaBootstrapServers", "OutputKafkaTopic", "OutputKafkaMarkerTopic", "OutputKafkaDeadLetterTopic",
	"OutputElasticsearchEndpoint", "OutputKinesisStream", "OutputStreamEndpoint", "OutputDiscarding",
}

// NamesNoServers says that the properties name no part of a source or sink, so
// that a first try runs on embedded ones. One that names a part, a sink without
// a source for instance, is a mistake of a job of its own: the sample must not
// go where the user's events are.
func NamesNoServers(p *property.Set) bool {
	return !slices.ContainsFunc(serverNames, p.Given)
}

// Look says where the job's files are in a folder that stands for its bucket.
func (c Config) Look(out string) string {
	return filepath.Join(out, c.Prefix, c.Route.Path) + "/ (the files)"
}
