// Package stack runs the servers that the job works with on this machine, for tests and for trying things out: a
// Flink cluster, an S3 server (versitygw), a Kinesis server (kinesalite or ferrokinesis), a Kafka cluster,
// Elasticsearch, and Prometheus to look at them. They are real programs of others, fetched or built once into the cache
// directory ([Tool.Install]), and they listen on free ports of the loopback interface, which they keep over restarts.
// (Ferrokinesis and Flink's reporter for Prometheus listen on all interfaces, and cannot be told otherwise.)
//
// Tests use [StartFlink], [StartS3], [StartKinesis], [StartKafka], [StartElasticsearch] and [StartPrometheus], which
// skip the test if the server is not installed. With ETL_STACK=require they fail instead, which is for CI; with
// ETL_STACK=off they always skip, as does the one that reads Parquet files by [PyArrow]. What they start can be killed, paused and started again while the test runs.
//
// The command in directory cmd runs all of them together, in the background.
package stack
