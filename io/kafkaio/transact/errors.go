package transact

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
)

var (
	// ErrFenced says that another worker has taken over the lane. It stays for
	// the Committer's life: only a new Committer may take the lane back.
	ErrFenced = errors.New("another worker has taken over")
	// ErrGap says that blocks before this one are missing.
	ErrGap = errors.New("it does not follow the last committed one")
	// ErrOlder says that the job was restored from a savepoint older than what
	// it wrote afterwards.
	ErrOlder = errors.New("the job was set back behind what it wrote")
	// ErrNoTopic says that a topic is not there, and that it is not to be made.
	ErrNoTopic = errors.New("it does not exist, or this user may not see it")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("kafka: the writer is closed")
)

// class is what an error means for the next step.
type class int

const (
	// transient errors pass by themselves, or with a new initialisation.
	transient class = iota
	// permanent errors would come again.
	permanent
	// fenced: the lane belongs to somebody else.
	fenced
	// missing: the topic is not known, which a broker may also say for a
	// moment after its start.
	missing
	// canceled calls were given up by the caller.
	canceled
)

// missingDeadline is how long a topic that is not known is waited for.
const missingDeadline = 15 * time.Second

// fault is an error that is permanent whatever its cause.
type fault struct{ err error }

func (f fault) Error() string { return f.err.Error() }
func (f fault) Unwrap() error { return f.err }

// classify sorts the errors of all calls of this package.
func classify(ctx context.Context, err error) class {
	if ctx.Err() != nil {
		return canceled
	}
	var (
		own   fault
		order *OrderError
		code  *kerr.Error
	)
	switch {
	case errors.As(err, &own), errors.As(err, &order), errors.Is(err, ErrClosed), security.Refused(err):
		return permanent
	case errors.Is(err, ErrFenced):
		return fenced
	}
	if !errors.As(err, &code) {
		// What the client has no code for is a connection, a broker or a
		// coordinator that is not there just now, or a time that is over. The
		// host of a broker that is down may have no address either: Check
		// tells of one that never had.
		return transient
	}
	switch code {
	// Answers to an epoch below the present one. A transaction that the
	// brokers ended at its timeout is answered so too: a worker that stood
	// still for so long must not go on by itself either.
	case kerr.ProducerFenced, kerr.InvalidProducerEpoch:
		return fenced
	case kerr.UnknownTopicOrPartition, kerr.UnknownTopicID:
		return missing
	// The state of the transaction, or of the producer, is not what was
	// thought; the marker says how far it came.
	case kerr.InvalidTxnState, kerr.TransactionAbortable, kerr.OperationNotAttempted, kerr.ConcurrentTransactions,
		kerr.InvalidProducerIDMapping, kerr.UnknownProducerID, kerr.OutOfOrderSequenceNumber, kerr.DuplicateSequenceNumber,
		kerr.TransactionCoordinatorFenced, kerr.UnknownServerError:
		return transient
	}
	if code.Retriable {
		return transient
	}
	return permanent
}

// classify sorts the errors of commits. Once a lane was opened the login is
// right: one that is refused then may be being replaced.
func (c *Committer) classify(ctx context.Context, err error) class {
	kind := classify(ctx, err)
	if kind == permanent && c.proven.Load() && security.Refused(err) {
		return transient
	}
	return kind
}

// explain adds to err what a user can do about it.
func (o Options) explain(err error, topic string) error {
	var code *kerr.Error
	if !errors.As(err, &code) {
		return security.Explain(err)
	}
	hint := ""
	switch code {
	case kerr.MessageTooLarge:
		hint = onceTaken(fmt.Sprintf("raise max.message.bytes of the topic to %d or more", o.MaxMessageBytes)) +
			fmt.Sprintf("; the largest message is %d bytes with key and headers, uncompressed", o.MaxMessageBytes)
	case kerr.InvalidTimestamp:
		hint = "a record's timestamp is further from the present time than the topic's message.timestamp.after.max.ms or " +
			"message.timestamp.before.max.ms: " + onceTaken("raise them, or set message.timestamp.type=LogAppendTime")
	case kerr.InvalidRecord:
		hint = "a topic with cleanup.policy=compact takes no record without a key: " + onceTaken("take compact out of it until they are written")
	case kerr.TopicAuthorizationFailed:
		hint = "the user needs the permissions WRITE and DESCRIBE on the topic, on the marker topic READ and DESCRIBE_CONFIGS as well"
	case kerr.TransactionalIDAuthorizationFailed:
		hint = "the user needs the permissions WRITE and DESCRIBE on transactional ids that begin with " + o.TransactionalIDPrefix + "-"
	case kerr.ClusterAuthorizationFailed:
		hint = "the user needs the permission IDEMPOTENT_WRITE on the cluster, or to make a topic CREATE"
	case kerr.InvalidTransactionTimeout:
		hint = fmt.Sprintf("the transaction timeout, %s, is above the brokers' transaction.max.timeout.ms", o.TransactionTimeout)
	case kerr.UnknownTopicOrPartition, kerr.UnknownTopicID:
		hint = "the topic does not exist, or this user may not see it"
		if topic != "" && topic != o.MarkerTopic {
			hint += "; once it is there the job goes on by itself: what is under way cannot be left out any more"
		}
	case kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend:
		hint = "fewer brokers are in sync than min.insync.replicas of the topic asks for"
	case kerr.InvalidReplicationFactor:
		hint = "there are fewer brokers than the replication factor"
	case kerr.PolicyViolation:
		hint = "a policy of the cluster forbids it"
	default:
		return security.Explain(err)
	}
	if topic != "" {
		return fmt.Errorf("topic %s: %w (%s)", topic, err, hint)
	}
	return fmt.Errorf("%w (%s)", err, hint)
}

// onceTaken is the remedy where a topic refuses what has its place already.
func onceTaken(change string) string {
	return change + ", and the job goes on by itself: what is under way cannot be left out any more"
}

// lastError keeps the last error of a client's connections: the client itself
// only goes on trying, and says nothing but that the time was over.
type lastError struct {
	last atomic.Pointer[error]
	// refused is told where a broker lets nobody in, if it is set.
	refused func(error)
}

var (
	_ kgo.HookBrokerConnect = (*lastError)(nil)
	_ kgo.HookBrokerE2E     = (*lastError)(nil)
)

// OnBrokerConnect is called by the client.
func (l *lastError) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	l.note(err)
}

// OnBrokerE2E is called by the client.
func (l *lastError) OnBrokerE2E(_ kgo.BrokerMetadata, _ int16, e kgo.BrokerE2E) { l.note(e.Err()) }

func (l *lastError) note(err error) {
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, kgo.ErrClientClosed) {
		l.last.Store(&err)
		if l.refused != nil && security.Refused(err) {
			l.refused(security.Explain(err))
		}
	}
}

// because adds the connections' last error to one that only says that the time,
// or the number of attempts, is over.
func (l *lastError) because(err error) error {
	last := l.last.Load()
	if last == nil || err == nil || !(errors.Is(err, context.DeadlineExceeded) || errors.Is(err, kgo.ErrRecordTimeout) || errors.Is(err, kgo.ErrRecordRetries)) {
		return err
	}
	return fmt.Errorf("%w; the last error of a connection: %w", err, security.Explain(*last))
}
