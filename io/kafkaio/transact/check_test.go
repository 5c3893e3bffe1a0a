package transact

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
	"github.com/streaming-etl/streaming-etl/io/secret"
)

func (c *cluster) admin(t testing.TB) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

func (c *cluster) makeTopic(t testing.TB, name string, partitions int32, settings map[string]*string) {
	t.Helper()
	if _, err := c.admin(t).CreateTopic(t.Context(), partitions, 1, settings, name); err != nil {
		t.Fatal(err)
	}
	awaitTopic(t, c.admin(t), name)
}

func awaitTopic(t testing.TB, admin *kadm.Client, name string) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		topics, err := admin.ListTopics(t.Context(), name)
		if err == nil && topics.Has(name) {
			return
		}
		if time.Since(begin) > stableTimeout {
			t.Fatalf("topic %s is not there: %v", name, err)
		}
	}
}

func TestCheckMakesTheTopics(t *testing.T) {
	c := newCluster(t)
	o := c.options()
	o.Lanes, o.Partitions = 5, 3
	for range 2 { // the second time they are there
		if _, err := o.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	topics, err := c.admin(t).ListTopics(t.Context(), o.Topic, o.MarkerTopic)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(topics[o.MarkerTopic].Partitions); n != 5 {
		t.Errorf("the marker topic has %d partitions", n)
	}
	if n := len(topics[o.Topic].Partitions); n != 3 {
		t.Errorf("the topic has %d partitions", n)
	}
	configs, err := c.admin(t).DescribeTopicConfigs(t.Context(), o.MarkerTopic)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range configs[0].Configs {
		if entry.Key == "cleanup.policy" && entry.MaybeValue() != "compact" {
			t.Errorf("cleanup.policy is %s", entry.MaybeValue())
		}
	}
}

func TestTheMarkerTopicIsMadeToLast(t *testing.T) {
	for _, test := range []struct {
		brokers, asked, replicas int
		inSync                   string
	}{
		{1, 0, 1, "1"},
		{2, 0, 2, "1"},
		{3, 0, 3, "2"},
		{5, 0, 3, "2"},
		{3, 1, 1, "1"},
	} {
		c := newFake(t, "trips", kfake.NumBrokers(test.brokers))
		o := c.options()
		o.ReplicationFactor = test.asked
		prepare(t, o)
		topics, err := c.admin(t).ListTopics(t.Context(), o.MarkerTopic)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range topics[o.MarkerTopic].Partitions {
			if len(p.Replicas) != test.replicas {
				t.Errorf("%+v: partition %d has %d replicas", test, p.Partition, len(p.Replicas))
			}
		}
		got := c.settings(t, o.MarkerTopic)
		for name, want := range map[string]string{"cleanup.policy": "compact", "min.insync.replicas": test.inSync, "unclean.leader.election.enable": "false"} {
			if got[name] != want {
				t.Errorf("%+v: %s is %q, want %q", test, name, got[name], want)
			}
		}
	}
}

func (c *cluster) settings(t *testing.T, topic string) map[string]string {
	t.Helper()
	configs, err := c.admin(t).DescribeTopicConfigs(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, entry := range configs[0].Configs {
		out[entry.Key] = entry.MaybeValue()
	}
	return out
}

func TestAClusterThatChoosesTheMarkerTopicsSettingsStillKeepsItCompacted(t *testing.T) {
	c := newFake(t, "trips")
	var refused atomic.Int32
	c.fake.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		r := req.(*kmsg.CreateTopicsRequest)
		if len(r.Topics[0].Configs) <= 1 {
			return nil, nil, false
		}
		refused.Add(1)
		resp := r.ResponseKind().(*kmsg.CreateTopicsResponse)
		answer := kmsg.NewCreateTopicsResponseTopic()
		answer.Topic, answer.ErrorCode = r.Topics[0].Topic, kerr.InvalidConfig.Code
		resp.Topics = append(resp.Topics, answer)
		return resp, nil, true
	})
	o := c.options()
	prepare(t, o)
	if got := c.settings(t, o.MarkerTopic)["cleanup.policy"]; got != "compact" || refused.Load() != 1 {
		t.Errorf("cleanup.policy is %q after %d refusals", got, refused.Load())
	}
}

func TestAMarkerTopicOfOneReplicaIsWarnedOf(t *testing.T) {
	for _, test := range []struct {
		brokers, replicas int
		warned            bool
	}{{3, 1, true}, {4, 1, true}, {3, 2, false}, {2, 1, false}, {1, 1, false}} {
		c := newFake(t, "trips", kfake.NumBrokers(test.brokers))
		o := c.options()
		o.ReplicationFactor = test.replicas
		prepare(t, o) // makes it
		var b bytes.Buffer
		before := slog.Default()
		slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
		prepare(t, o)
		slog.SetDefault(before)
		if got := strings.Contains(b.String(), "one replica") && strings.Contains(b.String(), o.MarkerTopic); got != test.warned {
			t.Errorf("%+v: the log has %q", test, b.String())
		}
	}
}

func TestCheckTellsWhatIsWrong(t *testing.T) {
	text := func(s string) *string { return &s }
	for _, test := range []struct {
		name    string
		arrange func(t *testing.T, c *cluster, o *Options)
		words   []string
	}{
		{"lanes", func(t *testing.T, c *cluster, o *Options) {
			c.makeTopic(t, o.MarkerTopic, 3, map[string]*string{"cleanup.policy": text("compact")})
		}, []string{"-markers", "3 partitions", "2 lanes"}},
		{"policy delete", func(t *testing.T, c *cluster, o *Options) {
			c.makeTopic(t, o.MarkerTopic, 2, nil)
		}, []string{"-markers", `cleanup.policy is "delete"`}},
		{"policy compact and delete", func(t *testing.T, c *cluster, o *Options) {
			c.makeTopic(t, o.MarkerTopic, 2, map[string]*string{"cleanup.policy": text("compact,delete")})
		}, []string{"-markers", `cleanup.policy is "compact,delete"`}},
		{"no topic", func(t *testing.T, c *cluster, o *Options) {
			o.CreateTopic = false
		}, []string{"does not exist"}},
		{"small messages", func(t *testing.T, c *cluster, o *Options) {
			c.makeTopic(t, o.Topic, 1, map[string]*string{"max.message.bytes": text("5000")})
		}, []string{"max.message.bytes is 5000", "1000012"}},
		{"replication", func(t *testing.T, c *cluster, o *Options) {
			o.ReplicationFactor = 7
		}, []string{"replication factor"}},
		{"address", func(t *testing.T, c *cluster, o *Options) {
			o.Brokers = []string{"127.0.0.1:1"}
		}, []string{"127.0.0.1:1", "refused"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t)
			o := c.options()
			test.arrange(t, c, &o)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := o.Check(ctx)
			if err == nil || ctx.Err() != nil {
				t.Fatalf("no error, or only at the deadline: %v", err)
			}
			for _, words := range test.words {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("error %q does not say %q", err, words)
				}
			}
		})
	}
}

func TestCheckDoesNotDisturbARunningJob(t *testing.T) {
	c := newCluster(t)
	o := c.options()
	prepare(t, o)
	k := newCommitter(t, o)
	mustCommit(t, k, 0, 1, 0, c.block("job", 1, 0))
	prepare(t, o)
	mustCommit(t, k, 0, 1, 0, c.block("job", 2, 0))
	c.wantBlocks(t, "job", 1, 2)
}

// secured is a cluster where the user etl may do what the rules say.
func secured(t *testing.T, rules ...kfake.ACL) (*cluster, Options) {
	t.Helper()
	t.Setenv("KAFKA_TEST_SECRET", "secret")
	c := newFake(t, "trips", kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.Superuser("SCRAM-SHA-256", "admin", "admin"),
		kfake.User("PLAIN", "etl", "secret", rules...))
	o := c.options()
	o.Security = security.Config{
		Protocol: security.SASLPlaintext, Mechanism: security.Plain, Username: "etl",
		Password: secret.Secret{Env: "KAFKA_TEST_SECRET"},
	}
	return c, o
}

func allow(resource kmsg.ACLResourceType, name string, operations ...kmsg.ACLOperation) (rules []kfake.ACL) {
	for _, op := range operations {
		rules = append(rules, kfake.ACL{Resource: resource, Name: name, Pattern: kmsg.ACLResourcePatternTypePrefixed, Operation: op, Allow: true})
	}
	return rules
}

// A password is replaced at the brokers before it is at the worker: what is
// refused after a first login is borne as long as brokers that are away.
func TestCommitBearsALoginThatIsRefusedForAWhile(t *testing.T) {
	topics := allow(kmsg.ACLResourceTypeTopic, "trips", kmsg.ACLOperationCreate, kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationRead, kmsg.ACLOperationWrite)
	ids := allow(kmsg.ACLResourceTypeTransactionalId, "trips", kmsg.ACLOperationDescribe, kmsg.ACLOperationWrite)
	c, o := secured(t, append(topics, ids...)...)
	prepare(t, o)
	k := newCommitter(t, o)
	mustCommit(t, k, 0, 1, 0, c.block("job", 1, 0))

	c.fake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		return nil, errors.New("the connection ends"), true
	})
	var left, refused atomic.Int32
	left.Store(3)
	c.fake.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		if left.Add(-1) < 0 {
			return nil, nil, false
		}
		refused.Add(1)
		return answerWith(req, kerr.SaslAuthenticationFailed.Code), nil, true
	})
	mustCommit(t, k, 0, 1, 0, c.block("job", 2, 0))
	if refused.Load() != 3 {
		t.Errorf("%d logins were refused", refused.Load())
	}
	mustCommit(t, newCommitter(t, o), 0, 0, 2, c.block("job", 1, 0), c.block("job", 2, 0))

	// A Committer that was never let in has the wrong password.
	left.Store(1 << 20)
	if _, err := newCommitter(t, o).Commit(t.Context(), 1, []Block{c.block("job", 3, 0)}); !isPermanent(err) || !strings.Contains(err.Error(), "refused the login") {
		t.Errorf("the first login: %v", err)
	}
}

func TestMissingPermissionsAreNamed(t *testing.T) {
	topics := allow(kmsg.ACLResourceTypeTopic, "trips", kmsg.ACLOperationCreate, kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationRead)
	write := allow(kmsg.ACLResourceTypeTopic, "trips", kmsg.ACLOperationWrite)
	ids := allow(kmsg.ACLResourceTypeTransactionalId, "trips", kmsg.ACLOperationDescribe, kmsg.ACLOperationWrite)
	t.Run("all there", func(t *testing.T) {
		c, o := secured(t, append(append(topics, write...), ids...)...)
		prepare(t, o)
		prepare(t, o)
		mustCommit(t, newCommitter(t, o), 0, 1, 0, c.block("job", 1, 0))
	})
	t.Run("transactional ids", func(t *testing.T) {
		_, o := secured(t, append(topics, write...)...)
		if _, err := o.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "transactional ids that begin with trips-") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("write", func(t *testing.T) {
		c, o := secured(t, append(topics, ids...)...)
		prepare(t, o) // makes them
		if _, err := o.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "permissions WRITE and DESCRIBE on the topic") {
			t.Errorf("error %v", err)
		}
		_, err := newCommitter(t, o).Commit(t.Context(), 0, []Block{c.block("job", 1, 0)})
		if !isPermanent(err) || !strings.Contains(err.Error(), "permissions WRITE and DESCRIBE on the topic") {
			t.Errorf("error %v (permanent: %t)", err, isPermanent(err))
		}
	})
	t.Run("nothing", func(t *testing.T) {
		_, o := secured(t)
		if _, err := o.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "marker topic") || !strings.Contains(err.Error(), "permission") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("wrong password", func(t *testing.T) {
		c, o := secured(t)
		t.Setenv("KAFKA_TEST_SECRET", "wrong")
		if _, err := o.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "password or token are wrong") {
			t.Errorf("error %v", err)
		}
		o.RetryDeadline = time.Millisecond
		if _, err := newCommitter(t, o).Commit(t.Context(), 0, []Block{c.block("job", 1, 0)}); err == nil || !strings.Contains(err.Error(), "password or token are wrong") {
			t.Errorf("error %v", err)
		}
	})
}

func TestTooLongTransactionTimeoutIsNamed(t *testing.T) {
	c := newCluster(t)
	o := c.options()
	o.TransactionTimeout = 48 * time.Hour
	prepare(t, o)
	_, err := newCommitter(t, o).Commit(t.Context(), 0, []Block{c.block("job", 1, 0)})
	if !isPermanent(err) || !strings.Contains(err.Error(), "transaction.max.timeout.ms") {
		t.Errorf("error %v", err)
	}
}

func TestForeignRecordInTheMarkerTopicIsRefused(t *testing.T) {
	c := newCluster(t)
	o := c.options()
	prepare(t, o)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: o.MarkerTopic, Key: []byte("0"), Value: []byte("hello")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	_, err = newCommitter(t, o).Commit(t.Context(), 0, []Block{c.block("job", 1, 0)})
	if !isPermanent(err) || !strings.Contains(err.Error(), "is not a marker") {
		t.Errorf("error %v", err)
	}
}

func TestOptionsValidate(t *testing.T) {
	good := Options{Brokers: []string{"a:9092", "[::1]:9092"}, TransactionalIDPrefix: "p", Lanes: 3}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	bad := Options{
		Brokers: []string{"a", "b:0", ":1"}, MarkerTopic: "a b", Lanes: -1, MarkerPolicy: "LAX", Compression: "rar",
		MaxMessageBytes: 1, TransactionBytes: -1, TransactionTimeout: time.Millisecond, RetryDeadline: -1, RetryBackoff: -1,
		RetryBackoffMax: -1, Topic: "trips-{type}", Partitions: -1, Security: security.Config{Protocol: "TLS"},
	}
	err := bad.Validate()
	for _, words := range []string{
		`"a" is not host:port`, `"b:0"`, `":1"`, "prefix", `"a b"`, "lanes", `"LAX"`, `"rar"`, "largest message", "transaction of -1",
		"transaction timeout", "retry deadline", "retry backoff", "highest retry backoff", "trips-{type}", "partitions -1", `"TLS"`,
	} {
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q is not told", words)
		}
	}
	for name, o := range map[string]Options{
		"no brokers":                  {TransactionalIDPrefix: "p", Lanes: 1},
		"the marker topic as a topic": {Brokers: good.Brokers, TransactionalIDPrefix: "p", Lanes: 1, Topic: DefaultMarkerTopic},
	} {
		if o.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	text, err := json.Marshal(bad)
	if err != nil {
		t.Fatal(err)
	}
	var same Options
	if err := json.Unmarshal(text, &same); err != nil || !reflect.DeepEqual(same, bad) {
		t.Errorf("after JSON %+v, %v", same, err)
	}
}

func TestNewRefusesWrongOptions(t *testing.T) {
	if _, err := New(t.Context(), Options{}, nil); err == nil {
		t.Error("a Committer without brokers")
	}
	if _, err := NewProducer(t.Context(), Options{}, nil); err == nil {
		t.Error("a Producer without brokers")
	}
	if _, err := (Options{}).Check(t.Context()); err == nil {
		t.Error("Check without brokers")
	}
}

// alter changes a topic's max.message.bytes.
func (c *cluster) alter(t testing.TB, topic string, limit int) error {
	t.Helper()
	text := strconv.Itoa(limit)
	answers, err := c.admin(t).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &text}}, topic)
	if err != nil {
		return err
	}
	return answers[0].Err
}
