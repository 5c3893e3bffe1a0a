// Package rest is a client of Flink's REST API, of as much as it takes to submit a jar, to follow the job and to stop
// it with a savepoint.
//
// All errors are readable: where Flink answers with Java stack traces, the message is what was thrown first, without
// the frames ([Error], [Failure]); a cluster that does not answer is an [UnreachableError] that names its URL and the
// setting it comes from.
package rest
