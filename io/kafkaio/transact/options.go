// Package transact writes records to Kafka so that readers of committed data
// see each one exactly once, however often the work is done anew. (A
// [Producer] writes at least once, for half the cost.)
//
// How data walks: what is to be written comes as blocks, numbered 1, 2, 3 …
// per lane, with the same numbers at every replay. [Committer.Commit]
// (commit.go) writes the blocks of a lane in transactions (lane.go): their
// records and one marker record (marker.go) that says up to which block the
// lane is written. The marker becomes visible with the records or not at all,
// so the last committed marker decides what a replay skips (decide.go). It is
// read after the lane's transactional id was initialised, which ends what an
// older worker left and refuses all that it tries later (markers.go).
//
// Next arrow: readers of the topic, with isolation.level=read_committed.
package transact

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"regexp"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
)

// MarkerPolicy says what happens where the marker shows that written blocks
// were lost, or that a job was set back behind what it wrote.
type MarkerPolicy string

const (
	// Strict refuses: the job fails and says what is missing.
	Strict MarkerPolicy = "STRICT"
	// Accept goes on: lost blocks stay lost, repeated ones are written again.
	Accept MarkerPolicy = "ACCEPT"
)

// Defaults of Options.
const (
	// DefaultMarkerTopic holds the markers.
	DefaultMarkerTopic = "streaming-etl-markers"
	// DefaultCompression costs the least for what it saves.
	DefaultCompression = "lz4"
	// DefaultMaxMessageBytes is a little less than a topic's own default,
	// max.message.bytes=1048588, as that counts the batch around a record.
	DefaultMaxMessageBytes = 1_000_012
	// DefaultTransactionBytes is where a transaction ends though there are
	// more blocks; earlier where the way to the brokers is slow. A reader of
	// committed data sees none of it before the end, and all of it is in memory
	// until then, of each lane.
	DefaultTransactionBytes = 16 << 20
	// DefaultTransactionTimeout is when the brokers end the transaction of a
	// worker that is gone and not replaced; until then readers wait.
	DefaultTransactionTimeout = 2 * time.Minute
	// DefaultRetryDeadline is how long passing faults are borne.
	DefaultRetryDeadline = 5 * time.Minute
	// DefaultRetryBackoff bounds the wait before the first retry; the bound
	// doubles with each one, and the wait is a random part of it.
	DefaultRetryBackoff = 100 * time.Millisecond
	// DefaultRetryBackoffMax is where the bound stops doubling.
	DefaultRetryBackoffMax = 5 * time.Second
)

// maxLanes is far above what makes sense: each lane costs each broker a
// partition and its worker a client.
const maxLanes = 1024

// Options say where and how blocks are written. Zero values stand for the
// defaults, where there is one. Options marshal to JSON and back without loss,
// so that they can travel to the workers; they hold no secrets.
type Options struct {
	// Brokers are host:port of some of the cluster; required.
	Brokers []string
	// Security is how to connect and log in. Default: PLAINTEXT.
	Security security.Config
	// TransactionalIDPrefix begins the transactional ids, <prefix>-<lane>. Two
	// jobs with the same one fence each other; required by a Committer.
	TransactionalIDPrefix string
	// MarkerTopic overrides DefaultMarkerTopic. Jobs with different
	// TransactionalIDPrefix need different ones.
	MarkerTopic string
	// Lanes is the number of lanes, which is also that of the marker topic's
	// partitions; required by a Committer, and never changed for a marker topic.
	Lanes int
	// MarkerPolicy is STRICT (default) or ACCEPT.
	MarkerPolicy MarkerPolicy
	// Compression is lz4 (default), zstd, snappy, gzip or none.
	Compression string
	// MaxMessageBytes overrides DefaultMaxMessageBytes: the largest record
	// (see Record.Size), and the largest batch, both uncompressed. More than
	// the default needs a higher max.message.bytes of the topic.
	MaxMessageBytes int
	// TransactionBytes overrides DefaultTransactionBytes.
	TransactionBytes int64
	// TransactionTimeout overrides DefaultTransactionTimeout. A transaction
	// has three quarters of it for its records. The brokers have a limit
	// (transaction.max.timeout.ms, 15 minutes by default).
	TransactionTimeout time.Duration
	// RetryDeadline overrides DefaultRetryDeadline.
	RetryDeadline time.Duration
	// RetryBackoff overrides DefaultRetryBackoff.
	RetryBackoff time.Duration
	// RetryBackoffMax overrides DefaultRetryBackoffMax.
	RetryBackoffMax time.Duration

	// Topic is the topic of all records where it is but one: Check looks at it.
	Topic string
	// Fixed are the topics that the user names, Topic or others, which were there
	// at start, with what Check said of them then, nothing where it was not
	// told. Topics begin with it.
	Fixed map[string]Rules
	// CreateTopic lets Check make Topic, and Topics those that records name, with
	// Partitions and ReplicationFactor, where they do not exist.
	CreateTopic bool
	// Partitions of a topic to be made. Default: the cluster's num.partitions.
	Partitions int
	// ReplicationFactor of the marker topic and of a topic to be made. Default:
	// of the marker topic three, or one per broker where there are fewer; of
	// others the cluster's default.replication.factor.
	ReplicationFactor int
}

var (
	topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)
	codecs    = map[string]func() kgo.Opt{
		"none":   func() kgo.Opt { return kgo.ProducerBatchCompression(kgo.NoCompression()) },
		"gzip":   func() kgo.Opt { return kgo.ProducerBatchCompression(kgo.GzipCompression()) },
		"snappy": func() kgo.Opt { return kgo.ProducerBatchCompression(kgo.SnappyCompression()) },
		"lz4":    func() kgo.Opt { return kgo.WithCompressor(newLz4Blocks()) },
		"zstd":   func() kgo.Opt { return kgo.ProducerBatchCompression(kgo.ZstdCompression()) },
	}
)

// Validate reports all faults of the options for a Committer in one error, nil
// if there are none.
func (o Options) Validate() error {
	err := o.validateProducer()
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if o.TransactionalIDPrefix == "" {
		fault("no prefix of transactional ids is set")
	}
	if o.MarkerTopic != "" && !isTopic(o.MarkerTopic) {
		fault("marker topic %q is not the name of a topic", o.MarkerTopic)
	}
	if o.Topic != "" && o.Topic == o.withDefaults().MarkerTopic {
		fault("the topic %s is also the marker topic", o.Topic)
	}
	if o.Lanes < 1 || o.Lanes > maxLanes {
		fault("%d lanes: there must be 1 to %d", o.Lanes, maxLanes)
	}
	switch o.MarkerPolicy {
	case "", Strict, Accept:
	default:
		fault("marker policy %q is none of %s, %s", o.MarkerPolicy, Strict, Accept)
	}
	if o.TransactionBytes < 0 {
		fault("a transaction of %d bytes is negative", o.TransactionBytes)
	}
	if t := o.TransactionTimeout; t != 0 && (t < time.Second || t.Milliseconds() > math.MaxInt32) {
		fault("a transaction timeout of %s is not between 1 s and 24 days", t)
	}
	return errors.Join(err, errors.Join(faults...))
}

// validateProducer reports the faults of what a Producer needs.
func (o Options) validateProducer() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(o.Brokers) == 0 {
		fault("no brokers are named")
	}
	for _, b := range o.Brokers {
		host, port, err := net.SplitHostPort(b)
		n, portErr := strconv.ParseUint(port, 10, 16)
		if err != nil || host == "" || portErr != nil || n == 0 {
			fault("broker %q is not host:port", b)
		}
	}
	if err := o.Security.Validate(); err != nil {
		faults = append(faults, err)
	}
	if _, ok := codecs[o.Compression]; o.Compression != "" && !ok {
		fault("compression %q is none of lz4, zstd, snappy, gzip, none", o.Compression)
	}
	if o.MaxMessageBytes != 0 && (o.MaxMessageBytes < 1024 || o.MaxMessageBytes > 100<<20) {
		fault("a largest message of %d bytes is not between 1 KiB and 100 MiB", o.MaxMessageBytes)
	}
	if o.Topic != "" && !isTopic(o.Topic) {
		fault("%q is not the name of a topic: it has 1 to 249 letters, digits, '.', '_' and '-'", o.Topic)
	}
	if o.Partitions < 0 || o.ReplicationFactor < 0 || o.ReplicationFactor > math.MaxInt16 || o.Partitions > math.MaxInt32 {
		fault("partitions %d, replication factor %d: out of range", o.Partitions, o.ReplicationFactor)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"transaction timeout", o.TransactionTimeout},
		{"retry deadline", o.RetryDeadline},
		{"retry backoff", o.RetryBackoff},
		{"highest retry backoff", o.RetryBackoffMax},
	} {
		if d.value < 0 {
			fault("the %s %s is negative", d.name, d.value)
		}
	}
	return errors.Join(faults...)
}

func isTopic(name string) bool { return topicName.MatchString(name) && name != "." && name != ".." }

func (o Options) withDefaults() Options {
	o.MarkerTopic = cmp.Or(o.MarkerTopic, DefaultMarkerTopic)
	o.MarkerPolicy = cmp.Or(o.MarkerPolicy, Strict)
	o.Compression = cmp.Or(o.Compression, DefaultCompression)
	o.MaxMessageBytes = cmp.Or(o.MaxMessageBytes, DefaultMaxMessageBytes)
	o.TransactionBytes = cmp.Or(o.TransactionBytes, DefaultTransactionBytes)
	o.TransactionTimeout = cmp.Or(o.TransactionTimeout, DefaultTransactionTimeout)
	o.RetryDeadline = cmp.Or(o.RetryDeadline, DefaultRetryDeadline)
	o.RetryBackoff = cmp.Or(o.RetryBackoff, DefaultRetryBackoff)
	o.RetryBackoffMax = cmp.Or(o.RetryBackoffMax, DefaultRetryBackoffMax)
	return o
}
