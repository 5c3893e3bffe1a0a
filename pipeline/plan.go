package pipeline

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/streaming-etl/streaming-etl/io/kafkaio"
	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
	"github.com/streaming-etl/streaming-etl/transforms/route"
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

	parallelism := "the cluster's parallelism"
	if c.Parallelism > 0 {
		parallelism = fmt.Sprintf("parallelism %d", c.Parallelism)
	}
	line("job", "%s, %s", c.JobName, parallelism)
	line("source", "%s%s, in %s", c.SourceName(), c.sourceWhere(), c.readersText())
	if c.Generate == 0 {
		line("  from", "%s", c.startsAt())
	}
	if c.Route.Source == route.Kinesis && !c.Kinesis.StopTimestamp.IsZero() {
		line("  up to", "what arrived before %s", c.Kinesis.StopTimestamp.Format(time.RFC3339))
	}
	if c.Route.Source == route.Kafka {
		if c.Kafka.StopAtEnd {
			line("  up to", "the partitions' ends at the start")
		}
		if c.CommitOffsets {
			line("  group", "%s, positions committed after each checkpoint", c.Kafka.GroupID)
		}
	}
	line("events", "%s: %s", schema.Name, plural(len(schema.Fields), "field"))
	if c.Discard {
		line("sink", "none: events are counted and dropped")
	}
	if c.Files {
		c.planFiles(line)
	}
	if c.ToKafka {
		c.planKafka(line)
	}
	if c.Elasticsearch != nil {
		c.planElasticsearch(line)
	}
	if k := c.KinesisSink; k != nil {
		line("sink", "%s%s, partition key %s", c.sinkText(kinesisName), inRegion(k.Producer.Endpoint, k.Producer.Region, k.Producer.Stream), k.PartitionKey)
		line("  guarantee", "at least once, in order per partition key: a restart repeats what was written since the last checkpoint")
	}
	if !c.Discard {
		line("dead letters", "%s", c.lettersText())
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	return nil
}

func (c Config) planFiles(line func(label, format string, args ...any)) {
	kind := "JSON lines"
	if c.Parquet {
		kind = "Parquet, " + c.Compression
	}
	line("sink", "%s%s, %s", c.sinkText(filesName), inRegion(c.S3.Endpoint, c.S3.Region, c.S3.Bucket), kind)
	line("  folders", "%s", c.Route.Path)
	line("  files", "closed at %s of blocks or after %s, %s per folder", Bytes(c.TargetBytes), c.RollInterval, plural(c.Route.Writers, "writer"))
	line("  guarantee", "exactly once on Flink: each event is in one visible object; with --runner=direct at most one,")
	line("", "and what was read is delivered before the command ends, but positions are not kept across runs")
}

func (c Config) planElasticsearch(line func(label, format string, args ...any)) {
	e := c.Elasticsearch
	id := e.ID
	if id == "" {
		id = "the event's position"
	}
	line("sink", "Elasticsearch%s, index %s", where(strings.Join(e.Client.Endpoints, ", "), ""), e.Index)
	line("  documents", "id %s, operation %s", id, e.Operation)
	line("  guarantee", "one document per id, written again with the same content after a restart")
	switch {
	case e.Version != "":
		line("", "never an older event over a newer one")
		return
	case e.ID == "" || e.Operation == "create":
		return // a document has one event
	}
	line("", "a restart shows older values for as long as it repeats them; a bulk request that got no answer and is")
	line("", "carried out late leaves them in place until the id's next event")
	if e.Operation != "index" {
		return // and has no versions
	}
	version := "a template of a field that grows with each event of an id"
	if c.Route.Source == route.Kafka {
		version = "position, where all events of an id are in one partition, or " + version
	}
	line("  advice", "set ElasticsearchVersion, which keeps older values out: %s", version)
}

func (c Config) planKafka(line func(label, format string, args ...any)) {
	key := c.Lanes.Key
	if key == "" {
		key = "the source record's key"
	}
	line("sink", "%s%s, key %s, %s", c.sinkText(kafkaName), where(strings.Join(c.KafkaSink.Brokers, ", "), ""), key, c.KafkaSink.Compression)
	if c.AtLeastOnce {
		line("  guarantee", "at least once: a restart repeats what was written since the last checkpoint")
		return
	}
	line("  transactions", "%s: ids %s-0 …, markers in topic %s", c.lanesText(), c.KafkaSink.TransactionalIDPrefix, c.KafkaSink.MarkerTopic)
	line("  guarantee", "exactly once on Flink for readers with isolation.level=read_committed, in order per key")
}

func (c Config) readersText() string {
	return atLeast(c.leastReaders, plural(c.Readers, "reader slot"))
}

func (c Config) lanesText() string { return atLeast(c.leastLanes, plural(c.KafkaSink.Lanes, "lane")) }

func atLeast(may bool, text string) string {
	if may {
		return "at least " + text
	}
	return text
}

// lettersText says where dead letters go.
func (c Config) lettersText() string {
	switch c.Letters {
	case lettersToLanes, kafkaName:
		return "Kafka topic " + c.DeadLetterTopic
	case elasticsearchName:
		return "Elasticsearch index " + c.Elasticsearch.DeadLetterIndex
	}
	o, prefix := c.letterBucket()
	return "s3://" + o.Bucket + "/" + prefix + deadletter.Folder + "/job_start=…/reason=…/"
}

func (c Config) sourceWhere() string {
	switch c.Route.Source {
	case route.Kafka:
		return where(strings.Join(c.Kafka.Brokers, ", "), "")
	case route.Kinesis:
		return inRegion(c.Kinesis.Endpoint, c.Kinesis.Region, c.Kinesis.Stream)
	}
	return ""
}

func (c Config) startsAt() string {
	if c.Route.Source == route.Kafka {
		switch c.Kafka.InitialPosition {
		case kafkaio.Earliest:
			return "the oldest record that the partitions hold"
		case kafkaio.GroupOffsets:
			return "the positions of group " + c.Kafka.GroupID + ", where it has none " + string(c.Kafka.GroupFallback)
		case kafkaio.Timestamp:
			return "records of " + c.Kafka.InitialTimestamp.Format(time.RFC3339) + " and later"
		}
		return "what is written after the job's first start"
	}
	switch c.Kinesis.InitialPosition {
	case kinesisio.TrimHorizon:
		return "the oldest record that the stream holds"
	case kinesisio.AtTimestamp:
		return "what arrived at or after " + c.Kinesis.InitialTimestamp.Format(time.RFC3339)
	}
	return "what arrives after the job's first start"
}

// inRegion is where a stream or bucket of AWS is, if only as far as the start will find out.
func inRegion(endpoint, region, name string) string {
	if endpoint == "" && region == "" && !strings.HasPrefix(name, "arn:") {
		region = "region of AWS_REGION, the profile or the instance"
	}
	return where(endpoint, region)
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
