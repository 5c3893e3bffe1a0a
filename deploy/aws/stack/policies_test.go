package stack

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A statement of any policy of a template.
type statement struct {
	where, sid, effect string
	actions, resources []string
	principal          any
	condition          any
}

// statements returns those of all policies: of roles, of buckets, domains and
// topics, and who may take a role.
func (t template) statements() []statement {
	var all []statement
	add := func(where string, document any) {
		m, _ := document.(map[string]any)
		given, _ := m["Statement"].([]any)
		for _, one := range given {
			s := one.(map[string]any)
			sid, _ := s["Sid"].(string)
			effect, _ := s["Effect"].(string)
			st := statement{where: where, sid: sid, effect: effect, principal: s["Principal"], condition: s["Condition"], actions: list(s["Action"])}
			if s["Resource"] != nil {
				st.resources = list(s["Resource"])
			}
			all = append(all, st)
		}
	}
	for _, id := range sortedKeys(t.Resources) {
		p := t.Resources[id].Properties
		add(id, p["PolicyDocument"])
		add(id, p["AccessPolicies"])
		add(id+" trust", p["AssumeRolePolicyDocument"])
		inline, _ := p["Policies"].([]any)
		for _, one := range inline {
			add(id, one.(map[string]any)["PolicyDocument"])
		}
	}
	return all
}

// ofSid returns the statements of roles by their ids.
func (t template) bySid() map[string]statement {
	all := map[string]statement{}
	for _, s := range t.statements() {
		if s.sid != "" && s.effect == "Allow" {
			all[s.sid] = s
		}
	}
	return all
}

// wide are the statements that are allowed a resource that is not one name,
// with the pattern, and why.
var wide = map[string]struct{ resources, reason string }{
	"LookAtNetwork": {`\*`, "EC2's Describe actions know no resources"},
	"MakeInterfaces": {`arn:\$\{AWS::Partition\}:ec2:\$\{AWS::Region\}:\$\{AWS::AccountId\}:network-interface/\*`,
		"an interface has its id when it is made; subnets and group are named beside it"},
	"UseInterfaces": {`arn:\$\{AWS::Partition\}:ec2:\$\{AWS::Region\}:\$\{AWS::AccountId\}:network-interface/\*`,
		"an interface has its id when it is made"},
	"FindLogGroup": {`arn:\$\{AWS::Partition\}:logs:\$\{AWS::Region\}:\$\{AWS::AccountId\}:log-group:\*`,
		"the service lists the account's groups to find the one of its log stream"},
	"SessionManager": {`\*`, "the channels of Session Manager know no resources, and the host does not know its own id yet"},
	"WriteObjects":   {`arn:\$\{AWS::Partition\}:s3:::[^*]+/[^*]*\*`, "the objects of one bucket under the job's prefix"},
	"ReadEvents":     {`arn:\$\{AWS::Partition\}:s3:::aws-bigdata-blog/artifacts/[^*]+\*`, "the objects of the replay's folder"},
	"JobWrites": {`arn:\$\{AWS::Partition\}:es:\$\{AWS::Region\}:\$\{AWS::AccountId\}:domain/\*`,
		"it lies on the domain, and is about that domain alone"},
	"WriteInTransactions": {`\$\{part 0 of .+\}:transactional-id/\$\{part 1 of .+\}/[^*]+\*|arn:.+:transactional-id/[^*]+\*`,
		"the transactional ids of one prefix, one for each lane"},
	"ReadTopics":       {`[^*]+/trips-\*`, "topics that an expression chooses: all its matches begin so"},
	"RegisterConsumer": {`[^*]+/consumer/[^*]+:\*`, "a consumer's ARN ends with the second in which it was registered"},
	"ReadAsConsumer":   {`[^*]+/consumer/[^*]+:\*`, "a consumer's ARN ends with the second in which it was registered"},
}

func TestStatementsNameWhatTheyAreFor(t *testing.T) {
	used := map[string]bool{}
	for name, context := range everything() {
		t.Run(name, func(t *testing.T) {
			seen := map[string]bool{}
			for _, s := range synth(t, context).statements() {
				if s.effect == "Deny" || strings.HasSuffix(s.where, " trust") {
					continue // denials of plain HTTP are meant for all; trusts have no resources
				}
				if s.sid == "" || seen[s.where+s.sid] {
					t.Errorf("%s: a statement with actions %v has no id of its own, but %q", s.where, s.actions, s.sid)
				}
				seen[s.where+s.sid] = true
				for _, action := range s.actions {
					if strings.Contains(action, "*") {
						t.Errorf("%s %s: the action %s has a wildcard", s.where, s.sid, action)
					}
				}
				for _, r := range s.resources {
					if !strings.Contains(r, "*") {
						continue
					}
					allowed, ok := wide[s.sid]
					if !ok || !regexp.MustCompile(`^(?:`+allowed.resources+`)$`).MatchString(r) {
						t.Errorf("%s %s: the resource %s has a wildcard that is not explained", s.where, s.sid, r)
					}
					used[s.sid] = true
				}
			}
		})
	}
	for _, sid := range sortedKeys(wide) {
		if !used[sid] {
			t.Errorf("the exception %s (%s) is not used", sid, wide[sid].reason)
		}
	}
}

func TestRolesAreTakenByOneServiceEach(t *testing.T) {
	for name, context := range everything() {
		t.Run(name, func(t *testing.T) {
			for _, s := range synth(t, context).statements() {
				if !strings.HasSuffix(s.where, " trust") {
					continue
				}
				principal, _ := s.principal.(map[string]any)
				service := words(principal["Service"])
				if len(principal) != 1 || !slices.Contains([]string{"kinesisanalytics.amazonaws.com", "ec2.amazonaws.com", "lambda.amazonaws.com"}, service) {
					t.Errorf("%s can be taken by %v", s.where, s.principal)
				}
				if service == "kinesisanalytics.amazonaws.com" && s.condition == nil {
					t.Errorf("%s can be taken for the applications of other accounts", s.where)
				}
			}
		})
	}
}

// Inline policies of a role may have 10,240 characters in all (IAM's quotas).
func TestPoliciesAreNotTooLong(t *testing.T) {
	for name, context := range everything() {
		t.Run(name, func(t *testing.T) {
			for id, p := range synth(t, context).ofType("AWS::IAM::Policy") {
				text, err := json.Marshal(p.Properties["PolicyDocument"])
				if err != nil {
					t.Fatal(err)
				}
				if len(text) > 10_240 {
					t.Errorf("%s has %d characters", id, len(text))
				}
			}
		})
	}
}

// namedJob has a name that the job changes where a consumer or a topic takes it.
var namedJob = map[string]string{
	"JobName": "taxi trips", "InputKinesisStream": "trips", "InputStreamConsumer": "EFO", "replayHost": "false",
	"OutputKafkaTopic": "clean", "OutputKafkaBootstrapServers": "b-1.events.abc.c6.kafka.eu-west-1.amazonaws.com:9098",
	"KafkaSecurityProtocol": "SASL_SSL", "KafkaSaslMechanism": "AWS_MSK_IAM", "outputClusterArn": testCluster,
}

func TestPermissionsFollowTheProperties(t *testing.T) {
	const here = "${AWS::Region}:${AWS::AccountId}"
	tests := map[string]struct {
		context map[string]string
		want    map[string][2][]string // actions and resources by the statement's id
		not     []string
	}{
		"its own stream and bucket": {
			context: templates["template.json"],
			want: map[string][2][]string{
				"ReadStream":   {{"kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"}, {"${Stream.Arn}"}},
				"LookAtBucket": {{"s3:ListBucket"}, {"arn:${AWS::Partition}:s3:::${Bucket83908E77}"}},
				"WriteObjects": {{"s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"}, {"arn:${AWS::Partition}:s3:::${Bucket83908E77}/streaming-etl-output/*"}},
				"ReadJar":      {{"s3:GetObject", "s3:GetObjectVersion"}, {"arn:${AWS::Partition}:s3:::${JarBucket}/${JarKey}"}},
				"SendEvents":   {{"kinesis:ListShards", "kinesis:PutRecords"}, {"${Stream.Arn}"}},
			},
			not: []string{"LookAtNetwork", "WriteStream", "WriteDocuments", "ReadTopics", "WriteTopics"},
		},
		"fan-out, streams by name and ARN, a domain": {
			context: variants["fan-out into a stream and a domain that are there"],
			want: map[string][2][]string{
				"ReadStream": {{"kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"},
					{"arn:${AWS::Partition}:kinesis:" + here + ":stream/trips", "arn:aws:kinesis:us-east-1:210987654321:stream/fares"}},
				"RegisterConsumer": {{"kinesis:DescribeStreamConsumer", "kinesis:DescribeStreamSummary", "kinesis:RegisterStreamConsumer"}, {
					"arn:${AWS::Partition}:kinesis:" + here + ":stream/trips", "arn:aws:kinesis:us-east-1:210987654321:stream/fares",
					"arn:${AWS::Partition}:kinesis:" + here + ":stream/trips/consumer/${AWS::StackName}:*",
					"arn:aws:kinesis:us-east-1:210987654321:stream/fares/consumer/${AWS::StackName}:*"}},
				"ReadAsConsumer": {{"kinesis:SubscribeToShard"}, {
					"arn:${AWS::Partition}:kinesis:" + here + ":stream/trips/consumer/${AWS::StackName}:*",
					"arn:aws:kinesis:us-east-1:210987654321:stream/fares/consumer/${AWS::StackName}:*"}},
				"WriteStream": {{"kinesis:ListShards", "kinesis:PutRecords"},
					{"arn:${AWS::Partition}:kinesis:us-west-2:${AWS::AccountId}:stream/clean"}},
				"WriteDocuments": {{"es:ESHttpGet", "es:ESHttpHead", "es:ESHttpPost"}, {
					"arn:${AWS::Partition}:es:eu-west-1:${AWS::AccountId}:domain/trips",
					"arn:${AWS::Partition}:es:eu-west-1:${AWS::AccountId}:domain/trips/",
					"arn:${AWS::Partition}:es:eu-west-1:${AWS::AccountId}:domain/trips/_bulk"}},
			},
			not: []string{"MakeDeadLetterIndex"},
		},
		"dead letters in a domain": {
			context: map[string]string{"InputKinesisStream": "trips", "OutputElasticsearchEndpoint": testEndpoint, "ElasticsearchDeadLetterIndex": "letters", "replayHost": "false"},
			want: map[string][2][]string{
				"MakeDeadLetterIndex": {{"es:ESHttpHead", "es:ESHttpPut"}, {"arn:${AWS::Partition}:es:eu-west-1:${AWS::AccountId}:domain/trips/letters"}},
			},
		},
		"roles of other accounts": {
			context: variants["by roles of other accounts"],
			want: map[string][2][]string{
				"AssumeInputRole":  {{"sts:AssumeRole"}, {"arn:aws:iam::210987654321:role/read"}},
				"AssumeOutputRole": {{"sts:AssumeRole"}, {"arn:aws:iam::210987654321:role/write"}},
			},
			not: []string{"ReadStream", "WriteStream"},
		},
		"MSK with an expression": {
			context: variants["from MSK in a peered VPC"],
			want: map[string][2][]string{
				"ConnectToSource": {{"kafka-cluster:Connect"}, {testCluster}},
				"ReadTopics":      {{"kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"}, {strings.Replace(testCluster, ":cluster/", ":topic/", 1) + "/trips-*"}},
				"CommitOffsets":   {{"kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"}, {strings.Replace(testCluster, ":cluster/", ":group/", 1) + "/${AWS::StackName}"}},
				"WriteObjects":    {{"s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"}, {"arn:${AWS::Partition}:s3:::lake/trips/*"}},
			},
			not: []string{"ReadStream", "WriteTopics"},
		},
		"MSK that is there into MSK of the stack": {
			context: variants["from MSK that is there to MSK of the stack"],
			want: map[string][2][]string{
				"ConnectToSource": {{"kafka-cluster:Connect"}, {testCluster}},
				"ReadTopics":      {{"kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"}, {strings.Replace(testCluster, ":cluster/", ":topic/", 1) + "/trips"}},
				"ConnectToSink":   {{"kafka-cluster:Connect", "kafka-cluster:WriteDataIdempotently"}, {"${Kafka}"}},
				"WriteTopics": {{"kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:ReadData", "kafka-cluster:WriteData"},
					{"${part 0 of ${Kafka}}:topic/${part 1 of ${Kafka}}/clean", "${part 0 of ${Kafka}}:topic/${part 1 of ${Kafka}}/dead-letters"}},
			},
		},
		"brokers without IAM into MSK of the stack": {
			context: variants["from brokers elsewhere to MSK of the stack"],
			want:    map[string][2][]string{"ConnectToSink": {{"kafka-cluster:Connect", "kafka-cluster:WriteDataIdempotently"}, {"${Kafka}"}}},
			not:     []string{"ConnectToSource", "ReadTopics", "CommitOffsets"},
		},
		"MSK of the stack into brokers without IAM": {
			context: variants["from MSK of the stack to brokers elsewhere"],
			want: map[string][2][]string{
				"ConnectToSource": {{"kafka-cluster:Connect"}, {"${Kafka}"}},
				"ReadTopics":      {{"kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"}, {"${part 0 of ${Kafka}}:topic/${part 1 of ${Kafka}}/trips"}},
			},
			not: []string{"ConnectToSink", "WriteTopics", "KeepMarkers", "WriteInTransactions"},
		},
		"transactions into MSK of the stack": {
			context: templates["template-full.json"],
			want: map[string][2][]string{
				"ConnectToSink": {{"kafka-cluster:Connect", "kafka-cluster:WriteDataIdempotently"}, {"${Kafka}"}},
				"WriteTopics": {{"kafka-cluster:CreateTopic", "kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:ReadData", "kafka-cluster:WriteData"},
					{"${part 0 of ${Kafka}}:topic/${part 1 of ${Kafka}}/trips"}},
				"KeepMarkers": {{"kafka-cluster:CreateTopic", "kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:ReadData", "kafka-cluster:WriteData"},
					{"${part 0 of ${Kafka}}:topic/${part 1 of ${Kafka}}/${AWS::StackName}-markers"}},
				"WriteInTransactions": {{"kafka-cluster:AlterTransactionalId", "kafka-cluster:DescribeTransactionalId"},
					{"${part 0 of ${Kafka}}:transactional-id/${part 1 of ${Kafka}}/${AWS::StackName}*"}},
				"AskForBrokers": {{"kafka:GetBootstrapBrokers"}, {"${Kafka}"}},
			},
			not: []string{"ReadTopics", "MakeDeadLetterIndex"},
		},
		"MSK into brokers without a login": {
			context: map[string]string{
				"InputKafkaTopic": "trips", "InputKafkaBootstrapServers": "b-1.events:9098", "KafkaSecurityProtocol": "SASL_SSL", "KafkaSaslMechanism": "AWS_MSK_IAM",
				"OutputKafkaTopic": "clean", "OutputKafkaBootstrapServers": "b-1.open:9092", "OutputKafkaSecurityProtocol": "PLAINTEXT",
				"inputClusterArn": testCluster, "replayHost": "false",
			},
			want: map[string][2][]string{"ConnectToSource": {{"kafka-cluster:Connect"}, {testCluster}}},
			not:  []string{"ConnectToSink", "WriteTopics"},
		},
		"a job whose name is none of a consumer or topic": {
			context: namedJob,
			want: map[string][2][]string{
				"ReadAsConsumer": {{"kinesis:SubscribeToShard"}, {"arn:${AWS::Partition}:kinesis:" + here + ":stream/trips/consumer/taxi-trips:*"}},
				"KeepMarkers": {{"kafka-cluster:CreateTopic", "kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:ReadData", "kafka-cluster:WriteData"},
					{strings.Replace(testCluster, ":cluster/", ":topic/", 1) + "/taxi-trips-markers"}},
				"WriteInTransactions": {{"kafka-cluster:AlterTransactionalId", "kafka-cluster:DescribeTransactionalId"},
					{strings.Replace(testCluster, ":cluster/", ":transactional-id/", 1) + "/taxi trips*"}},
			},
		},
		"streams with keys, a consumer by its ARN": {
			context: variants["a consumer by its ARN, streams with keys"],
			want: map[string][2][]string{
				"ReadAsConsumer":    {{"kinesis:SubscribeToShard"}, {testConsumer}},
				"UseInputKeys":      {{"kms:Decrypt"}, {"arn:aws:kms:eu-west-1:123456789012:key/in"}},
				"UseOutputKey":      {{"kms:GenerateDataKey"}, {"arn:aws:kms:eu-west-1:123456789012:key/out"}},
				"SendWithInputKeys": {{"kms:GenerateDataKey"}, {"arn:aws:kms:eu-west-1:123456789012:key/in"}},
			},
			not: []string{"RegisterConsumer"},
		},
		"a collection, and letters in a bucket of their own": {
			context: variants["a collection, a bucket with a key, letters elsewhere"],
			want: map[string][2][]string{
				"WriteDocuments": {{"aoss:APIAccessAll"}, {"arn:${AWS::Partition}:aoss:eu-west-1:${AWS::AccountId}:collection/abc123"}},
				"WriteObjects": {{"s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"},
					{"arn:${AWS::Partition}:s3:::lake/in/*", "arn:${AWS::Partition}:s3:::letters/of/trips/*"}},
				"UseBucketKey": {{"kms:Decrypt", "kms:GenerateDataKey"}, {"arn:aws:kms:eu-west-1:123456789012:key/1"}},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := synth(t, test.context).bySid()
			for sid, want := range test.want {
				s, ok := got[sid]
				if !ok {
					t.Errorf("there is no statement %s", sid)
					continue
				}
				if !slices.Equal(s.actions, want[0]) || !slices.Equal(s.resources, want[1]) {
					t.Errorf("%s allows %v on %v,\nwant %v on %v", sid, s.actions, s.resources, want[0], want[1])
				}
			}
			for _, sid := range test.not {
				if s, ok := got[sid]; ok {
					t.Errorf("%s is allowed though nothing needs it: %v", sid, s)
				}
			}
		})
	}
}
