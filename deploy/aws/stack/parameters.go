package stack

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// parameters are what is chosen when the template is deployed. Those of alarms
// are made with their alarms.
type parameters struct {
	jarBucket, jarKey, jarVersion awscdk.CfnParameter // nil where the jar is an asset
	programKey                    awscdk.CfnParameter // nil without a replay host
	image, instanceType           awscdk.CfnParameter // likewise
	shards                        awscdk.CfnParameter // nil where the stream is there already
	retentionHours                awscdk.CfnParameter // likewise

	runtime, parallelism, parallelismPerKpu, autoScaling awscdk.CfnParameter

	logRetentionDays, email awscdk.CfnParameter
}

func newParameters(scope awscdk.Stack, s Settings) parameters {
	text := func(id, description string, value any) awscdk.CfnParameter {
		return awscdk.NewCfnParameter(scope, jsii.String(id), &awscdk.CfnParameterProps{
			Type: jsii.String("String"), Description: jsii.String(description), Default: value,
		})
	}
	choice := func(id, description, value string, allowed ...string) awscdk.CfnParameter {
		return awscdk.NewCfnParameter(scope, jsii.String(id), &awscdk.CfnParameterProps{
			Type: jsii.String("String"), Description: jsii.String(description), Default: value,
			AllowedValues: jsii.Strings(allowed...),
		})
	}
	var p parameters
	if s.Jar == "" || s.ReplayHost {
		p.jarBucket = awscdk.NewCfnParameter(scope, jsii.String("JarBucket"), &awscdk.CfnParameterProps{
			Type: jsii.String("String"), Description: jsii.String("The bucket that the job's jar, and the program for the replay host, were uploaded to."),
			AllowedPattern: jsii.String("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"),
		})
	}
	if s.Jar == "" {
		p.jarKey = text("JarKey", "The jar's key in JarBucket.", "etl.jar")
		p.jarVersion = text("JarVersion", "The version of the jar's object, where JarBucket keeps versions; empty takes the newest.", "")
	}
	if s.ReplayHost {
		p.programKey = text("ProgramKey", "The key in JarBucket of this program as a static binary for linux/amd64, for the replay host.", "streaming-etl")
		p.instanceType = choice("ReplayInstanceType", "The size of the replay host.", "c6i.large", "t3.small", "c6i.large", "c6i.xlarge", "c6in.large", "c6in.xlarge")
		p.image = awscdk.NewCfnParameter(scope, jsii.String("ReplayImage"), &awscdk.CfnParameterProps{
			Type:        jsii.String("AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>"),
			Description: jsii.String("The public parameter with the image of the replay host."),
			Default:     "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
		})
	}
	if s.makesStream() {
		p.shards = numberParameter(scope, "ShardCount", "How many shards the stream has; 0 makes it on-demand.", 0, 0, 500)
		p.retentionHours = numberParameter(scope, "StreamRetentionHours", "How long the stream keeps records: longer than the job may be down.", 24, 24, 8760)
	}
	p.runtime = choice("FlinkRuntime", "The release of Flink.", "FLINK-1_20", "FLINK-1_20", "FLINK-1_19")
	p.parallelism = numberParameter(scope, "Parallelism", "How many instances of each step run at once, at the start.", 2, 1, 128)
	p.parallelismPerKpu = numberParameter(scope, "ParallelismPerKpu", "How many of them share a processing unit (1 vCPU, 4 GB).", 1, 1, 4)
	p.autoScaling = choice("AutoScaling", "Lets the service change the parallelism with the load of the CPUs.", "false", "true", "false")
	p.logRetentionDays = awscdk.NewCfnParameter(scope, jsii.String("LogRetentionDays"), &awscdk.CfnParameterProps{
		Type: jsii.String("Number"), Description: jsii.String("How many days logs are kept."), Default: "14",
		AllowedValues: jsii.Strings("1", "3", "5", "7", "14", "30", "60", "90", "180", "365"),
	})
	p.email = text("AlarmEmail", "Who gets the alarms by e-mail; empty: nobody, but the topic is there.", "")
	return p
}

// numberParameter makes a parameter that is a number between two.
func numberParameter(scope awscdk.Stack, id, description string, value, least, most float64) awscdk.CfnParameter {
	return awscdk.NewCfnParameter(scope, jsii.String(id), &awscdk.CfnParameterProps{
		Type: jsii.String("Number"), Description: jsii.String(description), Default: value,
		MinValue: jsii.Number(least), MaxValue: jsii.Number(most),
	})
}
