package pipeline

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/pipeline/property"
)

// drawn is the picture of a job, and all of its text, after it was read as XML.
func drawn(t *testing.T, args ...string) (picture, text string) {
	t.Helper()
	p, err := property.Load(property.Sources{Args: append(args, "--Region=eu-west-1")})
	if err != nil {
		t.Fatal(err)
	}
	c, err := FromProperties(p, false)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := c.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	d := xml.NewDecoder(strings.NewReader(b.String()))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return b.String(), all.String()
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		if s, ok := token.(xml.CharData); ok {
			all.Write(s)
			all.WriteByte('\n')
		}
	}
}

func TestThePictureHasEverySinkAndTheCheckpointThatItWaitsFor(t *testing.T) {
	picture, text := drawn(t, "--InputKafkaBootstrapServers=b:9092", "--InputKafkaTopic=trips", "--OutputBucket=lake", "--OutputKafkaBootstrapServers=b:9092",
		"--OutputKafkaTopic=clean", "--OutputElasticsearchEndpoint=http://es:9200", "--ElasticsearchIndex=trips", "--OutputKinesisStream=copies")
	for _, want := range []string{
		"Kafka topic trips", "8 reader slots", "decode and check TaxiTrip", "s3://lake/", "Kafka topic clean", "Elasticsearch index trips",
		"Kinesis stream copies", "dead letters", "CommitLanes", "checkpoint", "exactly once on Flink", "at least once", "consumer group streaming-etl",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the picture lacks %q:\n%s", want, text)
		}
	}
	if n := strings.Count(picture, `class="barrier"`); n != 1 {
		t.Errorf("%d lines for the checkpoint", n)
	}
}

func TestWhatWaitsForNoCheckpointIsDrawnWithoutOne(t *testing.T) {
	picture, text := drawn(t, "--InputKinesisStream=trips", "--OutputElasticsearchEndpoint=http://es:9200")
	if strings.Contains(picture, `class="barrier"`) || strings.Contains(text, "CommitOffsets") {
		t.Errorf("a checkpoint is drawn:\n%s", text)
	}
}

func TestTheWholeOfALongTextIsATitleAndSignsOfXMLAreText(t *testing.T) {
	const template = "a<b>&\"'={trip_id}/and/a/long/path/of/folders/that/does/not/fit"
	_, text := drawn(t, "--InputKinesisStream=trips", "--OutputBucket=lake", "--OutputPathTemplate="+template)
	if !strings.Contains(text, template) || !strings.Contains(text, "…") {
		t.Errorf("the template is not in:\n%s", text)
	}
}
