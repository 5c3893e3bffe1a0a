package pipeline

import (
	"errors"
	"slices"
	"testing"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

func TestEventsDoNotNameIndicesOfTheJobOrTheCluster(t *testing.T) {
	for _, test := range []struct {
		template, index string
		refused         bool
	}{
		{"{type}", "dead-letters", true},
		{"{type}", "dead-letters-resent", true},
		{"{type}", ".security-7", true},
		{"{type}", "trips", false},
		{"trips-{type}", "trips-.x", false},
		{".hidden-{type}", ".hidden-x", false}, // the user's choice
		{"dead-letters", "dead-letters", false},
	} {
		d, err := newDocuments(ElasticsearchSink{Index: test.template, DeadLetterIndex: "dead-letters"}, event.TaxiTrip(), route.Kinesis)
		if err != nil {
			t.Fatal(err)
		}
		err = d.reserved([]byte(test.index))
		var refusal *route.Refusal
		if errors.As(err, &refusal) != test.refused || test.refused && refusal.Reason != elasticsearchio.ReasonInvalidIndex {
			t.Errorf("%s as %s: %v", test.template, test.index, err)
		}
	}
}

func TestTheJobsOwnTopicsAreReserved(t *testing.T) {
	c := configure(t, "--InputKinesisStream=trips", "--Region=us-east-1", "--OutputKafkaBootstrapServers=b:9092", "--OutputKafkaTopic={type}",
		"--OutputKafkaTransactionalIdPrefix=etl", "--OutputKafkaDeadLetterTopic=letters")
	want := map[string]bool{"letters": true, "letters-resent": true, "etl-markers": true}
	for _, name := range c.Lanes.Reserved {
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("%v are not reserved: %q", want, c.Lanes.Reserved)
	}
}

func TestTheFoldersOfDeadLettersAreReserved(t *testing.T) {
	for _, test := range []struct {
		events, letters string
		want            []string
	}{
		{"s3://lake", "s3://lake/a/", []string{"a/dead-letters", "a/dead-letters-resent"}},
		{"s3://lake/in/", "s3://lake/in/a/", []string{"a/dead-letters", "a/dead-letters-resent"}},
		{"s3://lake/in/", "s3://lake/", nil},
		{"s3://lake/", "s3://lake/", nil}, // the router knows these
		{"s3://lake", "s3://other/a/", nil},
	} {
		c := configure(t, "--InputKinesisStream=trips", "--Region=us-east-1", "--OutputBucket="+test.events, "--DeadLetterBucket="+test.letters, "--OutputPathTemplate=a/{type}")
		if got := c.Route.Reserved; !slices.Equal(got, test.want) {
			t.Errorf("with events in %s, dead letters in %s: %q", test.events, test.letters, got)
		}
	}
}
