package property

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
)

// kafkaSource lists the properties of the Kafka source.
func kafkaSource() []Property {
	return []Property{
		{
			Name: "InputKafkaBootstrapServers", Group: groupKafkaSource, Kind: String, Check: checkBrokers, Allowed: allowedBrokers,
			Doc: "The Kafka brokers to ask first, as host:port, separated by commas. Set it together with InputKafkaTopic, in place of InputKinesisStream.",
		},
		{
			Name: "InputKafkaTopic", Group: groupKafkaSource, Kind: String, Check: checkTopics,
			Allowed: "a topic's name, several separated by commas, or regex: and a regular expression",
			Doc:     "What to read: one topic, several, or with regex: all topics whose whole name matches the expression; those that appear later are read from their beginning. An expression never matches the job's own topics for markers and dead letters; a topic that the job writes to on the same servers is refused.",
		},
		{
			Name: "InputKafkaGroupId", Group: groupKafkaSource, Kind: String, DefaultNote: "JobName", Check: checkGroup, Allowed: "1 to 249 printable characters",
			Doc: "The consumer group to which positions are committed, for tools that show how far a job has come, and at whose positions GROUP_OFFSETS begins. A restored job continues at its checkpoint, never at the group's positions.",
		},
		{
			Name: "InputKafkaInitialPosition", Group: groupKafkaSource, Kind: Enum, Default: "LATEST",
			Values: []string{"LATEST", "EARLIEST", "GROUP_OFFSETS", "TIMESTAMP"},
			Doc:    "Where a job that has never been started before begins to read: at what arrives after its start (LATEST), at the oldest record kept (EARLIEST), at the group's committed positions (GROUP_OFFSETS), or at InputKafkaInitialTimestamp (TIMESTAMP). LATEST is where the check at start saw a partition end; where it could not see that, the first record whose own time is not before the start, if there is one already.",
		},
		{
			Name: "InputKafkaInitialTimestamp", Group: groupKafkaSource, Kind: Time,
			Doc: "With InputKafkaInitialPosition=TIMESTAMP: the timestamp of the first record to read.",
		},
		{
			Name: "InputKafkaGroupFallback", Group: groupKafkaSource, Kind: Enum, Default: "EARLIEST", Values: []string{"EARLIEST", "LATEST"},
			Doc: "With InputKafkaInitialPosition=GROUP_OFFSETS: where to begin in a partition for which the group has no position.",
		},
		{
			Name: "InputKafkaOffsetReset", Group: groupKafkaSource, Kind: Enum, Default: "FAIL", Values: []string{"FAIL", "EARLIEST", "LATEST"},
			Doc: "What to do when the position to continue from no longer exists, because retention was shorter than a pause, the topic was recreated, or an unclean leader election cut off what had been read: fail, or continue at the oldest or the newest record, which leaves out or repeats events.",
		},
		{
			Name: "InputKafkaIsolation", Group: groupKafkaSource, Kind: Enum, Default: "read_committed", Values: []string{"read_committed", "read_uncommitted"},
			Doc: "read_committed takes exactly the records of committed transactions and those outside any transaction; read_uncommitted also takes those of transactions that are open or were aborted.",
		},
		{
			Name: "InputKafkaDiscoveryInterval", Group: groupKafkaSource, Kind: Millis, Default: "30000", Min: 100, Max: 3_600_000,
			Doc: "How often to look for new partitions and, with regex:, for new topics.",
		},
		{
			Name: "InputKafkaCommitOffsets", Group: groupKafkaSource, Kind: Bool, Default: "true",
			Doc: "Commits the positions to the group after each completed checkpoint. They are for tools that show the lag; the job does not need them.",
		},
		{
			Name: "InputKafkaStopAtEnd", Group: groupKafkaSource, Kind: Bool, Default: "false",
			Doc: "Reads each partition up to the end that it had when the job first looked at it, and no further. With --runner=direct the command ends when that is delivered.",
		},
		{
			Name: "InputKafkaTombstones", Group: groupKafkaSource, Kind: Enum, Default: "DEAD_LETTER", Values: []string{"DEAD_LETTER", "PASS"},
			Doc: "What happens to records whose value is null: they become dead letters (DEAD_LETTER), or are passed on to the Kafka sink (PASS; other sinks leave them out).",
		},
	}
}

// kafkaSink lists the properties of the Kafka sink.
func kafkaSink() []Property {
	return []Property{
		{
			Name: "OutputKafkaBootstrapServers", Group: groupKafkaSink, Kind: String, Check: checkBrokers, Allowed: allowedBrokers,
			Doc: "The Kafka brokers to ask first, as host:port, separated by commas. Set it together with OutputKafkaTopic.",
		},
		{
			Name: "OutputKafkaTopic", Group: groupKafkaSink, Kind: Template, Allowed: "text with {field}s and variables, such as trips or trips-{type}",
			Doc: "The topic to write to, or a template that names each event's topic.",
		},
		{
			Name: "OutputKafkaKey", Group: groupKafkaSink, Kind: Template, AllowEmpty: true, DefaultNote: "the source record's key, if it has one",
			Allowed: "text with {field}s and variables, such as {trip_id}",
			Doc:     "The template of a record's key. Records with the same key keep their order. Without a key, an event for a compacted topic becomes a dead letter.",
		},
		{
			Name: "OutputKafkaDelivery", Group: groupKafkaSink, Kind: Enum, Default: "EXACTLY_ONCE", Values: []string{"EXACTLY_ONCE", "AT_LEAST_ONCE"},
			Doc: "EXACTLY_ONCE writes in transactions, once a checkpoint holds what is written: readers need isolation.level=read_committed, and see events one checkpoint interval later. AT_LEAST_ONCE writes immediately, and again after a restart.",
		},
		{
			Name: "OutputKafkaTransactionalIdPrefix", Group: groupKafkaSink, Kind: String, DefaultNote: "JobName", Check: checkGroup, Allowed: "1 to 249 printable characters",
			Doc: "What the transactional ids, one per lane, begin with. Two jobs that write at the same time must not share it: they would fence each other.",
		},
		{
			Name: "OutputKafkaMarkerTopic", Group: groupKafkaSink, Kind: String, DefaultNote: "OutputKafkaTransactionalIdPrefix followed by -markers", Check: checkTopic, Allowed: "a topic's name",
			Doc: "The compacted topic that holds, for each lane, what was committed last. The job creates it, with three replicas if there are three brokers, and it belongs to the job alone. It must not be deleted or emptied.",
		},
		{
			Name: "OutputKafkaMarkerPolicy", Group: groupKafkaSink, Kind: Enum, Default: "STRICT", Values: []string{"STRICT", "ACCEPT"},
			Doc: "What to do when the marker and the restored job disagree: the marker is gone or lower than what was committed (the brokers lost data), or higher (the job was started from a savepoint older than what it wrote afterwards). STRICT refuses to continue; ACCEPT continues from the job's own state, which then repeats what was written since.",
		},
		{
			Name: "OutputKafkaLanes", Group: groupKafkaSink, Kind: Int, Default: "0", Max: 256, DefaultNote: "8, or Parallelism if that is more",
			Doc: "How many transactions are written at a time; all records of a key belong to one lane. A restored job keeps the number it was started with.",
		},
		{
			Name: "OutputKafkaCompression", Group: groupKafkaSink, Kind: Enum, Default: "lz4", Values: []string{"none", "gzip", "snappy", "lz4", "zstd"},
			Doc: "The compression of the batches that are written.",
		},
		{
			Name: "OutputKafkaMaxMessageBytes", Group: groupKafkaSink, Kind: Int, Default: "1000012", Min: 1024, Max: 100 << 20,
			Doc: "The largest message, with its key and headers, in bytes; larger events become dead letters. Including the batch around it, it must not exceed the max.message.bytes of a topic that is named here; where that is lowered later, and for topics that events name, the lower max.message.bytes applies.",
		},
		{
			Name: "OutputKafkaCreateTopic", Group: groupKafkaSink, Kind: Bool, Default: "false",
			Doc: "Creates topics that do not exist, with the cluster's default partitions and replication: at start those for events and for dead letters; if OutputKafkaTopic is a template, each topic when the first event names it.",
		},
		{
			Name: "OutputKafkaDeadLetterTopic", Group: groupKafkaSink, Kind: String, Default: "dead-letters", Check: checkTopic, Allowed: "a topic's name",
			Doc: "Where dead letters are written when the job has no bucket for them, each as a JSON text, in the same transactions as events. Their keys name the event and the sink, so the topic may be compacted. It must not be OutputKafkaTopic, and must exist at start unless OutputKafkaCreateTopic creates it.",
		},
	}
}

// kafkaSecurity lists how to log in to Kafka: for both sides, and for the sink
// where it differs.
func kafkaSecurity() []Property {
	var out []Property
	for _, side := range []string{"", "Output"} {
		of := func(name string) string {
			if side == "" {
				return ""
			}
			return "Kafka" + name
		}
		which, with, undo := "of source and sink are protected.", "", ""
		if side != "" {
			with, undo = " A sink with its own user name also has its own password.", " An empty value undoes the one for both sides."
			which = "of the sink are protected, if it is another cluster. From the login for both sides, a sink with properties of its own takes what fits its protocol and mechanism: with PLAINTEXT no login and no files, with AWS_MSK_IAM no user name."
		}
		out = append(out,
			Property{
				Name: side + "KafkaSecurityProtocol", Group: groupKafkaSecurity, Kind: Enum, Default: "PLAINTEXT", DefaultOf: of("SecurityProtocol"),
				Values: []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"},
				Doc:    "How connections to the brokers " + which,
			},
			Property{
				Name: side + "KafkaSaslMechanism", Group: groupKafkaSecurity, Kind: Enum, Default: "NONE", DefaultOf: of("SaslMechanism"),
				Values: []string{"NONE", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "AWS_MSK_IAM", "OAUTHBEARER"},
				Doc:    "How to log in with SASL_PLAINTEXT and SASL_SSL. AWS_MSK_IAM uses the identity of the AWS environment and signs for the region in the broker's name, otherwise for Region.",
			},
			Property{
				Name: side + "KafkaUsername", Group: groupKafkaSecurity, Kind: String, DefaultOf: of("Username"),
				Doc: "The user name for PLAIN and SCRAM.",
			},
			Property{
				Name: side + "KafkaPasswordFrom", Group: groupKafkaSecurity, Kind: String, DefaultOf: of("PasswordFrom"), Check: checkSecretPlace, Allowed: allowedSecretPlace,
				Doc: "Where the workers read the password: an environment variable or a file." + with,
			},
			Property{
				Name: side + "KafkaTokenFrom", Group: groupKafkaSecurity, Kind: String, DefaultOf: of("TokenFrom"), Check: checkSecretPlace, Allowed: allowedSecretPlace,
				Doc: "Where the workers read the bearer token of OAUTHBEARER, again at each login.",
			},
			Property{
				Name: side + "KafkaCaFile", Group: groupKafkaSecurity, Kind: Path, DefaultOf: of("CaFile"), AllowEmpty: side != "", DefaultNote: "the system's authorities",
				Doc: "The certificate authorities (PEM) that the brokers' certificates are checked against." + undo,
			},
			Property{
				Name: side + "KafkaCertificateFile", Group: groupKafkaSecurity, Kind: Path, DefaultOf: of("CertificateFile"), AllowEmpty: side != "",
				Doc: "The client's certificate chain (PEM), for brokers that ask for one." + undo,
			},
			Property{
				Name: side + "KafkaPrivateKeyFile", Group: groupKafkaSecurity, Kind: Path, DefaultOf: of("PrivateKeyFile"), AllowEmpty: side != "",
				Doc: "The key of the client's certificate (PEM, not encrypted)." + undo,
			},
			Property{
				Name: side + "KafkaRoleArn", Group: groupKafkaSecurity, Kind: String, DefaultOf: of("RoleArn"), AllowEmpty: side != "", Check: checkRole, Allowed: allowedRole,
				Doc: "A role to assume for AWS_MSK_IAM." + undo,
			},
		)
	}
	return out
}

const allowedBrokers = "host:port, several separated by commas"

func checkBrokers(text string) string {
	for b := range strings.SplitSeq(text, ",") {
		host, port, err := net.SplitHostPort(strings.TrimSpace(b))
		number, bad := strconv.ParseUint(port, 10, 16)
		if err != nil || host == "" || bad != nil || number == 0 {
			return fmt.Sprintf("has %q in it, which is not host:port", maskLogin(b))
		}
	}
	return ""
}

// checkTopic follows the rules of Kafka's org.apache.kafka.common.internals.Topic.
func checkTopic(name string) string {
	if name == "" || len(name) > 249 || name == "." || name == ".." || !only(name, nameLetters) {
		return fmt.Sprintf("has %q in it, which is not a topic's name (1 to 249 of a-z A-Z 0-9 _ . -)", name)
	}
	return ""
}

func checkTopics(text string) string {
	if expr, ok := strings.CutPrefix(text, "regex:"); ok {
		if _, err := regexp.Compile(expr); err != nil || expr == "" {
			return "has a regular expression that cannot be read"
		}
		return ""
	}
	for name := range strings.SplitSeq(text, ",") {
		if problem := checkTopic(strings.TrimSpace(name)); problem != "" {
			return problem
		}
	}
	return ""
}

func checkGroup(text string) string {
	if len(text) > 249 {
		return "is longer than 249 characters"
	}
	return checkJobName(text)
}

const allowedSecretPlace = "env:NAME of an environment variable, or file:/path"

func checkSecretPlace(text string) string {
	if name, ok := strings.CutPrefix(text, "env:"); ok && name != "" && !strings.ContainsAny(name, "= ") {
		return ""
	}
	if path, ok := strings.CutPrefix(text, "file:"); ok && path != "" {
		return ""
	}
	return "names neither a variable nor a file"
}

const allowedRole = "the ARN of an IAM role"

var roleARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/.+$`)

func checkRole(text string) string {
	if !roleARN.MatchString(text) {
		return "is not the ARN of a role (arn:aws:iam::account:role/name)"
	}
	return ""
}
