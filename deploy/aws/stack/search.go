package stack

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsopensearchservice"
	"github.com/aws/jsii-runtime-go"
)

const (
	searchVersion   = "OpenSearch_2.19"
	searchType      = "m7g.large.search"
	searchStorageGB = 100
)

// search is the OpenSearch domain that the stack makes.
type search struct {
	arn    *string
	domain awsopensearchservice.CfnDomain
}

// makeSearch makes a domain in the network that takes requests of the job only.
// Its access policy is added with the job's role (application.go).
func (b *build) makeSearch() {
	if b.settings.Search != New {
		return
	}
	n := b.network
	group := b.securityGroup("SearchSecurityGroup", "The OpenSearch domain.", n.vpc)
	group.AddIngressRule(n.job, awsec2.Port_Tcp(jsii.Number(portHTTPS)), jsii.String("from the job"), nil)
	subnets := (*n.subnets)[:min(2, len(*n.subnets))]
	cluster := &awsopensearchservice.CfnDomain_ClusterConfigProperty{
		InstanceType: jsii.String(searchType), InstanceCount: jsii.Number(len(subnets)),
		ZoneAwarenessEnabled: jsii.Bool(len(subnets) == 2),
	}
	if len(subnets) == 2 {
		cluster.ZoneAwarenessConfig = &awsopensearchservice.CfnDomain_ZoneAwarenessConfigProperty{AvailabilityZoneCount: jsii.Number(2)}
	}
	domain := awsopensearchservice.NewCfnDomain(b.Stack, jsii.String("Search"), &awsopensearchservice.CfnDomainProps{
		EngineVersion: jsii.String(searchVersion),
		ClusterConfig: cluster,
		EbsOptions: &awsopensearchservice.CfnDomain_EBSOptionsProperty{
			EbsEnabled: jsii.Bool(true), VolumeSize: jsii.Number(searchStorageGB), VolumeType: jsii.String("gp3"),
		},
		EncryptionAtRestOptions:     &awsopensearchservice.CfnDomain_EncryptionAtRestOptionsProperty{Enabled: jsii.Bool(true)},
		NodeToNodeEncryptionOptions: &awsopensearchservice.CfnDomain_NodeToNodeEncryptionOptionsProperty{Enabled: jsii.Bool(true)},
		DomainEndpointOptions: &awsopensearchservice.CfnDomain_DomainEndpointOptionsProperty{
			EnforceHttps: jsii.Bool(true), TlsSecurityPolicy: jsii.String("Policy-Min-TLS-1-2-PFS-2023-10"),
		},
		VpcOptions: &awsopensearchservice.CfnDomain_VPCOptionsProperty{
			SubnetIds: &subnets, SecurityGroupIds: &[]*string{group.SecurityGroupId()},
		},
	})
	domain.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN, nil)
	b.search = &search{arn: domain.AttrArn(), domain: domain}
	endpoint := awscdk.Fn_Join(jsii.String(""), &[]*string{jsii.String("https://"), domain.AttrDomainEndpoint()})
	b.job.fallback("OutputElasticsearchEndpoint", endpoint)
	// The name of a domain in a VPC ends as Amazon's others do; said all the
	// same, since a name of one's own may be set later.
	b.job.fallback("ElasticsearchAuth", jsii.String("SIGV4"))
	b.output("SearchEndpoint", "The OpenSearch domain, for clients in the VPC with a role.", endpoint)
}
