package stack

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// replay is the host from which historic events are sent into the stream.
type replay struct {
	instance, command *string
}

// replayProgram is where the host has this program.
const replayProgram = "/usr/local/bin/streaming-etl"

// makeReplay makes an instance that nothing can connect to: it is reached by
// Session Manager, over a connection that it opens itself.
func (b *build) makeReplay() {
	if !b.settings.ReplayHost {
		return
	}
	vpc, subnet, ways := b.replayPlace()
	group := b.securityGroup("ReplaySecurityGroup", "The replay host: nothing comes in.", vpc)
	group.AddEgressRule(awsec2.Peer_AnyIpv4(), awsec2.Port_Tcp(jsii.Number(portHTTPS)), jsii.String("AWS services"), nil)

	program := *b.parameters.jarBucket.ValueAsString() + "/" + *b.parameters.programKey.ValueAsString()
	statements := []awsiam.PolicyStatement{
		// The channels of Session Manager and the agent's report have no names
		// of resources that could be given here.
		allow("SessionManager", []*string{jsii.String("*")}, "ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel",
			"ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"),
		allow("FetchProgram", []*string{b.arn("s3", "", "", program)}, "s3:GetObject"),
		allow("ListEvents", []*string{b.arn("s3", "", "", b.settings.ReplayBucket)}, "s3:ListBucket"),
		allow("ReadEvents", []*string{b.arn("s3", "", "", b.settings.ReplayBucket+"/"+b.settings.ReplayPrefix+"*")}, "s3:GetObject"),
	}
	streams := b.inputStreams()
	if streams != nil {
		var arns []*string
		for _, one := range split(b.job.get("InputKinesisStream")) {
			arns = append(arns, b.streamARN(one, b.job.get("InputStreamRegion")))
		}
		statements = append(statements, allow("SendEvents", arns, "kinesis:ListShards", "kinesis:PutRecords"))
		if keys := b.settings.InputKeyArns; len(keys) > 0 {
			statements = append(statements, allow("SendWithInputKeys", *jsii.Strings(keys...), "kms:GenerateDataKey"))
		}
	}
	role := awsiam.NewRole(b.Stack, jsii.String("ReplayRole"), &awsiam.RoleProps{
		Description:    jsii.String("What the replay host may do."),
		AssumedBy:      awsiam.NewServicePrincipal(jsii.String("ec2.amazonaws.com"), nil),
		InlinePolicies: &map[string]awsiam.PolicyDocument{"Replay": document(statements...)},
	})
	profile := awsiam.NewCfnInstanceProfile(b.Stack, jsii.String("ReplayProfile"), &awsiam.CfnInstanceProfileProps{
		Roles: &[]*string{role.RoleName()},
	})
	start := fmt.Sprintf("#!/bin/bash -xe\naws s3 cp --no-progress 's3://%s' %s\nchmod 755 %[2]s\n%[2]s replay --help >/dev/null\n", program, replayProgram)
	instance := awsec2.NewCfnInstance(b.Stack, jsii.String("ReplayHost"), &awsec2.CfnInstanceProps{
		ImageId:            b.parameters.image.ValueAsString(),
		InstanceType:       b.parameters.instanceType.ValueAsString(),
		IamInstanceProfile: profile.Ref(),
		SubnetId:           subnet,
		SecurityGroupIds:   &[]*string{group.SecurityGroupId()},
		MetadataOptions: &awsec2.CfnInstance_MetadataOptionsProperty{
			HttpTokens: jsii.String("required"), HttpPutResponseHopLimit: jsii.Number(1),
		},
		BlockDeviceMappings: []any{&awsec2.CfnInstance_BlockDeviceMappingProperty{
			DeviceName: jsii.String("/dev/xvda"),
			Ebs: &awsec2.CfnInstance_EbsProperty{
				Encrypted: jsii.Bool(true), VolumeType: jsii.String("gp3"), VolumeSize: jsii.Number(8), DeleteOnTermination: jsii.Bool(true),
			},
		}},
		EbsOptimized: jsii.Bool(true),
		UserData:     awscdk.Fn_Base64(jsii.String(start)),
		Tags:         &[]*awscdk.CfnTag{{Key: jsii.String("Name"), Value: jsii.String(*awscdk.Aws_STACK_NAME() + "/ReplayHost")}},
	})
	instance.Node().AddDependency(ways...) // it fetches its program at its first start only
	b.replay = &replay{instance: instance.Ref()}
	if streams != nil {
		b.replay.command = jsii.String(fmt.Sprintf("streaming-etl replay --region=%s --stream=%s --source=s3://%s/%s --source-region=%s --speedup=3600",
			*awscdk.Aws_REGION(), split(b.job.get("InputKinesisStream"))[0], b.settings.ReplayBucket, b.settings.ReplayPrefix, b.settings.ReplayRegion))
	}
}

// replayPlace returns where the replay host is, in the job's network or in one
// of its own, and the ways out of there.
func (b *build) replayPlace() (vpc awsec2.IVpc, subnet *string, ways []constructs.IDependable) {
	if n := b.network; n != nil {
		return n.vpc, (*n.subnets)[0], n.ways
	}
	vpc = awsec2.NewVpc(b.Stack, jsii.String("ReplayVpc"), &awsec2.VpcProps{
		IpAddresses: awsec2.IpAddresses_Cidr(jsii.String("10.21.0.0/24")), MaxAzs: jsii.Number(1), NatGateways: jsii.Number(0),
		SubnetConfiguration: &[]*awsec2.SubnetConfiguration{{
			Name: jsii.String("Public"), SubnetType: awsec2.SubnetType_PUBLIC, CidrMask: jsii.Number(28), MapPublicIpOnLaunch: jsii.Bool(true),
		}},
	})
	public := (*vpc.PublicSubnets())[0]
	return vpc, public.SubnetId(), []constructs.IDependable{public.InternetConnectivityEstablished()}
}
