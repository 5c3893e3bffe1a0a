// Package kinesisfake is an Amazon Kinesis Data Streams server in the process
// of the caller, for tests and for running without an account. It speaks the
// service's own protocol (AWS JSON 1.1) over real HTTP, so that any client
// can be pointed at it:
//
//	server, err := kinesisfake.New(kinesisfake.SeedStream("trips", 4))
//	…
//	defer server.Close()
//	client := kinesis.New(kinesis.Options{
//		BaseEndpoint: aws.String(server.URL()),
//		Region:       "us-east-1",
//		Credentials:  credentials.NewStaticCredentialsProvider("any", "any", ""),
//	})
//
// It serves CreateStream, DeleteStream, ListStreams, DescribeStream,
// DescribeStreamSummary, ListShards, PutRecord, PutRecords, GetShardIterator,
// GetRecords, SplitShard, MergeShards, UpdateShardCount, UpdateMaxRecordSize,
// IncreaseStreamRetentionPeriod, DecreaseStreamRetentionPeriod,
// RegisterStreamConsumer, DescribeStreamConsumer, DeregisterStreamConsumer and
// SubscribeToShard, with the service's checks, exceptions and limits per call.
// What a shard takes and gives per second is limited only when asked for (see
// EnforceLimits). Faults of every kind are scripted with Handler.Control,
// Handler.FailNext, Handler.ControlEntries and Handler.EndNextSubscription.
//
// A request comes in at Handler.ServeHTTP (handler.go), goes through the
// controls (control.go) to its operation (streams.go, shards.go, reshard.go,
// consumers.go, put.go, get.go, subscribe.go), which reads or writes the logs of the shards (log.go).
//
// # Limits of the fake
//
// Nothing is stored outside memory, and records leave it only by the
// retention period or with their stream. Signatures are not verified and
// access is not checked. CBOR, which Amazon's Java clients send unless
// AWS_CBOR_DISABLE is set, is refused. Lists of consumers, tags, encryption,
// enhanced monitoring, resource policies and changing a stream's mode are not
// served: UnknownOperationException. Consumers are ACTIVE at once, and events
// are sent over HTTP/1.1, where the service needs HTTP/2. An on-demand stream has four shards and does not scale by itself.
// SequenceNumberForOrdering is checked for its form only: numbers rise
// strictly within a shard anyway. A stream's changes of state happen at once
// unless TransitionTime is set, and even then resharding shows in the list of
// shards at its start, not its end. The tokens of ListShards expire, those of
// ListStreams do not.
//
// # A trap in the client
//
// The server answers sooner than any real one. The Go client with smithy-go
// 1.28.8 closes its request body when the first line of the answer is there,
// and net/http, should it still be looking for the body's end then, takes the
// io.EOF of the body's WriteTo for a failure and cuts the connection: large
// answers of GetRecords fail now and then with "use of closed network
// connection". The client's default retries hide it. A RoundTripper that
// wraps the body so that it has no WriteTo avoids it.
package kinesisfake
