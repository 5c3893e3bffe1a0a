package stack

import (
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
)

// allow makes a statement. Its id says what it is for: the tests know each by
// it. Actions are written out: none ends with *.
func allow(id string, resources []*string, actions ...string) awsiam.PolicyStatement {
	slices.Sort(actions)
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid: jsii.String(id), Effect: awsiam.Effect_ALLOW, Actions: jsii.Strings(actions...), Resources: &resources,
	})
}

// assume lets a role be taken, which then has the permissions.
func assume(id, role string) awsiam.PolicyStatement {
	return allow(id, []*string{jsii.String(role)}, "sts:AssumeRole")
}

func document(statements ...awsiam.PolicyStatement) awsiam.PolicyDocument {
	return awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &statements})
}

// arn names a resource of this account, or without account where the service's
// names have none. Region and account may be empty.
func (b *build) arn(service, region, account, resource string) *string {
	return jsii.String("arn:" + *awscdk.Aws_PARTITION() + ":" + service + ":" + region + ":" + account + ":" + resource)
}

// regional is arn in a region, the stack's where it is empty, and this account.
func (b *build) regional(service, region, resource string) *string {
	if region == "" {
		region = *awscdk.Aws_REGION()
	}
	return b.arn(service, region, *awscdk.Aws_ACCOUNT_ID(), resource)
}

// jobPermissions returns what the job itself needs for each of its sources and
// sinks, and nothing else.
func (b *build) jobPermissions() []awsiam.PolicyStatement {
	var all []awsiam.PolicyStatement
	all = append(all, b.readStream()...)
	all = append(all, b.kafkaPermissions()...)
	all = append(all, b.writeBuckets()...)
	all = append(all, b.writeStream()...)
	all = append(all, b.writeSearch()...)
	return all
}

// streamARN returns the ARN of a stream given by name or ARN.
func (b *build) streamARN(stream, region string) *string {
	if strings.HasPrefix(stream, "arn:") {
		return jsii.String(stream)
	}
	if b.stream != nil && stream == *b.stream.name {
		return b.stream.arn
	}
	return b.regional("kinesis", region, "stream/"+stream)
}

func (b *build) readStream() []awsiam.PolicyStatement {
	given := b.job.get("InputKinesisStream")
	if given == "" {
		return nil
	}
	if role := b.job.get("InputRoleArn"); role != "" {
		return []awsiam.PolicyStatement{assume("AssumeInputRole", role)}
	}
	var streams, consumers []*string
	for _, one := range split(given) {
		arn := b.streamARN(one, b.job.get("InputStreamRegion"))
		streams = append(streams, arn)
		if name := b.consumerName(); strings.HasPrefix(name, "arn:") {
			consumers = append(consumers, jsii.String(name))
		} else if name != "" {
			// A consumer's ARN ends with the second in which it was registered.
			consumers = append(consumers, jsii.String(*arn+"/consumer/"+name+":*"))
		}
	}
	all := []awsiam.PolicyStatement{allow("ReadStream", streams, "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards")}
	if consumers != nil && !strings.HasPrefix(b.consumerName(), "arn:") {
		all = append(all, allow("RegisterConsumer", slices.Concat(streams, consumers),
			"kinesis:DescribeStreamConsumer", "kinesis:DescribeStreamSummary", "kinesis:RegisterStreamConsumer"))
	}
	if consumers != nil {
		all = append(all, allow("ReadAsConsumer", consumers, "kinesis:SubscribeToShard"))
	}
	if keys := b.settings.InputKeyArns; len(keys) > 0 {
		all = append(all, allow("UseInputKeys", *jsii.Strings(keys...), "kms:Decrypt"))
	}
	return all
}

// consumerName returns the consumer of enhanced fan-out, if there is one.
func (b *build) consumerName() string {
	if name := b.job.get("InputStreamConsumer"); name != "EFO" {
		return name
	}
	return topicOf(b.job.get("JobName"))
}

func (b *build) writeStream() []awsiam.PolicyStatement {
	given := b.job.get("OutputKinesisStream")
	if given == "" {
		return nil
	}
	if role := b.job.get("OutputRoleArn"); role != "" {
		return []awsiam.PolicyStatement{assume("AssumeOutputRole", role)}
	}
	all := []awsiam.PolicyStatement{allow("WriteStream", []*string{b.streamARN(given, b.job.get("OutputStreamRegion"))},
		"kinesis:ListShards", "kinesis:PutRecords")}
	if key := b.settings.OutputKeyArn; key != "" {
		all = append(all, allow("UseOutputKey", []*string{jsii.String(key)}, "kms:GenerateDataKey"))
	}
	return all
}

func (b *build) writeBuckets() []awsiam.PolicyStatement {
	var buckets, objects []*string
	add := func(value, further string) {
		if value == "" {
			return
		}
		name, prefix := bucketOf(value, further)
		bucket := b.arn("s3", "", "", name)
		buckets = append(buckets, bucket)
		objects = append(objects, jsii.String(*bucket+"/"+prefix+"*"))
	}
	add(b.job.get("OutputBucket"), b.job.get("OutputPrefix"))
	add(b.job.get("DeadLetterBucket"), "")
	if buckets == nil {
		return nil
	}
	all := []awsiam.PolicyStatement{
		allow("LookAtBucket", buckets, "s3:ListBucket"),
		allow("WriteObjects", objects, "s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"),
	}
	if key := b.settings.BucketKeyArn; key != "" {
		all = append(all, allow("UseBucketKey", []*string{jsii.String(key)}, "kms:Decrypt", "kms:GenerateDataKey"))
	}
	return all
}

func (b *build) writeSearch() []awsiam.PolicyStatement {
	var arn *string
	switch {
	case b.search != nil:
		arn = b.search.arn
	case b.settings.SearchArn != "":
		arn = jsii.String(b.settings.SearchArn)
	case b.job.get("OutputElasticsearchEndpoint") == "" || !signed(b.settings.Properties):
		return nil
	default: // Validate has seen that the name is there
		d := searchDomain(b.job.get("OutputElasticsearchEndpoint"))
		arn = b.regional(d.service, d.region, d.resource+"/"+d.name)
	}
	if strings.Contains(*arn, ":aoss:") {
		return []awsiam.PolicyStatement{allow("WriteDocuments", []*string{arn}, "aoss:APIAccessAll")}
	}
	all := []awsiam.PolicyStatement{allow("WriteDocuments", []*string{
		arn, jsii.String(*arn + "/"), jsii.String(*arn + "/_bulk"),
	}, "es:ESHttpGet", "es:ESHttpHead", "es:ESHttpPost")}
	if b.job.get("OutputBucket") != "" || b.job.get("DeadLetterBucket") != "" || b.job.get("OutputKafkaTopic") != "" {
		return all
	}
	letters := b.job.get("ElasticsearchDeadLetterIndex")
	if letters == "" {
		letters = "dead-letters"
	}
	return append(all, allow("MakeDeadLetterIndex", []*string{jsii.String(*arn + "/" + letters)}, "es:ESHttpHead", "es:ESHttpPut"))
}
