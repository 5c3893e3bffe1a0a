package pipeline

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/pipeline/property"
)

func TestAJobDoesNotReadWhatItWrites(t *testing.T) {
	const exact, atLeastOnce = "--OutputKafkaDelivery=EXACTLY_ONCE", "--OutputKafkaDelivery=AT_LEAST_ONCE"
	for name, test := range map[string]struct {
		source, sink string
		more         []string
		// refused is the property whose mistake is told, "" for none.
		refused string
	}{
		"the same topic":                          {"trips", "trips", nil, "OutputKafkaTopic"},
		"one of several":                          {"rides, trips", "trips", nil, "OutputKafkaTopic"},
		"one of an expression":                    {"regex:trips.*", "trips-clean", nil, "OutputKafkaTopic"},
		"another topic":                           {"trips", "clean", nil, ""},
		"none of the expression":                  {"regex:trips-.*", "clean", nil, ""},
		"at least once":                           {"trips", "trips", []string{atLeastOnce}, "OutputKafkaTopic"},
		"another cluster":                         {"trips", "trips", []string{"--OutputKafkaBootstrapServers=other:9092"}, ""},
		"a server in common":                      {"trips", "trips", []string{"--OutputKafkaBootstrapServers=other:9092, B:9092"}, "OutputKafkaTopic"},
		"a template of nothing else":              {"regex:trips-.*", "trips-{type}", nil, "OutputKafkaTopic"},
		"a template of the source's":              {"trips", "{kafka.topic}", nil, "OutputKafkaTopic"},
		"a template that may be":                  {"regex:trips-.*", "{type}", nil, ""},
		"a template that is not":                  {"regex:trips-.*", "clean-{type}", nil, ""},
		"the markers":                             {"etl-markers", "clean", nil, "OutputKafkaMarkerTopic"},
		"what would be markers":                   {"etl-markers", "clean", []string{atLeastOnce}, ""},
		"the markers of an expression":            {"regex:etl-.*", "clean", nil, ""},
		"the dead letters":                        {"dead-letters", "clean", nil, "OutputKafkaDeadLetterTopic"},
		"dead letters at least once":              {"dead-letters", "clean", []string{atLeastOnce}, "OutputKafkaDeadLetterTopic"},
		"dead letters of jobs that put them into": {"dead-letters", "clean", []string{"--DeadLetterBucket=letters"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			flags := append([]string{"--InputKafkaBootstrapServers=a:9092,b:9092", "--InputKafkaTopic=" + test.source, "--OutputKafkaTopic=" + test.sink,
				"--OutputKafkaTransactionalIdPrefix=etl", "--Region=us-east-1", exact, "--OutputKafkaBootstrapServers=b:9092"}, test.more...)
			_, err := testConfig(flags)
			var invalid *property.Invalid
			switch {
			case test.refused == "" && err != nil:
				t.Error(err)
			case test.refused != "" && (!errors.As(err, &invalid) || len(invalid.Mistakes) != 1 || invalid.Mistakes[0].Property != test.refused || !strings.Contains(err.Error(), "InputKafkaTopic")):
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestAJobDoesNotWriteIntoTheStreamItReads(t *testing.T) {
	for name, test := range map[string]struct {
		flags   []string
		refused bool
	}{
		"the same stream":     {[]string{"--OutputKinesisStream=trips"}, true},
		"its ARN":             {[]string{"--OutputKinesisStream=arn:aws:kinesis:us-east-1:111122223333:stream/trips"}, true},
		"the ARN of a region": {[]string{"--OutputKinesisStream=arn:aws:kinesis:eu-west-1:111122223333:stream/trips"}, false},
		"another stream":      {[]string{"--OutputKinesisStream=clean"}, false},
		"another region":      {[]string{"--OutputKinesisStream=trips", "--OutputStreamRegion=eu-west-1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := testConfig(append(test.flags, "--InputKinesisStream=rides,trips", "--Region=us-east-1", "--DeadLetterBucket=letters"))
			var invalid *property.Invalid
			switch {
			case !test.refused && err != nil:
				t.Error(err)
			case test.refused && (!errors.As(err, &invalid) || len(invalid.Mistakes) != 1 || invalid.Mistakes[0].Property != "OutputKinesisStream"):
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestServersOfOtherNamesMayBeOfOneCluster(t *testing.T) {
	k, other := newKafka(t, "trips:1", "dead-letters:1"), newKafkaOf(t, "another", "trips:1", "dead-letters:1")
	servers := strings.Split(k.brokers, ",")
	for name, test := range map[string]struct {
		sink    string
		refused bool
	}{
		"one cluster":     {servers[1], true},
		"another cluster": {other.brokers, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := configure(t, "--InputKafkaBootstrapServers="+servers[0], "--InputKafkaTopic=regex:trip.*", "--OutputKafkaBootstrapServers="+test.sink,
				"--OutputKafkaTopic=trips", "--OutputKafkaDelivery=AT_LEAST_ONCE", "--Region=us-east-1")
			err := checked(t, c)
			if !test.refused && err != nil {
				t.Error(err)
			}
			if test.refused && (err == nil || !strings.Contains(err.Error(), "OutputKafkaTopic: InputKafkaTopic reads what trips names") || !strings.Contains(err.Error(), "OutputKafkaBootstrapServers")) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestAnExpressionLeavesTheJobsOwnTopicsOut(t *testing.T) {
	for _, servers := range []string{"b:9092", "b-as-others-call-it:9092"} {
		c := configure(t, "--InputKafkaBootstrapServers=b:9092", "--InputKafkaTopic=regex:[a-z-]*", "--Region=us-east-1", "--OutputKafkaBootstrapServers="+servers,
			"--OutputKafkaTopic={type}", "--OutputKafkaTransactionalIdPrefix=etl", "--OutputKafkaDeadLetterTopic=letters")
		for _, own := range []string{"letters", "letters-resent", "etl-markers"} {
			if c.Kafka.Reads(own) || !slices.Contains(c.Kafka.Exclude, own) {
				t.Errorf("with the sink at %s, %s is read", servers, own)
			}
		}
		if shared := servers == "b:9092"; (c.Lanes.Read == "[a-z-]*") != shared {
			t.Errorf("with the sink at %s, events may not name %q", servers, c.Lanes.Read)
		}
	}
}
