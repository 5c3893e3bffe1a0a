package transact

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/logging"
)

// checkTimeout bounds Check, checkRequests one request in it.
const (
	checkTimeout  = 28 * time.Second
	checkRequests = 12 * time.Second
)

// Check tells within 30 s whether a Committer could work: brokers answer and
// take the login, the marker topic is right, and the topic is there where it
// is but one. It makes what is missing: the marker topic, compacted, with a
// partition per lane and three replicas where there are as many brokers, and Topic
// where CreateTopic is set. Call it before a job is started. It initialises no
// transactional id, so it disturbs nobody.
// It returns what Topic asks of records, for Fixed.
func (o Options) Check(ctx context.Context) (rules Rules, err error) {
	if err := o.Validate(); err != nil {
		return Rules{}, err
	}
	err = o.check(ctx, func(ctx context.Context, a *admin) (err error) {
		rules, err = a.topic(ctx)
		return errors.Join(a.markerTopic(ctx), a.transactionalIDs(ctx), err)
	})
	return rules, err
}

// CheckProducer is Check for a Producer.
func (o Options) CheckProducer(ctx context.Context) (rules Rules, err error) {
	if err := o.validateProducer(); err != nil {
		return Rules{}, err
	}
	err = o.check(ctx, func(ctx context.Context, a *admin) (err error) {
		rules, err = a.topic(ctx)
		return err
	})
	return rules, err
}

func (o Options) check(ctx context.Context, look func(context.Context, *admin) error) error {
	o = o.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	opts, err := o.clientOptions(ctx)
	if err != nil {
		return fmt.Errorf("reach Kafka: %w", err)
	}
	last := new(lastError)
	client, err := kgo.NewClient(append(opts, kgo.RetryTimeout(checkRequests), kgo.WithHooks(last))...)
	if err != nil {
		return fmt.Errorf("reach Kafka: %w", err)
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil {
		return fmt.Errorf("reach Kafka at %v: %w", o.Brokers, o.explain(last.because(err), ""))
	}
	return look(ctx, &admin{o, client, kadm.NewClient(client)})
}

// admin looks at topics and makes them.
type admin struct {
	opts   Options
	client *kgo.Client
	kadm   *kadm.Client
}

// markerTopic makes the marker topic, or looks at the one that is there.
func (a *admin) markerTopic(ctx context.Context) error {
	name := a.opts.MarkerTopic
	err := a.ensureMarkerTopic(ctx)
	if err != nil {
		return fmt.Errorf("marker topic %s: %w", name, a.opts.explain(err, ""))
	}
	return nil
}

func (a *admin) ensureMarkerTopic(ctx context.Context) error {
	name := a.opts.MarkerTopic
	found, err := a.describe(ctx, name)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return a.createMarkerTopic(ctx)
	}
	if err != nil {
		return err
	}
	if n := len(found.Partitions); n != a.opts.Lanes {
		return fmt.Errorf("it has %d partitions and there are %d lanes: the number of lanes stays what it was, or takes another marker topic", n, a.opts.Lanes)
	}
	settings, err := a.settings(ctx, name)
	if err != nil {
		return fmt.Errorf("read its settings: %w", err)
	}
	if policy := settings["cleanup.policy"]; policy != "compact" {
		return fmt.Errorf("its cleanup.policy is %q: markers would be deleted with time, it must be %q", policy, "compact")
	}
	err = a.patiently(ctx, func() error {
		_, err := (&markers{a.client, name}).offset(ctx, 0, offsetEarliest, readCommitted)
		return err
	})
	if err != nil {
		return fmt.Errorf("read from it: %w", err)
	}
	if err := writable(found); err != nil {
		return err
	}
	a.warnOfReplicas(ctx, found)
	return nil
}

// markerReplicas is how many replicas the marker topic gets where there are as
// many brokers; with fewer, a broker that is lost takes markers with it.
const markerReplicas = 3

// createMarkerTopic makes the marker topic so that markers stay: compaction
// keeps the last of each lane however old it is, a commit is on two brokers
// where there are three, and no replica that has less becomes the leader.
func (a *admin) createMarkerTopic(ctx context.Context) error {
	brokers, err := a.kadm.ListBrokers(ctx)
	if err != nil {
		return fmt.Errorf("make it: %w", err)
	}
	replicas := a.opts.ReplicationFactor
	if replicas == 0 {
		replicas = min(markerReplicas, len(brokers))
	}
	inSync := "1"
	if replicas >= markerReplicas {
		inSync = "2"
	}
	compact, never := "compact", "false"
	name, lanes, needed := a.opts.MarkerTopic, a.opts.Lanes, map[string]*string{"cleanup.policy": &compact}
	err = a.create(ctx, name, lanes, replicas, map[string]*string{
		"cleanup.policy": &compact, "min.insync.replicas": &inSync, "unclean.leader.election.enable": &never,
	})
	if errors.Is(err, kerr.InvalidConfig) || errors.Is(err, kerr.PolicyViolation) {
		// Managed clusters may choose all but the policy themselves.
		slog.WarnContext(ctx, "kafka: the cluster does not let the marker topic have settings of its own: it gets the cluster's",
			logging.Topic, name, logging.Error, err)
		return a.create(ctx, name, lanes, a.opts.ReplicationFactor, needed)
	}
	return err
}

// warnOfReplicas warns of a marker topic that the loss of one broker ends.
func (a *admin) warnOfReplicas(ctx context.Context, t *kmsg.MetadataResponseTopic) {
	brokers, err := a.kadm.ListBrokers(ctx)
	if err != nil || len(brokers) < markerReplicas {
		return
	}
	for _, p := range t.Partitions {
		if len(p.Replicas) == 1 {
			slog.WarnContext(ctx, "kafka: the marker topic has one replica: a broker that is lost takes markers with it, and the job then refuses to go on",
				logging.Topic, a.opts.MarkerTopic, "brokers", len(brokers), logging.Next, "give it three replicas (kafka-reassign-partitions.sh) and min.insync.replicas=2")
			return
		}
	}
}

// transactionalIDs asks where the first and the last lane's state is kept,
// which needs a permission on them and changes nothing.
func (a *admin) transactionalIDs(ctx context.Context) error {
	for _, lane := range slices.Compact([]int{0, a.opts.Lanes - 1}) {
		id := a.opts.transactionalID(lane)
		// A cluster that was never asked makes a topic for it first.
		if err := a.patiently(ctx, func() error { return a.coordinator(ctx, id) }); err != nil {
			return fmt.Errorf("transactional id %s: %w", id, a.opts.explain(err, ""))
		}
	}
	return nil
}

func (a *admin) coordinator(ctx context.Context, id string) error {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorType = 1 // of transactions
	req.CoordinatorKey = id
	req.CoordinatorKeys = []string{id}
	resp, err := req.RequestWith(ctx, a.client)
	if err != nil {
		return err
	}
	for _, c := range resp.Coordinators {
		if err := kerr.ErrorForCode(c.ErrorCode); err != nil {
			return err
		}
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// patiently does what may not be possible for a moment.
func (a *admin) patiently(ctx context.Context, once func() error) error {
	for attempt := 1; ; attempt++ {
		err := once()
		if err == nil || !kerr.IsRetriable(err) || pause.Sleep(ctx, pause.Backoff(attempt, a.opts.RetryBackoff, time.Second)) != nil {
			return err
		}
	}
}

// topic looks at the topic of the records, and makes it where it may.
func (a *admin) topic(ctx context.Context) (rules Rules, err error) {
	name := a.opts.Topic
	if name == "" {
		return Rules{}, nil
	}
	found, err := a.describe(ctx, name)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		if !a.opts.CreateTopic {
			return Rules{}, fmt.Errorf("topic %s: %w", name, ErrNoTopic)
		}
		if err := a.create(ctx, name, a.partitions(), a.opts.ReplicationFactor, nil); err != nil {
			return Rules{}, fmt.Errorf("topic %s: %w", name, a.opts.explain(err, ""))
		}
	} else if err != nil {
		return Rules{}, a.opts.explain(err, name)
	} else if err := writable(found); err != nil {
		return Rules{}, a.opts.explain(err, name)
	}
	// Not every broker knows a topic that was just made.
	err = a.patiently(ctx, func() (err error) {
		rules, err = a.rules(ctx, name)
		return err
	})
	if err != nil {
		return Rules{}, fmt.Errorf("topic %s: read its settings: %w", name, a.opts.explain(err, ""))
	}
	if most := rules.MaxBytes; most > 0 && most < a.opts.MaxMessageBytes {
		return rules, fmt.Errorf("topic %s: its max.message.bytes is %d, less than the largest message of %d bytes: raise the one or lower the other", name, most, a.opts.MaxMessageBytes)
	}
	return rules, nil
}

// partitions is how many a topic that is made gets; -1 leaves it to the cluster.
func (a *admin) partitions() int {
	if a.opts.Partitions == 0 {
		return -1
	}
	return a.opts.Partitions
}

// create makes a topic; 0 replicas stand for the cluster's default.
func (a *admin) create(ctx context.Context, name string, partitions, replicas int, settings map[string]*string) error {
	if replicas == 0 {
		replicas = -1
	}
	made, err := a.kadm.CreateTopic(ctx, int32(partitions), int16(replicas), settings, name)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil // somebody was faster
	}
	if err != nil {
		if made.ErrMessage != "" {
			err = fmt.Errorf("%w: %s", err, made.ErrMessage)
		}
		return fmt.Errorf("make it: %w", err)
	}
	// It is there for all when the broker that is asked knows it.
	return a.patiently(ctx, func() error {
		_, err := a.describe(ctx, name)
		return err
	})
}

// describe returns a topic with what this user may do to it.
func (a *admin) describe(ctx context.Context, name string) (*kmsg.MetadataResponseTopic, error) {
	return a.describeBy(ctx, a.client, name)
}

// describeBy is describe by one broker, or any.
func (a *admin) describeBy(ctx context.Context, by kmsg.Requestor, name string) (*kmsg.MetadataResponseTopic, error) {
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &name
	req.Topics = append(req.Topics, topic)
	req.IncludeTopicAuthorizedOperations = true
	resp, err := req.RequestWith(ctx, by)
	if err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 {
		return nil, kerr.UnknownTopicOrPartition
	}
	return &resp.Topics[0], kerr.ErrorForCode(resp.Topics[0].ErrorCode)
}

// writable looks at the permissions, where the broker tells them.
func writable(t *kmsg.MetadataResponseTopic) error {
	const (
		untold = -2147483648
		// opWrite is Kafka's number of the operation WRITE in an access rule.
		opWrite = 4
	)
	if t.AuthorizedOperations != untold && t.AuthorizedOperations&(1<<opWrite) == 0 {
		return kerr.TopicAuthorizationFailed
	}
	return nil
}

// settings returns all of a topic's.
func (a *admin) settings(ctx context.Context, topic string) (map[string]string, error) {
	all, err := a.kadm.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, r := range all {
		if r.Err != nil {
			return nil, r.Err
		}
		for _, c := range r.Configs {
			out[c.Key] = c.MaybeValue()
		}
	}
	return out, nil
}
