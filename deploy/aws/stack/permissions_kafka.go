package stack

import (
	"regexp"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
)

// kafkaNames makes the ARNs of what is in a cluster, which hold the cluster's
// own name and id: arn:…:topic/cluster/id/topic.
type kafkaNames struct {
	cluster *string
}

func (k kafkaNames) of(kind, name string) *string {
	parts := awscdk.Fn_Split(jsii.String(":cluster/"), k.cluster, nil)
	return awscdk.Fn_Join(jsii.String(""), &[]*string{
		awscdk.Fn_Select(jsii.Number(0), parts), jsii.String(":" + kind + "/"),
		awscdk.Fn_Select(jsii.Number(1), parts), jsii.String("/" + name),
	})
}

// kafkaPermissions returns what AWS_MSK_IAM asks for, on the source's cluster
// and on the sink's. Other logins are the brokers' own business.
func (b *build) kafkaPermissions() []awsiam.PolicyStatement {
	var all []awsiam.PolicyStatement
	if b.job.get("InputKafkaTopic") != "" && usesIAM(b.job.get, "") {
		if role := b.job.get("KafkaRoleArn"); role != "" {
			all = append(all, assume("AssumeKafkaRole", role))
		} else {
			all = append(all, b.readKafka(b.cluster(b.settings.InputClusterArn))...)
		}
	}
	if b.job.get("OutputKafkaTopic") != "" && usesIAM(b.job.get, "Output") {
		if role := b.job.either("OutputKafkaRoleArn", "KafkaRoleArn"); role != "" {
			all = append(all, assume("AssumeOutputKafkaRole", role))
		} else {
			all = append(all, b.writeKafka(b.cluster(b.settings.OutputClusterArn))...)
		}
	}
	return all
}

// cluster is the given cluster, or the stack's own.
func (b *build) cluster(given string) kafkaNames {
	if given != "" {
		return kafkaNames{jsii.String(given)}
	}
	return kafkaNames{b.brokers.arn}
}

func (b *build) readKafka(k kafkaNames) []awsiam.PolicyStatement {
	var topics []*string
	for _, name := range inputTopics(b.job.get("InputKafkaTopic")) {
		topics = append(topics, k.of("topic", name))
	}
	group := b.job.either("InputKafkaGroupId", "JobName")
	return []awsiam.PolicyStatement{
		allow("ConnectToSource", []*string{k.cluster}, "kafka-cluster:Connect"),
		allow("ReadTopics", topics, "kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"),
		allow("CommitOffsets", []*string{k.of("group", group)}, "kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"),
	}
}

func (b *build) writeKafka(k kafkaNames) []awsiam.PolicyStatement {
	topics := []*string{k.of("topic", templatePattern(b.job.get("OutputKafkaTopic")))}
	write := []string{"kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:WriteData"}
	exactly := b.job.get("OutputKafkaDelivery") != "AT_LEAST_ONCE"
	if exactly { // to see transactions that brokers have left hanging
		write = append(write, "kafka-cluster:ReadData")
	}
	if b.job.get("OutputKafkaCreateTopic") == "true" {
		write = append(write, "kafka-cluster:CreateTopic")
	}
	if b.job.get("OutputBucket") == "" && b.job.get("DeadLetterBucket") == "" {
		letters := b.job.get("OutputKafkaDeadLetterTopic")
		if letters == "" {
			letters = "dead-letters"
		}
		topics = append(topics, k.of("topic", letters))
	}
	all := []awsiam.PolicyStatement{
		allow("ConnectToSink", []*string{k.cluster}, "kafka-cluster:Connect", "kafka-cluster:WriteDataIdempotently"),
		allow("WriteTopics", topics, write...),
	}
	if !exactly {
		return all
	}
	prefix := b.job.either("OutputKafkaTransactionalIdPrefix", "JobName")
	markers := b.job.get("OutputKafkaMarkerTopic")
	if markers == "" {
		markers = topicOf(prefix) + "-markers"
	}
	return append(all,
		allow("KeepMarkers", []*string{k.of("topic", markers)}, "kafka-cluster:CreateTopic", "kafka-cluster:DescribeTopic",
			"kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:ReadData", "kafka-cluster:WriteData"),
		// A transactional id for each lane, which the prefix begins.
		allow("WriteInTransactions", []*string{k.of("transactional-id", prefix+"*")},
			"kafka-cluster:AlterTransactionalId", "kafka-cluster:DescribeTransactionalId"))
}

// inputTopics returns the names of the topics that are read. Of an expression
// that is what all its matches begin with, and *.
func inputTopics(given string) []string {
	expression, ok := strings.CutPrefix(given, "regex:")
	if !ok {
		return split(given)
	}
	compiled, err := regexp.Compile(expression)
	if err != nil {
		return []string{"*"} // the job tells what is wrong with it
	}
	prefix, complete := compiled.LiteralPrefix()
	if complete {
		return []string{prefix}
	}
	return []string{prefix + "*"}
}

// templatePattern returns a template's text with each field as *.
func templatePattern(template string) string {
	return templateField.ReplaceAllString(template, "*")
}

// templateField is a field of a template.
var templateField = regexp.MustCompile(`\{[A-Za-z_][^}]*\}`)
