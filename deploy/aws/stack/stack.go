package stack

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

const description = "streaming-etl: reads JSON events from Kinesis or Kafka with Managed Service for Apache Flink, " +
	"and delivers them to S3, Kafka, OpenSearch and Kinesis."

// build holds what the parts of a stack know of each other.
type build struct {
	awscdk.Stack
	settings    Settings
	parameters  parameters
	job         job // the job's properties; parts add theirs
	checkpoints checkpoints

	stream     *stream
	bucket     *bucket
	network    *network // nil: the job has none
	brokers    *brokers
	search     *search
	log        *jobLog
	app        *application
	replay     *replay
	alarmTopic alarmTopic
}

// Build makes the stack. It returns the mistakes of the settings.
func Build(scope constructs.Construct, id string, s Settings) (awscdk.Stack, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	checkpoints, err := s.checkpoints()
	if err != nil {
		return nil, err
	}
	synthesizer := &awscdk.DefaultStackSynthesizerProps{}
	if s.Jar == "" {
		// Such a template is deployed without the CDK's command line too, into
		// accounts that it has never bootstrapped.
		synthesizer.GenerateBootstrapVersionRule = jsii.Bool(false)
	}
	b := &build{
		Stack: awscdk.NewStack(scope, jsii.String(id), &awscdk.StackProps{
			Description:        jsii.String(description),
			Synthesizer:        awscdk.NewDefaultStackSynthesizer(synthesizer),
			AnalyticsReporting: jsii.Bool(false),
		}),
		settings: s, job: newJob(s.Properties), checkpoints: checkpoints,
	}
	b.parameters = newParameters(b.Stack, s)
	b.makeNetwork()
	b.makeStream()
	b.makeBucket()
	b.makeBrokers()
	b.makeSearch()
	b.makeLog()
	b.makeApplication()
	if err := b.job.check(); err != nil {
		return nil, err
	}
	b.makeReplay()
	b.makeAlarms()
	b.makeDashboard()
	b.makeOutputs()
	return b.Stack, nil
}

// output adds an output of the stack.
func (b *build) output(id, description string, value *string) {
	awscdk.NewCfnOutput(b.Stack, jsii.String(id), &awscdk.CfnOutputProps{
		Description: jsii.String(description), Value: value,
	})
}
