package stack

import (
	_ "embed"
	"net"
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsmsk"
	"github.com/aws/jsii-runtime-go"
)

const (
	kafkaVersion    = "3.8.x"
	brokerType      = "kafka.m7g.large"
	brokerStorageGB = 100
)

// brokers is the MSK cluster that the stack makes.
type brokers struct {
	arn, name *string
}

// brokerLookup is the function that asks for the brokers' names, which
// CloudFormation does not know of a cluster that it has made.
//
//go:embed brokers.py
var brokerLookup string

// makeBrokers makes an MSK cluster to which only roles log in, over TLS.
func (b *build) makeBrokers() {
	if b.settings.Kafka != New {
		return
	}
	n := b.network
	group := b.securityGroup("KafkaSecurityGroup", "The Kafka brokers.", n.vpc)
	group.AddIngressRule(n.job, awsec2.Port_Tcp(jsii.Number(portIAM)), jsii.String("from the job"), nil)
	n.job.AddEgressRule(group, awsec2.Port_Tcp(jsii.Number(portIAM)), jsii.String("the stack's Kafka brokers"), nil)

	logs := awslogs.NewLogGroup(b.Stack, jsii.String("KafkaLog"), &awslogs.LogGroupProps{RemovalPolicy: awscdk.RemovalPolicy_DESTROY})
	b.keepLogs(logs)
	name := awscdk.Fn_Sub(jsii.String("${AWS::StackName}-kafka"), nil)
	cluster := awsmsk.NewCfnCluster(b.Stack, jsii.String("Kafka"), &awsmsk.CfnClusterProps{
		ClusterName:         name,
		KafkaVersion:        jsii.String(kafkaVersion),
		NumberOfBrokerNodes: jsii.Number(len(*n.subnets)),
		BrokerNodeGroupInfo: &awsmsk.CfnCluster_BrokerNodeGroupInfoProperty{
			InstanceType: jsii.String(brokerType), ClientSubnets: n.subnets, SecurityGroups: &[]*string{group.SecurityGroupId()},
			StorageInfo: &awsmsk.CfnCluster_StorageInfoProperty{EbsStorageInfo: &awsmsk.CfnCluster_EBSStorageInfoProperty{
				VolumeSize: jsii.Number(brokerStorageGB),
			}},
		},
		ClientAuthentication: &awsmsk.CfnCluster_ClientAuthenticationProperty{
			Sasl:            &awsmsk.CfnCluster_SaslProperty{Iam: &awsmsk.CfnCluster_IamProperty{Enabled: jsii.Bool(true)}},
			Unauthenticated: &awsmsk.CfnCluster_UnauthenticatedProperty{Enabled: jsii.Bool(false)},
		},
		EncryptionInfo: &awsmsk.CfnCluster_EncryptionInfoProperty{
			EncryptionInTransit: &awsmsk.CfnCluster_EncryptionInTransitProperty{ClientBroker: jsii.String("TLS"), InCluster: jsii.Bool(true)},
		},
		EnhancedMonitoring: jsii.String("DEFAULT"), // has the lag of consumer groups
		LoggingInfo: &awsmsk.CfnCluster_LoggingInfoProperty{BrokerLogs: &awsmsk.CfnCluster_BrokerLogsProperty{
			CloudWatchLogs: &awsmsk.CfnCluster_CloudWatchLogsProperty{Enabled: jsii.Bool(true), LogGroup: logs.LogGroupName()},
		}},
	})
	cluster.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN, nil)
	b.brokers = &brokers{arn: cluster.Ref(), name: name}
	servers := b.lookUpBrokers()
	b.output("KafkaBootstrapServers", "The brokers, for clients in the VPC with a role.", servers)
	b.connectToBrokers(servers)
}

// What the stack's brokers take, and what those of others do where the
// properties say nothing.
var (
	ownLogin = map[string]string{"KafkaSecurityProtocol": "SASL_SSL", "KafkaSaslMechanism": "AWS_MSK_IAM"}
	noLogin  = map[string]string{"KafkaSecurityProtocol": "PLAINTEXT", "KafkaSaslMechanism": "NONE"}
)

// connectToBrokers tells the job the stack's brokers and how to log in there.
// A sink has the source's login where it has none of its own, so beside brokers
// of others the sink's is said, whichever side is theirs.
func (b *build) connectToBrokers(servers *string) {
	s := b.settings
	if s.ownBrokers("Output") {
		b.job.fallback("OutputKafkaBootstrapServers", servers)
		if !s.ownBrokers("Input") {
			for name, value := range ownLogin {
				b.job.fallback("Output"+name, jsii.String(value))
			}
		}
	}
	if !s.ownBrokers("Input") {
		return
	}
	b.job.fallback("InputKafkaBootstrapServers", servers)
	for name, value := range ownLogin {
		if s.Properties[name] == "" && s.Properties["OutputKafkaBootstrapServers"] != "" {
			b.job.fallback("Output"+name, jsii.String(noLogin[name]))
		}
		b.job.fallback(name, jsii.String(value))
	}
}

// lookUpBrokers returns the bootstrap servers of the stack's cluster.
func (b *build) lookUpBrokers() *string {
	logs := awslogs.NewLogGroup(b.Stack, jsii.String("BrokerLookupLog"), &awslogs.LogGroupProps{RemovalPolicy: awscdk.RemovalPolicy_DESTROY})
	b.keepLogs(logs)
	role := awsiam.NewRole(b.Stack, jsii.String("BrokerLookupRole"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil),
		InlinePolicies: &map[string]awsiam.PolicyDocument{"Lookup": document(
			allow("AskForBrokers", []*string{b.brokers.arn}, "kafka:GetBootstrapBrokers"),
			allow("WriteLookupLog", []*string{logs.LogGroupArn()}, "logs:CreateLogStream", "logs:PutLogEvents"),
		)},
	})
	function := awslambda.NewCfnFunction(b.Stack, jsii.String("BrokerLookup"), &awslambda.CfnFunctionProps{
		Description:   jsii.String("Asks Amazon MSK for the bootstrap servers of the stack's cluster."),
		Runtime:       jsii.String("python3.13"),
		Handler:       jsii.String("index.handler"),
		Code:          &awslambda.CfnFunction_CodeProperty{ZipFile: jsii.String(brokerLookup)},
		Role:          role.RoleArn(),
		Timeout:       jsii.Number(60),
		LoggingConfig: &awslambda.CfnFunction_LoggingConfigProperty{LogGroup: logs.LogGroupName()},
	})
	answer := awscdk.NewCustomResource(b.Stack, jsii.String("Brokers"), &awscdk.CustomResourceProps{
		ServiceToken: function.AttrArn(),
		Properties:   &map[string]any{"ClusterArn": b.brokers.arn},
	})
	return answer.GetAttString(jsii.String("BootstrapServers"))
}

// portOf returns the port of host:port.
func portOf(server string) (int, error) {
	_, port, err := net.SplitHostPort(server)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}
