package property

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	rate := Property{Name: "Rate", Kind: Float, Max: 10}
	tests := []struct {
		property   string
		text       string
		problem    string // "" for a good value
		suggestion string
	}{
		{"InputKinesisStream", "trips", "", ""},
		{"InputKinesisStream", "a.b_c-D9", "", ""},
		{"InputKinesisStream", strings.Repeat("a", 129), "is not a stream's name", ""},
		{"InputKinesisStream", "trips/2018", "is not a stream's name", ""},
		{"InputKinesisStream", "arn:aws:kinesis:eu-central-1:123456789012:stream/trips", "", ""},
		{"InputKinesisStream", "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/trips", "", ""},
		{"InputKinesisStream", "arn:aws:kinesis:eu-central-1:123456789012:stream/", "is not a stream's name", ""},
		{"InputKinesisStream", "arn:aws:s3:::trips", "is not the ARN of a Kinesis stream", ""},
		{"InputKinesisStream", "arn:aws:kinesis:eu-central-1:1234:stream/trips", "is not the ARN of a Kinesis stream", ""},
		{"InputKinesisStream", "arn:aws:kinesis:eu-central-1:123456789012:trips", "is not the ARN of a Kinesis stream", ""},
		{"InputKinesisStream", "arn:aws:kinesis::123456789012:stream/trips", "is not the ARN of a Kinesis stream", ""},
		{"InputKinesisStream", "", "is empty", ""},
		{"InputKinesisStream", "tr\x00ips", "has control characters", ""},
		{"InputKinesisStream", "tr\xffips", "is not UTF-8", ""},
		{"Region", "us-gov-west-1", "", ""},
		{"Region", "Frankfurt", "is not a region's name", ""},
		{"InputStreamEndpoint", "http://localhost:4566", "", ""},
		{"InputStreamEndpoint", "https://vpce-1.kinesis.eu-central-1.vpce.amazonaws.com/", "", ""},
		{"InputStreamEndpoint", "http://[::1]:80", "", ""},
		{"InputStreamEndpoint", "localhost:4566", "is not an http or https URL", "http://localhost:4566"},
		{"InputStreamEndpoint", "127.0.0.1:4566", "is not an http or https URL", "http://127.0.0.1:4566"},
		{"InputStreamEndpoint", "ftp://localhost", "is not an http or https URL", ""},
		{"InputStreamEndpoint", "http://", "names no host", ""},
		{"InputStreamEndpoint", "http://:80", "names no host", ""},
		{"InputStreamEndpoint", "http://host:0", "has a port that does not exist", ""},
		{"InputStreamEndpoint", "http://host:65536", "has a port that does not exist", ""},
		{"InputStreamEndpoint", "http://host/?a=b", "has a query or a fragment", ""},
		{"InputStreamEndpoint", "http://host/#a", "has a query or a fragment", ""},
		{"InputStreamEndpoint", "http://me:pw@host", "has credentials in it", ""},
		{"InputStreamInitialPosition", "AT_TIMESTAMP", "", ""},
		{"InputStreamInitialPosition", "latest", "is not one of the values", "LATEST"},
		{"InputStreamInitialPosition", "TRIMHORIZON", "is not one of the values", "TRIM_HORIZON"},
		{"InputStreamInitialPosition", "middle", "is not one of the values", ""},
		{"InputStreamInitialTimestamp", "2018-01-15T08:00:00Z", "", ""},
		{"InputStreamInitialTimestamp", "2018-01-15T08:00:00.123+05:30", "", ""},
		{"InputStreamInitialTimestamp", "2018-01-15T08:00:00", "is not an ISO-8601 time", "2018-01-15T08:00:00Z"},
		{"InputStreamInitialTimestamp", "2018-01-15", "is not an ISO-8601 time", "2018-01-15T00:00:00Z"},
		{"InputStreamInitialTimestamp", "2018-01-15T8:00:00Z", "is not an ISO-8601 time", ""},
		{"InputStreamInitialTimestamp", "2018-01-15T08:00:00,5Z", "is not an ISO-8601 time", ""},
		{"InputStreamInitialTimestamp", "2018-02-30T08:00:00Z", "is not an ISO-8601 time", ""},
		{"InputStreamInitialTimestamp", "1516003200000", "is not an ISO-8601 time", ""},
		{"InputStreamInitialTimestamp", "1969-12-31T23:59:59Z", "is before 1970", ""},
		{"InputReaders", "0", "", ""},
		{"InputReaders", "1024", "", ""},
		{"InputReaders", "1025", "is too large", ""},
		{"InputReaders", "-1", "is too small", ""},
		{"InputReaders", "99999999999999999999", "is too large", ""},
		{"InputReaders", "1.5", "is not a whole number", ""},
		{"InputReaders", "0x10", "is not a whole number", ""},
		{"InputReaders", " 1", "is not a whole number", ""},
		{"InputPollIntervalMs", "10", "", ""},
		{"InputPollIntervalMs", "9", "is too small", ""},
		{"InputPollIntervalMs", "2s", "is not a whole number", "2000"},
		{"InputPollIntervalMs", "1ns", "is not a whole number", ""},
		{"CheckpointInterval", "0", "", ""},
		{"CheckpointInterval", "10", "", ""},
		{"CheckpointInterval", "5", "is less than Flink's minimum of 10 ms", ""},
		{"CheckpointTimeout", "3", "is less than Flink's minimum of 10 ms", ""},
		{"InputKafkaBootstrapServers", "a:65536", "not host:port", ""},
		{"KafkaRoleArn", "arn:aws:iam::12:role/reader", "is not the ARN of a role", ""},
		{"OutputPartSizeMb", "5", "", ""},
		{"OutputPartSizeMb", "512", "", ""},
		{"OutputPartSizeMb", "4", "is too small", ""},
		{"OutputPartSizeMb", "513", "is too large", ""},
		{"OutputPartSizeMb", "16 MiB", "is not a whole number", "16"},
		{"OutputPartSizeMb", "big", "is not a whole number", ""},
		{"OutputWritersPerPartition", "0", "is too small", ""},
		{"OutputWritersPerPartition", "64", "", ""},
		{"OutputWritersPerPartition", "65", "is too large", ""},
		{"OutputBucket", "trips", "", ""},
		{"OutputBucket", "s3://trips", "", ""},
		{"OutputBucket", "s3://trips/a/b/", "", ""},
		{"OutputBucket", "s3://trips//b/", "begins with /", ""},
		{"OutputBucket", "s3://", "3 to 63 characters", ""},
		{"OutputBucket", "https://trips.s3.amazonaws.com", "is neither a bucket's name nor an s3:// URI", ""},
		{"OutputBucket", "trips/a", "is neither a bucket's name nor an s3:// URI", ""},
		{"OutputBucket", "Trips", "characters other than", ""},
		{"OutputBucket", "my_trips", "characters other than", ""},
		{"OutputBucket", "ab", "3 to 63 characters", ""},
		{"OutputBucket", strings.Repeat("a", 64), "3 to 63 characters", ""},
		{"OutputBucket", "-trips", "does not begin and end", ""},
		{"OutputBucket", "trips.", "does not begin and end", ""},
		{"OutputBucket", "a..b", "two dots", ""},
		{"OutputBucket", "192.168.0.1", "like an IP address", ""},
		{"OutputPrefix", "", "", ""},
		{"OutputPrefix", "etl/v1-", "", ""},
		{"OutputPrefix", "/etl/", "begins with /", ""},
		{"OutputPrefix", "etl//v1", "empty folder", ""},
		{"OutputPrefix", "etl/../x", "folder named ..", ""},
		{"OutputPrefix", strings.Repeat("a", 513), "longer than 512", ""},
		{"OutputPathTemplate", "day={pickup_datetime:2006-01-02}", "", ""},
		{"EventSchema", "schema.avsc", "", ""},
		{"EventSchema", "", "", ""},
		{"ParquetConversion", "False", "", ""},
		{"ParquetConversion", "1", "is neither true nor false", ""},
		{"ParquetConversion", "yes", "is neither true nor false", ""},
		{"ParquetCompression", "zstd", "", ""},
		{"ParquetCompression", "ZSTD", "is not one of the values", "zstd"},
		{"JobName", "trips of 2018", "", ""},
		{"JobName", "Fährten", "not printable ASCII", ""},
		{"JobName", strings.Repeat("a", 129), "longer than 128", ""},
		{"OutputKinesisStream", "trips", "", ""},
		{"OutputKinesisStream", "trips and more", "is not a stream's name", ""},
		{"InputKafkaBootstrapServers", "a:9092,b:9092", "", ""},
		{"InputKafkaBootstrapServers", "a:9092,b", `has "b" in it, which is not host:port`, ""},
		{"InputKafkaTopic", "trips,rides", "", ""},
		{"InputKafkaTopic", "regex:trips-.*", "", ""},
		{"InputKafkaTopic", "regex:(", "cannot be read", ""},
		{"InputKafkaTopic", "trips,,rides", "not a topic's name", ""},
		{"OutputKafkaDeadLetterTopic", "..", "not a topic's name", ""},
		{"KafkaPasswordFrom", "env:PASSWORD", "", ""},
		{"KafkaPasswordFrom", "file:/run/secrets/kafka", "", ""},
		{"KafkaPasswordFrom", "hunter2", "names neither a variable nor a file", ""},
		{"KafkaRoleArn", "arn:aws:iam::123456789012:role/reader", "", ""},
		{"KafkaRoleArn", "reader", "is not the ARN of a role", ""},
		{"WorkerProfileDir", "profiles", "is not an absolute path", ""},
		{"OutputElasticsearchEndpoint", "https://a:9200,http://b", "", ""},
		{"OutputElasticsearchEndpoint", "https://a:9200,b", "is not an http or https URL", ""},
		{"ElasticsearchDeadLetterIndex", "Dead", "is not an index's name", ""},
		{"Rate", "2.5", "", ""},
		{"Rate", "-0.1", "is too small", ""},
		{"Rate", "10.5", "is too large", ""},
		{"Rate", "1e999", "is too large", ""},
		{"Rate", "NaN", "is not a number", ""},
		{"Rate", "fast", "is not a number", ""},
	}
	table := newTable(nil, append(properties(), rate))
	for _, tt := range tests {
		t.Run(tt.property+"="+tt.text, func(t *testing.T) {
			p, ok := table.property(tt.property)
			if !ok {
				t.Fatal("not in the table")
			}
			got := p.check(tt.text)
			if (got.problem == "") != (tt.problem == "") || !strings.Contains(got.problem, tt.problem) || got.suggestion != tt.suggestion {
				t.Errorf("problem %q, suggestion %q; want %q, %q", got.problem, got.suggestion, tt.problem, tt.suggestion)
			}
			if got.suggestion != "" && p.check(got.suggestion).problem != "" {
				t.Errorf("the suggestion %q is itself refused", got.suggestion)
			}
		})
	}
}
