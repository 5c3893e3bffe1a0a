package pipeline

import (
	"bytes"
	"testing"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
)

// goodTrip is a trip that decodes.
func goodTrip(change ...string) []byte {
	text := `{"vendor_id":1,"pickup_datetime":"2018-03-01T00:00:00.000Z","dropoff_datetime":"2018-03-01T00:10:00.000Z","passenger_count":1,` +
		`"trip_distance":1.5,"ratecode_id":1,"store_and_fwd_flag":"N","pickup_location_id":7,"dropoff_location_id":8,"payment_type":1,` +
		`"fare_amount":5,"extra":0,"mta_tax":0.5,"tip_amount":1,"tolls_amount":0,"improvement_surcharge":0.3,"total_amount":6.8,` +
		`"trip_id":99,"type":"trip"}`
	out := []byte(text)
	for i := 0; i < len(change); i += 2 {
		out = bytes.Replace(out, []byte(change[i]), []byte(change[i+1]), 1)
	}
	return out
}

func TestWhatTheJobWouldRefuseIsToldByItsSchemaAndTemplates(t *testing.T) {
	kinesis := []string{"--InputKinesisStream=trips", "--Region=us-east-1", "--OutputBucket=lake"}
	kafka := []string{"--InputKafkaBootstrapServers=b:9092", "--InputKafkaTopic=trips", "--Region=us-east-1", "--OutputBucket=lake"}
	for _, test := range []struct {
		name       string
		properties []string
		payload    []byte
		meta       batch.Meta
		want       string
	}{
		{"a trip", kinesis, goodTrip(), batch.Meta{}, ""},
		{"no JSON", kinesis, []byte(`{"trip_id":`), batch.Meta{}, "malformed_json"},
		{"an empty event", kinesis, nil, batch.Meta{}, "empty"},
		{"a field of the wrong type", kinesis, goodTrip(`"vendor_id":1`, `"vendor_id":"one"`), batch.Meta{}, "wrong_type"},
		{"a folder of the job's own", append(kinesis, "--OutputPathTemplate={type}"), goodTrip(`"trip"`, `"dead-letters"`), batch.Meta{}, "reserved_path"},
		{"no name of a topic", append(kinesis, "--OutputKafkaBootstrapServers=b:9092", "--OutputKafkaTopic={type}"), goodTrip(`"trip"`, `"a trip"`),
			batch.Meta{}, "invalid_topic"},
		{"a topic by the key that it is sent with", append(kafka, "--OutputKafkaBootstrapServers=b:9092", "--OutputKafkaTopic={kafka.key}"), goodTrip(),
			batch.Meta{Key: []byte("k"), Timestamp: -1}, ""},
		{"a topic by a key that is not there", append(kafka, "--OutputKafkaBootstrapServers=b:9092", "--OutputKafkaTopic={kafka.key}"), goodTrip(),
			batch.Meta{Timestamp: -1}, "invalid_topic"},
		{"an index of the cluster", append(kinesis, "--OutputElasticsearchEndpoint=http://localhost:9200"), goodTrip(`"trip"`, `".security"`),
			batch.Meta{}, "invalid_index"},
		{"an empty id of a document", append(kinesis, "--OutputElasticsearchEndpoint=http://localhost:9200", "--ElasticsearchDocumentId={type}",
			"--ElasticsearchIndex=trips"), goodTrip(`"trip"`, `""`), batch.Meta{}, "missing_id"},
		{"an empty partition key", append(kinesis, "--OutputKinesisStream=out", "--OutputKinesisPartitionKey={type}"), goodTrip(`"trip"`, `""`),
			batch.Meta{}, "partition_key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			refuses, err := configure(t, test.properties...).Refuses()
			if err != nil {
				t.Fatal(err)
			}
			l := deadletter.Letter{Reason: "out_of_range", Source: "trips", Shard: "0", Seq: "17", Arrival: 1, Payload: test.payload}
			for range 2 { // one letter tells nothing of the next
				if got := refuses(&l, &test.meta); got != test.want {
					t.Errorf("reason %q, want %q", got, test.want)
				}
				if good := (deadletter.Letter{Source: "trips", Shard: "0", Seq: "18", Payload: goodTrip()}); refuses(&good, &batch.Meta{Key: []byte("k")}) != "" {
					t.Error("a good trip behind it is refused")
				}
			}
		})
	}
}
