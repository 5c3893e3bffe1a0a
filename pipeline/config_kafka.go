package pipeline

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/streaming-etl/streaming-etl/io/kafkaio"
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
		GroupID:           cmp.Or(p.Get("InputKafkaGroupId"), c.JobName),
		InitialPosition:   kafkaio.InitialPosition(p.Get("InputKafkaInitialPosition")),
		InitialTimestamp:  p.Time("InputKafkaInitialTimestamp"),
		OffsetReset:       kafkaio.OffsetReset(p.Get("InputKafkaOffsetReset")),
		ReadUncommitted:   p.Get("InputKafkaIsolation") == "read_uncommitted",
		StopAtEnd:         p.Bool("InputKafkaStopAtEnd"),
		DiscoveryInterval: p.Duration("InputKafkaDiscoveryInterval"),
		BufferBytes:       cmp.Or(p.Size("InputBufferMb"), kafkaio.DefaultBufferBytes),
		Security:          kafkaLogin{p, ""}.security(),
	}
	if c.Kafka.InitialPosition == kafkaio.GroupOffsets {
		c.Kafka.GroupFallback = kafkaio.InitialPosition(p.Get("InputKafkaGroupFallback"))
	}
	c.CommitOffsets = p.Bool("InputKafkaCommitOffsets")
}

func (c *Config) checkKafkaSource(p *property.Set) {
	login := kafkaLogin{p, ""}.check(c.Kafka.Security)
	if !bothOf(p, "InputKafkaBootstrapServers", "InputKafkaTopic") {
		return
	}
	if !checkInitialTime(p, c.Kafka.InitialPosition == kafkaio.Timestamp, "InputKafkaInitialPosition", "TIMESTAMP", "InputKafkaInitialTimestamp") {
		return
	}
	if login && p.Valid("InputKafkaTopic") && p.Valid("InputKafkaBootstrapServers") {
		addFault(p, "InputKafkaTopic", c.Kafka.Validate())
	}
}

// bothOf says whether both properties are given and good.
func bothOf(p *property.Set, names ...string) bool {
	ok := true
	for _, name := range names {
		if !p.Given(name) {
			p.Add(property.Mistake{Property: name, Problem: "is missing: " + strings.Join(names, " and ") + " must be set together"})
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
		Security:              kafkaLogin{p, "Output"}.security(),
		TransactionalIDPrefix: cmp.Or(p.Get("OutputKafkaTransactionalIdPrefix"), c.JobName),
		MarkerPolicy:          transact.MarkerPolicy(p.Get("OutputKafkaMarkerPolicy")),
		Compression:           p.Get("OutputKafkaCompression"),
		MaxMessageBytes:       limit,
		CreateTopic:           p.Bool("OutputKafkaCreateTopic"),
	}
	c.KafkaSink.MarkerTopic = cmp.Or(p.Get("OutputKafkaMarkerTopic"), topicOf(c.KafkaSink.TransactionalIDPrefix)+"-markers")
	c.Lanes.Reserved = append(ownNames(c.DeadLetterTopic), c.KafkaSink.MarkerTopic)
	c.setLanes(lanes)
	if !strings.ContainsAny(c.Lanes.Topic, "{}") {
		c.KafkaSink.Topic = c.Lanes.Topic
	}
	if bothOf(p, "OutputKafkaBootstrapServers", "OutputKafkaTopic") && c.checkSinkLogin(p) {
		addFault(p, "OutputKafkaTopic", c.KafkaSink.Validate())
	}
}

// checkSinkLogin says whether the sink can log in. A login of both sides is told
// by the properties of both, once.
func (c *Config) checkSinkLogin(p *property.Set) bool {
	login := kafkaLogin{p, "Output"}
	switch {
	case login.own():
		return login.check(c.KafkaSink.Security)
	case c.Route.Source == route.Kafka:
		return c.KafkaSink.Security.Validate() == nil
	}
	return kafkaLogin{p, ""}.check(c.KafkaSink.Security)
}

// keepApart keeps the job from reading what it writes. Topics of its own beside
// those of events are left out of an expression always: where the sink's servers
// have other names they may be of the same cluster. Of servers with the same
// names, a topic that is read too is refused, here where it is certain (and in
// checkApart for servers of other names), and where it is an event's to name, in
// that event.
func (c *Config) keepApart(p *property.Set) {
	if c.Route.Source != route.Kafka || !c.ToKafka || !p.Valid("InputKafkaTopic") || !p.Valid("OutputKafkaTopic") {
		return
	}
	c.Kafka.Exclude = c.Lanes.Reserved
	if !shareServer(c.Kafka.Brokers, c.KafkaSink.Brokers) {
		return
	}
	refuse := func(name, problem string) {
		p.Add(property.Mistake{Property: name, Problem: problem + ", which InputKafkaTopic reads from the same servers: the job would read what it writes, forever",
			Allowed: "a topic that InputKafkaTopic does not name, or another cluster in OutputKafkaBootstrapServers"})
	}
	if c.namesReadTopics() {
		if c.KafkaSink.Topic != "" {
			refuse("OutputKafkaTopic", "is "+c.Lanes.Topic)
		} else {
			refuse("OutputKafkaTopic", "is "+c.Lanes.Topic+" and names topics")
		}
	}
	if c.lanes() && c.Kafka.Reads(c.KafkaSink.MarkerTopic) {
		refuse("OutputKafkaMarkerTopic", "is "+c.KafkaSink.MarkerTopic)
	}
	if (c.Letters == lettersToLanes || c.Letters == kafkaName) && c.Kafka.Reads(c.DeadLetterTopic) {
		refuse("OutputKafkaDeadLetterTopic", "is "+c.DeadLetterTopic)
	}
	if expr, ok := strings.CutPrefix(c.Kafka.Topic, "regex:"); ok {
		c.Lanes.Read = expr
		return
	}
	var names []string
	for _, name := range list(c.Kafka.Topic) {
		names = append(names, regexp.QuoteMeta(name))
	}
	c.Lanes.Read = strings.Join(names, "|")
}

// reference is a field or variable in a template.
var reference = regexp.MustCompile(`\{[^{}]*\}`)

// namesReadTopics says that the sink's topic is read, or, where it is a
// template, that whatever there is in its fields makes it one.
func (c Config) namesReadTopics() bool {
	if c.Lanes.Topic == "{kafka.topic}" {
		return true
	}
	for _, value := range []string{"x", "0", "A.b-1"} {
		if !c.Kafka.Reads(reference.ReplaceAllString(c.Lanes.Topic, value)) {
			return false
		}
	}
	return true
}

// shareServer says that a server is in both lists.
func shareServer(a, b []string) bool {
	return slices.ContainsFunc(a, func(server string) bool {
		return slices.ContainsFunc(b, func(other string) bool { return strings.EqualFold(server, other) })
	})
}

// setLanes sets the number of lanes, which router and committer share.
func (c *Config) setLanes(n int) { c.Lanes.Lanes, c.KafkaSink.Lanes = n, n }

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
