package pipeline

import (
	"slices"
	"strings"

	"github.com/streaming-etl/streaming-etl/pipeline/property"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
)

// keepLettersApart refuses a place of events that is that of dead letters, or of
// the record of which were sent again: what reads one would meet the other. It
// sees what the properties name; what an event may name is the router's to look at.
func (c *Config) keepLettersApart(p *property.Set) {
	refuse := func(name, place, allowed string) {
		p.Add(property.Mistake{Property: name, Problem: "puts events where dead letters, or the record of those that were resent, are written: " + place, Allowed: allowed})
	}
	switch {
	case c.lettersToTopic() && slices.Contains(ownNames(c.DeadLetterTopic), c.KafkaSink.Topic):
		refuse("OutputKafkaTopic", c.KafkaSink.Topic, "another topic, or another OutputKafkaDeadLetterTopic")
	case c.Letters == elasticsearchName && slices.Contains(ownNames(c.Elasticsearch.DeadLetterIndex), c.Elasticsearch.Index):
		refuse("ElasticsearchIndex", c.Elasticsearch.Index, "another index, or another ElasticsearchDeadLetterIndex")
	case c.Letters == lettersToFiles && c.Files:
		bucket, prefix := c.letterBucket()
		if bucket.Bucket != c.S3.Bucket {
			return
		}
		head, _, _ := strings.Cut(c.Route.Path+"/", "{")
		below, inside := strings.CutPrefix(prefix, c.Prefix)
		for _, folder := range []string{deadletter.Folder, deadletter.ResentFolder} {
			place := prefix + folder + "/"
			switch {
			case strings.HasPrefix(c.Prefix+head, place) && c.DeadLetterBucket != "":
				refuse("DeadLetterBucket", place, "a bucket or a prefix of its own")
			case strings.HasPrefix(c.Prefix+head, place):
				refuse("OutputPathTemplate", place, "a folder of another name")
			case inside && below != "":
				c.Route.Reserved = append(c.Route.Reserved, below+folder)
			}
		}
	}
}
