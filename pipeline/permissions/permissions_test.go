package permissions_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/internal/ststest"
	"github.com/streaming-etl/streaming-etl/io/elasticsearchio"
	"github.com/streaming-etl/streaming-etl/io/elasticsearchio/esfake"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
	"github.com/streaming-etl/streaming-etl/io/secret"
	"github.com/streaming-etl/streaming-etl/pipeline/permissions"
)

// outcomes are "action: outcome" of all that was tried.
func outcomes(r permissions.Report) map[string]permissions.Outcome {
	out := map[string]permissions.Outcome{}
	for _, p := range r.Permissions {
		out[p.Action+" "+p.Resource] = p.Outcome
	}
	return out
}

// only checks that exactly these actions were refused, and that none failed.
func only(t *testing.T, r permissions.Report, refused ...string) {
	t.Helper()
	var got []string
	for _, p := range r.Permissions {
		switch p.Outcome {
		case permissions.Refused:
			got = append(got, p.Action)
		case permissions.Failed:
			t.Errorf("%s on %s failed: %s", p.Action, p.Resource, p.Why)
		}
	}
	slices.Sort(got)
	slices.Sort(refused)
	if !slices.Equal(slices.Compact(got), slices.Compact(refused)) {
		t.Errorf("refused are %q, want %q", got, refused)
	}
	if r.OK() != (len(refused) == 0) {
		t.Errorf("OK is %t", r.OK())
	}
}

func text(t *testing.T, r permissions.Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// policy is the IAM policy of the report as JSON, through which it is read back.
type policy struct {
	Version   string
	Statement []struct {
		Effect           string
		Action, Resource []string
	}
}

func policyOf(t *testing.T, r permissions.Report) policy {
	t.Helper()
	raw, err := json.Marshal(&r)
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		Policy policy `json:"iam_policy"`
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out.Policy
}

func TestEachPermissionOfAStreamThatIsMissingIsToldAlone(t *testing.T) {
	for refused, untried := range map[string]string{
		"": "", "ListShards": "", "GetShardIterator": "kinesis:GetRecords", "GetRecords": "",
	} {
		t.Run("without "+refused, func(t *testing.T) {
			server, err := kinesisfake.New(kinesisfake.SeedStream("trips", 2))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := server.Close(); err != nil {
					t.Error(err)
				}
			})
			const arn = "arn:aws:kinesis:us-east-1:123456789012:stream/trips"
			var want []string
			if refused != "" {
				want = []string{"kinesis:" + refused}
				server.Control(refused, func(*kinesisfake.Request) error {
					return &kinesisfake.Error{Type: "AccessDeniedException", Message: "User: arn:aws:iam::123456789012:user/etl is not authorized to perform: kinesis:" + refused + " on resource: " + arn + " because no identity-based policy allows it"}
				})
			}
			r := permissions.Try(t.Context(), permissions.KinesisSource("InputKinesisStream", kinesisio.Options{
				Stream: "trips", Region: "us-east-1", Endpoint: server.URL(), EmulatorCredentials: true,
			}))
			only(t, r, want...)
			if len(r.Permissions) != 3 {
				t.Errorf("%d permissions tried", len(r.Permissions))
			}
			for _, p := range r.Permissions {
				if (p.Outcome == permissions.Untried) != (p.Action == untried) {
					t.Errorf("%s is %s", p.Action, p.Outcome)
				}
			}
			got := policyOf(t, r)
			if refused == "" {
				if len(got.Statement) != 0 || strings.Contains(text(t, r), "policy") {
					t.Errorf("a policy though nothing is missing: %+v", got)
				}
				return
			}
			if len(got.Statement) != 1 || got.Statement[0].Effect != "Allow" || !slices.Equal(got.Statement[0].Action, want) ||
				len(got.Statement[0].Resource) != 1 || !strings.HasSuffix(got.Statement[0].Resource[0], ":stream/trips") || strings.Contains(got.Statement[0].Resource[0], "ACCOUNT") {
				t.Errorf("policy %+v", got)
			}
		})
	}
}

func TestOnlyCallsOfTheJobAreTriedAtAStream(t *testing.T) {
	const stream = "arn:aws:kinesis:us-east-1:000000000000:stream/trips"
	read := []string{"kinesis:ListShards", "kinesis:GetShardIterator", "kinesis:GetRecords"}
	for _, test := range []struct {
		name     string
		options  kinesisio.Options
		refused  string
		want     []string
		untried  []string
		consumer string
	}{
		{"without a consumer", kinesisio.Options{Stream: "trips"}, "DescribeStreamSummary", read, nil, ""},
		{"with the name of a consumer", kinesisio.Options{Stream: "trips", Consumer: "etl"}, "",
			append([]string{"kinesis:DescribeStreamSummary", "kinesis:DescribeStreamConsumer", "kinesis:RegisterStreamConsumer", "kinesis:SubscribeToShard"}, read...),
			[]string{"kinesis:RegisterStreamConsumer", "kinesis:SubscribeToShard"}, "/consumer/*"},
		{"with a name and the stream's ARN", kinesisio.Options{Stream: stream, Consumer: "etl"}, "DescribeStreamSummary",
			append([]string{"kinesis:DescribeStreamConsumer", "kinesis:RegisterStreamConsumer", "kinesis:SubscribeToShard"}, read...),
			[]string{"kinesis:RegisterStreamConsumer", "kinesis:SubscribeToShard"}, "/consumer/*"},
		{"with the ARN of a consumer", kinesisio.Options{Stream: "trips", Consumer: stream + "/consumer/etl:1"}, "DescribeStreamConsumer",
			append([]string{"kinesis:SubscribeToShard"}, read...), []string{"kinesis:SubscribeToShard"}, "/consumer/etl:1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, err := kinesisfake.New(kinesisfake.SeedStream("trips", 1))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := server.Close(); err != nil {
					t.Error(err)
				}
			})
			if test.refused != "" {
				server.Control(test.refused, func(*kinesisfake.Request) error {
					return &kinesisfake.Error{Type: "AccessDeniedException", Message: "not authorized"}
				})
			}
			o := test.options
			o.Region, o.Endpoint, o.EmulatorCredentials = "us-east-1", server.URL(), true
			r := permissions.Try(t.Context(), permissions.KinesisSource("InputKinesisStream", o))
			only(t, r)
			var tried, untried []string
			for _, p := range r.Permissions {
				tried = append(tried, p.Action)
				if p.Outcome == permissions.Untried {
					untried = append(untried, p.Action)
				}
				if p.Action == "kinesis:SubscribeToShard" && !strings.HasSuffix(p.Resource, test.consumer) {
					t.Errorf("the consumer is %s", p.Resource)
				}
			}
			slices.Sort(tried)
			slices.Sort(test.want)
			if !slices.Equal(tried, test.want) || !slices.Equal(untried, test.untried) {
				t.Errorf("tried %q, want %q; of them not %q, want %q:\n%s", tried, test.want, untried, test.untried, text(t, r))
			}
		})
	}
}

func TestAStreamThatIsNotThereIsAFailureWithoutARemedy(t *testing.T) {
	server, err := kinesisfake.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	r := permissions.Try(t.Context(), permissions.KinesisSink("OutputKinesisStream", kinesisio.ProducerOptions{Stream: "trips", Region: "us-east-1", Endpoint: server.URL(), EmulatorCredentials: true}))
	if r.OK() || len(r.Missing()) > 0 || !strings.Contains(text(t, r), "ResourceNotFoundException") {
		t.Errorf("report:\n%s", text(t, r))
	}
	if got := outcomes(r)["kinesis:PutRecords arn:aws:kinesis:us-east-1:ACCOUNT:stream/trips"]; got != permissions.Untried {
		t.Errorf("PutRecords is %q", got)
	}
}

func TestEachPermissionOfABucketThatIsMissingIsToldAlone(t *testing.T) {
	for refused, want := range map[string]string{
		"": "", "HeadBucket": "s3:ListBucket", "CreateMultipartUpload": "s3:PutObject", "UploadPart": "s3:PutObject",
		"HeadObject": "s3:GetObject", "AbortMultipartUpload": "s3:AbortMultipartUpload",
	} {
		t.Run("without "+refused, func(t *testing.T) {
			server, err := s3fake.New(s3fake.Options{Bucket: "lake"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				server.Inject(nil)
				if err := server.Close(); err != nil {
					t.Error(err)
				}
			})
			server.Inject(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if refused != "" && s3fake.Operation(r) == refused {
					s3fake.Refuse(w, r, http.StatusForbidden, "AccessDenied")
					return
				}
				next.ServeHTTP(w, r)
			})
			r := permissions.Try(t.Context(), permissions.S3("OutputBucket", s3io.Options{Bucket: "lake", Prefix: "raw/", Endpoint: server.URL(), Anonymous: true}))
			if want == "" {
				only(t, r)
				left(t, server)
				return
			}
			only(t, r, want)
			resource := "arn:aws:s3:::lake/raw/*"
			if want == "s3:ListBucket" {
				resource = "arn:aws:s3:::lake"
			}
			got := policyOf(t, r)
			if len(got.Statement) != 1 || !slices.Equal(got.Statement[0].Action, []string{want}) || !slices.Equal(got.Statement[0].Resource, []string{resource}) {
				t.Errorf("policy %+v", got)
			}
		})
	}
}

// left checks that nothing of the trial is in the bucket.
func left(t *testing.T, server *s3fake.Server) {
	t.Helper()
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion("us-east-1"), config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("a", "b", "")))
	if err != nil {
		t.Fatal(err)
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = aws.String(server.URL()), true })
	objects, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("lake")})
	if err != nil || len(objects.Contents) > 0 {
		t.Errorf("objects %v, error %v", objects.Contents, err)
	}
	uploads, err := client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String("lake")})
	if err != nil || len(uploads.Uploads) > 0 {
		t.Errorf("uploads %v, error %v", uploads.Uploads, err)
	}
}

// rule is an access rule of Kafka.
type rule struct {
	resource  kmsg.ACLResourceType
	name      string
	operation kmsg.ACLOperation
	prefixed  bool
}

// kafkaRules are all that the job of the test needs, by what is told of them.
func kafkaRules() map[string]rule {
	topic := func(name string, o kmsg.ACLOperation) rule {
		return rule{kmsg.ACLResourceTypeTopic, name, o, false}
	}
	id := func(o kmsg.ACLOperation) rule {
		return rule{kmsg.ACLResourceTypeTransactionalId, "etl-", o, true}
	}
	return map[string]rule{
		"READ topic trips": topic("trips", kmsg.ACLOperationRead), "WRITE topic clean": topic("clean", kmsg.ACLOperationWrite),
		"READ topic markers": topic("markers", kmsg.ACLOperationRead), "WRITE topic markers": topic("markers", kmsg.ACLOperationWrite),
		"DESCRIBE_CONFIGS topic markers": topic("markers", kmsg.ACLOperationDescribeConfigs),
		"READ group etl":                 {kmsg.ACLResourceTypeGroup, "etl", kmsg.ACLOperationRead, false},
		"WRITE transactional-id etl-":    id(kmsg.ACLOperationWrite),
	}
}

// kafkaReport tries a cluster whose user has these rules.
func kafkaReport(t *testing.T, rules map[string]rule, topics ...string) (permissions.Report, string) {
	t.Helper()
	t.Setenv("KAFKA_PASSWORD", "secret")
	var acls []kfake.ACL
	for _, r := range rules {
		pattern := kmsg.ACLResourcePatternTypeLiteral
		if r.prefixed {
			pattern = kmsg.ACLResourcePatternTypePrefixed
		}
		acls = append(acls, kfake.ACL{Resource: r.resource, Name: r.name, Pattern: pattern, Operation: r.operation, Allow: true})
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topics...), kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.Superuser("PLAIN", "admin", "admin"), kfake.User("PLAIN", "etl", "secret", acls...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	login := security.Config{Protocol: security.SASLPlaintext, Mechanism: security.Plain, Username: "etl", Password: secret.Secret{Env: "KAFKA_PASSWORD"}}
	return kafkaTried(t, cluster.ListenAddrs(), login), cluster.ListenAddrs()[0]
}

// kafkaTried tries what the job of the test needs.
func kafkaTried(t *testing.T, brokers []string, login security.Config) permissions.Report {
	t.Helper()
	source := permissions.KafkaOptions{
		Brokers: brokers, Security: login,
		Topics: []permissions.KafkaTopic{{Name: "trips", Operations: []string{"DESCRIBE", "READ"}}},
		Group:  "etl", GroupOperations: []string{"DESCRIBE", "READ"},
	}
	sink := permissions.KafkaOptions{
		Brokers: brokers, Security: login, TransactionalIDPrefix: "etl",
		Topics: []permissions.KafkaTopic{
			{Name: "clean", Operations: []string{"DESCRIBE", "WRITE"}},
			{Name: "markers", Operations: []string{"DESCRIBE", "READ", "WRITE", "DESCRIBE_CONFIGS"}, Partitions: 8, Settings: map[string]string{"cleanup.policy": "compact"}},
		},
	}
	return permissions.Try(t.Context(), permissions.Kafka("InputKafkaTopic", source), permissions.Kafka("OutputKafkaTopic", sink))
}

func TestWithAllAccessRulesNothingIsMissing(t *testing.T) {
	r, _ := kafkaReport(t, kafkaRules(), "trips", "clean", "markers")
	only(t, r)
	if n := len(r.Permissions); n != 12 {
		t.Errorf("%d permissions tried:\n%s", n, text(t, r))
	}
}

func TestTopicsThatAnExpressionLeavesOutAreNotTried(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "trips", "trips-markers"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	r := permissions.Try(t.Context(), permissions.Kafka("InputKafkaTopic", permissions.KafkaOptions{
		Brokers: cluster.ListenAddrs(), Topics: []permissions.KafkaTopic{{Name: "regex:trips.*", Exclude: []string{"trips-markers"}, Operations: []string{"READ"}}},
	}))
	if got := outcomes(r); len(got) != 1 || got["READ topic trips"] == "" {
		t.Errorf("tried were %v", got)
	}
}

func TestEachAccessRuleThatIsMissingIsToldWithItsCommand(t *testing.T) {
	for name, missing := range kafkaRules() {
		t.Run("without "+name, func(t *testing.T) {
			rules := kafkaRules()
			delete(rules, name)
			r, broker := kafkaReport(t, rules, "trips", "clean", "markers")
			got := outcomes(r)
			if got[name] != permissions.Refused {
				t.Fatalf("%s is %q:\n%s", name, got[name], text(t, r))
			}
			for what, outcome := range got {
				// Without its only rule a resource cannot be described either.
				if outcome != permissions.Granted && !strings.HasSuffix(what, missing.name) {
					t.Errorf("%s is %s", what, outcome)
				}
			}
			operation, resource, _ := strings.Cut(name, " ")
			kind, _, _ := strings.Cut(resource, " ")
			command := fmt.Sprintf("kafka-acls.sh --bootstrap-server %s --add --allow-principal User:etl --%s %s", broker, kind, missing.name)
			if missing.prefixed {
				command += " --resource-pattern-type prefixed"
			}
			line := ""
			for l := range strings.Lines(text(t, r)) {
				if strings.HasPrefix(l, command) {
					line = l
				}
			}
			if !strings.Contains(line, "--operation "+operation) {
				t.Errorf("no command begins with %q and has operation %s:\n%s", command, operation, text(t, r))
			}
		})
	}
}

func TestAMarkerTopicThatIsNotThereIsMadeDry(t *testing.T) {
	rules := kafkaRules()
	r, _ := kafkaReport(t, rules, "trips", "clean")
	if got := outcomes(r)["CREATE topic markers"]; got != permissions.Refused {
		t.Errorf("CREATE is %q:\n%s", got, text(t, r))
	}
	rules["CREATE"] = rule{kmsg.ACLResourceTypeTopic, "markers", kmsg.ACLOperationCreate, false}
	r, _ = kafkaReport(t, rules, "trips", "clean")
	if got := outcomes(r)["CREATE topic markers"]; got != permissions.Granted {
		t.Errorf("CREATE is %q:\n%s", got, text(t, r))
	}
}

func TestATopicOfOneReplicaIsWarnedOf(t *testing.T) {
	for _, test := range []struct {
		brokers, replicas int
		replicated        bool
		warnings          int
	}{{3, 1, true, 1}, {3, 1, false, 0}, {3, 2, true, 0}, {2, 1, true, 0}} {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(test.brokers))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 2, int16(test.replicas), nil, "markers"); err != nil {
			t.Fatal(err)
		}
		r := permissions.Try(t.Context(), permissions.Kafka("OutputKafkaTopic", permissions.KafkaOptions{
			Brokers: cluster.ListenAddrs(), Topics: []permissions.KafkaTopic{{Name: "markers", Replicated: test.replicated}},
		}))
		if len(r.Warnings) != test.warnings || !r.OK() {
			t.Errorf("%+v: %q", test, r.Warnings)
		}
		if got := strings.Contains(text(t, r), "\nwarning: OutputKafkaTopic: topic markers has one replica on a cluster of 3 brokers"); got != (test.warnings > 0) {
			t.Errorf("%+v:\n%s", test, text(t, r))
		}
	}
}

func TestWithIAMWhatKafkaRefusesIsAStatement(t *testing.T) {
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull} {
		t.Setenv(name, value)
	}
	r := permissions.Try(t.Context(), permissions.Kafka("InputKafkaTopic", permissions.KafkaOptions{
		Brokers: []string{"127.0.0.1:1"}, Security: security.Config{Protocol: security.SASLSSL, Mechanism: security.AWSMSKIAM, Region: "eu-west-1"},
		Topics: []permissions.KafkaTopic{{Name: "trips", Operations: []string{"READ"}}},
	}))
	if len(r.Permissions) != 1 || r.Permissions[0].Action != "kafka-cluster:Connect" || r.Permissions[0].Outcome != permissions.Failed || r.OK() {
		t.Errorf("%+v", r.Permissions)
	}
}

func TestEachPrivilegeThatIsMissingIsToldWithARole(t *testing.T) {
	for _, missing := range []string{"", "index", "auto_configure", "manage_index_templates"} {
		t.Run("without "+missing, func(t *testing.T) {
			server, err := esfake.Start(esfake.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Close)
			has := func(p string) bool { return p != missing }
			server.OnRequest(func(r esfake.Request) *esfake.Fault {
				if r.Path != "/_security/user/_has_privileges" {
					return nil
				}
				var asked struct {
					Cluster []string
					Index   []struct{ Names, Privileges []string }
				}
				if err := json.Unmarshal(r.Body, &asked); err != nil || len(asked.Cluster) != 1 || len(asked.Index) != 1 || asked.Index[0].Names[0] != "trips-*" {
					return &esfake.Fault{Status: http.StatusInternalServerError, Body: `{"error":{"type":"x","reason":"not what was to be asked"}}`}
				}
				return &esfake.Fault{Status: http.StatusOK, Body: fmt.Sprintf(
					`{"username":"etl","has_all_requested":%t,"cluster":{"manage_index_templates":%t},"index":{"trips-*":{"index":%t,"auto_configure":%t}},"application":{}}`,
					missing == "", has("manage_index_templates"), has("index"), has("auto_configure"))}
			})
			r := permissions.Try(t.Context(), permissions.ElasticsearchSink("OutputElasticsearchEndpoint", permissions.ElasticsearchOptions{
				Client: elasticsearchio.Options{Endpoints: []string{server.URL}}, Templates: true,
				Indices: map[string][]string{"trips-*": {"index", "auto_configure"}},
			}))
			if missing == "" {
				only(t, r)
				return
			}
			only(t, r, missing)
			_, role, _ := strings.Cut(text(t, r), "PUT _security/role/streaming-etl:\n")
			var got struct {
				Cluster []string
				Indices []struct{ Names, Privileges []string }
			}
			if err := json.Unmarshal([]byte(role), &got); err != nil {
				t.Fatalf("%v in %q", err, role)
			}
			all := got.Cluster
			for _, x := range got.Indices {
				all = append(all, x.Privileges...)
				if !slices.Equal(x.Names, []string{"trips-*"}) {
					t.Errorf("names %q", x.Names)
				}
			}
			if !slices.Equal(all, []string{missing}) {
				t.Errorf("the role has %q", all)
			}
		})
	}
}

func TestAClusterThatCannotBeAskedIsWrittenToWithoutAChange(t *testing.T) {
	for _, test := range []struct {
		name, refused string
		opensearch    bool
		index, delete permissions.Outcome
	}{
		{"no security", "", false, permissions.Granted, permissions.Granted},
		{"OpenSearch", "", true, permissions.Granted, permissions.Granted},
		{"OpenSearch without index", "index", true, permissions.Refused, permissions.Granted},
		{"OpenSearch without delete", "delete", true, permissions.Granted, permissions.Refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, err := esfake.Start(esfake.Options{OpenSearch: test.opensearch}) // which know no such question
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Close)
			res, err := http.Post(server.URL+"/trips/_doc/1", "application/json", strings.NewReader(`{"a":1}`))
			if err != nil || res.Body.Close() != nil {
				t.Fatal(err)
			}
			server.OnItem(func(i esfake.Item) *esfake.ItemFault {
				if i.Op != test.refused {
					return nil
				}
				return &esfake.ItemFault{Status: http.StatusForbidden, Type: "security_exception", Reason: "no permissions for [indices:data/write/" + i.Op + "]"}
			})
			r := permissions.Try(t.Context(), permissions.ElasticsearchSink("OutputElasticsearchEndpoint", permissions.ElasticsearchOptions{
				Client: elasticsearchio.Options{Endpoints: []string{server.URL}}, Templates: true,
				Indices: map[string][]string{"trips": {"index", "delete", "auto_configure"}, "letters": {"index"}, "fares-*": {"create_doc"}, "*": {"index"}},
			}))
			got := outcomes(r)
			for what, want := range map[string]permissions.Outcome{
				"index index trips": test.index, "delete index trips": test.delete, "index index letters": permissions.Granted,
				"create_doc index fares-*": permissions.Granted, "index index *": permissions.Untried,
				"auto_configure index trips": permissions.Untried, "manage_index_templates cluster": permissions.Untried,
			} {
				if got[what] != want {
					t.Errorf("%s is %q, want %q:\n%s", what, got[what], want, text(t, r))
				}
			}
			if indices := server.Indices(); !slices.Equal(indices, []string{"trips"}) || len(server.Documents("trips")) != 1 {
				t.Errorf("the trial has left %v, %v", indices, server.Documents("trips"))
			}
		})
	}
}

func TestUnreachableServicesFailByThemselves(t *testing.T) {
	r := permissions.Try(t.Context(),
		permissions.S3("OutputBucket", s3io.Options{Bucket: "lake", Endpoint: "http://127.0.0.1:1", Anonymous: true}),
		permissions.Kafka("OutputKafkaTopic", permissions.KafkaOptions{Brokers: []string{"127.0.0.1:1"}, Topics: []permissions.KafkaTopic{{Name: "clean", Operations: []string{"WRITE"}}}}),
		permissions.ElasticsearchSink("OutputElasticsearchEndpoint", permissions.ElasticsearchOptions{
			Client: elasticsearchio.Options{Endpoints: []string{"http://127.0.0.1:1"}}, Indices: map[string][]string{"trips": {"index"}},
		}))
	failed := map[string]bool{}
	for _, p := range r.Permissions {
		if p.Outcome == permissions.Failed {
			failed[p.Property] = true
			if !strings.Contains(p.Why, "127.0.0.1:1") {
				t.Errorf("%s does not name the endpoint: %s", p.Property, p.Why)
			}
		}
	}
	if len(failed) != 3 || len(r.Missing()) > 0 {
		t.Error(errors.New(text(t, r)))
	}
}

// Where a role is refused nothing is known of what it may.
func TestARefusedRoleIsNoMissingPermission(t *testing.T) {
	ststest.Refuse(t, http.StatusForbidden, "AccessDenied")
	for name, probe := range map[string]permissions.Probe{
		"S3":      permissions.S3("OutputBucket", s3io.Options{Bucket: "lake", Endpoint: "http://127.0.0.1:1"}),
		"Kinesis": permissions.KinesisSource("InputKinesisStream", kinesisio.Options{Stream: "trips", Region: "eu-west-1", Endpoint: "http://127.0.0.1:1"}),
	} {
		r := permissions.Try(t.Context(), probe)
		if missing := r.Missing(); len(missing) > 0 || r.OK() {
			t.Errorf("%s: told as missing are %+v", name, missing)
		}
		if got := text(t, r); !strings.Contains(got, "AssumeRoleWithWebIdentity, ") || !strings.Contains(got, "AccessDenied") {
			t.Errorf("%s: the report does not say what was refused:\n%s", name, got)
		}
	}
}
