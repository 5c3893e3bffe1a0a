package kafkaio

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
)

// InitialPosition says where a job that was never started begins.
type InitialPosition string

// The initial positions. They count for the partitions that the first look at
// the topics finds; those that are found later are read from their beginning.
const (
	// Earliest begins with the oldest record that the broker still holds.
	Earliest InitialPosition = "EARLIEST"
	// Latest begins with what is written after the first start: at Options.Ends.
	// Where they have none, at the end, or before it at the first record whose own
	// time is at or after the slot's JobStart, if there is one.
	Latest InitialPosition = "LATEST"
	// GroupOffsets begins where a consumer group has committed that it is, and
	// where it has not, at Options.GroupFallback.
	GroupOffsets InitialPosition = "GROUP_OFFSETS"
	// Timestamp begins with the first record whose own time is at or after
	// Options.InitialTimestamp, at the end where there is none.
	Timestamp InitialPosition = "TIMESTAMP"
)

// OffsetReset says what becomes of a partition whose next record is gone:
// expired, deleted, cut off by an unclean change of leaders, or of a topic
// that was deleted and made again.
type OffsetReset string

// The policies of an OffsetReset.
const (
	// ResetFail ends the job with an error that tells what was lost.
	ResetFail OffsetReset = "FAIL"
	// ResetEarliest goes on with the oldest record that there is.
	ResetEarliest OffsetReset = "EARLIEST"
	// ResetLatest goes on with what comes next.
	ResetLatest OffsetReset = "LATEST"
)

// Defaults of Options.
const (
	// DefaultFetchBytes is about the most that one answer of a broker brings,
	// over all partitions.
	DefaultFetchBytes = 4 << 20
	// DefaultPartitionFetchBytes is about the most of one partition in it, so
	// that partitions with much to read leave room for the others.
	DefaultPartitionFetchBytes = 1 << 20
	// DefaultMaxWait is how long a broker may hold back an answer when there is
	// nothing to read. New records are told at once.
	DefaultMaxWait = 500 * time.Millisecond
	// DefaultBufferBytes bounds what a slot fetches ahead.
	DefaultBufferBytes = 8 << 20
	// DefaultDiscoveryInterval is the time between two looks for new
	// partitions and topics. Changes of leaders are looked for when met.
	DefaultDiscoveryInterval = 30 * time.Second
	// DefaultRetryDeadline is how long a partition may go on failing with
	// passing faults (broker down, no leader, network) before the reader fails.
	DefaultRetryDeadline = 5 * time.Minute
	// DefaultRetryBackoff bounds the wait before the first retry; the bound
	// doubles with each one, and the wait is a random part of it.
	DefaultRetryBackoff = 100 * time.Millisecond
	// DefaultRetryBackoffMax is where the bound stops doubling.
	DefaultRetryBackoffMax = 5 * time.Second
)

// maxMaxWait bounds Options.MaxWait: a leader that is gone without a word is
// noticed only after it.
const maxMaxWait = 30 * time.Second

// maxSlots bounds the slots of a source.
const maxSlots = 1 << 20

// Options says which topics are read, from where and how. Zero values of all
// but Brokers and Topic stand for the defaults. Options marshal to JSON and
// back without loss, so that they can travel to the workers; they hold no secrets.
type Options struct {
	// Brokers are some of the cluster's, as host:port; the others are found.
	Brokers []string
	// Topic is a topic's name, several with commas between them, or "regex:"
	// and an expression (RE2) for whole names.
	Topic string
	// Exclude are topics that an expression does not stand for.
	Exclude []string
	// GroupID names the consumer group for GROUP_OFFSETS and the OffsetCommitter.
	// The source never joins it.
	GroupID string
	// InitialPosition is where a job that was never started begins. Default EARLIEST.
	InitialPosition InitialPosition
	// GroupFallback goes with GROUP_OFFSETS: EARLIEST (default) or LATEST.
	GroupFallback InitialPosition
	// InitialTimestamp goes with TIMESTAMP, and only with it.
	InitialTimestamp time.Time
	// Ends are where LATEST begins, as Check returned them when the job was
	// submitted; those of later than a slot's JobStart do not count. Default: it is
	// looked for at Open.
	Ends *Ends
	// OffsetReset is what to do where the next record is gone. Default FAIL.
	OffsetReset OffsetReset
	// ReadUncommitted reads records of open and aborted transactions too.
	ReadUncommitted bool
	// StopAtEnd ends the reading of each partition at the end that it has when
	// the job first sees it; the reader goes on idling.
	StopAtEnd bool
	// DiscoveryInterval overrides DefaultDiscoveryInterval.
	DiscoveryInterval time.Duration
	// BufferBytes overrides DefaultBufferBytes. It counts batches as they are
	// when decompressed; the answer being taken apart comes on top.
	BufferBytes int64
	// FetchBytes overrides DefaultFetchBytes. A larger record comes through alone.
	FetchBytes int32
	// PartitionFetchBytes overrides DefaultPartitionFetchBytes.
	PartitionFetchBytes int32
	// MaxWait overrides DefaultMaxWait; at most 30 s.
	MaxWait time.Duration
	// RetryDeadline overrides DefaultRetryDeadline.
	RetryDeadline time.Duration
	// RetryBackoff overrides DefaultRetryBackoff.
	RetryBackoff time.Duration
	// RetryBackoffMax overrides DefaultRetryBackoffMax.
	RetryBackoffMax time.Duration
	// Security is how to log in. Default: an unprotected connection.
	Security security.Config
}

// Validate reports all faults of the options in one error, nil if there are none.
func (o Options) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if len(o.Brokers) == 0 {
		fault("no broker is named")
	}
	for _, b := range o.Brokers {
		host, port, err := net.SplitHostPort(b)
		n, numErr := strconv.Atoi(port)
		if err != nil || numErr != nil || host == "" || n < 1 || n > 65535 {
			fault("broker %q is not a host and a port, as in kafka-1:9092", b)
		}
	}
	if _, err := parseTopics(o.Topic); err != nil {
		faults = append(faults, err)
	}
	switch o.InitialPosition {
	case "", Earliest, Latest, Timestamp:
	case GroupOffsets:
		if o.GroupID == "" {
			fault("the initial position %s needs a group id", GroupOffsets)
		}
	default:
		fault("initial position %q is none of %s, %s, %s, %s", o.InitialPosition, Earliest, Latest, GroupOffsets, Timestamp)
	}
	if o.InitialPosition == Timestamp && o.InitialTimestamp.IsZero() {
		fault("the initial position %s needs an initial timestamp", Timestamp)
	}
	if o.InitialPosition != Timestamp && !o.InitialTimestamp.IsZero() {
		fault("an initial timestamp needs the initial position %s", Timestamp)
	}
	if o.GroupFallback != "" && o.InitialPosition != GroupOffsets {
		fault("a group fallback needs the initial position %s", GroupOffsets)
	}
	if o.GroupFallback != "" && o.GroupFallback != Earliest && o.GroupFallback != Latest {
		fault("group fallback %q is none of %s, %s", o.GroupFallback, Earliest, Latest)
	}
	switch o.OffsetReset {
	case "", ResetFail, ResetEarliest, ResetLatest:
	default:
		fault("offset reset %q is none of %s, %s, %s", o.OffsetReset, ResetFail, ResetEarliest, ResetLatest)
	}
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"buffer", o.BufferBytes},
		{"fetch", int64(o.FetchBytes)},
		{"fetch of a partition", int64(o.PartitionFetchBytes)},
	} {
		if n.value < 0 {
			fault("a %s of %d bytes is negative", n.name, n.value)
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"discovery interval", o.DiscoveryInterval},
		{"longest wait for records", o.MaxWait},
		{"retry deadline", o.RetryDeadline},
		{"retry backoff", o.RetryBackoff},
		{"highest retry backoff", o.RetryBackoffMax},
	} {
		if d.value < 0 {
			fault("the %s %s is negative", d.name, d.value)
		}
	}
	if o.MaxWait > maxMaxWait {
		fault("the longest wait for records %s is above %s", o.MaxWait, maxMaxWait)
	}
	if err := o.Security.Validate(); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// withDefaults returns the options with defaults in place of zero values.
func (o Options) withDefaults() Options {
	o.InitialPosition = cmp.Or(o.InitialPosition, Earliest)
	o.OffsetReset = cmp.Or(o.OffsetReset, ResetFail)
	if o.InitialPosition == GroupOffsets {
		o.GroupFallback = cmp.Or(o.GroupFallback, Earliest)
	}
	o.DiscoveryInterval = cmp.Or(o.DiscoveryInterval, DefaultDiscoveryInterval)
	o.BufferBytes = cmp.Or(o.BufferBytes, DefaultBufferBytes)
	o.FetchBytes = cmp.Or(o.FetchBytes, DefaultFetchBytes)
	o.PartitionFetchBytes = cmp.Or(o.PartitionFetchBytes, DefaultPartitionFetchBytes)
	o.MaxWait = cmp.Or(o.MaxWait, DefaultMaxWait)
	o.RetryDeadline = cmp.Or(o.RetryDeadline, DefaultRetryDeadline)
	o.RetryBackoff = cmp.Or(o.RetryBackoff, DefaultRetryBackoff)
	o.RetryBackoffMax = cmp.Or(o.RetryBackoffMax, DefaultRetryBackoffMax)
	return o
}
