package stack

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

var update = flag.Bool("update", false, "write the templates and the list of properties anew")

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	jsii.Close() // ends the CDK's process
	os.Exit(code)
}

// templates are those in the repository, with the context that makes them.
var templates = map[string]map[string]string{
	"template.json": {},
	"template-full.json": {
		"network": New, "kafka": New, "search": New, "bucket": New,
		"OutputKafkaTopic": "trips", "OutputKafkaKey": "{trip_id}", "OutputKafkaCreateTopic": "true",
	},
}

const (
	testCluster  = "arn:aws:kafka:eu-west-1:123456789012:cluster/events/11111111-2222-3333-4444-555555555555-6"
	testEndpoint = "https://vpc-trips-abcdefghijklmnopqrstuvwxyz.eu-west-1.es.amazonaws.com"
	testConsumer = "arn:aws:kinesis:eu-west-1:123456789012:stream/trips/consumer/etl:1700000000"
)

// variants are further choices that the rules are checked on.
var variants = map[string]map[string]string{
	"endpoints instead of NAT": {"network": New, "egress": Endpoints},
	"from MSK of the stack":    {"network": New, "kafka": New, "InputKafkaTopic": "trips,fares", "replayHost": "false"},
	"from brokers elsewhere to MSK of the stack": {
		"network": New, "kafka": New, "replayHost": "false", "InputKafkaTopic": "trips", "InputKafkaBootstrapServers": "kafka.example.com:9092", "OutputKafkaTopic": "clean",
	},
	"from MSK that is there to MSK of the stack": {
		"network": New, "kafka": New, "replayHost": "false", "InputKafkaTopic": "trips", "InputKafkaBootstrapServers": "b-1.events.abc.c6.kafka.eu-west-1.amazonaws.com:9098",
		"KafkaSecurityProtocol": "SASL_SSL", "KafkaSaslMechanism": "AWS_MSK_IAM", "inputClusterArn": testCluster, "OutputKafkaTopic": "clean",
	},
	"from MSK of the stack to brokers elsewhere": {
		"network": New, "kafka": New, "replayHost": "false", "InputKafkaTopic": "trips", "OutputKafkaTopic": "clean", "OutputKafkaBootstrapServers": "kafka.example.com:9092",
	},
	"from MSK in a peered VPC": {
		"network": Existing, "vpcId": "vpc-0123456789abcdef0", "subnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1", "zones": "eu-west-1a,eu-west-1b",
		"routeTableIds": "rtb-0123456789abcdef0,rtb-0123456789abcdef1", "peerVpcId": "vpc-0123456789abcdef1", "peerCidr": "10.9.0.0/16", "inputClusterArn": testCluster,
		"InputKafkaBootstrapServers": "b-1.events.abc.c6.kafka.eu-west-1.amazonaws.com:9098,b-2.events.abc.c6.kafka.eu-west-1.amazonaws.com:9098",
		"InputKafkaTopic":            "regex:trips-.*", "KafkaSecurityProtocol": "SASL_SSL", "KafkaSaslMechanism": "AWS_MSK_IAM",
		"OutputBucket": "s3://lake/trips/", "replayHost": "false",
	},
	"fan-out into a stream and a domain that are there": {
		"InputKinesisStream": "trips,arn:aws:kinesis:us-east-1:210987654321:stream/fares", "InputStreamConsumer": "EFO",
		"OutputKinesisStream": "clean", "OutputStreamRegion": "us-west-2",
		"network": New, "OutputElasticsearchEndpoint": testEndpoint, "bucket": New,
	},
	"a consumer by its ARN, streams with keys": {
		"InputKinesisStream": "trips", "InputStreamConsumer": testConsumer, "inputKeyArns": "arn:aws:kms:eu-west-1:123456789012:key/in",
		"OutputKinesisStream": "clean", "DeadLetterBucket": "letters", "outputKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/out",
	},
	"by roles of other accounts": {
		"InputKinesisStream": "trips", "InputRoleArn": "arn:aws:iam::210987654321:role/read",
		"OutputKinesisStream": "clean", "DeadLetterBucket": "letters", "OutputRoleArn": "arn:aws:iam::210987654321:role/write", "replayHost": "false",
	},
	"a try of the platform alone": {"InputGeneratedRecords": "100000", "OutputDiscarding": "true", "replayHost": "false"},
	"a collection, a bucket with a key, letters elsewhere": {
		"OutputElasticsearchEndpoint": "https://abc123.eu-west-1.aoss.amazonaws.com",
		"OutputBucket":                "lake", "OutputPrefix": "in/", "DeadLetterBucket": "s3://letters/of/trips",
		"bucketKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/1",
	},
}

// everything is templates and variants.
func everything() map[string]map[string]string {
	all := maps.Clone(templates)
	maps.Copy(all, variants)
	return all
}

// A resource of a template.
type resource struct {
	Type           string
	Properties     map[string]any
	DeletionPolicy string
	Condition      string
	DependsOn      any
}

// A template, and its text.
type template struct {
	Parameters, Conditions map[string]any
	Resources              map[string]resource
	Outputs                map[string]struct{ Value any }

	text []byte
}

// synth makes the template of a context.
func synth(t *testing.T, context map[string]string) template {
	t.Helper()
	settings, err := fromMap(context)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	app := awscdk.NewApp(&awscdk.AppProps{
		Outdir: jsii.String(dir), AnalyticsReporting: jsii.Bool(false), TreeMetadata: jsii.Bool(false), Context: contextOf(t),
	})
	if _, err := Build(app, "StreamingEtl", settings); err != nil {
		t.Fatal(err)
	}
	app.Synth(nil)
	text, err := os.ReadFile(filepath.Join(dir, "StreamingEtl.template.json"))
	if err != nil {
		t.Fatal(err)
	}
	out := template{text: text}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// contextOf returns the context of cdk.json, which the CDK's command line gives.
func contextOf(t *testing.T) *map[string]any {
	t.Helper()
	text, err := os.ReadFile("../cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Context map[string]any }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return &file.Context
}

// ofType returns the resources of a type, by their ids.
func (t template) ofType(kind string) map[string]resource {
	found := map[string]resource{}
	for id, r := range t.Resources {
		if r.Type == kind {
			found[id] = r
		}
	}
	return found
}

// only returns the one resource of a type.
func (t template) only(tt *testing.T, kind string) resource {
	tt.Helper()
	found := t.ofType(kind)
	if len(found) != 1 {
		tt.Fatalf("there are %d resources %s, want one", len(found), kind)
	}
	for _, r := range found {
		return r
	}
	return resource{}
}

// words writes a value as text, with CloudFormation's functions as it would
// write them in Fn::Sub: arn:${AWS::Partition}:s3:::${Bucket}/*.
func words(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		for name, of := range v {
			switch name {
			case "Ref":
				return "${" + of.(string) + "}"
			case "Fn::GetAtt":
				return "${" + of.([]any)[0].(string) + "." + of.([]any)[1].(string) + "}"
			case "Fn::Join":
				var all []string
				for _, part := range of.([]any)[1].([]any) {
					all = append(all, words(part))
				}
				return strings.Join(all, of.([]any)[0].(string))
			case "Fn::Select": // of Fn::Split
				split := of.([]any)[1].(map[string]any)["Fn::Split"].([]any)
				return fmt.Sprintf("${part %v of %s}", of.([]any)[0], words(split[1]))
			case "Fn::Sub", "Fn::Base64":
				return words(of)
			}
		}
	}
	return fmt.Sprint(v)
}

// list returns a value that is one thing or a list of them, as texts.
func list(v any) []string {
	many, ok := v.([]any)
	if !ok {
		many = []any{v}
	}
	var all []string
	for _, one := range many {
		all = append(all, words(one))
	}
	return all
}

func TestTemplatesAreWhatTheCodeMakes(t *testing.T) {
	for name, context := range templates {
		t.Run(name, func(t *testing.T) {
			got := synth(t, context)
			path := filepath.Join("..", name)
			if *update {
				if err := os.WriteFile(path, append(got.text, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(got.text)+"\n" != string(want) {
				t.Errorf("%s is not what the code makes (first at line %d); go test ./... -update writes it anew", name, firstDifference(got.text, want))
			}
		})
	}
}

func firstDifference(a, b []byte) int {
	x, y := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return i + 1
		}
	}
	return min(len(x), len(y)) + 1
}

func TestPropertyNamesAreTheJobs(t *testing.T) {
	table, err := os.ReadFile("../../../pipeline/property/testdata/properties.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(table)) {
		if rest, ok := strings.CutPrefix(line, "| `"); ok {
			name, _, _ := strings.Cut(rest, "`")
			names = append(names, name)
		}
	}
	if len(names) < 50 {
		t.Fatalf("the job's table has %d properties: it is not read rightly", len(names))
	}
	want := strings.Join(names, "\n") + "\n"
	if *update {
		if err := os.WriteFile("property_names.txt", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return // the list is embedded: it counts from the next build on
	}
	if propertyNames != want {
		t.Error("property_names.txt is not the job's table; go test ./... -update writes it anew")
	}
}

// sortedKeys is for messages that are the same each time.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
