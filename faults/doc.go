// Package faults has the tests that damage a running job: they kill its
// processes, stop its servers, stop and resume it, on a real Flink cluster with
// real servers of S3, Kafka and Elasticsearch, and then compare what is there
// with what was sent, record by record. What a job wrote is read by what shares
// no code with it: Kafka's console consumer, Elasticsearch's REST API, the SDK.
//
// They need all that go run ./stack/cmd install installs, Java and Linux, and
// about half an hour. So they run only when asked for:
//
//	ETL_FLINK_TESTS=1 go test -timeout 60m ./faults
//
// and fail then when a part is missing. ETL_CHAOS_ROUNDS is how often a test
// does its damage (default: 2; more than that adds kills during recoveries, 1
// leaves out what another test does too), ETL_CHAOS_SEED the seed of the random
// moments, which each test prints, ETL_CHAOS_RATE the records sent per second
// (default: 5000, and 2000 where Kafka takes part; all of a test stay in
// memory). ETL_CHAOS_KEEP=1 keeps the logs and objects, and prints where;
// ETL_CHAOS_PROGRAM names a static build of the command instead of a new one.
//
// As data walks it: feed_test.go and kafka_feed_test.go send numbered trips into
// a stream or a topic; a job under test (run_test.go) brings them to its outlets;
// watch_test.go reads each object of a bucket as it appears, and knows what is
// lost, doubled or different; so do kafka_watch_test.go with topics,
// elasticsearch_watch_test.go with indices and kinesis_watch_test.go with streams.
package faults
