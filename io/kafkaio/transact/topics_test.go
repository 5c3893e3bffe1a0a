package transact

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
)

func newTopics(t testing.TB, o Options) *Topics {
	t.Helper()
	topics, err := NewTopics(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(topics.Close)
	return topics
}

// named are the options of a sink whose records name the topics.
func (c *cluster) named() Options {
	o := c.options()
	o.Topic, o.CreateTopic = "", false
	return o
}

func setting(n int) map[string]*string {
	text := strconv.Itoa(n)
	return map[string]*string{"max.message.bytes": &text}
}

func wantLimit(t *testing.T, topics *Topics, topic string, want int) {
	t.Helper()
	if got, err := topics.Rules(t.Context(), topic); err != nil || got.MaxBytes != want {
		t.Errorf("topic %s: the rules are %+v, %v; want a limit of %d", topic, got, err, want)
	}
}

func wantRefusal(t *testing.T, topics *Topics, topic, reason string) {
	t.Helper()
	_, err := topics.Rules(t.Context(), topic)
	var refusal *TopicRefusal
	if !errors.As(err, &refusal) || refusal.Reason != reason || refusal.Topic != topic || refusal.Detail == "" {
		t.Errorf("topic %s: error %#v, want a refusal for %s", topic, err, reason)
	}
}

func TestTopicsTellALimitOrThatThereIsNone(t *testing.T) {
	c := newCluster(t)
	topics := newTopics(t, c.named())
	c.makeTopic(t, c.name, 1, setting(5000))
	for range 2 {
		wantLimit(t, topics, c.name, 5000)
		wantRefusal(t, topics, c.name+"-none", ReasonUnknownTopic)
	}
}

func TestTopicsTellWhatTheirSettingsAskOfRecords(t *testing.T) {
	const least, most = "1000", "9223372036854775807"
	text := func(pairs ...string) map[string]*string {
		settings := map[string]*string{"max.message.bytes": setting(5000)["max.message.bytes"]}
		for i := 0; i < len(pairs); i += 2 {
			settings[pairs[i]] = &pairs[i+1]
		}
		return settings
	}
	for i, test := range []struct {
		settings map[string]*string
		want     Rules
	}{
		{text("message.timestamp.after.max.ms", most, "message.timestamp.before.max.ms", most), Rules{}},
		{text("message.timestamp.after.max.ms", least, "message.timestamp.before.max.ms", "60000"), Rules{Ahead: time.Second, Behind: time.Minute}},
		{text("message.timestamp.after.max.ms", "0"), Rules{Ahead: 1}},
		{text("message.timestamp.after.max.ms", least, "message.timestamp.type", "LogAppendTime"), Rules{}},
		{text("message.timestamp.after.max.ms", most, "cleanup.policy", "compact"), Rules{Keyed: true}},
		{text("message.timestamp.after.max.ms", most, "cleanup.policy", "compact,delete"), Rules{Keyed: true}},
	} {
		c := newCluster(t)
		c.makeTopic(t, c.name, 1, test.settings)
		test.want.MaxBytes = 5000
		if got, err := newTopics(t, c.named()).Rules(t.Context(), c.name); err != nil || got != test.want {
			t.Errorf("case %d: the rules are %+v, %v; want %+v", i, got, err, test.want)
		}
	}
}

// Before Kafka 4.0.
func TestOneSpanMayBeThatOfBothSides(t *testing.T) {
	c := newFake(t, "trips")
	span := "60000"
	c.makeTopic(t, c.name, 1, map[string]*string{"message.timestamp.difference.max.ms": &span})
	if got, err := newTopics(t, c.named()).Rules(t.Context(), c.name); err != nil || got.Ahead != time.Minute || got.Behind != time.Minute {
		t.Errorf("the rules are %+v, %v", got, err)
	}
}

func TestTheTopicThatWasThereAtStartIsNotMadeAnew(t *testing.T) {
	o := newCluster(t).options()
	wantRefusal(t, newTopics(t, o), o.Topic, ReasonUnknownTopic)
}

func TestATopicThatIsMadeLaterIsKnownAfterAWhile(t *testing.T) {
	c := newCluster(t)
	topics := newTopics(t, c.named())
	ahead := time.Duration(0)
	topics.now = func() time.Time { return time.Now().Add(ahead) }
	wantRefusal(t, topics, c.name, ReasonUnknownTopic)
	c.makeTopic(t, c.name, 1, setting(5000))
	wantRefusal(t, topics, c.name, ReasonUnknownTopic)
	ahead = refusedFor + time.Second
	wantLimit(t, topics, c.name, 5000)

	if err := c.alter(t, c.name, 6000); err != nil {
		t.Fatal(err)
	}
	wantLimit(t, topics, c.name, 5000)
	ahead += takenFor
	wantLimit(t, topics, c.name, 6000)
}

func TestTopicsMakeATopicWhereTheyMay(t *testing.T) {
	c := newCluster(t)
	o := c.named()
	o.CreateTopic = true
	topics := newTopics(t, o)
	if rules, err := topics.Rules(t.Context(), c.name); err != nil || rules.MaxBytes < 1_000_000 {
		t.Errorf("the rules are %+v, %v", rules, err)
	}
	if all, err := c.admin(t).ListTopics(t.Context(), c.name); err != nil || len(all[c.name].Partitions) != o.Partitions {
		t.Errorf("the topic has %d partitions, %v", len(all[c.name].Partitions), err)
	}
}

// counting counts the requests of kinds of the fake brokers.
func (c *cluster) counting(kinds ...kmsg.Key) func() map[kmsg.Key]int {
	var mu sync.Mutex
	seen := map[kmsg.Key]int{}
	for _, kind := range kinds {
		c.fake.ControlKey(int16(kind), func(kmsg.Request) (kmsg.Response, error, bool) {
			c.fake.KeepControl()
			mu.Lock()
			defer mu.Unlock()
			seen[kind]++
			return nil, nil, false
		})
	}
	return func() map[kmsg.Key]int {
		mu.Lock()
		defer mu.Unlock()
		out := map[kmsg.Key]int{}
		for kind, n := range seen {
			out[kind] = n
		}
		return out
	}
}

func TestATopicIsAskedForOnce(t *testing.T) {
	c := newFake(t, "trips", kfake.SeedTopics(1, "trips"))
	topics := newTopics(t, c.named())
	seen := c.counting(kmsg.DescribeConfigs)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				if _, err := topics.Rules(t.Context(), "trips"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := seen()[kmsg.DescribeConfigs]; n != 1 {
		t.Errorf("its settings are asked for %d times", n)
	}
}

func TestTopicsThatAreRememberedAreBounded(t *testing.T) {
	topics := newTopics(t, newFake(t, "trips").named())
	refused := &TopicRefusal{Topic: "x", Reason: ReasonUnknownTopic}
	for i := range 3 * maxTopics {
		f := topicFacts{until: time.Now().Add(takenFor)}
		if i%3 > 0 {
			f.refusal = refused
		}
		topics.keep(fmt.Sprint(i), f)
		if n := len(topics.known); n > maxTopics {
			t.Fatalf("%d topics are remembered", n)
		}
	}
	if _, fresh := topics.look(fmt.Sprint(3*maxTopics - 1)); !fresh {
		t.Error("the last one is forgotten")
	}
}

func TestTopicsThatMayNotBeWrittenToOrSeen(t *testing.T) {
	t.Run("written to", func(t *testing.T) {
		c, o := secured(t, allow(kmsg.ACLResourceTypeTopic, "trips", kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs)...)
		o.Topic, o.CreateTopic = "", false
		c.seed(t, "trips-a")
		wantRefusal(t, newTopics(t, o), "trips-a", ReasonForbidden)
		wantRefusal(t, newTopics(t, o), "other", ReasonForbidden)
	})
	t.Run("settings", func(t *testing.T) {
		c, o := secured(t, allow(kmsg.ACLResourceTypeTopic, "trips", kmsg.ACLOperationDescribe, kmsg.ACLOperationWrite)...)
		o.Topic, o.CreateTopic = "", false
		c.seed(t, "trips-a")
		wantLimit(t, newTopics(t, o), "trips-a", 0)
	})
	t.Run("made", func(t *testing.T) {
		_, o := secured(t, allow(kmsg.ACLResourceTypeTopic, "trips", kmsg.ACLOperationDescribe, kmsg.ACLOperationWrite)...)
		o.Topic = ""
		wantRefusal(t, newTopics(t, o), "trips-a", ReasonUnknownTopic)
	})
	t.Run("a wrong password is no topic's", func(t *testing.T) {
		_, o := secured(t)
		t.Setenv("KAFKA_TEST_SECRET", "wrong")
		o.RetryDeadline = time.Millisecond
		var refusal *TopicRefusal
		if _, err := newTopics(t, o).Rules(t.Context(), "trips-a"); err == nil || errors.As(err, &refusal) || !strings.Contains(err.Error(), "password or token are wrong") {
			t.Errorf("error %v", err)
		}
	})
}

// seed makes a topic as somebody who may.
func (c *cluster) seed(t *testing.T, topic string) {
	t.Helper()
	o := c.options()
	o.Topic, o.CreateTopic = topic, true
	o.Security = security.Config{Protocol: security.SASLPlaintext, Mechanism: security.ScramSHA256, Username: "admin"}
	o.Security.Password.Env = "KAFKA_TEST_ADMIN"
	t.Setenv("KAFKA_TEST_ADMIN", "admin")
	if _, err := o.CheckProducer(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestABrokerThatFailsForAMomentIsAskedAgain(t *testing.T) {
	c := newFake(t, "trips", kfake.SeedTopics(1, "trips"))
	topics := newTopics(t, c.named())
	var failed atomic.Int32
	c.fake.ControlKey(int16(kmsg.DescribeConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if failed.Add(1) > 2 {
			return nil, nil, false
		}
		c.fake.KeepControl()
		resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
		for _, r := range req.(*kmsg.DescribeConfigsRequest).Resources {
			answer := kmsg.NewDescribeConfigsResponseResource()
			answer.ResourceType, answer.ResourceName, answer.ErrorCode = r.ResourceType, r.ResourceName, kerr.BrokerNotAvailable.Code
			resp.Resources = append(resp.Resources, answer)
		}
		return resp, nil, true
	})
	if rules, err := topics.Rules(t.Context(), "trips"); err != nil || rules.MaxBytes < 1_000_000 || failed.Load() != 3 {
		t.Errorf("the rules are %+v, %v, after %d answers", rules, err, failed.Load())
	}
}

func TestWhatIsKnownOfATopicDoesWhileTheBrokersAreAway(t *testing.T) {
	c := newFake(t, "trips", kfake.SeedTopics(1, "trips"))
	o := c.named()
	o.RetryDeadline = time.Hour
	topics := newTopics(t, o)
	rules, err := topics.Rules(t.Context(), "trips")
	if err != nil {
		t.Fatal(err)
	}
	c.fake.Close()
	topics.now = func() time.Time { return time.Now().Add(takenFor + time.Second) }
	wantLimit(t, topics, "trips", rules.MaxBytes)
}

func TestAFixedTopicIsNotWaitedForWhileTheBrokersAreAway(t *testing.T) {
	c := newFake(t, "trips", kfake.SeedTopics(1, "trips"))
	o := c.named()
	o.Topic, o.RetryDeadline = "trips", time.Hour
	brokers := o.Brokers
	o.Brokers = []string{"127.0.0.1:1"}
	topics := newTopics(t, o)
	topics.patience = 0
	if rules, err := topics.Rules(t.Context(), "trips"); err != nil || rules != (Rules{}) {
		t.Errorf("while they are away the rules are %+v, %v", rules, err)
	}
	topics.admin.client.Close()
	o.Brokers = brokers
	topics.admin = newTopics(t, o).admin
	ahead := time.Duration(0)
	topics.now = func() time.Time { return time.Now().Add(ahead) }
	ahead = refusedFor + time.Second
	if rules, err := topics.Rules(t.Context(), "trips"); err != nil || rules.MaxBytes == 0 {
		t.Errorf("when they are back the rules are %+v, %v", rules, err)
	}
}

// refuseLogins has the cluster answer as a broker does that refuses the login.
func (c *cluster) refuseLogins() {
	c.fake.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		for _, asked := range req.(*kmsg.MetadataRequest).Topics {
			topic := kmsg.NewMetadataResponseTopic()
			topic.Topic, topic.ErrorCode = asked.Topic, kerr.SaslAuthenticationFailed.Code
			resp.Topics = append(resp.Topics, topic)
		}
		return resp, nil, true
	})
}

func TestALoginThatIsRefusedAfterASuccessPasses(t *testing.T) {
	c := newFake(t, "trips", kfake.SeedTopics(1, "trips"))
	o := c.named()
	o.RetryDeadline = time.Millisecond
	topics := newTopics(t, o)
	rules, err := topics.Rules(t.Context(), "trips")
	if err != nil {
		t.Fatal(err)
	}
	c.refuseLogins()
	topics.now = func() time.Time { return time.Now().Add(takenFor + time.Second) }
	wantLimit(t, topics, "trips", rules.MaxBytes)
	if _, err := topics.Rules(t.Context(), "rides"); err == nil || !strings.Contains(err.Error(), "tried 1 times") {
		t.Errorf("a topic that was never asked for is not asked for again: %v", err)
	}
	if _, err := newTopics(t, o).Rules(t.Context(), "trips"); !isPermanent(err) {
		t.Errorf("without a success before: %v", err)
	}
}

func TestAFixedTopicKeepsItsRulesWhileItIsNotThere(t *testing.T) {
	c := newCluster(t)
	o := c.named()
	o.Topic = c.name
	c.makeTopic(t, c.name, 1, setting(5000))
	topics := newTopics(t, o)
	wantLimit(t, topics, c.name, 5000)
	if answers, err := c.admin(t).DeleteTopics(t.Context(), c.name); err != nil || answers.Error() != nil {
		t.Fatal(err, answers.Error())
	}
	topics.now = func() time.Time { return time.Now().Add(takenFor + time.Second) }
	var refusal *TopicRefusal
	if rules, err := topics.Rules(t.Context(), c.name); rules.MaxBytes != 5000 || !errors.As(err, &refusal) {
		t.Errorf("the rules are %+v, %v", rules, err)
	}
}

func TestTopicsThatAreClosedEndACall(t *testing.T) {
	o := newFake(t, "trips").named()
	o.Brokers, o.RetryDeadline = []string{"127.0.0.1:1"}, time.Hour
	topics := newTopics(t, o)
	done := make(chan error)
	go func() {
		_, err := topics.Rules(t.Context(), "trips")
		done <- err
	}()
	topics.end()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("error %v", err)
	}
}

// A topic that takes less than the largest message gets batches that it takes.
func TestBatchesKeepToTheLimitOfTheirTopic(t *testing.T) {
	c := newCluster(t)
	const limit = 2000
	c.makeTopic(t, c.name, 1, setting(limit))
	o := c.named()
	o.Compression = "none"
	prepare(t, o)
	many := blockOf("job", 1, 0, func(yield func(Record, error) bool) {
		for i := range 100 {
			if !yield(Record{Topic: c.name, Key: fmt.Append(nil, i), Value: []byte(strings.Repeat("v", 500))}, nil) {
				return
			}
		}
	})
	t.Run("Committer", func(t *testing.T) {
		k, err := New(t.Context(), o, newTopics(t, o))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(k.Close)
		mustCommit(t, k, 0, 1, 0, many)
	})
	t.Run("Producer", func(t *testing.T) {
		topics := newTopics(t, o)
		wantLimit(t, topics, c.name, limit)
		p, err := NewProducer(t.Context(), o, topics)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		for r := range many.Records {
			if err := p.Put(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if n := len(c.committed(t, c.name)); n != 200 {
		t.Errorf("%d records are there", n)
	}
}

// What is numbered cannot be left out: it is for the brokers to say whether it
// is too large.
func TestARecordAboveALoweredLimitIsForTheBrokersToRefuse(t *testing.T) {
	c := newCluster(t)
	c.makeTopic(t, c.name, 1, setting(2000))
	o := c.named()
	prepare(t, o)
	k, err := New(t.Context(), o, newTopics(t, o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	random := make([]byte, 5000)
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	block := func(number int64, large []byte) Block {
		return blockOf("job", number, 0, func(yield func(Record, error) bool) {
			for i := range 21 {
				value := random[:1500]
				if i == 10 {
					value = large
				}
				if !yield(Record{Topic: c.name, Value: value}, nil) {
					return
				}
			}
		})
	}
	mustCommit(t, k, 0, 1, 0, block(1, make([]byte, 5000)))
	mustCommit(t, k, 0, 1, 0, block(2, nil))

	_, err = k.Commit(t.Context(), 0, []Block{block(3, random)})
	if !isPermanent(err) || !errors.Is(err, kerr.MessageTooLarge) {
		t.Fatalf("error %v", err)
	}
	for _, words := range []string{"topic " + c.name, "raise max.message.bytes of the topic to 1000012 or more", "goes on by itself"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%q does not say %q", err, words)
		}
	}
	// So it does, though the old limit is still remembered.
	if err := c.alter(t, c.name, 1_000_012); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, k, 0, 1, 0, block(3, random))
	if n := len(c.committed(t, c.name)); n != 63 {
		t.Errorf("%d records are there", n)
	}
}

// Each record fits, but not the batch that was right for the old limit.
func TestALimitThatIsLoweredBetweenTwoLooksCostsNothing(t *testing.T) {
	c := newCluster(t)
	c.makeTopic(t, c.name, 1, setting(1_048_588))
	o := c.named()
	o.Compression = "none"
	prepare(t, o)
	topics := newTopics(t, o)
	k, err := New(t.Context(), o, topics)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	block := func(number int64) Block {
		return blockOf("job", number, 0, func(yield func(Record, error) bool) {
			for range 20 {
				if !yield(Record{Topic: c.name, Value: make([]byte, 1500)}, nil) {
					return
				}
			}
		})
	}
	mustCommit(t, k, 0, 1, 0, block(1))
	if err := c.alter(t, c.name, 2000); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, k, 0, 1, 0, block(2))
	wantLimit(t, topics, c.name, 2000)
	if n := len(c.committed(t, c.name)); n != 40 {
		t.Errorf("%d records are there", n)
	}
}

// newRaised are Topics that know a limit of 5000 bytes of the fixed topic trips,
// which is 6000 by now.
func newRaised(t *testing.T) (*cluster, *Topics) {
	t.Helper()
	c := newFake(t, "trips")
	c.makeTopic(t, "trips", 1, setting(5000))
	o := c.named()
	o.Topic = "trips"
	topics := newTopics(t, o)
	wantLimit(t, topics, "trips", 5000)
	if err := c.alter(t, "trips", 6000); err != nil {
		t.Fatal(err)
	}
	return c, topics
}

// A look at a fixed topic holds nobody up: its rules do until it is answered.
func TestAFixedTopicIsLookedAtAgainInTheBackground(t *testing.T) {
	c, topics := newRaised(t)
	held := make(chan struct{})
	c.fake.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.SleepControl(func() { <-held })
		return nil, nil, false
	})
	topics.now = func() time.Time { return time.Now().Add(takenFor + time.Second) }
	topics.glance = 0
	wantLimit(t, topics, "trips", 5000)
	topics.mu.Lock()
	under := topics.renewals["trips"]
	topics.mu.Unlock()
	if under == nil {
		t.Fatal("it is not looked at")
	}
	wantLimit(t, topics, "trips", 5000)
	close(held)
	<-under.done
	wantLimit(t, topics, "trips", 6000)
}

func TestAnAnswerThatComesSoonIsWaitedFor(t *testing.T) {
	_, topics := newRaised(t)
	topics.now = func() time.Time { return time.Now().Add(takenFor + time.Second) }
	topics.glance = time.Hour
	wantLimit(t, topics, "trips", 6000)
}

func TestTopicsThatAreClosedEndWhatIsAskedInTheBackground(t *testing.T) {
	c := newFake(t, "trips", kfake.SeedTopics(1, "trips"))
	o := c.named()
	o.Topic, o.RetryDeadline = "trips", time.Hour
	topics, err := NewTopics(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := topics.Rules(t.Context(), "trips")
	if err != nil {
		t.Fatal(err)
	}
	held := make(chan struct{})
	defer close(held)
	c.fake.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		c.fake.SleepControl(func() { <-held })
		return nil, nil, false
	})
	topics.now = func() time.Time { return time.Now().Add(takenFor + time.Second) }
	topics.glance = 0
	wantLimit(t, topics, "trips", rules.MaxBytes)
	topics.Close()
	if n := len(topics.renewals); n != 0 {
		t.Errorf("%d are asked for still", n)
	}
	if _, err := topics.Rules(t.Context(), "trips"); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v", err)
	}
}

// What the check at the start has heard does for a worker that starts when the
// brokers are away.
func TestAFixedTopicHasTheRulesOfTheStart(t *testing.T) {
	c := newFake(t, "trips")
	compact := "compact"
	c.makeTopic(t, "trips", 1, map[string]*string{"cleanup.policy": &compact})
	c.makeTopic(t, "letters", 1, setting(5000))
	o := c.options()
	o.MaxMessageBytes = 4000
	rules, err := o.Check(t.Context())
	if err != nil || !rules.Keyed {
		t.Fatalf("the rules are %+v, %v", rules, err)
	}
	other := o
	other.Topic = "letters"
	letters, err := other.CheckProducer(t.Context())
	if err != nil || letters.MaxBytes != 5000 {
		t.Fatalf("the rules are %+v, %v", letters, err)
	}
	o.Fixed = map[string]Rules{"trips": rules, "letters": letters}
	o.Brokers, o.RetryDeadline = []string{"127.0.0.1:1"}, time.Hour
	topics := newTopics(t, o)
	topics.glance = 0
	for name, want := range o.Fixed {
		if got, err := topics.Rules(t.Context(), name); err != nil || got != want {
			t.Errorf("topic %s: the rules are %+v, %v; want %+v", name, got, err, want)
		}
	}
}

// Whoever writes events can name as many topics as they like.
func TestWhichTopicsThereAreIsAskedForOnceForAllNames(t *testing.T) {
	c := newFake(t, "trips", kfake.SeedTopics(1, "trips"))
	topics := newTopics(t, c.named())
	seen := c.counting(kmsg.Metadata)
	const names = 50
	for i := range names {
		wantRefusal(t, topics, fmt.Sprint("none-", i), ReasonUnknownTopic)
	}
	// One of its own each, and all topics of each broker.
	if n := seen()[kmsg.Metadata]; n > names+2*unknownTo {
		t.Errorf("%d requests for %d names", n, names)
	}
	// One that is made meanwhile is there for its own question, or a while later.
	c.makeTopic(t, "made", 1, setting(5000))
	wantLimit(t, topics, "made", 5000)
}

// A broker that has not heard of a topic is not believed alone.
func TestATopicThatOneBrokerDoesNotKnowIsThere(t *testing.T) {
	c := newFake(t, "trips")
	c.makeTopic(t, "trips", 1, setting(5000))
	topics := newTopics(t, c.named())
	denied := false
	c.fake.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		asked := req.(*kmsg.MetadataRequest).Topics
		if denied || len(asked) != 1 {
			return nil, nil, false
		}
		denied = true
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		for _, address := range c.brokers {
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				t.Error(err)
			}
			b := kmsg.NewMetadataResponseBroker()
			b.NodeID, b.Host = int32(len(resp.Brokers)), host
			n, _ := strconv.Atoi(port)
			b.Port = int32(n)
			resp.Brokers = append(resp.Brokers, b)
		}
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic, topic.ErrorCode = asked[0].Topic, kerr.UnknownTopicOrPartition.Code
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	wantLimit(t, topics, "trips", 5000)
	if !denied {
		t.Error("no broker denied it")
	}
}
