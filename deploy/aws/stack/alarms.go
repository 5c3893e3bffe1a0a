package stack

import (
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"
)

// alarmTopic is where alarms go.
type alarmTopic struct {
	awssns.Topic
	watched watched
}

// watched are metrics that alarms and dashboard share.
type watched struct {
	checkpoints, errors, letters awscloudwatch.Metric
	// lag is the job's behind its source in minutes, nil where no service tells.
	lag awscloudwatch.IMetric
}

// growing is for how many minutes in a row the lag grows before there is an
// alarm.
const growing = 10

// makeAlarms makes the alarms and the topic that they go to.
func (b *build) makeAlarms() {
	topic := awssns.NewTopic(b.Stack, jsii.String("Alarms"), &awssns.TopicProps{EnforceSSL: jsii.Bool(true)})
	topic.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid: jsii.String("AlarmsPublish"), Effect: awsiam.Effect_ALLOW,
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("cloudwatch.amazonaws.com"), nil)},
		Actions:    jsii.Strings("sns:Publish"), Resources: &[]*string{topic.TopicArn()},
		Conditions: &map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": awscdk.Aws_ACCOUNT_ID()}},
	}))
	someone := awscdk.NewCfnCondition(b.Stack, jsii.String("AlarmsGoToSomebody"), &awscdk.CfnConditionProps{
		Expression: awscdk.Fn_ConditionNot(awscdk.Fn_ConditionEquals(b.parameters.email.ValueAsString(), jsii.String(""))),
	})
	subscription := awssns.NewCfnSubscription(b.Stack, jsii.String("AlarmEmails"), &awssns.CfnSubscriptionProps{
		TopicArn: topic.TopicArn(), Protocol: jsii.String("email"), Endpoint: b.parameters.email.ValueAsString(),
	})
	subscription.CfnOptions().SetCondition(someone)
	b.alarmTopic = alarmTopic{Topic: topic, watched: watched{
		checkpoints: b.counted("CompletedCheckpoints", `"Completed checkpoint"`, "completed checkpoints"),
		errors:      b.counted("Errors", `{ $.messageType = "ERROR" }`, "lines of errors"),
		letters:     b.counted("DeadLetters", linesOfLetters, "dead letters"),
		lag:         b.lag(),
	}}

	w := b.alarmTopic.watched

	intervals := strconv.Itoa(silentIntervals)
	b.alarm("NoCheckpoint", "No checkpoint was completed for "+intervals+" intervals: nothing is delivered to S3 and Kafka. "+
		"The job is not running, a sink is away, or checkpoints take too long.",
		w.checkpoints.With(&awscloudwatch.MetricOptions{Period: awscdk.Duration_Minutes(jsii.Number(b.checkpoints.silentMinutes()))}),
		alarmWhen{below: true, threshold: jsii.Number(1), times: 1, of: 1, missing: awscloudwatch.TreatMissingData_BREACHING})
	b.alarm("Restarts", "The job was restarted at least twice within 15 minutes: the log's errors say why.",
		expression("DIFF(restarts)", "restarts", map[string]awscloudwatch.IMetric{"restarts": b.ofApp("fullRestarts", maximum, "restarts")}),
		alarmWhen{threshold: jsii.Number(1), times: 2, of: 15})
	if w.lag != nil {
		minutes := numberParameter(b.Stack, "LagAlarmMinutes", "How many minutes the job may be behind its source before there is an alarm.", 10, 1, 1440)
		b.alarm("Lag", "The job is further behind its source than LagAlarmMinutes.",
			w.lag, alarmWhen{threshold: minutes.ValueAsNumber(), times: 5, of: 5})
		b.alarm("LagGrows", "The job is more than a minute behind its source, and further behind each minute: it needs more parallelism, "+
			"or a sink holds it back.",
			expression("IF(lag > 1 AND DIFF(lag) > 0, 1, 0)", "growing", map[string]awscloudwatch.IMetric{"lag": w.lag}),
			alarmWhen{threshold: jsii.Number(1), times: growing, of: growing})
	}
	if b.bucket != nil && b.job.get("DeadLetterBucket") == "" {
		bytes := numberParameter(b.Stack, "DeadLetterAlarmBytes", "How many bytes of dead letters within 15 minutes make an alarm.", 100_000, 0, 1e12)
		b.alarm("DeadLetters", "More bytes of dead letters than DeadLetterAlarmBytes within 15 minutes: events changed, or a sink refuses them.",
			b.ofBucket(deadLetterRequests, "BytesUploaded", sum, "dead letters").With(&awscloudwatch.MetricOptions{Period: awscdk.Duration_Minutes(jsii.Number(15))}),
			alarmWhen{above: true, threshold: bytes.ValueAsNumber(), times: 1, of: 1})
		return
	}
	// A line that repeats itself is written ten times a minute at most, so that
	// many letters are not told from very many.
	lines := numberParameter(b.Stack, "DeadLetterAlarmLines", "How many lines of the log that tell of dead letters within 15 minutes make an alarm.", 20, 0, 1e6)
	b.alarm("DeadLetters", "More lines of dead letters than DeadLetterAlarmLines within 15 minutes: events changed, or a sink refuses them.",
		w.letters.With(&awscloudwatch.MetricOptions{Period: awscdk.Duration_Minutes(jsii.Number(15))}),
		alarmWhen{above: true, threshold: lines.ValueAsNumber(), times: 1, of: 1})
}

// alarmWhen says when there is an alarm: when the metric is at least the
// threshold, or above, or below it, in so many minutes of so many.
type alarmWhen struct {
	above, below bool
	threshold    *float64
	times, of    float64
	missing      awscloudwatch.TreatMissingData // default: as no alarm
}

func (b *build) alarm(id, words string, of awscloudwatch.IMetric, when alarmWhen) {
	compare := awscloudwatch.ComparisonOperator_GREATER_THAN_OR_EQUAL_TO_THRESHOLD
	switch {
	case when.above:
		compare = awscloudwatch.ComparisonOperator_GREATER_THAN_THRESHOLD
	case when.below:
		compare = awscloudwatch.ComparisonOperator_LESS_THAN_THRESHOLD
	}
	if when.missing == "" {
		when.missing = awscloudwatch.TreatMissingData_NOT_BREACHING
	}
	alarm := awscloudwatch.NewAlarm(b.Stack, jsii.String(id+"Alarm"), &awscloudwatch.AlarmProps{
		AlarmName: jsii.String(*awscdk.Aws_STACK_NAME() + "-" + id), AlarmDescription: jsii.String(words),
		Metric: of, ComparisonOperator: compare, Threshold: when.threshold,
		EvaluationPeriods: jsii.Number(when.of), DatapointsToAlarm: jsii.Number(when.times), TreatMissingData: when.missing,
	}).Node().DefaultChild().(awscloudwatch.CfnAlarm)
	alarm.SetAlarmActions(&[]*string{b.alarmTopic.TopicArn()})
	alarm.SetOkActions(&[]*string{b.alarmTopic.TopicArn()})
}

// lag is how many minutes the job is behind its source: of the shard or topic
// that is furthest behind.
func (b *build) lag() awscloudwatch.IMetric {
	parts, formula := map[string]awscloudwatch.IMetric{}, ""
	add := func(m awscloudwatch.Metric) {
		id := "m" + strconv.Itoa(len(parts)+1)
		if formula != "" {
			formula += ","
		}
		parts[id] = m
		formula += id
	}
	unit := 60_000 // of a minute: Kinesis tells milliseconds
	for _, stream := range b.inputStreams() {
		if b.consumerName() != "" {
			add(b.ofConsumer(stream, "SubscribeToShardEvent.MillisBehindLatest", maximum, "lag"))
			continue
		}
		add(ofStream(stream, "GetRecords.IteratorAgeMilliseconds", maximum, "lag"))
	}
	if cluster, topics := b.mskTopics(); cluster != nil {
		unit = 60 // MSK tells seconds
		for _, topic := range topics {
			add(metric("AWS/Kafka", "EstimatedMaxTimeLag", maximum, "lag", jsii.String("Cluster Name"), cluster,
				jsii.String("Consumer Group"), jsii.String(b.job.either("InputKafkaGroupId", "JobName")), jsii.String("Topic"), jsii.String(topic)))
		}
	}
	if formula == "" {
		return nil
	}
	if len(parts) > 1 {
		formula = "MAX([" + formula + "])"
	}
	return expression(formula+" / "+strconv.Itoa(unit), "minutes behind", parts)
}
