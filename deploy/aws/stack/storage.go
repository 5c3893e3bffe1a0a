package stack

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskinesis"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/jsii-runtime-go"
)

// stream is the stream that the stack makes.
type stream struct {
	name, arn *string
}

// makeStream makes the stream that the job reads, where the properties name no
// source.
func (b *build) makeStream() {
	if !b.settings.makesStream() {
		return
	}
	onDemand := awscdk.NewCfnCondition(b.Stack, jsii.String("OnDemand"), &awscdk.CfnConditionProps{
		Expression: awscdk.Fn_ConditionEquals(b.parameters.shards.ValueAsNumber(), jsii.Number(0)),
	})
	s := awskinesis.NewCfnStream(b.Stack, jsii.String("Stream"), &awskinesis.CfnStreamProps{
		RetentionPeriodHours: b.parameters.retentionHours.ValueAsNumber(),
		StreamEncryption:     &awskinesis.CfnStream_StreamEncryptionProperty{EncryptionType: jsii.String("KMS"), KeyId: jsii.String("alias/aws/kinesis")},
		StreamModeDetails: &awskinesis.CfnStream_StreamModeDetailsProperty{
			StreamMode: awscdk.Token_AsString(awscdk.Fn_ConditionIf(onDemand.LogicalId(), "ON_DEMAND", "PROVISIONED"), nil),
		},
		DesiredShardLevelMetrics: jsii.Strings("IteratorAgeMilliseconds"), // lag by shard
	})
	s.AddPropertyOverride(jsii.String("ShardCount"),
		awscdk.Fn_ConditionIf(onDemand.LogicalId(), awscdk.Aws_NO_VALUE(), b.parameters.shards.ValueAsNumber()))
	s.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN, nil)
	b.stream = &stream{name: s.Ref(), arn: s.AttrArn()}
	b.job.fallback("InputKinesisStream", b.stream.name)
}

// dataPrefix begins the keys of what the job writes into a bucket of the
// stack's own, so that other folders are free for something else.
const dataPrefix = "streaming-etl-output/"

// Filters of the request metrics of the stack's bucket.
const (
	allRequests        = "EntireBucket"
	deadLetterRequests = "DeadLetters"
)

// abandonedUploadDays is how long S3 keeps uploads that were never completed,
// and so the longest that the job may be down.
const abandonedUploadDays = 7

// bucket is the bucket that the stack makes.
type bucket struct {
	awss3.Bucket
	// prefix begins the keys of what the job writes.
	prefix string
}

// makeBucket makes the bucket that the job writes to.
func (b *build) makeBucket() {
	if !b.settings.makesBucket() {
		return
	}
	prefix := b.job.get("OutputPrefix")
	if prefix == "" {
		prefix = dataPrefix
	}
	made := awss3.NewBucket(b.Stack, jsii.String("Bucket"), &awss3.BucketProps{
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
		ObjectOwnership:   awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED,
		Encryption:        awss3.BucketEncryption_S3_MANAGED,
		EnforceSSL:        jsii.Bool(true),
		MinimumTLSVersion: jsii.Number(1.2),
		RemovalPolicy:     awscdk.RemovalPolicy_RETAIN,
		LifecycleRules: &[]*awss3.LifecycleRule{{
			Id:                                  jsii.String("AbandonedUploads"),
			AbortIncompleteMultipartUploadAfter: awscdk.Duration_Days(jsii.Number(abandonedUploadDays)),
		}},
		Metrics: &[]*awss3.BucketMetrics{
			{Id: jsii.String(allRequests)},
			{Id: jsii.String(deadLetterRequests), Prefix: jsii.String(prefix + "dead-letters/")},
		},
	})
	b.bucket = &bucket{Bucket: made, prefix: prefix}
	b.job["OutputBucket"] = made.BucketName()
	b.job.fallback("OutputPrefix", jsii.String(prefix))
}

// bucketOf splits a property's value, a bucket's name or s3://bucket/prefix/,
// which a further prefix follows.
func bucketOf(value, further string) (name, prefix string) {
	name, prefix, _ = strings.Cut(strings.TrimPrefix(value, "s3://"), "/")
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	return name, prefix + further
}
