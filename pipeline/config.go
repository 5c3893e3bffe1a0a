package pipeline

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/streaming-etl/streaming-etl/io/kafkaio"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/transact"
	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/io/slots"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
	"github.com/streaming-etl/streaming-etl/transforms/event"
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
	// process and writes to another; where they listen is filled in by Embedded.connect.
	Embedded bool

	// Parallelism is how many instances of each step run at once; 0 is for a
	// cluster to decide.
	Parallelism int
	// leastReaders and leastLanes say that there may be more, where the cluster
	// has a higher parallelism. They are for the plan.
	leastReaders, leastLanes bool
	// Readers is the number of the source's slots.
	Readers int
	// ReadMaxBytes is how much a slot reads in a firing.
	ReadMaxBytes int
	Deduplicate  Deduplicate
	Kinesis      kinesisio.Options
	// Kafka is the source instead of Kinesis where Route.Source says so.
	Kafka kafkaio.Options
	// CommitOffsets commits Kafka's positions to the consumer group.
	CommitOffsets bool
	// Generate is the number of records to make in place of reading a stream; 0 reads.
	Generate int64

	Route route.Config

	// Local says that the job runs on the local runner, which does not keep
	// the order of elements of a key.
	Local bool

	// Patience is for how long S3 is waited for while it is away, when its
	// client has given up; 0 is not at all. See waitOutages.
	Patience time.Duration

	// Discard drops what is read instead of writing it anywhere.
	Discard bool
	// Letters says where dead letters go.
	Letters string
	// DeadLetterBucket and DeadLetterPrefix are where those for files go, if
	// not to the bucket of events.
	DeadLetterBucket, DeadLetterPrefix string
	// DeadLetterTopic takes those that go to Kafka.
	DeadLetterTopic string

	// Files says that events are written to S3.
	Files bool
	S3    s3io.Options
	// Prefix is what every key begins with: that of the bucket's URI and OutputPrefix.
	Prefix string
	// Parquet is false for JSON lines.
	Parquet     bool
	Compression string
	// TargetBytes is the size of a partition's compressed blocks at which its file is closed.
	TargetBytes int64
	// RollInterval is the age at which it is closed at the latest.
	RollInterval time.Duration

	// ToKafka says that events are written to Kafka, AtLeastOnce that they are
	// so at once, without transactions.
	ToKafka, AtLeastOnce bool
	KafkaSink            transact.Options
	Lanes                route.LanesConfig

	// Elasticsearch is the sink of documents, nil for none.
	Elasticsearch *ElasticsearchSink
	// KinesisSink is the sink of records of a stream, nil for none.
	KinesisSink *KinesisSink
}

// Where dead letters go, beside names of writers.
const (
	lettersToFiles = "files"
	lettersToLanes = "lanes"
)

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
		Deduplicate:  Deduplicate{Field: p.Get("InputDeduplicateBy"), Window: p.Duration("InputDeduplicateWindowMs")},
	}
	if c.Parallelism == 0 {
		c.Parallelism = runtime.GOMAXPROCS(0)
	}
	if c.Readers == 0 {
		c.Readers = max(c.Parallelism, defaultReaders)
	}
	c.readFrom(p)
	schema := c.events(p)
	c.writeTo(p, schema)
	return c, p.Err()
}

func (c *Config) readFrom(p *property.Set) {
	c.readKinesis(p)
	c.readKafka(p)
	if c.Embedded {
		c.Route.Source = route.Kinesis
		return
	}
	generate := p.Int("InputGeneratedRecords") > 0
	kinesis := p.Given("InputKinesisStream")
	kafka := p.Given("InputKafkaTopic") || p.Given("InputKafkaBootstrapServers")
	var named []string
	if kinesis {
		named = append(named, "InputKinesisStream")
	}
	if kafka {
		named = append(named, "InputKafkaTopic")
	}
	if generate {
		named = append(named, "InputGeneratedRecords")
	}
	switch {
	case len(named) == 0:
		p.Add(property.Mistake{Property: "InputKinesisStream", Problem: "no source is named", Allowed: "a stream here, or InputKafkaBootstrapServers and InputKafkaTopic"})
	case len(named) > 1:
		p.Add(property.Mistake{Property: named[1], Problem: "is a second source beside " + named[0], Allowed: "one source"})
	}
	switch {
	case kinesis:
		c.Route.Source = route.Kinesis
		c.checkKinesis(p)
		if !kafka {
			refuseUnused(p, ofKafka, "the source is Kinesis", true)
		}
	case kafka:
		c.Route.Source = route.Kafka
		c.checkKafkaSource(p)
		refuseUnused(p, ofKinesis, "the source is Kafka", true)
	case generate:
		c.Generate = int64(p.Int("InputGeneratedRecords"))
		refuseUnused(p, slices.Concat(ofKinesis, ofKafka), "the records are generated", false)
	}
}

func (c *Config) readKinesis(p *property.Set) {
	c.Kinesis = kinesisio.Options{
		Stream:            p.Get("InputKinesisStream"),
		Region:            streamRegion(p, "InputKinesisStream", "InputStreamRegion"),
		Endpoint:          p.Get("InputStreamEndpoint"),
		InitialPosition:   kinesisio.InitialPosition(p.Get("InputStreamInitialPosition")),
		InitialTimestamp:  p.Time("InputStreamInitialTimestamp"),
		StopTimestamp:     p.Time("InputStreamStopTimestamp"),
		RoleARN:           p.Get("InputRoleArn"),
		Consumer:          p.Get("InputStreamConsumer"),
		KeyOrder:          p.Bool("InputKeyOrder"),
		PollInterval:      p.Duration("InputPollIntervalMs"),
		IdlePollInterval:  max(p.Duration("InputIdlePollIntervalMs"), p.Duration("InputPollIntervalMs")),
		DiscoveryInterval: p.Duration("InputDiscoveryIntervalMs"),
		BufferBytes:       cmp.Or(p.Size("InputBufferMb"), kinesisio.DefaultBufferBytes),
	}
	if c.Kinesis.Consumer == "EFO" {
		c.Kinesis.Consumer = topicOf(c.JobName) // consumers are named as topics are
	}
}

// streamRegion returns a stream's region, "" where that is its ARN's.
func streamRegion(p *property.Set, stream, region string) string {
	if strings.HasPrefix(p.Get(stream), "arn:") && !p.Given(region) {
		return ""
	}
	return p.Get(region)
}

func (c *Config) checkKinesis(p *property.Set) {
	if c.Kinesis.KeyOrder && c.Kinesis.Consumer != "" {
		p.Add(property.Mistake{Property: "InputKeyOrder", Problem: "needs shards that several slots can read, and InputStreamConsumer has one subscription per shard", Allowed: "false, or no InputStreamConsumer"})
		return
	}
	if checkInitialTime(p, c.Kinesis.InitialPosition == kinesisio.AtTimestamp, "InputStreamInitialPosition", "AT_TIMESTAMP", "InputStreamInitialTimestamp") && p.Valid("InputKinesisStream") {
		addFault(p, "InputKinesisStream", c.Kinesis.Validate())
	}
}

// unused is a property that decides what one source delivers, and the one of
// the other source that does so there, if it has one.
type unused struct{ name, other string }

var (
	ofKinesis = []unused{
		{"InputStreamInitialPosition", "InputKafkaInitialPosition"}, {"InputStreamInitialTimestamp", "InputKafkaInitialTimestamp"},
		{"InputStreamStopTimestamp", "InputKafkaStopAtEnd"}, {"InputKeyOrder", ""}, {"InputStreamConsumer", ""},
	}
	ofKafka = []unused{
		{"InputKafkaInitialPosition", "InputStreamInitialPosition"}, {"InputKafkaInitialTimestamp", "InputStreamInitialTimestamp"},
		{"InputKafkaStopAtEnd", "InputStreamStopTimestamp"}, {"InputKafkaTombstones", ""}, {"InputKafkaOffsetReset", ""},
		{"InputKafkaGroupFallback", ""}, {"InputKafkaIsolation", ""},
	}
)

// refuseUnused refuses properties that decide what is delivered, and would be passed over in silence.
func refuseUnused(p *property.Set, properties []unused, source string, hasOther bool) {
	for _, u := range properties {
		if !p.Given(u.name) {
			continue
		}
		problem := "has no effect: " + source
		if hasOther && u.other != "" {
			problem += ", whose property is " + u.other
		}
		p.Add(property.Mistake{Property: u.name, Problem: problem})
	}
}

// goesWith says whether a property is given that another one needs.
func goesWith(p *property.Set, name, why, allowed string) bool {
	if !p.Given(name) {
		p.Add(property.Mistake{Property: name, Problem: "is missing: " + why, Allowed: allowed})
	}
	return p.Given(name)
}

// checkInitialTime says whether a time is given exactly where the initial position asks for one.
func checkInitialTime(p *property.Set, at bool, position, value, name string) bool {
	switch given := p.Given(name); {
	case at && !given:
		p.Add(property.Mistake{Property: name, Problem: "is missing: " + position + " is " + value, Allowed: "an ISO-8601 time such as 2018-01-01T00:00:00Z"})
		return false
	case !at && given:
		p.Add(property.Mistake{Property: name, Problem: "needs " + position + "=" + value})
		return false
	}
	return true
}

func (c *Config) writeTo(p *property.Set, schema *event.Schema) {
	c.writeFiles(p)
	c.writeKafka(p)
	c.writeElasticsearch(p)
	c.writeKinesis(p)
	if c.Embedded {
		c.Files = true
	}
	named := c.sinkNames()
	switch {
	case len(named) == 0:
		p.Add(property.Mistake{Property: "OutputBucket", Problem: "no sink is named",
			Allowed: "a bucket here, OutputKafkaBootstrapServers and OutputKafkaTopic, OutputElasticsearchEndpoint, OutputKinesisStream, or OutputDiscarding=true"})
	case c.Discard && len(named) > 1:
		p.Add(property.Mistake{Property: "OutputDiscarding", Problem: "drops all events, but " + sinkProperty(named[0]) + " is named too", Allowed: "one of them"})
	}
	if c.Discard {
		return
	}
	if !c.Files {
		c.Route.Path = ""
	}
	c.placeLetters(p)
	c.keepLettersApart(p)
	c.keepApart(p)
	c.keepStreamsApart(p)
	if p.Get("InputKafkaTombstones") == "PASS" {
		if c.Route.Tombstones = c.ToKafka; !c.ToKafka {
			p.Add(property.Mistake{Property: "InputKafkaTombstones", Problem: "is PASS, but the job has no Kafka sink to pass them to", Allowed: "DEAD_LETTER"})
		}
	}
	if schema != nil {
		c.compile(p, schema)
	}
}

// writeFiles reads the properties of the S3 sink.
func (c *Config) writeFiles(p *property.Set) {
	bucket, prefix := p.Bucket("OutputBucket")
	c.Files = p.Given("OutputBucket")
	c.Prefix = prefix + p.Get("OutputPrefix")
	c.S3 = s3io.Options{
		Bucket:   bucket,
		Prefix:   c.Prefix,
		Region:   p.Get("OutputBucketRegion"),
		Endpoint: p.Get("OutputBucketEndpoint"),
		PartSize: p.Size("OutputPartSizeMb"),
	}
	if c.Files && !c.Embedded && !c.Discard && p.Valid("OutputBucket") {
		addFault(p, "OutputBucket", c.S3.Validate())
	}
}

// placeLetters finds the place of dead letters: a bucket, else Kafka, else
// Elasticsearch.
func (c *Config) placeLetters(p *property.Set) {
	given := p.Given("DeadLetterBucket")
	if given {
		c.DeadLetterBucket, c.DeadLetterPrefix = p.Bucket("DeadLetterBucket")
		if p.Valid("DeadLetterBucket") {
			o, _ := c.letterBucket()
			addFault(p, "DeadLetterBucket", o.Validate())
		}
	}
	switch {
	case c.Files || given:
		c.Letters = lettersToFiles
	case c.ToKafka && !c.AtLeastOnce:
		c.Letters = lettersToLanes
		if c.DeadLetterTopic == c.KafkaSink.MarkerTopic {
			p.Add(property.Mistake{Property: "OutputKafkaDeadLetterTopic", Problem: "is also the marker topic", Allowed: "another topic's name"})
		}
	case c.ToKafka:
		c.Letters = kafkaName
	case c.Elasticsearch != nil:
		c.Letters = elasticsearchName
		c.Elasticsearch.DeadLetterIndex = p.Get("ElasticsearchDeadLetterIndex")
	case c.KinesisSink != nil:
		p.Add(property.Mistake{Property: "DeadLetterBucket", Problem: "is missing: events that cannot be written need a place", Allowed: "a bucket's name or s3://bucket/prefix/"})
	}
	if c.lettersToTopic() {
		c.KafkaSink.Fixed = map[string]transact.Rules{c.DeadLetterTopic: {}}
	}
}

// lettersToTopic says that dead letters go to DeadLetterTopic.
func (c *Config) lettersToTopic() bool { return c.Letters == lettersToLanes || c.Letters == kafkaName }

// letterBucket returns where dead letters of files go, and the prefix there.
func (c *Config) letterBucket() (s3io.Options, string) {
	if c.DeadLetterBucket == "" {
		return c.S3, c.Prefix
	}
	o := c.S3
	o.Bucket, o.Prefix = c.DeadLetterBucket, c.DeadLetterPrefix
	return o, c.DeadLetterPrefix
}

// bucketProperty names the property that names the bucket of events.
const bucketProperty = "OutputBucket"

// letterProperty names the property that names the bucket of dead letters.
func (c Config) letterProperty() string {
	if c.DeadLetterBucket == "" {
		return bucketProperty
	}
	return "DeadLetterBucket"
}

// sinkNames lists the job's sinks.
func (c *Config) sinkNames() []string {
	var out []string
	if c.Files {
		out = append(out, filesName)
	}
	if c.ToKafka {
		out = append(out, kafkaName)
	}
	if c.Elasticsearch != nil {
		out = append(out, elasticsearchName)
	}
	if c.KinesisSink != nil {
		out = append(out, kinesisName)
	}
	if c.Discard {
		out = append(out, discardName)
	}
	return out
}

// lanes says that events are written to Kafka in transactions.
func (c *Config) lanes() bool { return c.ToKafka && !c.AtLeastOnce }

// events reads the schema file, so that a mistake is told at start.
func (c *Config) events(p *property.Set) *event.Schema {
	c.Route.Path, c.Route.Writers, c.Route.BlockBytes = p.Get("OutputPathTemplate"), p.Int("OutputWritersPerPartition"), p.Int("OutputBlockKb")<<10
	var ok bool
	if c.Route.Schema, ok = textOf(p, "EventSchema"); !ok {
		return nil
	}
	schema, err := c.Route.LoadSchema()
	if err != nil {
		addFault(p, "EventSchema", err)
		return nil
	}
	return schema
}

// textOf returns the JSON that a property is, or that is in the file that it
// names, and false where there is none in it; "" where it is not given.
func textOf(p *property.Set, name string) (text string, ok bool) {
	value := p.Get(name)
	if value == "" || strings.HasPrefix(value, "{") {
		return value, true
	}
	file, err := os.ReadFile(value)
	if err == nil && len(bytes.TrimSpace(file)) == 0 { // which would stand for none
		err = fmt.Errorf("%s is empty", value)
	}
	addFault(p, name, err)
	return string(file), err == nil
}

// compile compiles what depends on the schema.
func (c *Config) compile(p *property.Set, schema *event.Schema) {
	variables := c.Route.Source.Variables()
	fault := func(name string, err error) {
		if err != nil {
			p.Add(templateMistake(p, name, err, schema, variables))
		}
	}
	check := func(name, text string) {
		_, err := template.Compile(text, schema, variables...)
		fault(name, err)
	}
	if c.Files {
		_, err := template.CompilePath(c.Route.Path, schema, variables...)
		fault("OutputPathTemplate", err)
		if format, err := c.format(schema); err != nil {
			addFault(p, "ParquetConversion", err)
		} else {
			c.boundPath(p, format)
		}
	}
	if c.ToKafka {
		check("OutputKafkaTopic", c.Lanes.Topic)
		check("OutputKafkaKey", c.Lanes.Key)
	}
	if e := c.Elasticsearch; e != nil {
		check("ElasticsearchIndex", e.Index)
		check("ElasticsearchDocumentId", e.ID)
		check("ElasticsearchRouting", e.Routing)
		if e.Version != route.Position {
			check("ElasticsearchVersion", e.Version)
		} else if c.Route.Source != route.Kafka {
			p.Add(property.Mistake{Property: "ElasticsearchVersion", Problem: "is position, which only Kafka's offsets can be: sequence numbers of Kinesis have 186 bits, versions 63", Allowed: "a template of a field that grows"})
		}
		if _, ok := schema.Index(e.DeleteField); !ok && e.DeleteField != "" {
			p.Add(property.Mistake{Property: "ElasticsearchDeleteField", Problem: fmt.Sprintf("is %q, which is not a field of the schema", e.DeleteField)})
		}
	}
	if k := c.KinesisSink; k != nil {
		if _, ok := schema.Index(k.PositionField); ok {
			p.Add(property.Mistake{Property: "OutputKinesisPositionField", Problem: "is a field of the schema", Allowed: "another name"})
		}
		check("OutputKinesisPartitionKey", k.PartitionKey)
		check("OutputKinesisExplicitHashKey", k.ExplicitHashKey)
	}
}

// Bytes of keys, and of names of folders where the bucket's server keeps them as such, as MinIO and versitygw do.
const (
	maxKey    = 1024
	maxFolder = 255
	// leastPath is what is to be left for a path.
	leastPath = 100
)

// boundPath leaves room in a key for what is around the path.
func (c *Config) boundPath(p *property.Set, format file.Format) {
	c.Route.MaxPath = maxKey - len(c.Prefix) - len(fileName("", format))
	if c.S3.Endpoint != "" || c.Embedded {
		c.Route.MaxFolder = maxFolder
	}
	if c.Route.MaxPath < leastPath {
		p.Add(property.Mistake{Property: "OutputPrefix", Problem: fmt.Sprintf("with the prefix in OutputBucket has %d bytes, which leaves too few of a key's %d for the path and the file's name", len(c.Prefix), maxKey),
			Allowed: fmt.Sprintf("%d bytes of both", maxKey-leastPath-len(fileName("", format)))})
	}
}

// templateMistake tells all that is wrong with a template. Who has a schema of
// their own meets it first in templates that they have not set.
func templateMistake(p *property.Set, name string, err error, schema *event.Schema, variables []string) property.Mistake {
	m := property.Mistake{Property: name, Problem: err.Error()}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		m.Problem = strings.ReplaceAll(errors.Join(joined.Unwrap()...).Error(), "\n", "; ")
	}
	if !p.Given(name) {
		m.Value, m.Source = p.Get(name), p.Source(name)
	}
	if !errors.Is(err, template.ErrNoField) {
		return m
	}
	var names []string
	for i := range schema.Fields {
		names = append(names, schema.Fields[i].Name)
	}
	if len(names) > listedFields {
		names = append(names[:listedFields], "…")
	}
	m.Allowed = "the fields " + strings.Join(names, ", ") + " and the variables " + strings.Join(variables, ", ")
	return m
}

// listedFields is how many fields of a schema a message lists.
const listedFields = 20

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

// format returns the format of the files of events of a schema.
func (c Config) format(schema *event.Schema) (file.Format, error) {
	if !c.Parquet {
		return file.JSONLines(schema), nil
	}
	return file.Parquet(schema, c.parquet(debug.ReadBuildInfo()))
}

// parquet returns the options of Parquet files that a program so built writes.
func (c Config) parquet(info *debug.BuildInfo, ok bool) file.ParquetOptions {
	return file.ParquetOptions{Compression: c.Compression, Version: strings.TrimPrefix(Version(info, ok), "v")}
}

// source returns the job's source.
func (c Config) source() slots.Source {
	switch {
	case c.Generate > 0:
		return generated{Records: c.Generate}
	case c.Route.Source == route.Kafka:
		return c.Kafka
	}
	return c.Kinesis
}

// sourceProperty names the property that names the source.
func (c Config) sourceProperty() string {
	switch {
	case c.Generate > 0:
		return "InputGeneratedRecords"
	case c.Route.Source == route.Kafka:
		return "InputKafkaTopic"
	}
	return "InputKinesisStream"
}

// SourceName names what is read, for people.
func (c Config) SourceName() string {
	if c.Generate > 0 {
		return Number(c.Generate) + " generated records"
	}
	if c.Route.Source == route.Kafka {
		return "Kafka topic " + c.Kafka.Topic
	}
	return "Kinesis stream " + c.Kinesis.StreamName()
}

// SinkName names what is written to, for people.
func (c Config) SinkName() string {
	var out []string
	for _, name := range c.sinkNames() {
		out = append(out, c.sinkText(name))
	}
	return strings.Join(out, ", ")
}

// sinkText names one sink for people.
func (c Config) sinkText(name string) string {
	switch name {
	case filesName:
		return "s3://" + c.S3.Bucket + "/" + c.Prefix
	case kafkaName:
		return "Kafka topic " + c.Lanes.Topic
	case elasticsearchName:
		return "Elasticsearch index " + c.Elasticsearch.Index
	case kinesisName:
		return "Kinesis stream " + c.KinesisSink.Producer.Stream
	}
	return "nowhere (discarded)"
}

// sinkProperty names the property that names a sink.
func sinkProperty(name string) string {
	switch name {
	case kafkaName:
		return "OutputKafkaTopic"
	case elasticsearchName:
		return "OutputElasticsearchEndpoint"
	case kinesisName:
		return "OutputKinesisStream"
	}
	return bucketProperty
}
