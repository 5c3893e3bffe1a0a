package property

import (
	"strings"
	"testing"
)

func TestTableIsConsistent(t *testing.T) {
	all := newTable(commandOptions(), properties())
	seen := make(map[string]bool)
	seenEnv := make(map[string]string)
	for _, p := range all.list {
		for _, name := range append([]string{p.Name}, p.Aliases...) {
			if seen[name] {
				t.Errorf("%s is in the table twice", name)
			}
			seen[name] = true
			if other, twice := seenEnv[envName(name)]; twice {
				t.Errorf("%s and %s have one name in the environment", name, other)
			}
			seenEnv[envName(name)] = name
		}
		if p.Kind == 0 || p.Group == "" {
			t.Errorf("%s has no kind or no group", p.Name)
		}
		if upper := p.Name[0] >= 'A' && p.Name[0] <= 'Z'; upper == p.option {
			t.Errorf("%s: properties begin with a capital letter, options do not", p.Name)
		}
		if !strings.HasSuffix(p.Doc, ".") || strings.ContainsAny(p.Doc+p.DefaultNote+p.allowed(), "<>\n") {
			t.Errorf("%s: the doc is no sentence, or would break the README's table: %s", p.Name, p.Doc)
		}
		if p.Default != "" {
			if v := p.check(p.Default); v.problem != "" || v.canonical != p.Default {
				t.Errorf("%s: default %q %s, canonical %q", p.Name, p.Default, v.problem, v.canonical)
			}
		}
		switch p.Kind {
		case Int, Float, Millis, Megabytes:
			if p.Max <= p.Min || p.Default == "" {
				t.Errorf("%s: a number needs Min, Max and Default", p.Name)
			}
		case Bool, Enum:
			if p.Default == "" || p.Kind == Enum && len(p.Values) < 2 {
				t.Errorf("%s: needs a default and values", p.Name)
			}
		}
		if p.Check != nil && p.Allowed == "" {
			t.Errorf("%s: has a check and does not say what it allows", p.Name)
		}
		if p.DefaultOf != "" {
			of, ok := all.property(p.DefaultOf)
			if !ok || of.Kind != p.Kind || of.DefaultOf != "" {
				t.Errorf("%s: takes its default from %s, which is unknown, of another kind, or a borrower itself", p.Name, p.DefaultOf)
			}
		}
	}
}

func TestDefaultsAreTheDocumentedOnes(t *testing.T) {
	want := map[string]string{
		"InputKinesisStream": "", "InputStreamRegion": "", "InputStreamEndpoint": "", "InputStreamInitialPosition": "LATEST",
		"InputGeneratedRecords": "0", "OutputBlockKb": "1024", "InputStreamInitialTimestamp": "", "InputStreamStopTimestamp": "", "InputReaders": "0", "InputPollIntervalMs": "250",
		"InputDiscoveryIntervalMs": "10000", "InputBufferMb": "0", "InputReadMaxMb": "32", "EventSchema": "", "OutputBucket": "",
		"OutputPrefix": "", "OutputBucketRegion": "", "OutputBucketEndpoint": "",
		"OutputPathTemplate": "job_start={job_start}/pickup_location={pickup_location_id:%03d}/year={pickup_datetime:2006}/month={pickup_datetime:01}",
		"ParquetConversion":  "true", "ParquetCompression": "snappy", "CheckpointInterval": "0", "MinPauseBetweenCheckpoints": "0", "CheckpointTimeout": "0", "CheckpointBuffers": "16",
		"BundleTimeMs": "500", "WorkerMemoryLimitMb": "0", "WorkerMaxProcs": "0", "WorkerProfileDir": "", "ObjectReuse": "true",
		"OutputFileTargetSizeMb": "64", "OutputFileRollIntervalMs": "60000",
		"OutputWritersPerPartition": "1", "OutputPartSizeMb": "8", "OutputDiscarding": "false", "JobName": "streaming-etl", "Region": "",
		"Parallelism": "0", "DeadLetterBucket": "", "LogLevel": "auto", "LogFormat": "text",

		"InputKafkaBootstrapServers": "", "InputKafkaTopic": "", "InputKafkaGroupId": "", "InputKafkaInitialPosition": "LATEST",
		"InputKafkaInitialTimestamp": "", "InputKafkaGroupFallback": "EARLIEST", "InputKafkaOffsetReset": "FAIL",
		"InputKafkaIsolation": "read_committed", "InputKafkaDiscoveryInterval": "30000", "InputKafkaCommitOffsets": "true",
		"InputKafkaStopAtEnd": "false", "InputKafkaTombstones": "DEAD_LETTER",

		"OutputKafkaBootstrapServers": "", "OutputKafkaTopic": "", "OutputKafkaKey": "", "OutputKafkaDelivery": "EXACTLY_ONCE",
		"OutputKafkaTransactionalIdPrefix": "", "OutputKafkaMarkerTopic": "", "OutputKafkaMarkerPolicy": "STRICT",
		"OutputKafkaLanes": "0", "OutputKafkaCompression": "lz4", "OutputKafkaMaxMessageBytes": "1000012",
		"OutputKafkaCreateTopic": "false", "OutputKafkaDeadLetterTopic": "dead-letters",

		"KafkaSecurityProtocol": "PLAINTEXT", "KafkaSaslMechanism": "NONE", "KafkaUsername": "", "KafkaPasswordFrom": "",
		"KafkaTokenFrom": "", "KafkaCaFile": "", "KafkaCertificateFile": "", "KafkaPrivateKeyFile": "", "KafkaRoleArn": "",
		"OutputKafkaSecurityProtocol": "PLAINTEXT", "OutputKafkaSaslMechanism": "NONE", "OutputKafkaUsername": "",
		"OutputKafkaPasswordFrom": "", "OutputKafkaTokenFrom": "", "OutputKafkaCaFile": "", "OutputKafkaCertificateFile": "",
		"OutputKafkaPrivateKeyFile": "", "OutputKafkaRoleArn": "",

		"OutputElasticsearchEndpoint": "", "ElasticsearchRegion": "", "ElasticsearchAuth": "AUTO", "ElasticsearchUsername": "",
		"ElasticsearchSigningService": "AUTO", "ElasticsearchCaFile": "",
		"ElasticsearchPasswordFrom": "", "ElasticsearchApiKeyFrom": "", "ElasticsearchIndex": "{type}", "ElasticsearchDocumentId": "{trip_id}",
		"ElasticsearchVersion": "", "ElasticsearchRouting": "", "ElasticsearchPipeline": "", "ElasticsearchOperation": "index",
		"ElasticsearchDeleteField": "", "ElasticsearchDeleteValue": "true", "ElasticsearchDocument": "RECEIVED",
		"ElasticsearchIndexTemplate": "", "ElasticsearchBulkFlushMaxSizeMb": "5", "ElasticsearchBulkFlushMaxActions": "1000",
		"ElasticsearchBulkFlushInterval": "1000", "ElasticsearchConcurrency": "4", "ElasticsearchDeadLetterIndex": "dead-letters",

		"OutputKinesisStream": "", "OutputStreamRegion": "", "OutputStreamEndpoint": "", "OutputKinesisPartitionKey": "{trip_id}",
		"OutputKinesisExplicitHashKey": "", "OutputKinesisAggregation": "false", "OutputRoleArn": "", "OutputKinesisPositionField": "", "OutputKinesisMaxRecordMb": "1",
		"InputRoleArn": "", "InputStreamConsumer": "", "InputKeyOrder": "false", "InputIdlePollIntervalMs": "1000",
		"InputDeduplicateBy": "", "InputDeduplicateWindowMs": "900000",
	}
	s, err := Load(Sources{})
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range want {
		if got := s.Get(name); got != value || s.Given(name) || s.Source(name) != "default" {
			t.Errorf("%s = %q, given %v from %s; want the default %q", name, got, s.Given(name), s.Source(name), value)
		}
	}
	for _, p := range properties() {
		if _, ok := want[p.Name]; !ok {
			t.Errorf("%s is not in this test", p.Name)
		}
	}
}
