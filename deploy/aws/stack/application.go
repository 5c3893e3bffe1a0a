package stack

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskinesisanalyticsv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/jsii-runtime-go"
)

const (
	// checkpointMs is the time between two checkpoints, and so how long an event
	// takes to be visible at the least, where CheckpointInterval does not say it.
	checkpointMs = 60_000
	// checkpointPauseMs is the least time between them, where
	// MinPauseBetweenCheckpoints does not say it.
	checkpointPauseMs = 5_000
	// checkpointTimeoutMs is the job's own default, said here since what the
	// service configures is not known: a sink that is away holds checkpoints up,
	// and each one that is given up sets the job back.
	checkpointTimeoutMs = "3600000"
	// silentIntervals is after how many intervals without a checkpoint there is
	// an alarm.
	silentIntervals = 5
	// longestAlarmMs is how far back CloudWatch has an alarm look: a day.
	longestAlarmMs = 24 * 60 * 60_000
	// readerSlots is fixed at a job's first start, whatever its parallelism is
	// later: with it the service may scale up to as many instances.
	readerSlots = "16"
	// workerMemoryMb is for the Go worker of one processing unit, beside the
	// heap of 3 GB in its 4 GB.
	workerMemoryMb = "400"
)

// checkpoints are how far apart they are, and how long there is none at the
// least.
type checkpoints struct{ intervalMs, pauseMs int }

// checkpoints reads the job's own properties: the job sets what they say over
// what the service configures, and the alarm goes by it.
func (s Settings) checkpoints() (checkpoints, error) {
	var faults []error
	read := func(name string, otherwise, most int) int {
		given, ok := s.Properties[name]
		if !ok {
			return otherwise
		}
		n, err := strconv.Atoi(given)
		if err != nil || n < 0 || n > most {
			faults = append(faults, fmt.Errorf("%s: %q is not a number of milliseconds from 0 to %d", name, given, most))
		}
		return cmp.Or(n, otherwise) // 0 is what is configured for the cluster
	}
	c := checkpoints{
		intervalMs: read("CheckpointInterval", checkpointMs, longestAlarmMs/silentIntervals),
		pauseMs:    read("MinPauseBetweenCheckpoints", checkpointPauseMs, 3_600_000),
	}
	return c, errors.Join(faults...)
}

// silentMinutes is how long the alarm waits for a checkpoint: metrics are of
// whole minutes.
func (c checkpoints) silentMinutes() int { return (silentIntervals*c.intervalMs + 59_999) / 60_000 }

// jobLog is where the application logs.
type jobLog struct {
	awslogs.LogGroup
	stream    awslogs.LogStream
	streamARN *string
}

func (b *build) makeLog() {
	group := awslogs.NewLogGroup(b.Stack, jsii.String("Log"), &awslogs.LogGroupProps{RemovalPolicy: awscdk.RemovalPolicy_DESTROY})
	b.keepLogs(group)
	stream := awslogs.NewLogStream(b.Stack, jsii.String("LogStream"), &awslogs.LogStreamProps{
		LogGroup: group, RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
	b.log = &jobLog{LogGroup: group, stream: stream, streamARN: b.regional("logs", "",
		"log-group:"+*group.LogGroupName()+":log-stream:"+*stream.LogStreamName())}
}

// keepLogs gives a log group the retention of the parameter, which the CDK's
// own constructs do not take.
func (b *build) keepLogs(group awslogs.LogGroup) {
	group.Node().DefaultChild().(awslogs.CfnLogGroup).SetRetentionInDays(b.parameters.logRetentionDays.ValueAsNumber())
}

// application is the application of Managed Service for Apache Flink.
type application struct {
	name *string
	role awsiam.Role
}

func (b *build) makeApplication() {
	name := awscdk.Aws_STACK_NAME()
	b.job.fallback("Region", awscdk.Aws_REGION())
	b.job.fallback("JobName", name)
	b.job.fallback("WorkerMemoryLimitMb", jsii.String(workerMemoryMb))
	b.job.fallback("CheckpointTimeout", jsii.String(checkpointTimeoutMs))
	b.job.fallback("InputReaders", jsii.String(readerSlots))
	if b.job.get("OutputKafkaTopic") != "" {
		b.job.fallback("OutputKafkaLanes", jsii.String(readerSlots))
	}

	role := awsiam.NewRole(b.Stack, jsii.String("JobRole"), &awsiam.RoleProps{
		Description: jsii.String("What the job and the service around it may do."),
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("kinesisanalytics.amazonaws.com"), &awsiam.ServicePrincipalOpts{
			Conditions: &map[string]any{
				"StringEquals": map[string]any{"aws:SourceAccount": awscdk.Aws_ACCOUNT_ID()},
				"ArnEquals":    map[string]any{"aws:SourceArn": b.regional("kinesisanalytics", "", "application/"+*name)},
			},
		}),
	})
	bucketARN, key, version, readJar := b.jar()
	statements := append([]awsiam.PolicyStatement{readJar}, b.servicePermissions()...)
	statements = append(statements, b.jobPermissions()...)
	policy := awsiam.NewPolicy(b.Stack, jsii.String("JobPolicy"), &awsiam.PolicyProps{
		Document: document(statements...), Roles: &[]awsiam.IRole{role},
	})
	if b.search != nil {
		b.search.domain.SetAccessPolicies(document(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Sid: jsii.String("JobWrites"), Effect: awsiam.Effect_ALLOW,
			Principals: &[]awsiam.IPrincipal{awsiam.NewArnPrincipal(role.RoleArn())},
			Actions:    jsii.Strings("es:ESHttpGet", "es:ESHttpHead", "es:ESHttpPost"),
			// A policy that lies on a domain is about that domain alone.
			Resources: &[]*string{b.regional("es", "", "domain/*")},
		})))
	}

	configuration := &awskinesisanalyticsv2.CfnApplication_ApplicationConfigurationProperty{
		ApplicationCodeConfiguration: &awskinesisanalyticsv2.CfnApplication_ApplicationCodeConfigurationProperty{
			CodeContentType: jsii.String("ZIPFILE"), // the service's word for a jar
			CodeContent: &awskinesisanalyticsv2.CfnApplication_CodeContentProperty{
				S3ContentLocation: &awskinesisanalyticsv2.CfnApplication_S3ContentLocationProperty{
					BucketArn: bucketARN, FileKey: key, ObjectVersion: version,
				},
			},
		},
		EnvironmentProperties: &awskinesisanalyticsv2.CfnApplication_EnvironmentPropertiesProperty{
			PropertyGroups: []any{&awskinesisanalyticsv2.CfnApplication_PropertyGroupProperty{
				PropertyGroupId: jsii.String(propertyGroup), PropertyMap: map[string]*string(b.job),
			}},
		},
		ApplicationSnapshotConfiguration: &awskinesisanalyticsv2.CfnApplication_ApplicationSnapshotConfigurationProperty{
			SnapshotsEnabled: jsii.Bool(true),
		},
		FlinkApplicationConfiguration: &awskinesisanalyticsv2.CfnApplication_FlinkApplicationConfigurationProperty{
			CheckpointConfiguration: &awskinesisanalyticsv2.CfnApplication_CheckpointConfigurationProperty{
				ConfigurationType: jsii.String("CUSTOM"), CheckpointingEnabled: jsii.Bool(true),
				CheckpointInterval: jsii.Number(b.checkpoints.intervalMs), MinPauseBetweenCheckpoints: jsii.Number(b.checkpoints.pauseMs),
			},
			MonitoringConfiguration: &awskinesisanalyticsv2.CfnApplication_MonitoringConfigurationProperty{
				ConfigurationType: jsii.String("CUSTOM"), LogLevel: jsii.String("INFO"), MetricsLevel: jsii.String("TASK"),
			},
			ParallelismConfiguration: &awskinesisanalyticsv2.CfnApplication_ParallelismConfigurationProperty{
				ConfigurationType: jsii.String("CUSTOM"),
				Parallelism:       b.parameters.parallelism.ValueAsNumber(),
				ParallelismPerKpu: b.parameters.parallelismPerKpu.ValueAsNumber(),
				AutoScalingEnabled: awscdk.Fn_ConditionIf(awscdk.NewCfnCondition(b.Stack, jsii.String("Scales"), &awscdk.CfnConditionProps{
					Expression: awscdk.Fn_ConditionEquals(b.parameters.autoScaling.ValueAsString(), jsii.String("true")),
				}).LogicalId(), true, false),
			},
		},
	}
	if n := b.network; n != nil {
		configuration.VpcConfigurations = []any{&awskinesisanalyticsv2.CfnApplication_VpcConfigurationProperty{
			SubnetIds: n.subnets, SecurityGroupIds: &[]*string{n.job.SecurityGroupId()},
		}}
	}
	app := awskinesisanalyticsv2.NewCfnApplication(b.Stack, jsii.String("Application"), &awskinesisanalyticsv2.CfnApplicationProps{
		ApplicationName:          name,
		ApplicationDescription:   jsii.String(description),
		RuntimeEnvironment:       b.parameters.runtime.ValueAsString(),
		ServiceExecutionRole:     role.RoleArn(),
		ApplicationConfiguration: configuration,
		// What an update of the stack restarts goes on where it was.
		RunConfiguration: &awskinesisanalyticsv2.CfnApplication_RunConfigurationProperty{
			ApplicationRestoreConfiguration: &awskinesisanalyticsv2.CfnApplication_ApplicationRestoreConfigurationProperty{
				ApplicationRestoreType: jsii.String("RESTORE_FROM_LATEST_SNAPSHOT"),
			},
			FlinkRunConfiguration: &awskinesisanalyticsv2.CfnApplication_FlinkRunConfigurationProperty{
				AllowNonRestoredState: jsii.Bool(false),
			},
		},
	})
	app.AddDependency(policy.Node().DefaultChild().(awscdk.CfnResource))
	logging := awskinesisanalyticsv2.NewCfnApplicationCloudWatchLoggingOption(b.Stack, jsii.String("Logging"),
		&awskinesisanalyticsv2.CfnApplicationCloudWatchLoggingOptionProps{
			ApplicationName: app.Ref(),
			CloudWatchLoggingOption: &awskinesisanalyticsv2.CfnApplicationCloudWatchLoggingOption_CloudWatchLoggingOptionProperty{
				LogStreamArn: b.log.streamARN,
			},
		})
	logging.AddDependency(policy.Node().DefaultChild().(awscdk.CfnResource))
	b.app = &application{name: app.Ref(), role: role}
}

// jar returns where the service finds the jar, and the permission to read it.
func (b *build) jar() (bucketARN, key, version *string, read awsiam.PolicyStatement) {
	if b.settings.Jar != "" {
		asset := awss3assets.NewAsset(b.Stack, jsii.String("Jar"), &awss3assets.AssetProps{Path: jsii.String(b.settings.Jar)})
		bucketARN, key = asset.Bucket().BucketArn(), asset.S3ObjectKey()
	} else {
		bucketARN = b.arn("s3", "", "", *b.parameters.jarBucket.ValueAsString())
		key = b.parameters.jarKey.ValueAsString()
		given := awscdk.NewCfnCondition(b.Stack, jsii.String("JarHasVersion"), &awscdk.CfnConditionProps{
			Expression: awscdk.Fn_ConditionNot(awscdk.Fn_ConditionEquals(b.parameters.jarVersion.ValueAsString(), jsii.String(""))),
		})
		version = awscdk.Token_AsString(awscdk.Fn_ConditionIf(given.LogicalId(), b.parameters.jarVersion.ValueAsString(), awscdk.Aws_NO_VALUE()), nil)
	}
	return bucketARN, key, version, allow("ReadJar", []*string{jsii.String(*bucketARN + "/" + *key)}, "s3:GetObject", "s3:GetObjectVersion")
}

// servicePermissions are for the service around the job: to log, and to put its
// interfaces into the network.
func (b *build) servicePermissions() []awsiam.PolicyStatement {
	all := []awsiam.PolicyStatement{
		allow("FindLogGroup", []*string{b.regional("logs", "", "log-group:*")}, "logs:DescribeLogGroups"),
		allow("FindLogStream", []*string{b.log.LogGroupArn()}, "logs:DescribeLogStreams"),
		allow("WriteLog", []*string{b.log.streamARN}, "logs:PutLogEvents"),
	}
	n := b.network
	if n == nil {
		return all
	}
	var places []*string
	for _, id := range *n.subnets {
		places = append(places, b.regional("ec2", "", "subnet/"+*id))
	}
	places = append(places, b.regional("ec2", "", "security-group/"+*n.job.SecurityGroupId()))
	interfaces := b.regional("ec2", "", "network-interface/*")
	return append(all,
		allow("LookAtNetwork", []*string{jsii.String("*")}, "ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces",
			"ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"),
		allow("MakeInterfaces", append(places, interfaces), "ec2:CreateNetworkInterface"),
		allow("UseInterfaces", []*string{interfaces}, "ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface"))
}
