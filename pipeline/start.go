package pipeline

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/sync/errgroup"

	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/io/elasticsearchio"
	"github.com/streaming-etl/streaming-etl/io/kafkaio"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/transact"
	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/logging"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

const (
	// startTimeout bounds how long it may take to find out that a source or
	// sink cannot be used.
	startTimeout = 30 * time.Second
	// startPatience is for how long one that is away is asked again: a server
	// that is being started or moved is no reason to refuse a job.
	startPatience = 25 * time.Second
	// startPause and startPauseMax bound the time between two attempts, which doubles.
	startPause    = 250 * time.Millisecond
	startPauseMax = 2 * time.Second
	// awaitPause is between two checks of a job that is not refused for what is away.
	awaitPause = 30 * time.Second
)

// start finds out whether the job's source and sinks can be used, within 30 s.
// One that cannot be reached, throttles or fails within is asked again for as
// long as patience; one that refuses, or that has no such stream, topic or bucket,
// is told at once. What the services tell of themselves is c's from then on, for
// the workers.
func (c *Config) start(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	// All are asked, so that all mistakes are told.
	var heard heard
	defer func() { heard.tell(c) }()
	checks := c.startChecks(&heard)
	errs := make([]error, len(checks))
	var g errgroup.Group
	for i, ch := range checks {
		g.Go(func() error {
			if err := ch.patiently(ctx, patience); err != nil {
				errs[i] = fmt.Errorf("%s: %w%s", ch.property, err, regionHint(ch.property, err))
			}
			return nil
		})
	}
	_ = g.Wait() // the functions tell their errors through errs
	return errors.Join(errs...)
}

// await is start for a cluster that would end, and begin anew, if it were
// refused the job: while all that fails is away it is told to waiting, and
// checked again after a pause, until ctx ends. The job is not built unchecked:
// what a check makes, the marker topic for one, nobody makes later.
func (c *Config) await(ctx context.Context, patience, interval time.Duration, waiting func(error)) error {
	for {
		err := c.start(ctx, patience)
		if !allAway(err) {
			return err
		}
		waiting(err)
		if pause.Sleep(ctx, interval) != nil {
			return err
		}
	}
}

// regionHint names the properties that tell a region where one is missing.
func regionHint(name string, err error) string {
	if !errors.Is(err, kinesisio.ErrNoRegion) {
		return ""
	}
	own := map[string]string{
		"InputKinesisStream": "InputStreamRegion", "OutputBucket": "OutputBucketRegion", "DeadLetterBucket": "OutputBucketRegion",
		"OutputElasticsearchEndpoint": "ElasticsearchRegion", "OutputKinesisStream": "OutputStreamRegion",
	}[name]
	if own == "" {
		return "; set Region"
	}
	return "; set Region or " + own
}

// heard is what the services tell at the start.
type heard struct {
	mu sync.Mutex
	// rules are those of topics that the job writes to.
	rules map[string]transact.Rules
	// ends are those of topics that it reads, and begins there.
	ends *kafkaio.Ends
}

// topic keeps the rules of one.
func (h *heard) topic(name string, rules transact.Rules) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rules == nil {
		h.rules = map[string]transact.Rules{}
	}
	h.rules[name] = rules
}

// tell gives all of it to the configuration. The checks have ended.
func (h *heard) tell(c *Config) {
	c.Kafka.Ends = h.ends
	if h.rules != nil {
		fixed := map[string]transact.Rules{}
		maps.Copy(fixed, c.KafkaSink.Fixed)
		maps.Copy(fixed, h.rules)
		c.KafkaSink.Fixed = fixed
	}
}

// check asks whether what a property names can be used.
type check struct {
	property string
	run      func(context.Context) error
}

// patiently asks until there is an answer that stays.
func (ch check) patiently(ctx context.Context, patience time.Duration) error {
	began := time.Now()
	var before error
	for attempt := 1; ; attempt++ {
		err := ch.run(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			// An attempt that was cut short says less than the one before.
			return withAttempts(cmp.Or(before, err), attempt, time.Since(began))
		}
		wait := min(startPause<<min(attempt-1, 8), startPauseMax)
		if !away(err) || time.Since(began)+wait > patience {
			return withAttempts(err, attempt, time.Since(began))
		}
		before = err
		logging.Retry(ctx, "start: a service is unreachable and is tried again", attempt, wait, err, logging.Property, ch.property)
		if pause.Sleep(ctx, wait) != nil {
			return withAttempts(err, attempt, time.Since(began))
		}
	}
}

// withAttempts adds to an error how often it was met.
func withAttempts(err error, attempts int, since time.Duration) error {
	if attempts == 1 {
		return err
	}
	return fmt.Errorf("%w (asked %d times in %s)", err, attempts, since.Round(time.Second))
}

// away says that an error may be gone at the next attempt: the service cannot
// be reached, throttles or fails within. What it refuses, it will refuse again.
func away(err error) bool {
	var (
		unknown   *net.DNSError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		search    *elasticsearchio.Error
		bucket    *s3io.Error
		stream    *kinesisio.Error
		broker    *kerr.Error
	)
	switch {
	case err == nil, errors.Is(err, context.Canceled), security.Refused(err), errors.Is(err, kafkaio.ErrNoTopic),
		errors.As(err, &unknown) && unknown.IsNotFound,
		errors.As(err, &authority), errors.As(err, &name), errors.As(err, &invalid), errors.As(err, &record):
		return false
	case errors.As(err, &stream):
		return kinesisio.Passing(err)
	case errors.As(err, &bucket):
		return s3io.Passing(err)
	case errors.As(err, &search) && search.Status != 0:
		return search.Status == 429 || search.Status == 408 || search.Status >= 500
	case errors.As(err, &broker):
		return broker.Retriable && broker != kerr.UnknownTopicOrPartition
	}
	return cutOff(err)
}

// allAway says that away is true of all that an error of Check joins.
func allAway(err error) bool {
	joined, ok := err.(interface{ Unwrap() []error })
	return ok && !slices.ContainsFunc(joined.Unwrap(), func(e error) bool { return !away(e) })
}

// cutOff says that there was no connection, or not to the end.
func cutOff(err error) bool {
	var (
		op      *net.OpError
		timeout net.Error
	)
	return errors.As(err, &op) || errors.As(err, &timeout) && timeout.Timeout() ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// startChecks are one of the source and one of each sink.
func (c Config) startChecks(h *heard) []check {
	var out []check
	if c.Generate == 0 {
		out = append(out, check{c.sourceProperty(), h.source(c)})
	}
	if c.Discard {
		return out
	}
	bucket := func(o s3io.Options) func(context.Context) error {
		return func(ctx context.Context) error {
			store, err := s3io.New(ctx, o)
			if err != nil {
				return err
			}
			return store.Check(ctx)
		}
	}
	if c.Files {
		out = append(out, check{"OutputBucket", bucket(c.S3)})
	}
	if c.Letters == lettersToFiles && c.DeadLetterBucket != "" {
		o, _ := c.letterBucket()
		out = append(out, check{"DeadLetterBucket", bucket(o)})
	}
	if c.ToKafka {
		run := c.KafkaSink.Check
		if c.AtLeastOnce {
			run = c.KafkaSink.CheckProducer
		}
		out = append(out, check{"OutputKafkaTopic", h.orMakeTopic(c.KafkaSink.Topic, run)})
		if c.Route.Source == route.Kafka && c.namesReadTopics() {
			out = append(out, check{"OutputKafkaTopic", c.checkApart})
		}
	}
	if c.lettersToTopic() {
		o := c.KafkaSink
		o.Topic = c.DeadLetterTopic
		out = append(out, check{"OutputKafkaDeadLetterTopic", h.orMakeTopic(o.Topic, o.CheckProducer)})
	}
	if e := c.Elasticsearch; e != nil {
		out = append(out, check{"OutputElasticsearchEndpoint", e.check})
	}
	if k := c.KinesisSink; k != nil {
		out = append(out, check{"OutputKinesisStream", k.check})
	}
	return out
}

// checkApart refuses a topic that is read too, of servers that keepApart took
// for another cluster's.
func (c Config) checkApart(ctx context.Context) error {
	source, err := c.Kafka.ClusterID(ctx)
	if err != nil {
		return err
	}
	sink, err := kafkaio.Options{Brokers: c.KafkaSink.Brokers, Security: c.KafkaSink.Security}.ClusterID(ctx)
	if err != nil {
		return err
	}
	if source == sink && source != "" {
		return fmt.Errorf("InputKafkaTopic reads what %s names, and InputKafkaBootstrapServers and OutputKafkaBootstrapServers are of one cluster (%s): the job would read what it writes, forever", c.Lanes.Topic, source)
	}
	return nil
}

// orMakeTopic adds to a check the property that has the job make a topic, and
// keeps what it hears of it. The name is empty where events name topics.
func (h *heard) orMakeTopic(name string, run func(context.Context) (transact.Rules, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		rules, err := run(ctx)
		if err == nil && name != "" {
			h.topic(name, rules)
		}
		if errors.Is(err, transact.ErrNoTopic) {
			return fmt.Errorf("%w: create it, or let the job create it with OutputKafkaCreateTopic=true", err)
		}
		return err
	}
}

// source checks the source, and keeps what it hears of it.
func (h *heard) source(c Config) func(context.Context) error {
	if c.Route.Source != route.Kafka {
		return c.Kinesis.Check
	}
	return func(ctx context.Context) error {
		ends, err := c.Kafka.Check(ctx)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ends = ends
		return err
	}
}
