package pipeline

import (
	"cmp"
	"strings"

	"github.com/streaming-etl/streaming-etl/io/kafkaio"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/transact"
	"github.com/streaming-etl/streaming-etl/io/secret"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

// defaultLanes is not the parallelism, for the reason that defaultReaders has.
const defaultLanes = 8

// readKafka reads the properties of the Kafka source.
func (c *Config) readKafka(p *property.Set) {
	c.Kafka = kafkaio.Options{
		Brokers:           list(p.Get("InputKafkaBootstrapServers")),
		Topic:             p.Get("InputKafkaTopic"),
		GroupID:           or(p.Get("InputKafkaGroupId"), c.JobName),
		InitialPosition:   kafkaio.InitialPosition(p.Get("InputKafkaInitialPosition")),
		InitialTimestamp:  p.Time("InputKafkaInitialTimestamp"),
		OffsetReset:       kafkaio.OffsetReset(p.Get("InputKafkaOffsetReset")),
		ReadUncommitted:   p.Get("InputKafkaIsolation") == "read_uncommitted",
		StopAtEnd:         p.Bool("InputKafkaStopAtEnd"),
		DiscoveryInterval: p.Duration("InputKafkaDiscoveryInterval"),
		BufferBytes:       cmp.Or(p.Size("InputBufferMb"), kafkaio.DefaultBufferBytes),
		Security:          kafkaSecurity(p, ""),
	}
	if c.Kafka.InitialPosition == kafkaio.GroupOffsets {
		c.Kafka.GroupFallback = kafkaio.InitialPosition(p.Get("InputKafkaGroupFallback"))
	}
	c.CommitOffsets = p.Bool("InputKafkaCommitOffsets")
}

func (c *Config) checkKafkaSource(p *property.Set) {
	if !bothOf(p, "InputKafkaBootstrapServers", "InputKafkaTopic") {
		return
	}
	if !checkInitialTime(p, c.Kafka.InitialPosition == kafkaio.Timestamp, "InputKafkaInitialPosition", "TIMESTAMP", "InputKafkaInitialTimestamp") {
		return
	}
	if checkLogin(p, "", c.Kafka.Security) && p.Valid("InputKafkaTopic") && p.Valid("InputKafkaBootstrapServers") {
		addFault(p, "InputKafkaTopic", c.Kafka.Validate())
	}
}

// bothOf says whether both properties are given and good.
func bothOf(p *property.Set, names ...string) bool {
	ok := true
	for _, name := range names {
		if !p.Given(name) {
			p.Add(property.Mistake{Property: name, Problem: "is missing: " + strings.Join(names, " and ") + " go together"})
			ok = false
		}
		ok = ok && p.Valid(name)
	}
	return ok
}

// writeKafka reads the properties of the Kafka sink.
func (c *Config) writeKafka(p *property.Set) {
	if !p.Given("OutputKafkaTopic") && !p.Given("OutputKafkaBootstrapServers") {
		return
	}
	c.ToKafka = true
	c.AtLeastOnce = p.Get("OutputKafkaDelivery") == "AT_LEAST_ONCE"
	lanes := p.Int("OutputKafkaLanes")
	if lanes == 0 {
		lanes = max(c.Parallelism, defaultLanes)
	}
	limit := p.Int("OutputKafkaMaxMessageBytes")
	c.Lanes = route.LanesConfig{
		Topic: p.Get("OutputKafkaTopic"), Key: p.Get("OutputKafkaKey"),
		MaxMessageBytes: limit, BlockBytes: p.Int("OutputBlockKb") << 10,
	}
	c.DeadLetterTopic = p.Get("OutputKafkaDeadLetterTopic")
	c.KafkaSink = transact.Options{
		Brokers:               list(p.Get("OutputKafkaBootstrapServers")),
		Security:              kafkaSecurity(p, "Output"),
		TransactionalIDPrefix: or(p.Get("OutputKafkaTransactionalIdPrefix"), c.JobName),
		MarkerPolicy:          transact.MarkerPolicy(p.Get("OutputKafkaMarkerPolicy")),
		Compression:           p.Get("OutputKafkaCompression"),
		MaxMessageBytes:       limit,
		RetryDeadline:         commitPatience,
		CreateTopic:           p.Bool("OutputKafkaCreateTopic"),
	}
	c.KafkaSink.MarkerTopic = or(p.Get("OutputKafkaMarkerTopic"), topicOf(c.KafkaSink.TransactionalIDPrefix)+"-markers")
	c.Lanes.Reserved = append(ownNames(c.DeadLetterTopic), c.KafkaSink.MarkerTopic)
	c.setLanes(lanes)
	if !strings.ContainsAny(c.Lanes.Topic, "{}") {
		c.KafkaSink.Topic = c.Lanes.Topic
	}
	if bothOf(p, "OutputKafkaBootstrapServers", "OutputKafkaTopic") && checkLogin(p, "Output", c.KafkaSink.Security) {
		addFault(p, "OutputKafkaTopic", c.KafkaSink.Validate())
	}
}

// setLanes sets the number of lanes, which router and committer share.
func (c *Config) setLanes(n int) { c.Lanes.Lanes, c.KafkaSink.Lanes = n, n }

// checkLogin tells mistakes of the login by the property that a newcomer finds first.
func checkLogin(p *property.Set, side string, s security.Config) bool {
	err := s.Validate()
	addFault(p, side+"KafkaSecurityProtocol", err)
	return err == nil
}

// kafkaSecurity reads how to log in, for the sink with its own values first.
func kafkaSecurity(p *property.Set, side string) security.Config {
	get := func(name string) string { return p.Get(side + "Kafka" + name) }
	mechanism := get("SaslMechanism")
	if mechanism == "NONE" {
		mechanism = ""
	}
	return security.Config{
		Protocol:  get("SecurityProtocol"),
		Mechanism: mechanism,
		Username:  get("Username"),
		Password:  secretPlace(get("PasswordFrom")),
		Token:     secretPlace(get("TokenFrom")),
		CAFile:    get("CaFile"),
		CertFile:  get("CertificateFile"),
		KeyFile:   get("PrivateKeyFile"),
		RoleARN:   get("RoleArn"),
	}
}

// secretPlace reads env:NAME or file:/path.
func secretPlace(text string) secret.Secret {
	if name, ok := strings.CutPrefix(text, "env:"); ok {
		return secret.Secret{Env: name}
	}
	return secret.Secret{File: strings.TrimPrefix(text, "file:")}
}

// topicOf makes a topic's name of a job's: what no topic can be named by
// becomes a hyphen.
func topicOf(name string) string {
	out := []byte(name)
	for i, b := range out {
		if (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '.' && b != '_' {
			out[i] = '-'
		}
	}
	const room = 200 // of 249, for what follows
	return string(out[:min(len(out), room)])
}

// list splits a list with commas.
func list(text string) []string {
	var out []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
