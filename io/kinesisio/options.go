package kinesisio

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// InitialPosition says where a slot that was never read begins.
type InitialPosition string

// The initial positions. A slot that has positions ignores them.
const (
	// Latest begins with records that arrive after the job's first start.
	Latest InitialPosition = "LATEST"
	// TrimHorizon begins with the oldest record that the stream still holds.
	TrimHorizon InitialPosition = "TRIM_HORIZON"
	// AtTimestamp begins with the first record that arrived at or after InitialTimestamp.
	AtTimestamp InitialPosition = "AT_TIMESTAMP"
)

// Defaults of Options.
const (
	// DefaultPollInterval is the time between calls for a shard that is read to
	// its tip. A shard answers five GetRecords a second
	// over all its readers: 250 ms (as Flink's Kinesis source has it) leaves
	// the fifth to others and adds an eighth of a second to a record's way on
	// average. With more readers per stream take 1 s.
	DefaultPollInterval = 250 * time.Millisecond
	// DefaultIdlePollInterval is the same where nothing has come for a while.
	DefaultIdlePollInterval = time.Second
	// DefaultCallInterval is the least time between the starts of two
	// GetRecords of one shard: the service takes five a second.
	DefaultCallInterval = 200 * time.Millisecond
	// DefaultMaxRecordsPerCall is the service's own limit; the other is 10 MB.
	DefaultMaxRecordsPerCall = 10_000
	// DefaultBufferBytes bounds what a slot fetches ahead. A call reserves
	// what it may bring, so it also bounds the calls at one time: one where
	// shards are behind, which gives 10 MB at once and then nothing for five
	// seconds; several where they are read to their tips.
	DefaultBufferBytes = 16 << 20
	// DefaultDiscoveryInterval is the time between two listings of the
	// stream's shards. Children of shards that this slot read to the end are
	// known at once; this is for children of other slots' shards.
	DefaultDiscoveryInterval = 10 * time.Second
	// DefaultRetryDeadline is how long one call may go on failing with
	// passing faults (throttling, 5xx, network) before the reader fails.
	DefaultRetryDeadline = 5 * time.Minute
	// DefaultRetryBackoff bounds the wait before the first retry; the bound
	// doubles with each one, and the wait is a random part of it.
	DefaultRetryBackoff = 100 * time.Millisecond
	// DefaultRetryBackoffMax is where the bound stops doubling.
	DefaultRetryBackoffMax = 5 * time.Second
)

// Options says which stream is read, from where and how. Zero values of all
// but Stream stand for the defaults. Options marshal to JSON and back without
// loss, so that they can travel to the workers; they hold no secrets.
type Options struct {
	// Stream is the stream's name or its ARN; required. Only the ARN reaches a
	// stream of another account. Several, separated by commas, are read as one
	// source: each slot owns its share of every stream's shards, and a batch
	// names its stream. Streams may be added to a job that goes on, and begin
	// at InitialPosition, LATEST being the time of the job's first start; one
	// that is taken away is refused. No two may have the same name.
	Stream string
	// Region is the streams' AWS region. Default: that of the ARN, else of
	// the AWS configuration (environment, profile, instance).
	Region string
	// RoleARN is an IAM role to assume for all calls, with credentials that are
	// renewed before they expire. Default: none, the AWS configuration's
	// identity, which must otherwise be allowed to assume the role.
	RoleARN string
	// Endpoint replaces the service's address, e.g. http://127.0.0.1:4567.
	Endpoint string
	// EmulatorCredentials signs with fixed public credentials: emulators want
	// a signature, though any will do. Default: the AWS credential chain.
	EmulatorCredentials bool
	// InitialPosition is where a job that was never started begins. Default LATEST.
	InitialPosition InitialPosition
	// InitialTimestamp goes with AT_TIMESTAMP, and only with it.
	InitialTimestamp time.Time
	// StopTimestamp ends the reading of each shard before the first record
	// that arrived later; the reader goes on idling. Default: no end.
	StopTimestamp time.Time
	// Consumer reads by enhanced fan-out: each shard is subscribed to, sends
	// what arrives at once, and gives 2 MB a second to this consumer alone. It
	// is the consumer's name or its ARN; by name it is registered where it is
	// not (see DeregisterConsumer). One consumer is for one job: a shard has
	// one subscription per consumer, and a later one takes it over. There is no
	// falling back to polling: if the consumer cannot be had, reading fails.
	// Default: none, GetRecords is polled. An ARN goes with one stream only.
	Consumer string
	// KeyOrder keeps each partition key's order over any resharding also with
	// several slots. By default a slot owns shards, and a shard that comes of a
	// merge over the border of two slots, or of a split whose second half is
	// beyond it, is read without waiting for what another slot still has of
	// its parents. With KeyOrder a slot owns a part of the hash keys: it reads
	// every shard that has some of them, keeps only those records, and waits
	// for each parent that has some. So a shard with keys of n slots is read n
	// times, within the limits for all its readers: at most one shard more for
	// each border, none as long as the stream's shards are a multiple of the
	// slots; do not use it with fewer shards than slots. Records that were put
	// with explicit hash keys keep their order as long as they are read by one
	// slot. It cannot change over a restore, and does not go with Consumer,
	// which has one subscription per shard.
	KeyOrder bool
	// PollInterval overrides DefaultPollInterval.
	PollInterval time.Duration
	// IdlePollInterval overrides DefaultIdlePollInterval; after ten seconds
	// without records the time between a shard's calls grows to it.
	IdlePollInterval time.Duration
	// CallInterval overrides DefaultCallInterval; only emulators take less.
	CallInterval time.Duration
	// MaxRecordsPerCall overrides DefaultMaxRecordsPerCall, downwards.
	MaxRecordsPerCall int
	// BufferBytes overrides DefaultBufferBytes. With less than 10 MB a call
	// reserves all of it. What is being decoded from JSON comes on top.
	BufferBytes int64
	// DiscoveryInterval overrides DefaultDiscoveryInterval.
	DiscoveryInterval time.Duration
	// reopenedApart overrides defaultReopenedApart, for tests.
	reopenedApart time.Duration
	// RetryDeadline overrides DefaultRetryDeadline.
	RetryDeadline time.Duration
	// RetryBackoff overrides DefaultRetryBackoff.
	RetryBackoff time.Duration
	// RetryBackoffMax overrides DefaultRetryBackoffMax.
	RetryBackoffMax time.Duration
}

var (
	streamName  = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)
	roleARN     = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$`)
	consumerARN = regexp.MustCompile(`^arn:aws[a-z-]*:kinesis:([a-z0-9-]+):\d{12}:stream/([a-zA-Z0-9_.-]{1,128})/consumer/[a-zA-Z0-9_.-]{1,128}:\d+$`)
	streamARN   = regexp.MustCompile(`^arn:aws[a-z-]*:kinesis:([a-z0-9-]+):\d{12}:stream/([a-zA-Z0-9_.-]{1,128})$`)
)

// Validate reports all faults of the options in one error, nil if there are none.
func (o Options) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	seen := map[string]bool{}
	each := o.Streams()
	for _, one := range each {
		arn := streamARN.FindStringSubmatch(one.Stream)
		switch {
		case one.Stream == "" && len(each) == 1:
			fault("no stream is named")
		case one.Stream == "":
			fault("%q names no stream between two commas", o.Stream)
		case arn == nil && strings.HasPrefix(one.Stream, "arn:"):
			fault("stream %q is not the ARN of a Kinesis stream", one.Stream)
		case arn == nil && !streamName.MatchString(one.Stream):
			fault("stream %q: a name has 1 to 128 letters, digits, '_', '.' and '-'", one.Stream)
		case arn != nil && o.Region != "" && o.Region != arn[1]:
			fault("region %s is not that of the stream, %s", o.Region, arn[1])
		case seen[one.StreamName()]:
			fault("stream %s is named twice", one.StreamName())
		}
		seen[one.StreamName()] = true
	}
	if len(each) > maxStreams {
		fault("%d streams are named, at most %d are possible", len(each), maxStreams)
	}
	if o.KeyOrder && o.Consumer != "" {
		fault("key order needs shards that several slots can read, and a consumer has one subscription per shard")
	}
	consumer := consumerARN.FindStringSubmatch(o.Consumer)
	switch {
	case o.Consumer == "":
	case consumer != nil && len(each) > 1:
		fault("the consumer's ARN is of one stream, and %d are named", len(each))
	case consumer != nil && consumer[2] != o.StreamName():
		fault("the consumer is of stream %s", consumer[2])
	case consumer == nil && !streamName.MatchString(o.Consumer):
		fault("consumer %q: a name has 1 to 128 letters, digits, '_', '.' and '-'", o.Consumer)
	}
	if o.RoleARN != "" && !roleARN.MatchString(o.RoleARN) {
		fault("role %q is not the ARN of an IAM role", o.RoleARN)
	}
	if o.Endpoint != "" {
		u, err := url.Parse(o.Endpoint)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			fault("endpoint %q is not an http or https URL", o.Endpoint)
		}
	}
	if o.EmulatorCredentials && o.Endpoint == "" {
		fault("emulator credentials need an endpoint: AWS refuses them")
	}
	switch o.InitialPosition {
	case "", Latest, TrimHorizon:
		if !o.InitialTimestamp.IsZero() {
			fault("an initial timestamp needs the initial position %s", AtTimestamp)
		}
	case AtTimestamp:
		if o.InitialTimestamp.IsZero() {
			fault("the initial position %s needs an initial timestamp", AtTimestamp)
		}
	default:
		fault("initial position %q is none of %s, %s, %s", o.InitialPosition, Latest, TrimHorizon, AtTimestamp)
	}
	if !o.StopTimestamp.IsZero() && o.StopTimestamp.Before(o.InitialTimestamp) {
		fault("the stop timestamp %s is before the initial timestamp %s",
			o.StopTimestamp.Format(time.RFC3339), o.InitialTimestamp.Format(time.RFC3339))
	}
	if o.MaxRecordsPerCall < 0 || o.MaxRecordsPerCall > DefaultMaxRecordsPerCall {
		fault("%d records per call: the service allows 1 to %d", o.MaxRecordsPerCall, DefaultMaxRecordsPerCall)
	}
	if o.BufferBytes < 0 {
		fault("a buffer of %d bytes is negative", o.BufferBytes)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"poll interval", o.PollInterval},
		{"idle poll interval", o.IdlePollInterval},
		{"call interval", o.CallInterval},
		{"discovery interval", o.DiscoveryInterval},
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

// withDefaults returns the options with defaults in place of zero values.
func (o Options) withDefaults() Options {
	o.PollInterval = cmp.Or(o.PollInterval, DefaultPollInterval)
	o.IdlePollInterval = cmp.Or(o.IdlePollInterval, DefaultIdlePollInterval)
	o.CallInterval = cmp.Or(o.CallInterval, DefaultCallInterval)
	o.DiscoveryInterval = cmp.Or(o.DiscoveryInterval, DefaultDiscoveryInterval)
	o.reopenedApart = cmp.Or(o.reopenedApart, defaultReopenedApart)
	o.RetryDeadline = cmp.Or(o.RetryDeadline, DefaultRetryDeadline)
	o.RetryBackoff = cmp.Or(o.RetryBackoff, DefaultRetryBackoff)
	o.RetryBackoffMax = cmp.Or(o.RetryBackoffMax, DefaultRetryBackoffMax)
	o.InitialPosition = cmp.Or(o.InitialPosition, Latest)
	o.MaxRecordsPerCall = cmp.Or(o.MaxRecordsPerCall, DefaultMaxRecordsPerCall)
	o.BufferBytes = cmp.Or(o.BufferBytes, DefaultBufferBytes)
	if arn := streamARN.FindStringSubmatch(o.Stream); arn != nil && o.Region == "" {
		o.Region = arn[1]
	}
	return o
}

// StreamName returns the stream's name, also where Stream is an ARN; of several
// streams their names, separated by commas.
func (o Options) StreamName() string {
	if each := o.Streams(); len(each) > 1 {
		names := make([]string, len(each))
		for i := range each {
			names[i] = each[i].StreamName()
		}
		return strings.Join(names, ",")
	}
	if arn := streamARN.FindStringSubmatch(o.Stream); arn != nil {
		return arn[2]
	}
	return o.Stream
}

// target returns the two ways in which requests name a stream; one is nil.
// Only the ARN reaches a stream of another account.
func (o Options) target() (name, arn *string) {
	if streamARN.MatchString(o.Stream) {
		return nil, &o.Stream
	}
	return &o.Stream, nil
}
