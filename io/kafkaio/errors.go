package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
)

// ErrClosed is returned by Drain after Close.
var ErrClosed = errors.New("kafka: reader is closed")

// ErrLost is wrapped by the error of a reader that may not go on because
// records that it was to read are gone; see OffsetReset.
var ErrLost = errors.New("records that were not read yet are gone")

// ErrNoTopic is wrapped by errors about topics that do not exist, or no longer.
var ErrNoTopic = errors.New("the topic does not exist")

// Error is a request to Kafka that failed for good. It wraps the broker's
// error (see package kerr of franz-go) or the network's, for errors.Is and errors.As.
type Error struct {
	// Op says what was being done, as in "read records".
	Op string
	// Topic and Partition are what it was done to; Partition is -1 where it
	// was not one, Topic empty where it was none.
	Topic     string
	Partition int32
	// Broker tells which broker was asked, by id and address.
	Broker string
	// Attempts is how often it was tried, 0 if that was not counted.
	Attempts int
	Err      error
}

// Error tells what was being done, to what, why it failed and what may help.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	switch {
	case e.Topic != "" && e.Partition >= 0:
		fmt.Fprintf(&b, " of partition %d of topic %s", e.Partition, e.Topic)
	case e.Topic != "":
		fmt.Fprintf(&b, " of topic %s", e.Topic)
	}
	if e.Broker != "" {
		b.WriteString(" from " + e.Broker)
	}
	if e.Attempts > 1 {
		fmt.Fprintf(&b, " (tried %d times)", e.Attempts)
	}
	b.WriteString(": " + cause(e.Err))
	if h := e.hint(); h != "" {
		b.WriteString(" (" + h + ")")
	}
	return b.String()
}

// Unwrap returns the error of the request itself.
func (e *Error) Unwrap() error { return e.Err }

// cause is the broker's own code and words where there are any.
func cause(err error) string {
	var k *kerr.Error
	if errors.As(err, &k) && err.Error() == k.Error() {
		return k.Message + ": " + strings.TrimSuffix(k.Description, ".")
	}
	return err.Error()
}

func (e *Error) hint() string {
	var noNet net.Error
	switch {
	case errors.Is(e.Err, kerr.TopicAuthorizationFailed):
		return "the user needs the ACLs Describe and Read on the topic"
	case errors.Is(e.Err, kerr.GroupAuthorizationFailed):
		return "the user needs the ACL Read on the group"
	case errors.Is(e.Err, kerr.ClusterAuthorizationFailed):
		return "the user needs an ACL on the cluster"
	case errors.Is(e.Err, kerr.UnknownTopicOrPartition):
		return "does the topic exist, and may the user describe it?"
	case errors.Is(e.Err, kerr.UnsupportedVersion):
		return "brokers of Kafka 0.11 and later can be read"
	case security.Refused(e.Err):
		return ""
	case errors.Is(e.Err, context.DeadlineExceeded), errors.As(e.Err, &noNet):
		return "is the broker up, its address right as it advertises it, and reachable from here?"
	}
	return ""
}

// passing reports whether an error may be gone at the next attempt.
func passing(err error) bool {
	if errors.Is(err, ErrLost) || errors.Is(err, ErrNoTopic) || errors.Is(err, errOldFormat) {
		return false
	}
	var k *kerr.Error
	if errors.As(err, &k) {
		// Brokers answer with an unknown error for faults of any kind.
		return k.Retriable || k == kerr.UnknownServerError || unknownTopic(k)
	}
	// What is left are faults of the network, which pass, and refused logins,
	// which do not.
	return !security.Refused(err)
}

// unknownTopic reports whether a broker does not know the partition that it
// was asked for: deleted, or the news did not spread yet.
func unknownTopic(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.InconsistentTopicID)
}
