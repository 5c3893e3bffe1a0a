package stack

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// makeOutputs tells what to do next, as commands and links.
func (b *build) makeOutputs() {
	region, stack := *awscdk.Aws_REGION(), *awscdk.Aws_STACK_NAME()
	command := func(id, does, format string, a ...any) { b.output(id, does, jsii.String(fmt.Sprintf(format, a...))) }
	app := fmt.Sprintf("--region %s --application-name %s", region, *b.app.name)

	command("StartCommand", "Starts the job for the first time.",
		`aws kinesisanalyticsv2 start-application %s --run-configuration '{"ApplicationRestoreConfiguration":{"ApplicationRestoreType":"SKIP_RESTORE_FROM_SNAPSHOT"}}'`, app)
	command("StopCommand", "Stops the job with a snapshot.", "aws kinesisanalyticsv2 stop-application %s", app)
	command("RestartCommand", "Starts the job from its last snapshot.",
		`aws kinesisanalyticsv2 start-application %s --run-configuration '{"ApplicationRestoreConfiguration":{"ApplicationRestoreType":"RESTORE_FROM_LATEST_SNAPSHOT"}}'`, app)
	if b.stream != nil {
		b.output("InputStream", "The stream that the job reads.", b.stream.name)
	}
	if b.bucket != nil {
		command("OutputFiles", "What the job has written.", "s3://%s/%s", *b.bucket.BucketName(), b.bucket.prefix)
	}
	if b.replay != nil {
		command("ReplayConnect", "Opens a shell on the replay host.", "aws ssm start-session --region %s --target %s", region, *b.replay.instance)
		if b.replay.command != nil {
			b.output("ReplayCommand", "To be typed there: replays events into the stream, an hour of them in a second.", b.replay.command)
		}
	}
	command("DashboardLink", "The dashboard.", "https://%s.console.aws.amazon.com/cloudwatch/home?region=%[1]s#dashboards:name=%s", region, stack)
	command("LogCommand", "Follows the job's log.", "aws logs tail --region %s --follow %s", region, *b.log.LogGroupName())
	b.output("AlarmTopic", "Where alarms go.", b.alarmTopic.TopicArn())
}
