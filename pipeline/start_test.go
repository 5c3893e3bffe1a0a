package pipeline

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
	"github.com/streaming-etl/streaming-etl/runners/flink"
)

// clock is a server's clock that tests set.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time             { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) set(ahead time.Duration)    { c.offset.Store(int64(ahead)) }
func (c *clock) option() kinesisfake.Option { return kinesisfake.WithClock(c.now) }

// nobody returns an endpoint at which nothing listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

func TestAServerThatCannotBeUsedIsToldAtStart(t *testing.T) {
	denied := &kinesisfake.Error{Type: "AccessDeniedException", Message: "not allowed"}
	for _, test := range []struct {
		name string
		// flags and fault are what is wrong.
		flags func(*testing.T) []string
		fault func(*world)
		// names are in the error, others not.
		names, not []string
	}{
		{
			name:  "no Kinesis there",
			flags: func(t *testing.T) []string { return []string{"--InputStreamEndpoint=" + nobody(t)} },
			names: []string{"InputKinesisStream: ", "stream trips", "http://127.0.0.1:", "is the endpoint right"},
			not:   []string{"OutputBucket"},
		},
		{
			name:  "no such stream",
			flags: func(*testing.T) []string { return []string{"--InputKinesisStream=tirps"} },
			names: []string{"InputKinesisStream: ", "stream tirps", "ResourceNotFoundException"},
			not:   []string{"OutputBucket"},
		},
		{
			name:  "the stream denied",
			fault: func(w *world) { w.kinesis.FailNext(kinesisfake.AllOperations, 10, denied) },
			names: []string{"InputKinesisStream: ", "stream trips", "AccessDeniedException", "kinesis:ListShards"},
			not:   []string{"OutputBucket"},
		},
		{
			name:  "reading the stream denied",
			fault: func(w *world) { w.kinesis.FailNext("GetRecords", 10, denied) },
			names: []string{"InputKinesisStream: ", "stream trips", "AccessDeniedException", "kinesis:GetRecords"},
			not:   []string{"OutputBucket"},
		},
		{
			name:  "no S3 there",
			flags: func(t *testing.T) []string { return []string{"--OutputBucketEndpoint=" + nobody(t)} },
			names: []string{"OutputBucket: ", "bucket lake", "http://127.0.0.1:"},
			not:   []string{"InputKinesisStream"},
		},
		{
			name:  "no such bucket",
			flags: func(*testing.T) []string { return []string{"--OutputBucket=s3://lkae/x/"} },
			names: []string{"OutputBucket: ", "bucket lkae"},
			not:   []string{"InputKinesisStream"},
		},
		{
			name: "the bucket denied",
			fault: func(w *world) {
				w.s3.Inject(every(1, 1<<40, "HeadBucket", func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
					s3fake.Refuse(rw, r, http.StatusForbidden, "AccessDenied")
				}))
			},
			names: []string{"OutputBucket: ", "bucket lake"},
			not:   []string{"InputKinesisStream"},
		},
		{
			name: "writing denied",
			fault: func(w *world) {
				w.s3.Inject(every(1, 1<<40, "CreateMultipartUpload", func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
					s3fake.Refuse(rw, r, http.StatusForbidden, "AccessDenied")
				}))
			},
			names: []string{"OutputBucket: ", "lake", "AccessDenied"},
			not:   []string{"InputKinesisStream"},
		},
		{
			name:  "both",
			flags: func(*testing.T) []string { return []string{"--InputKinesisStream=tirps", "--OutputBucket=lkae"} },
			names: []string{"InputKinesisStream: ", "stream tirps", "OutputBucket: ", "bucket lkae"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, 1)
			if test.fault != nil {
				test.fault(w)
			}
			var more []string
			if test.flags != nil {
				more = test.flags(t)
			}
			// What the command's user may have to wait.
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			_, err := runDirect(ctx, t, configure(t, w.flags(more...)...), DirectOptions{StartPatience: time.Millisecond})
			if err == nil || ctx.Err() != nil {
				t.Fatalf("the job ended with %v, %v", err, ctx.Err())
			}
			for _, name := range test.names {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("%q does not say %q", err, name)
				}
			}
			for _, name := range test.not {
				if strings.Contains(err.Error(), name) {
					t.Errorf("%q says %q", err, name)
				}
			}
			for _, o := range w.objects(t) {
				t.Errorf("%s was written", o.key)
			}
		})
	}
}

func TestWrongCombinationsAreAllTold(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.avsc")
	if err := os.WriteFile(broken, []byte(`{"type":"record"`), 0o600); err != nil {
		t.Fatal(err)
	}
	source := []string{"--InputKinesisStream=trips", "--Region=us-east-1"}
	sink := []string{"--OutputBucket=lake"}
	for name, test := range map[string]struct {
		flags []string
		// names are the properties with a mistake, in any order; says is in the message.
		names, says []string
	}{
		"no source":                       {sink, []string{"InputKinesisStream"}, []string{"no source is named"}},
		"no sink":                         {source, []string{"OutputBucket"}, []string{"no sink is named", "OutputDiscarding=true"}},
		"neither":                         {nil, []string{"InputKinesisStream", "OutputBucket"}, nil},
		"AT_TIMESTAMP without a time":     {append(sink, append(source, "--InputStreamInitialPosition=AT_TIMESTAMP")...), []string{"InputStreamInitialTimestamp"}, []string{"is missing"}},
		"a time without AT_TIMESTAMP":     {append(sink, append(source, "--InputStreamInitialTimestamp=2018-01-01T00:00:00Z")...), []string{"InputStreamInitialTimestamp"}, []string{"needs InputStreamInitialPosition=AT_TIMESTAMP"}},
		"discarding with a bucket":        {append(sink, append(source, "--OutputDiscarding=true")...), []string{"OutputDiscarding"}, []string{"OutputBucket is named too"}},
		"a template of an unknown field":  {append(sink, append(source, "--OutputPathTemplate=zone={pickup_zone}")...), []string{"OutputPathTemplate"}, []string{"pickup_zone"}},
		"a schema file that is not there": {append(sink, append(source, "--EventSchema="+filepath.Join(dir, "none.avsc"))...), []string{"EventSchema"}, []string{"none.avsc"}},
		"a schema file that is empty":     {append(sink, append(source, "--EventSchema="+os.DevNull)...), []string{"EventSchema"}, []string{"is empty"}},
		"a schema file that is no schema": {append(sink, append(source, "--EventSchema="+broken)...), []string{"EventSchema"}, nil},
		"an index template file that is not there": {append(source, "--OutputElasticsearchEndpoint=http://es:9200", "--ElasticsearchIndexTemplate="+filepath.Join(dir, "none.json")),
			[]string{"ElasticsearchIndexTemplate"}, []string{"none.json"}},
		"an index template that is no JSON": {append(source, "--OutputElasticsearchEndpoint=http://es:9200", "--ElasticsearchIndexTemplate={nonsense"), []string{"ElasticsearchIndexTemplate"}, nil},
		"an index template for another API": {append(source, "--OutputElasticsearchEndpoint=http://es:9200", `--ElasticsearchIndexTemplate={"index_patterns":["trips-*"]}`),
			[]string{"ElasticsearchIndexTemplate"}, []string{"none of component_templates"}},
		"a stop before the start":          {append(sink, append(source, "--InputStreamInitialPosition=AT_TIMESTAMP", "--InputStreamInitialTimestamp=2018-02-01T00:00:00Z", "--InputStreamStopTimestamp=2018-01-01T00:00:00Z")...), []string{"InputKinesisStream"}, []string{"is before the initial timestamp"}},
		"dead letters among the markers":   {append(source, "--OutputKafkaBootstrapServers=b:9092", "--OutputKafkaTopic=t", "--OutputKafkaTransactionalIdPrefix=x", "--OutputKafkaDeadLetterTopic=x-markers"), []string{"OutputKafkaDeadLetterTopic"}, []string{"marker topic"}},
		"events among the dead letters":    {append(source, "--OutputKafkaBootstrapServers=b:9092", "--OutputKafkaTopic=dead-letters"), []string{"OutputKafkaTopic"}, []string{`"dead-letters"`, "another OutputKafkaDeadLetterTopic"}},
		"events among those sent again":    {append(source, "--OutputKafkaBootstrapServers=b:9092", "--OutputKafkaTopic=x-resent", "--OutputKafkaDeadLetterTopic=x", "--OutputKafkaDelivery=AT_LEAST_ONCE"), []string{"OutputKafkaTopic"}, []string{`"x-resent"`}},
		"documents among the dead letters": {append(source, "--OutputElasticsearchEndpoint=http://es:9200", "--ElasticsearchIndex=letters", "--ElasticsearchDeadLetterIndex=letters"), []string{"ElasticsearchIndex"}, []string{"another ElasticsearchDeadLetterIndex"}},
		"files among the dead letters":     {append(sink, append(source, "--OutputPathTemplate=dead-letters/{type}")...), []string{"OutputPathTemplate"}, []string{"are written: dead-letters/"}},
		"files in their folder":            {append(sink, append(source, "--OutputPathTemplate=dead-letters-resent")...), []string{"OutputPathTemplate"}, []string{"dead-letters-resent/"}},
		"dead letters among the files":     {append(source, "--OutputBucket=s3://lake/dead-letters/", "--DeadLetterBucket=s3://lake"), []string{"DeadLetterBucket"}, []string{"a prefix of its own"}},
		"templates of another schema":      {append(sink, append(source, `--EventSchema={"type":"record","name":"E","fields":[{"name":"id","type":"string"}]}`)...), []string{"OutputPathTemplate"}, []string{`(default): at offset`, "allowed: the fields id and the variables"}},
		"a Kinesis position for Kafka":     {append(sink, "--InputKafkaBootstrapServers=b:9092", "--InputKafkaTopic=t", "--InputStreamInitialPosition=TRIM_HORIZON"), []string{"InputStreamInitialPosition"}, []string{"InputKafkaInitialPosition"}},
		"a Kafka position for Kinesis":     {append(sink, append(source, "--InputKafkaInitialPosition=EARLIEST")...), []string{"InputKafkaInitialPosition"}, []string{"InputStreamInitialPosition"}},
		"what else is Kinesis' for Kafka": {append(sink, "--InputKafkaBootstrapServers=b:9092", "--InputKafkaTopic=t", "--InputStreamInitialTimestamp=2018-01-01T00:00:00Z",
			"--InputStreamStopTimestamp=2018-01-01T00:00:00Z", "--InputKeyOrder", "--InputStreamConsumer=EFO"),
			[]string{"InputStreamInitialTimestamp", "InputStreamStopTimestamp", "InputKeyOrder", "InputStreamConsumer"}, []string{"whose property is InputKafkaStopAtEnd"}},
		"what else is Kafka's for Kinesis": {append(sink, append(source, "--InputKafkaInitialTimestamp=2018-01-01T00:00:00Z", "--InputKafkaStopAtEnd", "--InputKafkaTombstones=DEAD_LETTER",
			"--InputKafkaOffsetReset=LATEST", "--InputKafkaGroupFallback=LATEST", "--InputKafkaIsolation=read_uncommitted")...),
			[]string{"InputKafkaInitialTimestamp", "InputKafkaStopAtEnd", "InputKafkaTombstones", "InputKafkaOffsetReset", "InputKafkaGroupFallback", "InputKafkaIsolation"}, []string{"the source is Kinesis"}},
		"both for generated records": {append(sink, "--Region=us-east-1", "--InputGeneratedRecords=1", "--InputStreamInitialPosition=LATEST", "--InputKafkaStopAtEnd", "--InputKafkaGroupFallback=LATEST"),
			[]string{"InputStreamInitialPosition", "InputKafkaStopAtEnd", "InputKafkaGroupFallback"}, []string{"has no effect: the records are generated\n"}},
		"dead letters among the events":     {append(source, "--OutputKafkaBootstrapServers=b:9092", "--OutputKafkaTopic=t", "--OutputKafkaDeadLetterTopic=t"), []string{"OutputKafkaTopic"}, []string{`"t"`, "another OutputKafkaDeadLetterTopic"}},
		"dead letters among those at once":  {append(source, "--OutputKafkaBootstrapServers=b:9092", "--OutputKafkaTopic=t", "--OutputKafkaDeadLetterTopic=t", "--OutputKafkaDelivery=AT_LEAST_ONCE"), []string{"OutputKafkaTopic"}, []string{`"t"`, "another OutputKafkaDeadLetterTopic"}},
		"a message that is larger than any": {append(source, "--OutputKafkaBootstrapServers=b:9092", "--OutputKafkaTopic=t", "--OutputKafkaMaxMessageBytes=104857601"), []string{"OutputKafkaMaxMessageBytes"}, []string{"from 1024 to 104857600"}},
		"key order by enhanced fan-out":     {append(sink, append(source, "--InputKeyOrder=true", "--InputStreamConsumer=EFO")...), []string{"InputKeyOrder"}, []string{"InputStreamConsumer"}},
		"SASL without a mechanism":          {append(sink, "--InputKafkaBootstrapServers=b:9092", "--InputKafkaTopic=t", "--KafkaSecurityProtocol=SASL_SSL"), []string{"KafkaSaslMechanism"}, []string{"SCRAM-SHA-512"}},
		"a user name without a password":    {append(source, "--OutputElasticsearchEndpoint=https://es:9200", "--ElasticsearchUsername=u"), []string{"ElasticsearchPasswordFrom"}, []string{"env:NAME or file:/path"}},
		"an API key that is not there":      {append(source, "--OutputElasticsearchEndpoint=https://es:9200", "--ElasticsearchAuth=API_KEY"), []string{"ElasticsearchApiKeyFrom"}, []string{"env:NAME or file:/path"}},
		"an ARN of another region":          {append(sink, "--InputKinesisStream=arn:aws:kinesis:eu-west-1:123456789012:stream/trips", "--InputStreamRegion=us-east-1"), []string{"InputKinesisStream"}, []string{"eu-west-1"}},
		"several, of the values themselves": {[]string{"--InputReaders=many", "--OutputPathTemplate={nope}", "--ParquetCompression=lzo", "--InputKinesisStrem=x", "--OutputBucket=A_B"}, []string{"InputReaders", "OutputPathTemplate", "ParquetCompression", "InputKinesisStrem", "OutputBucket", "InputKinesisStream"}, []string{"InputKinesisStream"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_REGION", "")
			p, err := property.Load(property.Sources{Args: test.flags})
			if p == nil {
				t.Fatal(err)
			}
			_, err = FromProperties(p, false)
			invalid, ok := err.(*property.Invalid)
			if !ok {
				t.Fatalf("error is %v", err)
			}
			told := map[string]bool{}
			for _, m := range invalid.Mistakes {
				told[m.Property] = true
			}
			for _, want := range test.names {
				if !told[want] {
					t.Errorf("no mistake of %s is told: %v", want, err)
				}
				delete(told, want)
			}
			for other := range told {
				t.Errorf("a mistake of %s is told: %v", other, err)
			}
			for _, text := range test.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%q does not say %q", err, text)
				}
			}
		})
	}
}

func TestFlagsBecomeTheConfiguration(t *testing.T) {
	c := configure(t, "--InputKinesisStream=arn:aws:kinesis:eu-west-1:123456789012:stream/trips", "--Region=us-east-1",
		"--OutputBucket=s3://lake/raw/", "--OutputPrefix=trips/", "--OutputFileTargetSizeMb=2", "--OutputFileRollIntervalMs=1500",
		"--Parallelism=3", "--OutputWritersPerPartition=4", "--ParquetConversion=false")
	for what, same := range map[string]bool{
		"the ARN's region counts, not the job's": c.Kinesis.Region == "",
		"the bucket's region is the job's":       c.S3.Region == "us-east-1",
		"prefixes are joined":                    c.Prefix == "raw/trips/" && c.S3.Prefix == c.Prefix && c.S3.Bucket == "lake",
		"sizes are in megabytes":                 c.TargetBytes == 2<<20,
		"times are in milliseconds":              c.RollInterval == 1500*time.Millisecond,
		"readers are 8 by default":               c.Readers == 8,
		"the rest":                               c.Parallelism == 3 && c.Route.Writers == 4 && !c.Parquet,
	} {
		if !same {
			t.Errorf("%s: not so in %+v", what, c)
		}
	}
	if c := configure(t, "--InputKinesisStream=trips", "--Region=us-east-1", "--OutputDiscarding=true", "--Parallelism=12"); c.Readers != 12 {
		t.Errorf("%d readers of a job of parallelism 12", c.Readers)
	}
}

func TestReadersAndLanesOnAClusterAreNotThoseOfTheSubmittingMachine(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(32))
	for _, test := range []struct {
		flags          []string
		cluster        int
		readers, lanes int
	}{
		{nil, 0, 8, 8},
		{nil, 4, 8, 8},
		{nil, 12, 12, 12},
		{[]string{"--Parallelism=10"}, 0, 10, 10},
		{[]string{"--Parallelism=10"}, 12, 10, 10},
		{[]string{"--InputReaders=3", "--OutputKafkaLanes=5"}, 12, 3, 5},
	} {
		p, err := property.Load(property.Sources{Args: append([]string{
			"--InputKinesisStream=trips", "--Region=us-east-1", "--OutputKafkaBootstrapServers=127.0.0.1:1", "--OutputKafkaTopic=copies",
		}, test.flags...)})
		if err != nil {
			t.Fatal(err)
		}
		c, err := flinkConfig(p, flink.Cluster{Parallelism: test.cluster})
		if err != nil {
			t.Fatal(err)
		}
		if c.Readers != test.readers || c.Lanes.Lanes != test.lanes || c.KafkaSink.Lanes != test.lanes {
			t.Errorf("%v on a cluster of %d: %d readers, %d lanes; want %d, %d", test.flags, test.cluster, c.Readers, c.Lanes.Lanes, test.readers, test.lanes)
		}
	}
}

func TestTheJobsRegionSignsLoginsToKafka(t *testing.T) {
	// As README names the brokers: by a name that tells no region.
	login := []string{"--KafkaSecurityProtocol=SASL_SSL", "--KafkaSaslMechanism=AWS_MSK_IAM", "--Region=eu-west-1", "--InputKafkaInitialPosition=EARLIEST",
		"--InputKafkaBootstrapServers=b-1.msk:9098", "--InputKafkaTopic=trips", "--OutputKafkaBootstrapServers=b-1.msk:9098", "--OutputKafkaTopic=clean"}
	c := configure(t, login...)
	if in, out := c.Kafka.Security.Region, c.KafkaSink.Security.Region; in != "eu-west-1" || out != in {
		t.Errorf("the source signs for %q, the sink for %q", in, out)
	}
	// Other logins have no region.
	c = configure(t, append(login, "--OutputKafkaSecurityProtocol=SASL_SSL", "--OutputKafkaSaslMechanism=PLAIN", "--OutputKafkaUsername=etl", "--OutputKafkaPasswordFrom=env:PASSWORD")...)
	if out := c.KafkaSink.Security.Region; out != "" {
		t.Errorf("a login by password is for region %q", out)
	}
}

func TestDiscardingCountsAllThatIsRead(t *testing.T) {
	lines := sampleTrips(t, 3_000)
	w := newWorld(t, 2)
	if _, err := w.put(t.Context(), tripRecords(lines)); err != nil {
		t.Fatal(err)
	}
	flags := append([]string{"--OutputDiscarding=true"}, w.flags()...)
	for i, f := range flags {
		if strings.HasPrefix(f, "--OutputBucket") {
			flags[i] = "--JobName=measure"
		}
	}
	sum, err := runUntil(t, configure(t, flags...), already(len(lines)))
	if err != nil {
		t.Fatal(err)
	}
	if p := sum.Progress; p.Read != int64(len(lines)) || p.Delivered != p.Read || p.Files != 0 {
		t.Errorf("%+v, want all read and dropped", p)
	}
	if all := w.objects(t); len(all) > 0 {
		t.Errorf("%d objects were written", len(all))
	}
}

func TestARunKeepsNothingOfItsJob(t *testing.T) {
	lines := sampleTrips(t, 1_000)
	w := newWorld(t, 2)
	if _, err := w.put(t.Context(), tripRecords(lines)); err != nil {
		t.Fatal(err)
	}
	if _, err := runUntil(t, configure(t, w.flags()...), already(len(lines))); err != nil {
		t.Fatal(err)
	}
	kept := 0
	processes.Range(func(_, _ any) bool { kept++; return true })
	if kept > 0 {
		t.Errorf("%d jobs are kept", kept)
	}
}

// A worker that starts when the brokers are away must refuse what they would.
func TestWorkersAreToldWhatTopicsAskAtTheStart(t *testing.T) {
	w, k := newWorld(t, 1), newKafka(t, "out:1", "letters:1")
	for topic, policy := range map[string]string{"out": "compact", "letters": "delete"} {
		if _, err := kadm.NewClient(k.client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "cleanup.policy", Value: &policy}}, topic); err != nil {
			t.Fatal(err)
		}
	}
	for _, delivery := range []string{"EXACTLY_ONCE", "AT_LEAST_ONCE"} {
		c := configure(t, "--InputKinesisStream=trips", "--InputStreamEndpoint="+w.kinesis.URL(), "--Region="+testRegion,
			"--OutputKafkaBootstrapServers="+k.brokers, "--OutputKafkaTopic=out", "--OutputKafkaDeadLetterTopic=letters", "--OutputKafkaDelivery="+delivery)
		if err := c.start(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		told := c.KafkaSink.Fixed
		if len(told) != 2 || !told["out"].Keyed || told["letters"].Keyed || told["letters"].MaxBytes == 0 {
			t.Errorf("%s: they are told %+v", delivery, told)
		}
	}
}

// A slot that opens late, or again, must begin where the job began.
func TestReadersAreToldWhereLatestBegins(t *testing.T) {
	k := newKafka(t, "in:2")
	c := configure(t, "--InputKafkaBootstrapServers="+k.brokers, "--InputKafkaTopic=in", "--OutputDiscarding=true")
	if err := c.start(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if ends := c.Kafka.Ends; ends == nil || len(ends.Topics["in"].Offsets) != 2 || ends.At == 0 || ends.At > time.Now().UnixMilli() {
		t.Errorf("they are told %+v", ends)
	}
}

// checked is what the check at start says, with its own patience.
func checked(t *testing.T, c Config) error {
	t.Helper()
	return c.start(t.Context(), startPatience)
}

func TestTheTopicOfDeadLettersIsThereAtStart(t *testing.T) {
	w, k := newWorld(t, 1), newKafka(t, "out:1", "small:1")
	limit := "5000"
	if _, err := kadm.NewClient(k.client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &limit}}, "small"); err != nil {
		t.Fatal(err)
	}
	toKafka := func(more ...string) []string {
		return append([]string{"--InputKinesisStream=trips", "--InputStreamEndpoint=" + w.kinesis.URL(), "--Region=" + testRegion,
			"--OutputKafkaBootstrapServers=" + k.brokers, "--OutputKafkaTopic=out"}, more...)
	}
	for _, delivery := range []string{"EXACTLY_ONCE", "AT_LEAST_ONCE"} {
		flags := toKafka("--OutputKafkaDelivery="+delivery, "--OutputKafkaDeadLetterTopic=letters-"+delivery)
		err := checked(t, configure(t, flags...))
		for _, words := range []string{"OutputKafkaDeadLetterTopic: ", "topic letters-" + delivery, "does not exist", "OutputKafkaCreateTopic=true"} {
			if err == nil || !strings.Contains(err.Error(), words) {
				t.Errorf("%s: %v does not say %q", delivery, err, words)
			}
		}
		if err != nil && strings.Contains(err.Error(), "OutputKafkaTopic: ") {
			t.Errorf("%s: the topic of events is told: %v", delivery, err)
		}
		// The second time it is there.
		for range 2 {
			if err := checked(t, configure(t, append(flags, "--OutputKafkaCreateTopic=true")...)); err != nil {
				t.Errorf("%s, to be made: %v", delivery, err)
			}
		}
		if err := checked(t, configure(t, flags...)); err != nil {
			t.Errorf("%s, made: %v", delivery, err)
		}
	}
	if err := checked(t, configure(t, toKafka("--OutputKafkaDeadLetterTopic=small")...)); err == nil || !strings.Contains(err.Error(), "OutputKafkaDeadLetterTopic: topic small: its max.message.bytes is 5000") {
		t.Errorf("a topic of small messages: %v", err)
	}
	if err := checked(t, configure(t, toKafka("--OutputKafkaDeadLetterTopic=none", "--OutputBucket="+testBucket, "--OutputBucketEndpoint="+w.s3.URL())...)); err != nil {
		t.Errorf("a job whose dead letters go to a bucket: %v", err)
	}
}

func TestAMissingRegionNamesWhatToSet(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_PROFILE": "", "AWS_CONFIG_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	c := configure(t, "--InputKinesisStream=trips", "--OutputBucket=lake", "--OutputKinesisStream=clean", "--OutputElasticsearchEndpoint=https://127.0.0.1:1", "--ElasticsearchAuth=SIGV4")
	err := checked(t, c)
	for _, want := range []string{"InputStreamRegion", "OutputBucketRegion", "OutputStreamRegion", "ElasticsearchRegion"} {
		if err == nil || !strings.Contains(err.Error(), "set Region or "+want) {
			t.Errorf("error does not name %s: %v", want, err)
		}
	}
	var plan strings.Builder
	if err := c.WritePlan(&plan); err != nil || strings.Count(plan.String(), "(region of AWS_REGION, the profile or the instance)") != 3 {
		t.Errorf("plan, error %v:\n%s", err, plan.String())
	}
}

func TestAJobIsRefusedForItsOptionsBeforeItsServicesAreAsked(t *testing.T) {
	for name, test := range map[string]struct {
		cluster flink.Cluster
		says    string
	}{
		"a cluster of too many":                   {flink.Cluster{Parallelism: 200}, "Parallelism: is left to the cluster, whose parallelism.default, or what the submission asks for, is 200; allowed: Parallelism, or parallelism.default, up to 128"},
		"a checkpoint interval that is too short": {flink.Cluster{CheckpointInterval: time.Millisecond}, "checkpoint interval 1ms"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := property.Load(property.Sources{Args: []string{"--InputKinesisStream=trips", "--InputStreamEndpoint=" + nobody(t), "--Region=us-east-1", "--OutputBucket=lake", "--OutputBucketEndpoint=" + nobody(t)}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := FlinkJob(t.Context(), p, test.cluster); err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "OutputBucket") {
				t.Error(err)
			}
		})
	}
}

func TestPlacesBesideDeadLettersAreTaken(t *testing.T) {
	for name, flags := range map[string][]string{
		"a topic of that name, with a bucket":      {"--OutputBucket=lake", "--OutputKafkaBootstrapServers=b:9092", "--OutputKafkaTopic=dead-letters"},
		"a folder of that name, letters elsewhere": {"--OutputBucket=lake", "--OutputPathTemplate=dead-letters/{type}", "--DeadLetterBucket=letters"},
		"a folder of that name further down":       {"--OutputBucket=lake", "--OutputPathTemplate=x/dead-letters/{type}"},
		"a folder whose name begins so":            {"--OutputBucket=lake", "--OutputPathTemplate=dead-letters-of/{type}"},
		"an index of that name, with a bucket":     {"--OutputBucket=lake", "--OutputElasticsearchEndpoint=http://es:9200", "--ElasticsearchIndex=dead-letters"},
	} {
		t.Run(name, func(t *testing.T) {
			configure(t, append(flags, "--InputKinesisStream=trips", "--Region=us-east-1")...)
		})
	}
}
