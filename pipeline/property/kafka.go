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
			Doc: "The Kafka brokers to ask first, host:port with commas between. It goes with InputKafkaTopic, in place of InputKinesisStream.",
		},
		{
			Name: "InputKafkaTopic", Group: groupKafkaSource, Kind: String, Check: checkTopics,
			Allowed: "a topic's name, several with commas between, or regex: and a regular expression",
			Doc:     "What to read: one topic, several, or with regex: all whose whole name the expression matches; those that appear later are read from their beginning. An expression does not stand for the markers and dead letters of the job itself; a topic that the job writes to on the same servers is refused.",
		},
		{
			Name: "InputKafkaGroupId", Group: groupKafkaSource, Kind: String, DefaultNote: "JobName", Check: checkGroup, Allowed: "1 to 249 printable characters",
			Doc: "The consumer group that the positions are committed to, for tools that show how far a job has come, and that GROUP_OFFSETS begins at. A restored job goes on at its checkpoint, never at the group's positions.",
		},
		{
			Name: "InputKafkaInitialPosition", Group: groupKafkaSource, Kind: Enum, Default: "LATEST",
			Values: []string{"LATEST", "EARLIEST", "GROUP_OFFSETS", "TIMESTAMP"},
			Doc:    "Where a job that was never started before begins to read: at what arrives from the start on (LATEST: where the check at start saw a partition end; where that could not be seen, from the first record on whose own time is not before the start, if it is there already), at the oldest record kept, at the group's committed positions, or at InputKafkaInitialTimestamp.",
		},
		{
			Name: "InputKafkaInitialTimestamp", Group: groupKafkaSource, Kind: Time,
			Doc: "With InputKafkaInitialPosition=TIMESTAMP: the timestamp of the first record to read.",
		},
		{
			Name: "InputKafkaGroupFallback", Group: groupKafkaSource, Kind: Enum, Default: "EARLIEST", Values: []string{"EARLIEST", "LATEST"},
			Doc: "With InputKafkaInitialPosition=GROUP_OFFSETS: where to begin in a partition that the group has no position in.",
		},
		{
			Name: "InputKafkaOffsetReset", Group: groupKafkaSource, Kind: Enum, Default: "FAIL", Values: []string{"FAIL", "EARLIEST", "LATEST"},
			Doc: "What to do when the position to go on at is no longer there, because retention was shorter than a pause, the topic was made anew, or an unclean change of leaders cut off what was read: fail, or go on at the oldest or the newest record, which leaves out or repeats events.",
		},
		{
			Name: "InputKafkaIsolation", Group: groupKafkaSource, Kind: Enum, Default: "read_committed", Values: []string{"read_committed", "read_uncommitted"},
			Doc: "read_committed takes exactly the records of committed transactions, and those outside of any; read_uncommitted also those of transactions that are open or were given up.",
		},
		{
			Name: "InputKafkaDiscoveryInterval", Group: groupKafkaSource, Kind: Millis, Default: "30000", Min: 100, Max: 3_600_000,
			Doc: "How often new partitions, and new topics of a regex:, are looked for.",
		},
		{
			Name: "InputKafkaCommitOffsets", Group: groupKafkaSource, Kind: Bool, Default: "true",
			Doc: "Commits the positions to the group after each completed checkpoint. They are for tools that show the lag; the job does not need them.",
		},
		{
			Name: "InputKafkaStopAtEnd", Group: groupKafkaSource, Kind: Bool, Default: "false",
			Doc: "Reads each partition up to where it ended when it was first looked at, and no further. With --runner=direct the command ends when that is delivered.",
		},
		{
			Name: "InputKafkaTombstones", Group: groupKafkaSource, Kind: Enum, Default: "DEAD_LETTER", Values: []string{"DEAD_LETTER", "PASS"},
			Doc: "What becomes of records whose value is null: dead letters, or passed on to the Kafka sink (other sinks leave them out).",
		},
	}
}

// kafkaSink lists the properties of the Kafka sink.
func kafkaSink() []Property {
	return []Property{
		{
			Name: "OutputKafkaBootstrapServers", Group: groupKafkaSink, Kind: String, Check: checkBrokers, Allowed: allowedBrokers,
			Doc: "The Kafka brokers to ask first, host:port with commas between. It goes with OutputKafkaTopic.",
		},
		{
			Name: "OutputKafkaTopic", Group: groupKafkaSink, Kind: Template, Allowed: "text with {field}s and variables, such as trips or trips-{type}",
			Doc: "The topic to write to, or a template that gives each event's own one.",
		},
		{
			Name: "OutputKafkaKey", Group: groupKafkaSink, Kind: Template, AllowEmpty: true, DefaultNote: "the source record's key, if it has one",
			Allowed: "text with {field}s and variables, such as {trip_id}",
			Doc:     "The template of a record's key. Records of one key keep their order. Without one, an event for a compacted topic is a dead letter.",
		},
		{
			Name: "OutputKafkaDelivery", Group: groupKafkaSink, Kind: Enum, Default: "EXACTLY_ONCE", Values: []string{"EXACTLY_ONCE", "AT_LEAST_ONCE"},
			Doc: "EXACTLY_ONCE writes in transactions, once a checkpoint holds what is written: readers need isolation.level=read_committed, and see events a checkpoint interval later. AT_LEAST_ONCE writes at once, and again after a restart.",
		},
		{
			Name: "OutputKafkaTransactionalIdPrefix", Group: groupKafkaSink, Kind: String, DefaultNote: "JobName", Check: checkGroup, Allowed: "1 to 249 printable characters",
			Doc: "What the transactional ids begin with, one per lane. Two jobs that write at the same time must not share it: they would fence each other.",
		},
		{
			Name: "OutputKafkaMarkerTopic", Group: groupKafkaSink, Kind: String, DefaultNote: "OutputKafkaTransactionalIdPrefix and -markers", Check: checkTopic, Allowed: "a topic's name",
			Doc: "The compacted topic that holds, for each lane, what was committed last. The job makes it, with three replicas where there are three brokers, and it is the job's own. It must not be deleted or emptied.",
		},
		{
			Name: "OutputKafkaMarkerPolicy", Group: groupKafkaSink, Kind: Enum, Default: "STRICT", Values: []string{"STRICT", "ACCEPT"},
			Doc: "What to do when the marker and the restored job disagree: the marker is gone or lower than what was committed (the brokers lost data), or higher (the job was started from a savepoint older than what it wrote afterwards). STRICT refuses to go on; ACCEPT goes on from the job's own state, which then repeats what was written since.",
		},
		{
			Name: "OutputKafkaLanes", Group: groupKafkaSink, Kind: Int, Default: "0", Max: 256, DefaultNote: "8, or Parallelism if that is more",
			Doc: "How many transactions are written at a time; a key's records are always of one lane. A restored job keeps the number it was started with.",
		},
		{
			Name: "OutputKafkaCompression", Group: groupKafkaSink, Kind: Enum, Default: "lz4", Values: []string{"none", "gzip", "snappy", "lz4", "zstd"},
			Doc: "The compression of the batches that are written.",
		},
		{
			Name: "OutputKafkaMaxMessageBytes", Group: groupKafkaSink, Kind: Int, Default: "1000012", Min: 1024, Max: 100 << 20,
			Doc: "The largest message, with its key and headers, in bytes; larger events are dead letters. With the batch around it, it must not be above the max.message.bytes of a topic that is named here; where that is lowered later, and of topics that events name, the lower max.message.bytes counts.",
		},
		{
			Name: "OutputKafkaCreateTopic", Group: groupKafkaSink, Kind: Bool, Default: "false",
			Doc: "Makes topics that do not exist, with the cluster's default partitions and replication: at start those of events and of dead letters; where OutputKafkaTopic is a template, that of an event when the first one names it.",
		},
		{
			Name: "OutputKafkaDeadLetterTopic", Group: groupKafkaSink, Kind: String, Default: "dead-letters", Check: checkTopic, Allowed: "a topic's name",
			Doc: "Where dead letters are written when the job has no bucket for them, a JSON text each, in the same transactions as events. Their keys name event and sink, so that it may be compacted. It is not OutputKafkaTopic. It must be there at start, or OutputKafkaCreateTopic makes it.",
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
			with, undo = " A sink with a user name of its own has a password of its own too.", " Empty undoes that of both sides."
			which = "of the sink are protected, where it is another cluster. Of the login of both, a sink with a property of its own takes what fits its protocol and mechanism: one with PLAINTEXT no login and no files, one with AWS_MSK_IAM no user name."
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
				Doc:    "How to log in with SASL_PLAINTEXT and SASL_SSL. AWS_MSK_IAM takes the identity of the AWS environment; it signs for the region in the broker's name, else for Region.",
			},
			Property{
				Name: side + "KafkaUsername", Group: groupKafkaSecurity, Kind: String, DefaultOf: of("Username"),
				Doc: "Who logs in, with PLAIN and SCRAM.",
			},
			Property{
				Name: side + "KafkaPasswordFrom", Group: groupKafkaSecurity, Kind: String, DefaultOf: of("PasswordFrom"), Check: checkSecretPlace, Allowed: allowedSecretPlace,
				Doc: "Where the workers read the password: an environment variable or a file." + with,
			},
			Property{
				Name: side + "KafkaTokenFrom", Group: groupKafkaSecurity, Kind: String, DefaultOf: of("TokenFrom"), Check: checkSecretPlace, Allowed: allowedSecretPlace,
				Doc: "Where the workers read the bearer token of OAUTHBEARER, anew at each login.",
			},
			Property{
				Name: side + "KafkaCaFile", Group: groupKafkaSecurity, Kind: Path, DefaultOf: of("CaFile"), AllowEmpty: side != "", DefaultNote: "the system's authorities",
				Doc: "The certificate authorities (PEM) that the brokers' certificates are checked by." + undo,
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

const allowedBrokers = "host:port, several with commas between"

func checkBrokers(text string) string {
	for b := range strings.SplitSeq(text, ",") {
		host, port, err := net.SplitHostPort(strings.TrimSpace(b))
		number, bad := strconv.ParseUint(port, 10, 16)
		if err != nil || host == "" || bad != nil || number == 0 {
			return fmt.Sprintf("has %q in it, which is no host:port", maskLogin(b))
		}
	}
	return ""
}

// checkTopic follows the rules of Kafka's org.apache.kafka.common.internals.Topic.
func checkTopic(name string) string {
	if name == "" || len(name) > 249 || name == "." || name == ".." || !only(name, nameLetters) {
		return fmt.Sprintf("has %q in it, which is no topic's name (1 to 249 of a-z A-Z 0-9 _ . -)", name)
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
