package pipeline

import (
	"errors"

	"github.com/streaming-etl/streaming-etl/pipeline/deadletters"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

// DeadLetters says where the job's dead letters are and what its source is, for
// reading them and for sending them again.
func (c Config) DeadLetters() (deadletters.Options, error) {
	var o deadletters.Options
	switch c.Letters {
	case lettersToFiles:
		bucket, prefix := c.letterBucket()
		o.S3 = &deadletters.S3Place{Store: bucket, Prefix: prefix}
	case lettersToLanes, kafkaName:
		o.Kafka = &deadletters.KafkaPlace{Brokers: c.KafkaSink.Brokers, Security: c.KafkaSink.Security, Topic: c.DeadLetterTopic}
	case elasticsearchName:
		o.Elasticsearch = &deadletters.ElasticsearchPlace{Client: c.Elasticsearch.Client, Index: c.Elasticsearch.DeadLetterIndex}
	default:
		return o, errors.New("the job has no place for dead letters: it discards its events")
	}
	switch {
	case c.Generate > 0:
	case c.Route.Source == route.Kafka:
		o.KafkaSource = &c.Kafka
	default:
		o.Kinesis = &c.Kinesis
	}
	return o, nil
}
