package stack

import (
	"strconv"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"
)

// Statistics of metrics.
const (
	sum     = "Sum"
	maximum = "Maximum"
	average = "Average"
)

const minute = 60 // seconds

// metric is a metric of a service by the minute. Dimensions are names and
// values in turns.
func metric(namespace, name, statistic, label string, dimensions ...*string) awscloudwatch.Metric {
	of := map[string]*string{}
	for i := 0; i+1 < len(dimensions); i += 2 {
		of[*dimensions[i]] = dimensions[i+1]
	}
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String(namespace), MetricName: jsii.String(name), Statistic: jsii.String(statistic),
		Label: jsii.String(label), DimensionsMap: &of, Period: awscdk.Duration_Seconds(jsii.Number(minute)),
	})
}

// expression computes a metric from others, named as in the formula.
func expression(formula, label string, of map[string]awscloudwatch.IMetric) awscloudwatch.MathExpression {
	return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression: jsii.String(formula), Label: jsii.String(label), UsingMetrics: &of,
		Period: awscdk.Duration_Seconds(jsii.Number(minute)),
	})
}

// found is all metrics that a search finds, a line each.
func found(pattern, statistic, label string) awscloudwatch.MathExpression {
	return expression("SEARCH('"+pattern+"', '"+statistic+"', "+strconv.Itoa(minute)+")", label, map[string]awscloudwatch.IMetric{})
}

// ofApp is a metric of the application. Those that Beam and the job count
// themselves are not there: the service passes on Flink's own only.
func (b *build) ofApp(name, statistic, label string) awscloudwatch.Metric {
	return metric("AWS/KinesisAnalytics", name, statistic, label, jsii.String("Application"), b.app.name)
}

// ofBucket is a metric of the requests to the stack's bucket.
func (b *build) ofBucket(filter, name, statistic, label string) awscloudwatch.Metric {
	return metric("AWS/S3", name, statistic, label, jsii.String("BucketName"), b.bucket.BucketName(), jsii.String("FilterId"), jsii.String(filter))
}

// ofStream is a metric of a stream.
func ofStream(stream *string, name, statistic, label string) awscloudwatch.Metric {
	return metric("AWS/Kinesis", name, statistic, label, jsii.String("StreamName"), stream)
}

// ofConsumer is a metric of the job's consumer of a stream.
func (b *build) ofConsumer(stream *string, name, statistic, label string) awscloudwatch.Metric {
	return metric("AWS/Kinesis", name, statistic, label,
		jsii.String("StreamName"), stream, jsii.String("ConsumerName"), jsii.String(lastPart(b.consumerName())))
}

// checkpointAge is how many minutes the last completed checkpoint is old, which
// the service tells nobody: the time of the last minute that had one, which is
// missing (0/0) for others, is repeated until the next.
func checkpointAge(completed awscloudwatch.Metric) awscloudwatch.MathExpression {
	return expression("(EPOCH(completed) - FILL(EPOCH(completed) * completed / completed, REPEAT)) / 60", "minutes since the last",
		map[string]awscloudwatch.IMetric{"completed": completed})
}

// counted makes a metric of the lines of the job's log that match a pattern,
// and returns their number a minute.
func (b *build) counted(name, pattern, label string) awscloudwatch.Metric {
	namespace := jsii.String("StreamingEtl/" + *awscdk.Aws_STACK_NAME())
	awslogs.NewMetricFilter(b.Stack, jsii.String(name+"Lines"), &awslogs.MetricFilterProps{
		LogGroup: b.log.LogGroup, FilterPattern: awslogs.FilterPattern_Literal(jsii.String(pattern)),
		MetricNamespace: namespace, MetricName: jsii.String(name), MetricValue: jsii.String("1"), DefaultValue: jsii.Number(0),
	})
	return metric(*namespace, name, sum, label)
}

// What lines of the job have in them, as patterns of CloudWatch Logs: words in
// quotes, and with ? any of several.
const (
	linesOfFailures = `"a bundle failed"`
	linesOfRetries  = `?"is made again" ?"is asked again" ?"are written again"`
	linesOfLetters  = `"a record is a dead letter"`
)

// inputStreams returns the names of the streams that the job reads.
func (b *build) inputStreams() []*string {
	var names []*string
	for _, one := range split(b.job.get("InputKinesisStream")) {
		names = append(names, jsii.String(streamName(one)))
	}
	return names
}

// streamName returns the name of a stream given by name or ARN.
func streamName(given string) string {
	if _, name, isARN := strings.Cut(given, ":stream/"); isARN {
		return name
	}
	return given
}

// mskTopics returns the names of the topics that the job reads from MSK and the
// cluster's name. There are none where an expression chooses the topics, or
// where the brokers are not known to be MSK's.
func (b *build) mskTopics() (cluster *string, topics []string) {
	given := b.job.get("InputKafkaTopic")
	if given == "" || strings.HasPrefix(given, "regex:") {
		return nil, nil
	}
	switch {
	case b.settings.InputClusterArn != "":
		cluster = jsii.String(strings.Split(b.settings.InputClusterArn, "/")[1])
	case b.settings.ownBrokers("Input"):
		cluster = b.brokers.name
	default:
		return nil, nil
	}
	return cluster, split(given)
}

// outputCluster returns the name of the MSK cluster that is written to, nil
// where there is none, or where the brokers are not known to be MSK's.
func (b *build) outputCluster() *string {
	switch {
	case b.job.get("OutputKafkaTopic") == "":
		return nil
	case b.settings.OutputClusterArn != "":
		return jsii.String(strings.Split(b.settings.OutputClusterArn, "/")[1])
	case b.settings.ownBrokers("Output"):
		return b.brokers.name
	}
	return nil
}

// lastPart returns the name of a consumer that is given by its ARN,
// arn:…/consumer/name:created, and any other as it is.
func lastPart(consumer string) string {
	_, name, isARN := strings.Cut(consumer, "/consumer/")
	if !isARN {
		return consumer
	}
	name, _, _ = strings.Cut(name, ":")
	return name
}
