// Package faults has the tests that damage a running job: they kill its
// processes, stop its servers, stop and resume it, on a real Flink cluster with
// a real S3 server, and then compare what is in S3 with what was sent, record
// by record.
//
// They need Flink, versitygw and kinesalite (go run ./stack/cmd install), Java
// and Linux, and about a quarter of an hour. So they run only when asked for:
//
//	ETL_FLINK_TESTS=1 go test -timeout 30m ./faults
//
// and fail then when a part is missing. ETL_CHAOS_ROUNDS is how often a test
// does its damage (default: 2; more than that adds kills during recoveries),
// ETL_CHAOS_SEED the seed of the random moments, which each test prints,
// ETL_CHAOS_RATE the records sent per second (default: 5000; all of a test stay
// in memory). ETL_CHAOS_KEEP=1 keeps the logs and objects, and prints where;
// ETL_CHAOS_PROGRAM names a static build of the command instead of a new one.
//
// As data walks it: feed_test.go sends numbered trips into a stream; a job
// under test (run_test.go) brings them to a bucket; watch_test.go reads each
// object as it appears, and knows what is lost, doubled or different.
package faults
