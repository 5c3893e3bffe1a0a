package stack

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

const (
	vpcCIDR   = "10.20.0.0/16"
	portHTTP  = 80
	portHTTPS = 443
	portIAM   = 9098 // MSK's, for SASL_SSL with IAM
)

// network is where the job's interfaces are.
type network struct {
	vpc     awsec2.IVpc
	subnets *[]*string // private, in different zones
	tables  []*string  // their route tables
	job     awsec2.SecurityGroup
	// ways are those out of a new network's first subnet, for what needs them at
	// its start.
	ways []constructs.IDependable
}

// makeNetwork makes or takes the network, its endpoints and its peering.
func (b *build) makeNetwork() {
	s := b.settings
	switch s.Network {
	case None:
		return
	case New:
		b.network = b.newNetwork()
	case Existing:
		b.network = &network{
			vpc: awsec2.Vpc_FromVpcAttributes(b.Stack, jsii.String("Vpc"), &awsec2.VpcAttributes{
				VpcId: jsii.String(s.VpcID), AvailabilityZones: jsii.Strings(s.Zones...),
				PrivateSubnetIds: jsii.Strings(s.SubnetIDs...),
			}),
			subnets: jsii.Strings(s.SubnetIDs...),
		}
		for _, id := range s.RouteTableIDs {
			b.network.tables = append(b.network.tables, jsii.String(id))
		}
	}
	n := b.network
	n.job = b.securityGroup("JobSecurityGroup", "Interfaces of the job.", n.vpc)
	n.job.AddEgressRule(awsec2.Peer_AnyIpv4(), awsec2.Port_Tcp(jsii.Number(portHTTPS)), jsii.String("AWS services and search"), nil)
	for _, port := range brokerPorts(s.Properties) {
		to := awsec2.Peer_AnyIpv4()
		if s.PeerCIDR != "" {
			to = awsec2.Peer_Ipv4(jsii.String(s.PeerCIDR))
		}
		n.job.AddEgressRule(to, awsec2.Port_Tcp(jsii.Number(port)), jsii.String("Kafka brokers of the properties"), nil)
	}
	for _, port := range endpointPorts(s.Properties) {
		n.job.AddEgressRule(awsec2.Peer_AnyIpv4(), awsec2.Port_Tcp(jsii.Number(port)), jsii.String("endpoints of the properties"), nil)
	}
	if s.Network == New && s.Egress == Endpoints {
		b.makeEndpoints()
	}
	if s.PeerVpcID != "" {
		b.makePeering()
	}
}

func (b *build) newNetwork() *network {
	zones := 2
	if b.settings.Kafka == New {
		zones = 3 // three copies of each partition, a zone each
	}
	var names []*string
	for i := range zones {
		names = append(names, awscdk.Fn_Select(jsii.Number(i), awscdk.Fn_GetAzs(nil)))
	}
	props := &awsec2.VpcProps{
		IpAddresses:       awsec2.IpAddresses_Cidr(jsii.String(vpcCIDR)),
		AvailabilityZones: &names,
		NatGateways:       jsii.Number(0),
	}
	private := awsec2.SubnetType_PRIVATE_ISOLATED
	if b.settings.Egress == NAT {
		private = awsec2.SubnetType_PRIVATE_WITH_EGRESS
		props.NatGateways = jsii.Number(1)
	}
	subnets := []*awsec2.SubnetConfiguration{{Name: jsii.String("Private"), SubnetType: private, CidrMask: jsii.Number(22)}}
	if b.settings.Egress == NAT {
		subnets = append(subnets, &awsec2.SubnetConfiguration{
			Name: jsii.String("Public"), SubnetType: awsec2.SubnetType_PUBLIC, CidrMask: jsii.Number(26), MapPublicIpOnLaunch: jsii.Bool(false),
		})
	}
	props.SubnetConfiguration = &subnets
	n := &network{vpc: awsec2.NewVpc(b.Stack, jsii.String("Vpc"), props)}
	n.subnets = n.vpc.SelectSubnets(&awsec2.SubnetSelection{SubnetType: private}).SubnetIds
	of := *n.vpc.SelectSubnets(&awsec2.SubnetSelection{SubnetType: private}).Subnets
	for _, subnet := range of {
		n.tables = append(n.tables, subnet.RouteTable().RouteTableId())
	}
	// Traffic to S3 is most of what the job sends; through the gateway
	// endpoint it costs nothing, through NAT it costs by the gigabyte.
	toS3 := n.vpc.AddGatewayEndpoint(jsii.String("S3Endpoint"), &awsec2.GatewayVpcEndpointOptions{
		Service: awsec2.GatewayVpcEndpointAwsService_S3(),
	})
	n.ways = []constructs.IDependable{of[0].InternetConnectivityEstablished(), toS3}
	return n
}

// endpointServices are what the job, the service around it and the replay host
// call, by the names of their endpoints.
func (b *build) endpointServices() []string {
	services := []string{"kinesis-streams", "logs", "monitoring", "sts"}
	if b.settings.ReplayHost {
		services = append(services, "ssm", "ssmmessages", "ec2messages")
	}
	return services
}

func (b *build) makeEndpoints() {
	n := b.network
	group := b.securityGroup("EndpointSecurityGroup", "The interface endpoints of AWS services.", n.vpc)
	group.AddIngressRule(awsec2.Peer_Ipv4(jsii.String(vpcCIDR)), awsec2.Port_Tcp(jsii.Number(portHTTPS)), jsii.String("from the VPC"), nil)
	for _, name := range b.endpointServices() {
		n.vpc.AddInterfaceEndpoint(jsii.String("Endpoint-"+name), &awsec2.InterfaceVpcEndpointOptions{
			Service:           awsec2.NewInterfaceVpcEndpointAwsService(jsii.String(name), nil, nil, nil),
			PrivateDnsEnabled: jsii.Bool(true),
			SecurityGroups:    &[]awsec2.ISecurityGroup{group},
			Open:              jsii.Bool(false),
		})
	}
}

// makePeering connects the network to another VPC. Routes back, and the
// resolution of names over the connection, are set by hand: CloudFormation has
// no resource for them.
func (b *build) makePeering() {
	s := b.settings
	props := &awsec2.CfnVPCPeeringConnectionProps{VpcId: b.network.vpc.VpcId(), PeerVpcId: jsii.String(s.PeerVpcID)}
	if s.PeerAccount != "" {
		props.PeerOwnerId, props.PeerRoleArn = jsii.String(s.PeerAccount), jsii.String(s.PeerRoleArn)
	}
	if s.PeerRegion != "" {
		props.PeerRegion = jsii.String(s.PeerRegion)
	}
	peering := awsec2.NewCfnVPCPeeringConnection(b.Stack, jsii.String("Peering"), props)
	for i, table := range b.network.tables {
		awsec2.NewCfnRoute(b.Stack, jsii.String("PeeringRoute"+strconv.Itoa(i+1)), &awsec2.CfnRouteProps{
			RouteTableId: table, DestinationCidrBlock: jsii.String(s.PeerCIDR), VpcPeeringConnectionId: peering.Ref(),
		})
	}
	b.output("PeeringConnection", "The peering, for the owner of the other VPC, who adds the routes back.", peering.Ref())
	b.output("PeeringNamesCommand", "To be run by that owner: lets the names of that VPC, such as brokers', resolve to private addresses here.",
		jsii.String(fmt.Sprintf("aws ec2 modify-vpc-peering-connection-options --vpc-peering-connection-id %s "+
			"--accepter-peering-connection-options AllowDnsResolutionFromRemoteVpc=true", *peering.Ref())))
}

// securityGroup makes a group that lets nothing in and nothing out.
func (b *build) securityGroup(id, description string, vpc awsec2.IVpc) awsec2.SecurityGroup {
	return awsec2.NewSecurityGroup(b.Stack, jsii.String(id), &awsec2.SecurityGroupProps{
		Vpc: vpc, Description: jsii.String(description), AllowAllOutbound: jsii.Bool(false),
	})
}

// brokerPorts returns the ports of the brokers that the properties name.
func brokerPorts(properties map[string]string) []int {
	var ports []int
	for _, name := range []string{"InputKafkaBootstrapServers", "OutputKafkaBootstrapServers"} {
		for _, server := range split(properties[name]) {
			if port, err := portOf(server); err == nil && !slices.Contains(ports, port) {
				ports = append(ports, port)
			}
		}
	}
	slices.Sort(ports)
	return ports
}

// endpointPorts returns the ports of the URLs that the properties name.
func endpointPorts(properties map[string]string) []int {
	var ports []int
	for name, value := range properties {
		if !strings.HasSuffix(name, "Endpoint") {
			continue
		}
		for _, one := range split(value) {
			if port, err := portOfURL(one); err == nil && !slices.Contains(ports, port) {
				ports = append(ports, port)
			}
		}
	}
	slices.Sort(ports)
	return ports
}

// portOfURL returns the port of a URL, that of its scheme if it names none.
func portOfURL(text string) (int, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return 0, err
	case u.Port() != "":
		return strconv.Atoi(u.Port())
	case u.Scheme == "http":
		return portHTTP, nil
	}
	return portHTTPS, nil
}
