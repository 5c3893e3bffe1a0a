package pipeline

import (
	"context"
	"strings"

	"github.com/streaming-etl/streaming-etl/io/kafkaio"
	"github.com/streaming-etl/streaming-etl/pipeline/permissions"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

// Connect tries, at the real services, each permission that the job needs, and
// changes nothing that a reader could see.
func Connect(ctx context.Context, c Config) permissions.Report {
	return permissions.Try(ctx, c.probes()...)
}

func (c Config) probes() []permissions.Probe {
	var out []permissions.Probe
	switch {
	case c.Generate > 0:
	case c.Route.Source == route.Kafka:
		out = append(out, c.probeKafkaSource())
	default:
		out = append(out, permissions.KinesisSource("InputKinesisStream", c.Kinesis))
	}
	if c.Discard {
		return out
	}
	if c.Files {
		out = append(out, permissions.S3("OutputBucket", c.S3))
	}
	if c.Letters == lettersToFiles && c.DeadLetterBucket != "" {
		o, _ := c.letterBucket()
		out = append(out, permissions.S3("DeadLetterBucket", o))
	}
	if c.ToKafka {
		out = append(out, c.probeKafkaSink())
	}
	if e := c.Elasticsearch; e != nil {
		out = append(out, permissions.ElasticsearchSink("OutputElasticsearchEndpoint", e.permissions()))
	}
	if k := c.KinesisSink; k != nil {
		out = append(out, permissions.KinesisSink("OutputKinesisStream", k.Producer))
	}
	return out
}

func (c Config) probeKafkaSource() permissions.Probe {
	o := permissions.KafkaOptions{
		Brokers: c.Kafka.Brokers, Security: c.Kafka.Security,
		Topics: []permissions.KafkaTopic{{Name: c.Kafka.Topic, Exclude: c.Kafka.Exclude, Operations: []string{"DESCRIBE", "READ"}}},
	}
	if c.CommitOffsets || c.Kafka.InitialPosition == kafkaio.GroupOffsets {
		o.Group, o.GroupOperations = c.Kafka.GroupID, []string{"DESCRIBE"}
		if c.CommitOffsets {
			o.GroupOperations = append(o.GroupOperations, "READ")
		}
	}
	return permissions.Kafka("InputKafkaTopic", o)
}

func (c Config) probeKafkaSink() permissions.Probe {
	// What the topic does not take is a dead letter where its settings are known, and else stops the job.
	operations := []string{"DESCRIBE", "WRITE", "DESCRIBE_CONFIGS"}
	if !c.AtLeastOnce {
		operations = append(operations, "READ") // to see transactions that brokers have left hanging
	}
	written := func(name string) permissions.KafkaTopic {
		t := permissions.KafkaTopic{Name: name, Operations: operations}
		if c.KafkaSink.CreateTopic {
			t.Partitions = max(c.KafkaSink.Partitions, 1)
		}
		return t
	}
	o := permissions.KafkaOptions{Brokers: c.KafkaSink.Brokers, Security: c.KafkaSink.Security, Topics: []permissions.KafkaTopic{written(c.Lanes.Topic)}}
	if c.lettersToTopic() {
		o.Topics = append(o.Topics, written(c.DeadLetterTopic))
	}
	if !c.AtLeastOnce {
		o.TransactionalIDPrefix = c.KafkaSink.TransactionalIDPrefix
		o.Topics = append(o.Topics, permissions.KafkaTopic{
			Name: c.KafkaSink.MarkerTopic, Operations: []string{"DESCRIBE", "READ", "WRITE", "DESCRIBE_CONFIGS"},
			Partitions: c.KafkaSink.Lanes, Settings: map[string]string{"cleanup.policy": "compact"}, Replicated: true,
		})
	}
	return permissions.Kafka("OutputKafkaTopic", o)
}

// permissions are the privileges that the sink's operations need.
func (e *ElasticsearchSink) permissions() permissions.ElasticsearchOptions {
	// Privileges are of patterns: what follows a field is anything.
	pattern, _, templated := strings.Cut(e.Index, "{")
	if templated {
		pattern += "*"
	}
	needed := map[string][]string{"create": {"create_doc"}}[e.Operation]
	if needed == nil {
		needed = []string{"index"}
	}
	if e.DeleteField != "" {
		needed = append(needed, "delete")
	}
	o := permissions.ElasticsearchOptions{
		Client: e.Client, Templates: e.IndexTemplate != "",
		Indices: map[string][]string{pattern: append(needed, "auto_configure")},
	}
	if e.DeadLetterIndex != "" {
		// Without create_index the job goes on: see letterIndex.
		o.Indices[e.DeadLetterIndex] = []string{"index", "auto_configure", "create_index"}
	}
	return o
}
