// Package stack runs the servers that the job works with on this machine, for tests and for trying things out: a
// Flink cluster, an S3 server (versitygw) and a Kinesis server (kinesalite or ferrokinesis). They are real programs of
// others, fetched or built once into the cache directory ([Install]), and they listen on free ports of the loopback
// interface.
//
// Tests use [StartFlink], [StartS3] and [StartKinesis], which skip the test if the server is not installed. With
// ETL_STACK=require they fail instead, which is for CI; with ETL_STACK=off they always skip.
//
// The command in directory cmd runs all of them together, in the background.
package stack
