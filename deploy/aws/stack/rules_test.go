package stack

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// rules are what holds for each resource of a type, wherever it is. They follow
// the checks of cdk-nag's "AWS Solutions" pack that concern these types; those
// of the pack that are left out on purpose are these.
//
//   - S1: no access log of the bucket. It costs a request for each of the job's;
//     CloudTrail's data events can be turned on for all buckets.
//   - SNS2: the topic has no key. CloudWatch can use a customer's key only, at a
//     price, and an alarm holds names and figures, no events.
//   - VPC7: no flow log. It costs by the byte of all traffic, and is the
//     account's choice.
//   - EC28, EC29: the replay host has no detailed monitoring, and may be
//     terminated. It holds nothing.
//   - OS3: met by the network. The domain has no public address, and its policy
//     names one role.
//   - OS4: no dedicated masters for a domain of two nodes.
//   - OS9: no slow logs. They hold events.
var rules = map[string]func(t template, id string, r resource) []string{
	"AWS::S3::Bucket":                      bucketRules,
	"AWS::Kinesis::Stream":                 streamRules,
	"AWS::MSK::Cluster":                    brokerRules,
	"AWS::OpenSearchService::Domain":       searchRules,
	"AWS::EC2::SecurityGroup":              groupRules,
	"AWS::EC2::SecurityGroupIngress":       ingressRules,
	"AWS::EC2::Instance":                   instanceRules,
	"AWS::EC2::Subnet":                     subnetRules,
	"AWS::Logs::LogGroup":                  logRules,
	"AWS::SNS::Topic":                      topicRules,
	"AWS::IAM::Role":                       roleRules,
	"AWS::KinesisAnalyticsV2::Application": applicationRules,
	"AWS::CloudWatch::Alarm":               alarmRules,
	"AWS::Lambda::Function":                functionRules,
}

func TestEveryResourceKeepsTheRules(t *testing.T) {
	ruled := map[string]bool{}
	for name, context := range everything() {
		t.Run(name, func(t *testing.T) {
			made := synth(t, context)
			for _, id := range sortedKeys(made.Resources) {
				r := made.Resources[id]
				if rule := rules[r.Type]; rule != nil {
					ruled[r.Type] = true
					for _, fault := range rule(made, id, r) {
						t.Errorf("%s: %s", id, fault)
					}
				} else if !slices.Contains(harmless, r.Type) {
					t.Errorf("%s: there is no rule for %s", id, r.Type)
				}
			}
		})
	}
	for _, kind := range sortedKeys(rules) {
		if !ruled[kind] {
			t.Errorf("no template has a %s", kind)
		}
	}
}

// harmless are the types that no rule is about; policies have tests of their
// own.
var harmless = []string{
	"AWS::S3::BucketPolicy", "AWS::IAM::Policy", "AWS::IAM::InstanceProfile", "AWS::SNS::TopicPolicy", "AWS::SNS::Subscription",
	"AWS::Logs::LogStream", "AWS::Logs::MetricFilter", "AWS::CloudWatch::Dashboard", "AWS::KinesisAnalyticsV2::ApplicationCloudWatchLoggingOption",
	"AWS::EC2::VPC", "AWS::EC2::RouteTable", "AWS::EC2::SubnetRouteTableAssociation", "AWS::EC2::Route", "AWS::EC2::InternetGateway",
	"AWS::EC2::VPCGatewayAttachment", "AWS::EC2::EIP", "AWS::EC2::NatGateway", "AWS::EC2::VPCEndpoint", "AWS::EC2::VPCPeeringConnection",
	"AWS::EC2::SecurityGroupEgress", "AWS::CloudFormation::CustomResource",
}

// want compares a property, named by its path, with a value.
func want(r resource, faults []string, path string, value any) []string {
	var at any = r.Properties
	for name := range strings.SplitSeq(path, ".") {
		switch v := at.(type) {
		case map[string]any:
			at = v[name]
		case []any:
			at = nil
			if len(v) > 0 {
				if first, ok := v[0].(map[string]any); ok {
					at = first[name]
				}
			}
		default:
			at = nil
		}
	}
	if fmt.Sprint(at) != fmt.Sprint(value) {
		faults = append(faults, fmt.Sprintf("%s is %v, want %v", path, at, value))
	}
	return faults
}

// wants is want for several.
func wants(r resource, values map[string]any) (faults []string) {
	for _, path := range slices.Sorted(maps.Keys(values)) {
		faults = want(r, faults, path, values[path])
	}
	return faults
}

func bucketRules(t template, id string, r resource) []string {
	faults := wants(r, map[string]any{
		"PublicAccessBlockConfiguration.BlockPublicAcls":                                   true,
		"PublicAccessBlockConfiguration.BlockPublicPolicy":                                 true,
		"PublicAccessBlockConfiguration.IgnorePublicAcls":                                  true,
		"PublicAccessBlockConfiguration.RestrictPublicBuckets":                             true,
		"OwnershipControls.Rules.ObjectOwnership":                                          "BucketOwnerEnforced",
		"BucketEncryption.ServerSideEncryptionConfiguration.ServerSideEncryptionByDefault": "map[SSEAlgorithm:AES256]",
		"LifecycleConfiguration.Rules.AbortIncompleteMultipartUpload.DaysAfterInitiation":  7,
		"LifecycleConfiguration.Rules.Status":                                              "Enabled",
	})
	if r.DeletionPolicy != "Retain" {
		faults = append(faults, "it goes with the stack")
	}
	tls, old := false, false
	for _, s := range t.statements() {
		if s.effect == "Deny" && slices.Equal(s.actions, []string{"s3:*"}) && words(s.principal) == "map[AWS:*]" &&
			slices.Equal(s.resources, []string{"${" + id + ".Arn}", "${" + id + ".Arn}/*"}) {
			switch fmt.Sprint(s.condition) {
			case "map[Bool:map[aws:SecureTransport:false]]":
				tls = true
			case "map[NumericLessThan:map[s3:TlsVersion:1.2]]":
				old = true
			}
		}
	}
	if !tls || !old {
		faults = append(faults, fmt.Sprintf("plain HTTP is denied: %v; TLS before 1.2 is denied: %v", tls, old))
	}
	return faults
}

func streamRules(_ template, _ string, r resource) []string {
	faults := wants(r, map[string]any{"StreamEncryption.EncryptionType": "KMS"})
	if r.DeletionPolicy != "Retain" {
		faults = append(faults, "it goes with the stack")
	}
	return faults
}

func brokerRules(_ template, _ string, r resource) []string {
	return wants(r, map[string]any{
		"EncryptionInfo.EncryptionInTransit.ClientBroker": "TLS",
		"EncryptionInfo.EncryptionInTransit.InCluster":    true,
		"ClientAuthentication.Sasl.Iam.Enabled":           true,
		"ClientAuthentication.Unauthenticated.Enabled":    false,
		"LoggingInfo.BrokerLogs.CloudWatchLogs.Enabled":   true,
		"BrokerNodeGroupInfo.ConnectivityInfo":            nil, // no public access
	})
}

func searchRules(_ template, _ string, r resource) []string {
	return wants(r, map[string]any{
		"DomainEndpointOptions.EnforceHTTPS":      true,
		"DomainEndpointOptions.TLSSecurityPolicy": "Policy-Min-TLS-1-2-PFS-2023-10",
		"EncryptionAtRestOptions.Enabled":         true,
		"NodeToNodeEncryptionOptions.Enabled":     true,
		"ClusterConfig.ZoneAwarenessEnabled":      true,
	})
}

func groupRules(t template, id string, r resource) (faults []string) {
	ingress, _ := r.Properties["SecurityGroupIngress"].([]any)
	for _, one := range ingress {
		rule := one.(map[string]any)
		if cidr := words(rule["CidrIp"]); cidr != vpcCIDR || rule["FromPort"] != rule["ToPort"] {
			faults = append(faults, fmt.Sprintf("lets in %v to the ports %v to %v", cidr, rule["FromPort"], rule["ToPort"]))
		}
	}
	if strings.HasPrefix(id, "Replay") || strings.HasPrefix(id, "Job") {
		if len(ingress) > 0 {
			faults = append(faults, "lets something in")
		}
		for _, in := range t.ofType("AWS::EC2::SecurityGroupIngress") {
			if strings.Contains(words(in.Properties["GroupId"]), id) {
				faults = append(faults, "lets something in, by a resource of its own")
			}
		}
	}
	egress, _ := r.Properties["SecurityGroupEgress"].([]any)
	for _, one := range egress {
		if rule := one.(map[string]any); rule["IpProtocol"] == "-1" {
			faults = append(faults, "lets everything out")
		}
	}
	return faults
}

func ingressRules(_ template, _ string, r resource) (faults []string) {
	if r.Properties["SourceSecurityGroupId"] == nil || r.Properties["FromPort"] != r.Properties["ToPort"] {
		faults = append(faults, "lets in more than one group to one port")
	}
	return faults
}

func instanceRules(_ template, _ string, r resource) []string {
	return wants(r, map[string]any{
		"MetadataOptions.HttpTokens":        "required",
		"BlockDeviceMappings.Ebs.Encrypted": true,
		"KeyName":                           nil,
	})
}

func subnetRules(_ template, id string, r resource) []string {
	if strings.HasPrefix(id, "ReplayVpc") {
		return nil // where the host reaches the services itself, and is reached by nobody
	}
	return wants(r, map[string]any{"MapPublicIpOnLaunch": false})
}

func logRules(_ template, _ string, r resource) []string {
	return wants(r, map[string]any{"RetentionInDays": "map[Ref:LogRetentionDays]"})
}

func topicRules(t template, id string, _ resource) []string {
	for _, s := range t.statements() {
		if s.effect == "Deny" && slices.Equal(s.resources, []string{"${" + id + "}"}) && fmt.Sprint(s.condition) == "map[Bool:map[aws:SecureTransport:false]]" {
			return nil
		}
	}
	return []string{"takes messages over plain HTTP"}
}

func roleRules(_ template, _ string, r resource) (faults []string) {
	if managed := r.Properties["ManagedPolicyArns"]; managed != nil {
		faults = append(faults, fmt.Sprintf("has policies of others: %v", managed))
	}
	return faults
}

func applicationRules(_ template, _ string, r resource) []string {
	return wants(r, map[string]any{
		"ApplicationConfiguration.ApplicationSnapshotConfiguration.SnapshotsEnabled":                          true,
		"ApplicationConfiguration.FlinkApplicationConfiguration.CheckpointConfiguration.CheckpointingEnabled": true,
		"ApplicationConfiguration.FlinkApplicationConfiguration.CheckpointConfiguration.CheckpointInterval":   60000,
		"ApplicationConfiguration.FlinkApplicationConfiguration.ParallelismConfiguration.ConfigurationType":   "CUSTOM",
		"ApplicationConfiguration.EnvironmentProperties.PropertyGroups.PropertyGroupId":                       "FlinkApplicationProperties",
		"RunConfiguration.ApplicationRestoreConfiguration.ApplicationRestoreType":                             "RESTORE_FROM_LATEST_SNAPSHOT",
		"RunConfiguration.FlinkRunConfiguration.AllowNonRestoredState":                                        false,
		"ApplicationConfiguration.FlinkApplicationConfiguration.ParallelismConfiguration.AutoScalingEnabled":  "map[Fn::If:[Scales true false]]",
		"ApplicationConfiguration.FlinkApplicationConfiguration.MonitoringConfiguration.LogLevel":             "INFO",
		"ApplicationConfiguration.ApplicationCodeConfiguration.CodeContentType":                               "ZIPFILE",
	})
}

func alarmRules(_ template, _ string, r resource) (faults []string) {
	if r.Properties["AlarmActions"] == nil || r.Properties["OKActions"] == nil {
		faults = append(faults, "goes nowhere")
	}
	if words(r.Properties["AlarmDescription"]) == "" {
		faults = append(faults, "does not say what it means")
	}
	return faults
}

func functionRules(_ template, _ string, r resource) []string {
	return wants(r, map[string]any{"Runtime": "python3.13"})
}
