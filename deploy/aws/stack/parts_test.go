package stack

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// properties returns the job's properties in a template.
func (t template) properties(tt *testing.T) map[string]string {
	tt.Helper()
	app := t.only(tt, "AWS::KinesisAnalyticsV2::Application")
	group := app.Properties["ApplicationConfiguration"].(map[string]any)["EnvironmentProperties"].(map[string]any)["PropertyGroups"].([]any)[0]
	all := map[string]string{}
	for name, value := range group.(map[string]any)["PropertyMap"].(map[string]any) {
		all[name] = words(value)
	}
	return all
}

func TestTheJobIsToldWhatTheStackMade(t *testing.T) {
	tests := map[string]map[string]string{
		"template.json": {
			"InputKinesisStream": "${Stream}", "OutputBucket": "${Bucket83908E77}", "OutputPrefix": "streaming-etl-output/",
			"Region": "${AWS::Region}", "JobName": "${AWS::StackName}", "InputReaders": "16", "CheckpointTimeout": "3600000", "WorkerMemoryLimitMb": "400",
		},
		"template-full.json": {
			"OutputKafkaBootstrapServers": "${Brokers.BootstrapServers}", "OutputKafkaLanes": "16", "OutputKafkaSecurityProtocol": "SASL_SSL",
			"OutputKafkaSaslMechanism": "AWS_MSK_IAM", "OutputElasticsearchEndpoint": "https://${Search.DomainEndpoint}", "ElasticsearchAuth": "SIGV4",
		},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			got := synth(t, templates[name]).properties(t)
			for property, value := range want {
				if got[property] != value {
					t.Errorf("%s is %q, want %q", property, got[property], value)
				}
			}
			for property, value := range got {
				if !isProperty(property) {
					t.Errorf("the job has no property %s (%s)", property, value)
				}
			}
		})
	}
}

func TestADefaultThatIsWrittenOutChangesNothing(t *testing.T) {
	made := synth(t, map[string]string{"OutputDiscarding": "false", "InputGeneratedRecords": "0"})
	for _, kind := range []string{"AWS::Kinesis::Stream", "AWS::S3::Bucket"} {
		if len(made.ofType(kind)) != 1 {
			t.Errorf("there is no %s", kind)
		}
	}
}

// A property group has 50 entries at most (API reference, PropertyGroup); what
// the stack adds counts too.
func TestMorePropertiesThanTheServiceTakesAreRefused(t *testing.T) {
	added := synth(t, nil).properties(t)
	parts := []string{"InputKafkaBootstrapServers", "InputKafkaTopic", "OutputKafkaBootstrapServers", "OutputKafkaTopic", "OutputElasticsearchEndpoint", "OutputKinesisStream"}
	build := func(given int) error {
		s := Default()
		for name := range strings.FieldsSeq(propertyNames) {
			if len(s.Properties) < given && checkProperty(name, "0") == nil && added[name] == "" && !slices.Contains(parts, name) {
				s.Properties[name] = "0"
			}
		}
		_, err := Build(awscdk.NewApp(&awscdk.AppProps{AnalyticsReporting: jsii.Bool(false)}), "StreamingEtl", s)
		return err
	}
	most := 50 - len(added)
	if err := build(most); err != nil {
		t.Errorf("%d properties and %d of the stack: %v", most, len(added), err)
	}
	if err := build(most + 1); err == nil || !strings.Contains(err.Error(), "51 properties") {
		t.Errorf("%d properties and %d of the stack: %v", most+1, len(added), err)
	}
}

// The sink takes the source's login where it has none of its own, so each side
// that is the stack's cluster could change the other's.
func TestTheStacksBrokersLeaveTheLoginOfOthers(t *testing.T) {
	const own = "${Brokers.BootstrapServers}"
	with := func(variant string, more map[string]string) map[string]string {
		context := maps.Clone(variants[variant])
		maps.Copy(context, more)
		return context
	}
	tests := map[string]struct {
		context map[string]string
		want    [6]string // servers, protocol and mechanism of the source, and those of the sink
	}{
		"only the source is the stack's": {variants["from MSK of the stack to brokers elsewhere"],
			[6]string{own, "SASL_SSL", "AWS_MSK_IAM", "kafka.example.com:9092", "PLAINTEXT", "NONE"}},
		"only the source is the stack's, the sink has TLS": {with("from MSK of the stack to brokers elsewhere", map[string]string{"OutputKafkaSecurityProtocol": "SSL"}),
			[6]string{own, "SASL_SSL", "AWS_MSK_IAM", "kafka.example.com:9092", "SSL", "NONE"}},
		"only the source is the stack's, one login is given for both": {with("from MSK of the stack to brokers elsewhere", map[string]string{
			"KafkaSecurityProtocol": "SASL_SSL", "KafkaSaslMechanism": "AWS_MSK_IAM", "outputClusterArn": testCluster}),
			[6]string{own, "SASL_SSL", "AWS_MSK_IAM", "kafka.example.com:9092", "", ""}},
		"only the sink is the stack's": {variants["from brokers elsewhere to MSK of the stack"],
			[6]string{"kafka.example.com:9092", "", "", own, "SASL_SSL", "AWS_MSK_IAM"}},
		"only the sink is the stack's, the source has IAM": {variants["from MSK that is there to MSK of the stack"],
			[6]string{"b-1.events.abc.c6.kafka.eu-west-1.amazonaws.com:9098", "SASL_SSL", "AWS_MSK_IAM", own, "SASL_SSL", "AWS_MSK_IAM"}},
		"both are the stack's": {with("from MSK of the stack", map[string]string{"OutputKafkaTopic": "clean"}),
			[6]string{own, "SASL_SSL", "AWS_MSK_IAM", own, "", ""}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := synth(t, test.context).properties(t)
			got := [6]string{p["InputKafkaBootstrapServers"], p["KafkaSecurityProtocol"], p["KafkaSaslMechanism"],
				p["OutputKafkaBootstrapServers"], p["OutputKafkaSecurityProtocol"], p["OutputKafkaSaslMechanism"]}
			if got != test.want {
				t.Errorf("the job has %q, want %q", got, test.want)
			}
		})
	}
}

func TestGivenPropertiesAreKept(t *testing.T) {
	got := synth(t, map[string]string{"OutputPrefix": "in/", "InputReaders": "4", "JobName": "trips"}).properties(t)
	if got["OutputPrefix"] != "in/" || got["InputReaders"] != "4" || got["JobName"] != "trips" {
		t.Errorf("the properties are %v", got)
	}
}

func TestTheReplayCommandHasFlagsOfTheProgram(t *testing.T) {
	command := words(synth(t, nil).Outputs["ReplayCommand"].Value)
	if !strings.HasPrefix(command, "streaming-etl replay --region=${AWS::Region} --stream=${Stream} --source=s3://aws-bigdata-blog/artifacts/") {
		t.Errorf("the command is %s", command)
	}
	source, err := os.ReadFile("../../../replay/flags.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range regexp.MustCompile(`--([a-z-]+)=`).FindAllStringSubmatch(command, -1) {
		if !strings.Contains(string(source), `"`+flag[1]+`"`) {
			t.Errorf("the program has no flag --%s", flag[1])
		}
	}
}

func TestTheReplayHostStartsWithTheProgram(t *testing.T) {
	host := synth(t, nil).only(t, "AWS::EC2::Instance")
	start := words(host.Properties["UserData"])
	for _, want := range []string{"aws s3 cp --no-progress 's3://${JarBucket}/${ProgramKey}' /usr/local/bin/streaming-etl", "chmod 755 /usr/local/bin/streaming-etl"} {
		if !strings.Contains(start, want) {
			t.Errorf("the host's start does not have %q:\n%s", want, start)
		}
	}
}

// The host fetches its program once, at its first start: before there is a way
// to S3 it would stay without.
func TestTheReplayHostWaitsForItsWayOut(t *testing.T) {
	for name, test := range map[string]struct {
		context map[string]string
		want    []string
	}{
		"a network of its own":  {nil, []string{"ReplayVpcPublicSubnet1DefaultRoute"}},
		"a new network":         {templates["template-full.json"], []string{"VpcPrivateSubnet1DefaultRoute", "VpcS3Endpoint"}},
		"a network without NAT": {variants["endpoints instead of NAT"], []string{"VpcS3Endpoint"}},
	} {
		t.Run(name, func(t *testing.T) {
			depends := list(synth(t, test.context).only(t, "AWS::EC2::Instance").DependsOn)
			for _, want := range test.want {
				if !slices.ContainsFunc(depends, func(id string) bool { return strings.HasPrefix(id, want) }) {
					t.Errorf("the host waits for %v, want %s", depends, want)
				}
			}
		})
	}
}

func TestAlarmsAreAboutWhatTheStackHas(t *testing.T) {
	tests := map[string]struct {
		context map[string]string
		want    []string
	}{
		"stream and bucket":                   {nil, []string{"DeadLetters", "Lag", "LagGrows", "NoCheckpoint", "Restarts"}},
		"topics that an expression chooses":   {variants["from MSK in a peered VPC"], []string{"DeadLetters", "NoCheckpoint", "Restarts"}},
		"topics of MSK, a bucket of its own":  {variants["from MSK of the stack"], []string{"DeadLetters", "Lag", "LagGrows", "NoCheckpoint", "Restarts"}},
		"streams by fan-out, a bucket of its": {variants["fan-out into a stream and a domain that are there"], []string{"DeadLetters", "Lag", "LagGrows", "NoCheckpoint", "Restarts"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, a := range synth(t, test.context).ofType("AWS::CloudWatch::Alarm") {
				got = append(got, strings.TrimPrefix(words(a.Properties["AlarmName"]), "${AWS::StackName}-"))
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("the alarms are %v, want %v", got, test.want)
			}
		})
	}
}

// Flink's CheckpointCoordinator writes this line at INFO for each checkpoint;
// the alarm is silent if the words are others.
func TestTheAlarmCountsFlinksOwnLine(t *testing.T) {
	for _, f := range synth(t, nil).ofType("AWS::Logs::MetricFilter") {
		transformation := f.Properties["MetricTransformations"].([]any)[0].(map[string]any)
		if transformation["MetricName"] == "CompletedCheckpoints" {
			pattern := strings.Trim(words(f.Properties["FilterPattern"]), `"`)
			if line := "Completed checkpoint 7 for job 0 (1 bytes, checkpointDuration=1 ms, finalizationTime=0 ms)."; !strings.Contains(line, pattern) {
				t.Errorf("%q is not in %q", pattern, line)
			}
			return
		}
	}
	t.Error("completed checkpoints are not counted")
}

func TestCheckpointsAreTakenAndMissedByTheirInterval(t *testing.T) {
	const path = "ApplicationConfiguration.FlinkApplicationConfiguration.CheckpointConfiguration."
	for name, test := range map[string]struct {
		context                 map[string]string
		interval, pause, period float64
	}{
		"as it is":         {nil, 60_000, 5_000, 300},
		"another":          {map[string]string{"CheckpointInterval": "600000", "MinPauseBetweenCheckpoints": "30000"}, 600_000, 30_000, 3000},
		"no whole minutes": {map[string]string{"CheckpointInterval": "13000"}, 13_000, 5_000, 120},
		"the cluster's":    {map[string]string{"CheckpointInterval": "0", "MinPauseBetweenCheckpoints": "0"}, 60_000, 5_000, 300},
		"the longest":      {map[string]string{"CheckpointInterval": "17280000"}, 17_280_000, 5_000, 86_400},
	} {
		t.Run(name, func(t *testing.T) {
			made := synth(t, test.context)
			for _, fault := range wants(made.only(t, "AWS::KinesisAnalyticsV2::Application"), map[string]any{
				path + "CheckpointInterval": test.interval, path + "MinPauseBetweenCheckpoints": test.pause,
			}) {
				t.Error(fault)
			}
			for _, fault := range wants(made.alarm(t, "NoCheckpoint"), map[string]any{"Metrics.MetricStat.Period": test.period}) {
				t.Error(fault)
			}
		})
	}
}

// dashboardOf is the body of a context's dashboard.
func dashboardOf(t *testing.T, context map[string]string) string {
	t.Helper()
	return words(synth(t, context).only(t, "AWS::CloudWatch::Dashboard").Properties["DashboardBody"])
}

func TestTheDashboardShowsWhatTheSourceTells(t *testing.T) {
	for name, test := range map[string]struct{ want, not []string }{
		"by roles of other accounts": {[]string{`"GetRecords.Records"`, `"GetRecords.Bytes"`, "IteratorAgeMilliseconds", "PutRecords.SuccessfulRecords", "FILL(EPOCH(completed)"}, []string{"SubscribeToShard"}},
		"a consumer by its ARN, streams with keys": {[]string{`"SubscribeToShardEvent.Records"`, `"SubscribeToShardEvent.Bytes"`, `"SubscribeToShardEvent.MillisBehindLatest"`,
			`"ConsumerName","etl"`}, []string{`"GetRecords.Records"`, "IteratorAgeMilliseconds"}},
	} {
		body := dashboardOf(t, variants[name])
		for _, want := range test.want {
			if !strings.Contains(body, want) {
				t.Errorf("%s: the dashboard has no %s: %s", name, want, body)
			}
		}
		for _, not := range test.not {
			if strings.Contains(body, not) {
				t.Errorf("%s: the dashboard has %s, which stays empty", name, not)
			}
		}
	}
}

func TestTheDashboardShowsWhatEachSinkTakes(t *testing.T) {
	body := dashboardOf(t, templates["template-full.json"])
	for _, want := range []string{"MessagesInPerSec", `"IndexingRate"`, "S3: bytes written"} {
		if !strings.Contains(body, want) {
			t.Errorf("the dashboard has no %s", want)
		}
	}
}

func TestDeadLettersAreWatchedWhereverTheyGo(t *testing.T) {
	for name, want := range map[string]string{
		"":                         "BytesUploaded",
		"from MSK in a peered VPC": "DeadLetters",
		"a collection, a bucket with a key, letters elsewhere": "DeadLetters",
		"its own bucket, letters elsewhere":                    "DeadLetters",
	} {
		context := variants[name]
		if name == "its own bucket, letters elsewhere" {
			context = map[string]string{"DeadLetterBucket": "letters"}
		}
		found := false
		for id, r := range synth(t, context).Resources {
			if strings.HasPrefix(id, "DeadLettersAlarm") {
				found = true
				if got := fmt.Sprint(r.Properties["Metrics"]); !strings.Contains(got, "MetricName:"+want+" ") {
					t.Errorf("%q: the alarm watches %s, want %s", name, got, want)
				}
			}
		}
		if !found {
			t.Errorf("%q: there is no alarm", name)
		}
	}
}

// alarm returns an alarm of the template.
func (t template) alarm(tt *testing.T, name string) resource {
	tt.Helper()
	for _, a := range t.ofType("AWS::CloudWatch::Alarm") {
		if words(a.Properties["AlarmName"]) == "${AWS::StackName}-"+name {
			return a
		}
	}
	tt.Fatalf("there is no alarm %s", name)
	return resource{}
}

func TestLagIsThatOfTheConsumerThatTheJobRegisters(t *testing.T) {
	if text := fmt.Sprint(synth(t, namedJob).alarm(t, "Lag").Properties["Metrics"]); !strings.Contains(text, "Name:ConsumerName Value:taxi-trips]") {
		t.Errorf("the alarm's metrics are not of the consumer taxi-trips: %s", text)
	}
}

// The job's own names are made by topicOf of pipeline/config_kafka.go.
func TestNamesAreThoseThatTheJobTakes(t *testing.T) {
	for given, want := range map[string]string{
		"trips": "trips", "Trips_2.0-a": "Trips_2.0-a", "taxi trips/ü": "taxi-trips---",
		strings.Repeat("x", 201): strings.Repeat("x", 200), *awscdk.Aws_STACK_NAME(): *awscdk.Aws_STACK_NAME(),
	} {
		if got := topicOf(given); got != want {
			t.Errorf("%s becomes %s, want %s", given, got, want)
		}
	}
}

func TestLagOfSeveralStreamsIsThatOfTheFurthest(t *testing.T) {
	alarm := synth(t, variants["fan-out into a stream and a domain that are there"]).Resources
	text := ""
	for id, r := range alarm {
		if strings.HasPrefix(id, "LagAlarm") {
			text = fmt.Sprint(r.Properties["Metrics"])
		}
	}
	for _, want := range []string{"MAX([m1,m2]) / 60000", "SubscribeToShardEvent.MillisBehindLatest", "Value:fares", "Value:trips"} {
		if !strings.Contains(text, want) {
			t.Errorf("the alarm's metrics have no %q: %s", want, text)
		}
	}
}

func TestTheNetworkReachesWhatTheJobCalls(t *testing.T) {
	made := synth(t, variants["endpoints instead of NAT"])
	var services []string
	for _, e := range made.ofType("AWS::EC2::VPCEndpoint") {
		name := words(e.Properties["ServiceName"])
		services = append(services, name[strings.LastIndex(name, ".")+1:])
	}
	slices.Sort(services)
	want := []string{"ec2messages", "kinesis-streams", "logs", "monitoring", "s3", "ssm", "ssmmessages", "sts"}
	if !slices.Equal(services, want) {
		t.Errorf("there are endpoints for %v, want %v", services, want)
	}
	if nat := made.ofType("AWS::EC2::NatGateway"); len(nat) != 0 {
		t.Errorf("there is a NAT gateway beside endpoints: %v", nat)
	}
}

func TestTheJobReachesEndpointsOnOtherPorts(t *testing.T) {
	made := synth(t, map[string]string{
		"network": New, "replayHost": "false", "InputKafkaTopic": "trips", "InputKafkaBootstrapServers": "kafka.example.com:9092,kafka.example.com:9243",
		"OutputElasticsearchEndpoint": "https://a.example.com:9200, https://b.example.com:9243", "OutputBucket": "lake", "OutputBucketEndpoint": "http://minio.example.com:9000",
		"OutputKinesisStream": "clean", "OutputStreamEndpoint": "http://kinesis.example.com",
	})
	var ports []string
	for _, one := range made.only(t, "AWS::EC2::SecurityGroup").Properties["SecurityGroupEgress"].([]any) {
		rule := one.(map[string]any)
		if rule["CidrIp"] != "0.0.0.0/0" || rule["FromPort"] != rule["ToPort"] {
			t.Errorf("the job is let out by %v", rule)
		}
		ports = append(ports, fmt.Sprint(rule["FromPort"]))
	}
	if slices.Sort(ports); !slices.Equal(ports, []string{"443", "80", "9000", "9092", "9200", "9243"}) {
		t.Errorf("the job is let out to the ports %v", ports)
	}
}

func TestAPeeringWithAnotherAccountIsAcceptedByItsRole(t *testing.T) {
	const role = "arn:aws:iam::210987654321:role/accept"
	peering := synth(t, map[string]string{
		"network": New, "peerVpcId": "vpc-2", "peerCidr": "10.9.0.0/16", "peerAccount": "210987654321", "peerRegion": "eu-west-2", "peerRoleArn": role,
	}).only(t, "AWS::EC2::VPCPeeringConnection")
	for _, fault := range wants(peering, map[string]any{
		"PeerVpcId": "vpc-2", "PeerOwnerId": "210987654321", "PeerRegion": "eu-west-2", "PeerRoleArn": role,
	}) {
		t.Error(fault)
	}
}

func TestAPeeringHasARouteForEachTable(t *testing.T) {
	made := synth(t, variants["from MSK in a peered VPC"])
	var tables []string
	for _, r := range made.ofType("AWS::EC2::Route") {
		if words(r.Properties["VpcPeeringConnectionId"]) != "${Peering}" || r.Properties["DestinationCidrBlock"] != "10.9.0.0/16" {
			t.Errorf("a route is %v", r.Properties)
		}
		tables = append(tables, words(r.Properties["RouteTableId"]))
	}
	slices.Sort(tables)
	if !slices.Equal(tables, []string{"rtb-0123456789abcdef0", "rtb-0123456789abcdef1"}) {
		t.Errorf("there are routes in %v", tables)
	}
	egress := fmt.Sprint(made.only(t, "AWS::EC2::SecurityGroup").Properties["SecurityGroupEgress"])
	if !strings.Contains(egress, "CidrIp:10.9.0.0/16") || !strings.Contains(egress, "FromPort:9098") {
		t.Errorf("the job does not reach the brokers of the other VPC: %s", egress)
	}
}

// To find out whether the service runs the job at all, it needs nothing to read
// or write.
func TestATryOfThePlatformMakesNothingThatHoldsData(t *testing.T) {
	made := synth(t, variants["a try of the platform alone"])
	for _, kind := range []string{"AWS::Kinesis::Stream", "AWS::S3::Bucket", "AWS::EC2::Instance", "AWS::EC2::VPC"} {
		if found := made.ofType(kind); len(found) != 0 {
			t.Errorf("there is a %s", kind)
		}
	}
	for sid := range made.bySid() {
		if !slices.Contains([]string{"ReadJar", "FindLogGroup", "FindLogStream", "WriteLog", "AlarmsPublish"}, sid) {
			t.Errorf("%s is allowed", sid)
		}
	}
}

func TestTheDomainTakesTheJobOnly(t *testing.T) {
	got := synth(t, templates["template-full.json"]).bySid()["JobWrites"]
	if principal := got.principal.(map[string]any); words(principal["AWS"]) != "${JobRole014917C6.Arn}" {
		t.Errorf("the domain takes %v", got.principal)
	}
}

func TestALocalJarIsUploadedAndRead(t *testing.T) {
	jar := t.TempDir() + "/etl.jar"
	if err := os.WriteFile(jar, []byte("jar"), 0o644); err != nil {
		t.Fatal(err)
	}
	made := synth(t, map[string]string{"jar": jar, "replayHost": "false"})
	if _, ok := made.Parameters["JarBucket"]; ok {
		t.Error("a parameter asks for the bucket of a jar that is uploaded")
	}
	read := made.bySid()["ReadJar"].resources
	if len(read) != 1 || !strings.Contains(read[0], "cdk-hnb659fds-assets-") || !strings.HasSuffix(read[0], ".jar") {
		t.Errorf("the job may read %v", read)
	}
}

func TestBrokersElsewhereKeepTheirLogin(t *testing.T) {
	got := synth(t, map[string]string{
		"network": New, "kafka": New, "InputKafkaTopic": "trips", "InputKafkaBootstrapServers": "b-1.open:9092", "OutputKafkaTopic": "clean", "replayHost": "false",
	}).properties(t)
	if got["KafkaSecurityProtocol"] != "" || got["KafkaSaslMechanism"] != "" || got["OutputKafkaSecurityProtocol"] != "SASL_SSL" || got["OutputKafkaSaslMechanism"] != "AWS_MSK_IAM" {
		t.Errorf("the properties are %v", got)
	}
}
