package permissions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
)

// kafkaTimeout bounds the questions to a cluster.
const kafkaTimeout = 25 * time.Second

// KafkaTopic is a topic and what the job does to it.
type KafkaTopic struct {
	// Name is a topic, "regex:" and an expression, or a template of topics' names.
	Name string
	// Exclude are topics that an expression does not stand for.
	Exclude []string
	// Operations are READ, WRITE, DESCRIBE, DESCRIBE_CONFIGS.
	Operations []string
	// Partitions and Settings are those the job makes the topic with where it
	// is not there; Partitions 0 is for topics that the job does not make.
	Partitions int
	Settings   map[string]string
	// Replicated topics are warned of where they have one replica in a cluster
	// of three brokers or more.
	Replicated bool
}

// KafkaOptions say what a job does in a cluster.
type KafkaOptions struct {
	Brokers  []string
	Security security.Config
	Topics   []KafkaTopic
	// Group is the consumer group, with its operations; empty for none.
	Group           string
	GroupOperations []string
	// TransactionalIDPrefix begins the job's transactional ids; empty for none.
	TransactionalIDPrefix string
}

// Kafka asks a cluster what the user may do to topics, which brokers tell
// without doing it. The group is tried with a member that it does not have, and
// transactional ids with one of their own, behind the job's prefix, so that no
// running job is disturbed; topics that the job would make are made dry.
func Kafka(property string, o KafkaOptions) Probe {
	return func(ctx context.Context) Report {
		ctx, cancel := context.WithTimeout(ctx, kafkaTimeout)
		defer cancel()
		p := &kafkaProbe{property: property, opts: o}
		p.report.principal, p.report.brokers = principalOf(o.Security), strings.Join(o.Brokers, ",")
		if err := p.open(ctx); err != nil {
			p.add("DESCRIBE", "cluster", fmt.Errorf("reach Kafka at %s: %w", p.report.brokers, security.Explain(err)))
			return p.report
		}
		defer p.client.Close()
		for _, t := range o.Topics {
			p.topic(ctx, t)
		}
		if o.Group != "" {
			p.group(ctx)
		}
		if o.TransactionalIDPrefix != "" {
			p.transactional(ctx)
		}
		return p.report
	}
}

// principalOf is the user as access rules name it, as far as it is known here.
func principalOf(c security.Config) string {
	switch {
	case c.Username != "":
		return "User:" + c.Username
	case c.CertFile != "":
		return "User:THE CERTIFICATE'S SUBJECT"
	}
	return "User:ANONYMOUS"
}

type kafkaProbe struct {
	property string
	opts     KafkaOptions
	client   *kgo.Client
	report   Report
}

func (p *kafkaProbe) open(ctx context.Context) error {
	opts, err := p.opts.Security.Options(ctx)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(p.opts.Brokers...), kgo.ClientID("streaming-etl"),
		kgo.RetryTimeout(kafkaTimeout/3), kgo.DisableClientMetrics())...)
	if err != nil {
		return err
	}
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return err
	}
	p.client = client
	return nil
}

// mskActions are the actions of IAM for what access rules call otherwise.
var mskActions = map[string]string{
	"topic READ": "kafka-cluster:ReadData", "topic WRITE": "kafka-cluster:WriteData", "topic DESCRIBE": "kafka-cluster:DescribeTopic",
	"topic CREATE": "kafka-cluster:CreateTopic", "topic DESCRIBE_CONFIGS": "kafka-cluster:DescribeTopicDynamicConfiguration",
	"group READ": "kafka-cluster:AlterGroup", "group DESCRIBE": "kafka-cluster:DescribeGroup",
	"transactional-id WRITE": "kafka-cluster:AlterTransactionalId", "transactional-id DESCRIBE": "kafka-cluster:DescribeTransactionalId",
	"cluster DESCRIBE": "kafka-cluster:Connect",
}

var (
	errUntold   = errors.New("the broker does not say")
	errTemplate = errors.New("which topics there are depends on the events")
	errNoSuch   = errors.New("the topic does not exist, or this user may not describe it")
)

func (p *kafkaProbe) add(operation, resource string, err error) {
	out := Permission{Property: p.property, System: KafkaACL, Action: operation, Resource: resource, Outcome: Granted}
	if p.opts.Security.Mechanism == security.AWSMSKIAM {
		kind, name, _ := strings.Cut(resource, " ")
		out.System, out.Action = IAM, mskActions[kind+" "+operation]
		out.Resource = "arn:aws:kafka:" + cmp.Or(p.opts.Security.Region, "REGION") + ":" + account + ":" + kind + "/CLUSTER/UUID"
		if name != "" {
			out.Resource += "/" + name
		}
	}
	switch {
	case err == nil:
	case errors.Is(err, errUntold), errors.Is(err, errTemplate):
		out.Outcome, out.Why = Untried, err.Error()
	case refusedByKafka(err):
		out.Outcome, out.Why = Refused, ""
	default:
		out.Outcome, out.Why = Failed, err.Error()
	}
	p.report.Permissions = append(p.report.Permissions, out)
}

func refusedByKafka(err error) bool {
	for _, code := range []error{kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// operations are the numbers of operations in what brokers tell.
var operations = map[string]kmsg.ACLOperation{
	"READ": kmsg.ACLOperationRead, "WRITE": kmsg.ACLOperationWrite, "CREATE": kmsg.ACLOperationCreate,
	"DESCRIBE": kmsg.ACLOperationDescribe, "DESCRIBE_CONFIGS": kmsg.ACLOperationDescribeConfigs,
}

// untold is what a broker says that does not tell what is allowed.
const untold = -2147483648

// allowed makes an error of what a broker tells.
func allowed(told int32, operation string, refusal error) error {
	switch {
	case told == untold:
		return errUntold
	case told&(1<<operations[operation]) == 0:
		return refusal
	}
	return nil
}

func (p *kafkaProbe) topic(ctx context.Context, t KafkaTopic) {
	if strings.ContainsAny(t.Name, "{}") {
		for _, o := range t.Operations {
			p.add(o, "topic "+t.Name, errTemplate)
		}
		return
	}
	names, err := p.names(ctx, t)
	if err != nil {
		p.add("DESCRIBE", "topic "+t.Name, err)
		return
	}
	for _, name := range names {
		p.named(ctx, name, t)
	}
}

// names finds the topics that are meant.
func (p *kafkaProbe) names(ctx context.Context, t KafkaTopic) ([]string, error) {
	expr, ok := strings.CutPrefix(t.Name, "regex:")
	if !ok {
		var names []string
		for name := range strings.SplitSeq(t.Name, ",") {
			names = append(names, strings.TrimSpace(name))
		}
		return names, nil
	}
	re, err := regexp.Compile("^(?:" + expr + ")$")
	if err != nil {
		return nil, err
	}
	all, err := kadm.NewClient(p.client).ListTopics(ctx)
	if err != nil {
		return nil, security.Explain(err)
	}
	var names []string
	for name := range all {
		if re.MatchString(name) && !slices.Contains(t.Exclude, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, errors.New("no topic that this user may describe matches it")
	}
	slices.Sort(names)
	return names, nil
}

func (p *kafkaProbe) named(ctx context.Context, name string, t KafkaTopic) {
	found, err := p.describe(ctx, name)
	missing := errors.Is(err, kerr.UnknownTopicOrPartition)
	switch {
	case missing && t.Partitions > 0:
		p.add("CREATE", "topic "+name, p.create(ctx, name, t))
		// What is allowed is told of topics that are not there, too.
	case missing:
		p.add("DESCRIBE", "topic "+name, errNoSuch)
		return
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		// Who may not describe it is told nothing more of it, but that.
		for _, o := range t.Operations {
			p.add(o, "topic "+name, err)
		}
		return
	case err != nil:
		p.add("DESCRIBE", "topic "+name, security.Explain(err))
		return
	}
	for _, o := range t.Operations {
		p.add(o, "topic "+name, allowed(found.Topics[0].AuthorizedOperations, o, kerr.TopicAuthorizationFailed))
	}
	if t.Replicated && len(found.Brokers) >= 3 && slices.ContainsFunc(found.Topics[0].Partitions, oneReplica) {
		p.report.Warnings = append(p.report.Warnings, fmt.Sprintf("%s: topic %s has one replica on a cluster of %d brokers: "+
			"a broker that is lost takes what it holds with it. Give it three (kafka-reassign-partitions.sh) and min.insync.replicas=2", p.property, name, len(found.Brokers)))
	}
}

func oneReplica(p kmsg.MetadataResponseTopicPartition) bool { return len(p.Replicas) == 1 }

// describe returns a topic, with what this user may do to it, and the brokers.
// It has one topic where there is no error but that of the topic's code.
func (p *kafkaProbe) describe(ctx context.Context, name string) (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &name
	req.Topics = append(req.Topics, topic)
	req.IncludeTopicAuthorizedOperations = true
	resp, err := req.RequestWith(ctx, p.client)
	if err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 {
		return nil, fmt.Errorf("the broker described %d topics instead of one", len(resp.Topics))
	}
	return resp, kerr.ErrorForCode(resp.Topics[0].ErrorCode)
}

// create makes a topic dry.
func (p *kafkaProbe) create(ctx context.Context, name string, t KafkaTopic) error {
	settings := map[string]*string{}
	for k, v := range t.Settings {
		settings[k] = &v
	}
	made, err := kadm.NewClient(p.client).ValidateCreateTopics(ctx, int32(t.Partitions), -1, settings, name)
	if err == nil {
		err = made[name].Err
	}
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	return err
}

// group asks for the group's coordinator, and says to it that a member is alive
// which there is not: the first needs DESCRIBE and the second READ, whether the
// group exists or not. (What is allowed is told of groups that exist only.)
func (p *kafkaProbe) group(ctx context.Context) {
	for _, o := range p.opts.GroupOperations {
		var err error
		switch o {
		case "DESCRIBE":
			err = p.coordinator(ctx, groupCoordinator, p.opts.Group)
		case "READ":
			alive := kmsg.NewPtrHeartbeatRequest()
			alive.Group, alive.Generation, alive.MemberID = p.opts.Group, -1, "streaming-etl-check"
			var resp *kmsg.HeartbeatResponse
			if resp, err = alive.RequestWith(ctx, p.client); err == nil {
				err = kerr.ErrorForCode(resp.ErrorCode)
			}
			if err != nil && !refusedByKafka(err) && isKafkas(err) {
				err = nil // no such member, as was to be expected
			}
		}
		p.add(o, "group "+p.opts.Group, err)
	}
}

// isKafkas tells an answer from none.
func isKafkas(err error) bool {
	var code *kerr.Error
	return errors.As(err, &code)
}

// Types of coordinators.
const (
	groupCoordinator       = 0
	transactionCoordinator = 1
)

// A coordinator may not be there for a moment, at first for as long as the
// cluster makes its topic.
const (
	coordinatorAttempts = 20
	coordinatorPause    = 250 * time.Millisecond
)

// coordinator finds a coordinator, which needs the permission to describe what
// it coordinates.
func (p *kafkaProbe) coordinator(ctx context.Context, kind int8, key string) error {
	for attempt := 1; ; attempt++ {
		err := p.findCoordinator(ctx, kind, key)
		if err == nil || !kerr.IsRetriable(err) || attempt == coordinatorAttempts || pause.Sleep(ctx, coordinatorPause) != nil {
			return err
		}
	}
}

func (p *kafkaProbe) findCoordinator(ctx context.Context, kind int8, key string) error {
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorType, find.CoordinatorKey, find.CoordinatorKeys = kind, key, []string{key}
	resp, err := find.RequestWith(ctx, p.client)
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

// transactional tries a transactional id that no lane has.
func (p *kafkaProbe) transactional(ctx context.Context) {
	id := p.opts.TransactionalIDPrefix + "-check"
	resource := "transactional-id " + p.opts.TransactionalIDPrefix + "-"
	p.prefixed("DESCRIBE", resource, p.coordinator(ctx, transactionCoordinator, id))
	init := kmsg.NewPtrInitProducerIDRequest()
	init.TransactionalID = &id
	init.TransactionTimeoutMillis = int32(time.Minute / time.Millisecond)
	init.ProducerID, init.ProducerEpoch = -1, -1
	answer, err := init.RequestWith(ctx, p.client)
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	p.prefixed("WRITE", resource, err)
}

func (p *kafkaProbe) prefixed(operation, resource string, err error) {
	p.add(operation, resource, err)
	last := &p.report.Permissions[len(p.report.Permissions)-1]
	last.prefixed = true
	if last.System == IAM {
		last.Resource += "*"
	}
}
