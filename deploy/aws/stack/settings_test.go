package stack

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

func TestMistakesAreToldTogether(t *testing.T) {
	tests := map[string]struct {
		context map[string]string
		want    []string
	}{
		"names":                                 {map[string]string{"netwrok": "new", "OutputBuket": "x"}, []string{"context netwrok: is neither", "context OutputBuket: is neither"}},
		"choices":                               {map[string]string{"network": "yes", "egress": "vpn", "replayHost": "1"}, []string{`network: "yes" is not one of none, new, existing`, `egress: "vpn"`, `replayHost: "1"`}},
		"an existing network without its parts": {map[string]string{"network": Existing}, []string{"needs vpcId and subnetIds"}},
		"parts of an existing network in a new one": {map[string]string{"network": New, "vpcId": "vpc-1"}, []string{"are for network=existing"}},
		"brokers without a network":                 {map[string]string{"kafka": New}, []string{"set network=new or existing"}},
		"more subnets than brokers take": {map[string]string{"network": Existing, "vpcId": "vpc-1", "subnetIds": "a,b,c,d", "zones": "w,x,y,z", "kafka": New},
			[]string{"brokers need two or three subnets"}},
		"half a peering": {map[string]string{"network": New, "peerVpcId": "vpc-2"}, []string{"peerVpcId and peerCidr belong together"}},
		"a peering with another account without its role": {map[string]string{
			"network": New, "peerVpcId": "vpc-2", "peerCidr": "10.9.0.0/16", "peerAccount": "210987654321",
		}, []string{"peerAccount and peerRoleArn belong together"}},
		"a peering without routes": {map[string]string{
			"network": Existing, "vpcId": "vpc-1", "subnetIds": "a", "zones": "z", "peerVpcId": "vpc-2", "peerCidr": "10.9.0.0/33",
		}, []string{"need the routeTableIds", "peerCidr: "}},
		"two sources":                    {map[string]string{"InputKinesisStream": "a", "InputKafkaTopic": "b", "InputKafkaBootstrapServers": "c:1"}, []string{"a job has one source"}},
		"a topic without brokers":        {map[string]string{"InputKafkaTopic": "a"}, []string{"InputKafkaBootstrapServers is missing"}},
		"IAM without the cluster's name": {map[string]string{"OutputKafkaTopic": "a", "OutputKafkaBootstrapServers": "b:9098", "KafkaSaslMechanism": "AWS_MSK_IAM"}, []string{"needs outputClusterArn"}},
		"another login than that of the stack's brokers": {map[string]string{"network": New, "kafka": New, "InputKafkaTopic": "a", "KafkaSecurityProtocol": "SSL",
			"OutputKafkaTopic": "b", "OutputKafkaSaslMechanism": "SCRAM-SHA-512"},
			[]string{"KafkaSecurityProtocol: the stack's brokers take SASL_SSL", "OutputKafkaSaslMechanism: the stack's brokers take AWS_MSK_IAM"}},
		"a role of the source's brokers at the stack's": {map[string]string{"network": New, "kafka": New, "InputKafkaTopic": "a", "InputKafkaBootstrapServers": "b:9098",
			"KafkaSecurityProtocol": "SASL_SSL", "KafkaSaslMechanism": "AWS_MSK_IAM", "inputClusterArn": testCluster, "KafkaRoleArn": "arn:aws:iam::210987654321:role/read",
			"OutputKafkaTopic": "c"},
			[]string{"OutputKafkaRoleArn: is missing"}},
		"another cluster than the stack's": {map[string]string{"network": New, "kafka": New, "InputKafkaTopic": "a", "OutputKafkaTopic": "b",
			"inputClusterArn": testCluster, "outputClusterArn": testCluster},
			[]string{"inputClusterArn: InputKafkaTopic is read from the stack's own", "outputClusterArn: OutputKafkaTopic is written to the stack's own"}},
		"not a cluster's name": {map[string]string{"inputClusterArn": "trips"}, []string{`"trips" is not the ARN`}},
		"a domain by a name of one's own": {map[string]string{"OutputElasticsearchEndpoint": "https://search.example.com", "ElasticsearchAuth": "SIGV4"},
			[]string{"set searchArn"}},
		"what the service does not give": {map[string]string{"KafkaPasswordFrom": "env:PASSWORD", "EventSchema": "trip.avsc", "ElasticsearchIndexTemplate": "trips.json", "KafkaCaFile": "/ca.pem"},
			[]string{"KafkaPasswordFrom: the service gives", "EventSchema: the service gives the job no files", "ElasticsearchIndexTemplate: the service gives the job no files", "KafkaCaFile: the service gives"}},
		"a value that is too long":  {map[string]string{"EventSchema": "{" + strings.Repeat(" ", 2048)}, []string{"2049 characters are more than the 2048"}},
		"a parameter as a property": {map[string]string{"Parallelism": "4"}, []string{"Parallelism: it is a parameter"}},
		"intervals of checkpoints that are none": {map[string]string{"CheckpointInterval": "1m", "MinPauseBetweenCheckpoints": "-1"},
			[]string{`CheckpointInterval: "1m" is not`, `MinPauseBetweenCheckpoints: "-1" is not`}},
		"an interval of checkpoints that no alarm looks back over": {map[string]string{"CheckpointInterval": "17280001"}, []string{"0 to 17280000"}},
		"a sink of a stream with no place for dead letters": {map[string]string{"OutputKinesisStream": "clean"},
			[]string{"DeadLetterBucket: is missing"}},
		"a job that discards, beside a sink": {map[string]string{"OutputDiscarding": "true", "bucket": New}, []string{"OutputDiscarding: drops all events, but"}},
		"no sink":                            {map[string]string{"bucket": None}, []string{"OutputBucket: no sink is named"}},
		"a stream and made events":           {map[string]string{"InputKinesisStream": "a", "InputGeneratedRecords": "5"}, []string{"InputKinesisStream and InputGeneratedRecords: a job has one source"}},
		"two buckets":                        {map[string]string{"bucket": New, "OutputBucket": "lake"}, []string{"bucket=new makes its own"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := fromMap(test.context)
			if err == nil {
				t.Fatal("nothing is wrong")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestPropertiesComeFromAFileInTheServicesFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "properties.json")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(`[{"PropertyGroupId":"other","PropertyMap":{}},{"PropertyGroupId":"FlinkApplicationProperties","PropertyMap":{"OutputBucket":"lake","ParquetConversion":"false"}}]`)
	s, err := fromMap(map[string]string{"properties": path, "OutputBucket": "sea"})
	if err != nil {
		t.Fatal(err)
	}
	if s.Properties["OutputBucket"] != "sea" || s.Properties["ParquetConversion"] != "false" {
		t.Errorf("the properties are %v; what is named alone wins over the file", s.Properties)
	}
	write(`[{"PropertyGroupId":"FlinkApplicationPropertys","PropertyMap":{}}]`)
	if _, err := fromMap(map[string]string{"properties": path}); err == nil || !strings.Contains(err.Error(), "no group FlinkApplicationProperties") {
		t.Errorf("a file without the group: %v", err)
	}
}

// A number in cdk.json comes as a float64.
func TestNumbersOfTheContextAreWrittenOut(t *testing.T) {
	app := awscdk.NewApp(&awscdk.AppProps{AnalyticsReporting: jsii.Bool(false), Context: &map[string]any{"InputGeneratedRecords": 1_000_000}})
	s, err := FromContext(app.Node())
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Properties["InputGeneratedRecords"]; got != "1000000" {
		t.Errorf("a million is %s", got)
	}
}

func TestTheEndpointNamesItsDomain(t *testing.T) {
	tests := map[string]string{
		"https://search-my-trips-abcdefghijklmnopqrstuvwxyz.eu-west-1.es.amazonaws.com": "es eu-west-1 domain my-trips",
		testEndpoint: "es eu-west-1 domain trips",
		"https://abc123.us-east-1.aoss.amazonaws.com:443": "aoss us-east-1 collection abc123",
		"https://es.example.com:9200":                     "",
		"://":                                             "",
	}
	for endpoint, want := range tests {
		got := ""
		if d := searchDomain(endpoint); d != nil {
			got = d.service + " " + d.region + " " + d.resource + " " + d.name
		}
		if got != want {
			t.Errorf("%s names %q, want %q", endpoint, got, want)
		}
	}
}

func TestTopicsOfAnExpressionHaveACommonBeginning(t *testing.T) {
	tests := map[string]string{
		"trips": "trips", "trips, fares": "trips fares", "regex:trips-.*": "trips-*", "regex:trips": "trips", "regex:(a|b)": "*", "regex:(": "*",
	}
	for given, want := range tests {
		if got := strings.Join(inputTopics(given), " "); got != want {
			t.Errorf("%s reads %s, want %s", given, got, want)
		}
	}
	if got := templatePattern("trips-{type}-{pickup_datetime:2006}"); got != "trips-*-*" {
		t.Errorf("the template's pattern is %s", got)
	}
}
