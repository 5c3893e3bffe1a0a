package transact

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/streaming-etl/streaming-etl/stack"
)

// Three brokers, topics with three replicas of which two must be in sync; one
// is killed in the middle of transactions and comes back, and then so does the
// whole cluster. In the end Kafka's own consumer sees each record of all lanes
// once, and those of a key in order. Needs the stack's Kafka; TEST_KAFKA_KILLS
// is how often a single broker is killed, 1 by default.
func TestRealBrokersAreKilledInMidTransaction(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Kafka")
	}
	k := stack.StartKafka(t, stack.KafkaOptions{Brokers: 3})
	c := &cluster{brokers: k.Bootstrap(), name: "trips"}
	o := c.options()
	o.Lanes, o.ReplicationFactor, o.RetryDeadline = 3, 0, 3*time.Minute
	prepare(t, o)

	const (
		keys     = 5
		perBlock = 200
	)
	// A block's records of a key count on from those of the block before.
	block := func(lane int, number int64) Block {
		return blockOf("job", number, 0, func(yield func(Record, error) bool) {
			for i := range perBlock {
				key := fmt.Sprintf("%d/%d", lane, i%keys)
				value := fmt.Sprintf("%d", (number-1)*perBlock/keys+int64(i/keys))
				if !yield(Record{Topic: c.name, Key: []byte(key), Value: []byte(value)}, nil) {
					return
				}
			}
		})
	}
	var (
		all  sync.WaitGroup
		stop = make(chan struct{})
		last = make([]int64, o.Lanes)
		done = make(chan struct{}, 1000)
	)
	for lane := range o.Lanes {
		all.Go(func() {
			w := newCommitter(t, o)
			for number := int64(1); ; number++ {
				select {
				case <-stop:
					return
				default:
				}
				// Now and then a worker is replaced, and the new one replays.
				from := number
				if number%20 == 0 {
					w, from = newCommitter(t, o), max(1, number-2)
				}
				var blocks []Block
				for n := from; n <= number; n++ {
					blocks = append(blocks, block(lane, n))
				}
				out, err := w.Commit(t.Context(), lane, blocks)
				if err != nil {
					t.Errorf("lane %d block %d: %v", lane, number, err)
					return
				}
				if want := int(number - from); out.Skipped < want {
					t.Errorf("lane %d block %d: %+v, want %d skipped", lane, number, out, want)
				}
				last[lane] = number
				select {
				case done <- struct{}{}:
				default:
				}
			}
		})
	}
	progress := func(blocks int) {
		t.Helper()
		timeout, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		for len(done) > 0 {
			<-done
		}
		for range blocks {
			select {
			case <-done:
			case <-timeout.Done():
				t.Errorf("no progress")
				return
			}
		}
	}
	progress(30)
	r := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	kills := 1
	if n, err := strconv.Atoi(os.Getenv("TEST_KAFKA_KILLS")); err == nil {
		kills = n
	}
	for round := range kills + 1 {
		victims := []int{r.IntN(3)}
		if round == kills {
			victims = []int{0, 1, 2}
		}
		for _, v := range victims {
			if err := k.Kill(v); err != nil {
				t.Error(err)
			}
		}
		if len(victims) == 1 {
			progress(10) // two of three go on
		}
		if err := k.Start(t.Context(), victims...); err != nil {
			t.Error(err)
			break
		}
		progress(30)
	}
	close(stop)
	all.Wait()
	if t.Failed() {
		return
	}

	seen := map[string]int{}
	c.wantStable(t, c.name)
	records, err := k.Consume(t.Context(), c.name)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range records {
		key := string(rec.Key)
		if want := fmt.Sprint(seen[key]); string(rec.Value) != want {
			t.Errorf("partition %d offset %d, key %s: record %s where %s is next", rec.Partition, rec.Offset, key, rec.Value, want)
			seen[key], _ = strconv.Atoi(string(rec.Value))
		}
		seen[key]++
	}
	for lane, number := range last {
		for key := range keys {
			name := fmt.Sprintf("%d/%d", lane, key)
			if want := int(number) * perBlock / keys; seen[name] != want {
				t.Errorf("key %s: %d records, want %d", name, seen[name], want)
			}
		}
	}
	t.Logf("%d records in %v blocks", len(records), last)
}

// TLS and a login for all of the sink's connections, and rules that miss.
func TestRealBrokersWithSecurity(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Kafka")
	}
	k := stack.StartKafka(t, stack.KafkaOptions{Security: &stack.KafkaSecurity{Users: map[string]string{"etl": "right"}}})
	c := &cluster{brokers: k.Bootstrap(), name: "trips"}
	o := c.options()
	o.Brokers = k.Addresses("SASL_SSL")
	o.Security.Protocol, o.Security.Mechanism = "SASL_SSL", "SCRAM-SHA-512"
	o.Security.Username, o.Security.Password.Env = "etl", "KAFKA_TEST_SECRET"
	o.Security.CAFile = k.Certificates().CAFile
	t.Setenv("KAFKA_TEST_SECRET", "right")
	prepare(t, o)
	w := newCommitter(t, o)
	mustCommit(t, w, 0, 1, 0, c.block("job", 1, 0))
	mustCommit(t, newCommitter(t, o), 0, 1, 1, c.block("job", 1, 0), c.block("job", 2, 0))
	c.wantBlocks(t, "job", 1, 2)

	t.Setenv("KAFKA_TEST_SECRET", "wrong")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := o.Check(ctx); err == nil || !strings.Contains(err.Error(), "refused the login") {
		t.Errorf("check: %v", err)
	}
	if _, err := newCommitter(t, o).Commit(ctx, 1, []Block{c.block("job", 1, 0)}); !isPermanent(err) || !strings.Contains(err.Error(), "refused the login") {
		t.Errorf("commit: %v", err)
	}
	p := newProducer(t, o)
	if err := p.Put(ctx, Record{Topic: c.name, Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	if err := p.Flush(ctx); err == nil || !strings.Contains(err.Error(), "refused the login") {
		t.Errorf("producer: %v", err)
	}
}

// A broker that stands still is left for another one, or waited for.
func TestRealBrokerStandsStillInMidTransaction(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Kafka")
	}
	k := stack.StartKafka(t, stack.KafkaOptions{})
	c := &cluster{brokers: k.Bootstrap(), name: "trips"}
	o := c.options()
	o.RetryDeadline = 2 * time.Minute
	prepare(t, o)
	w := newCommitter(t, o)
	mustCommit(t, w, 0, 1, 0, c.block("job", 1, 0))
	resumed := make(chan struct{})
	out := mustCommit(t, w, 0, 1, 0, c.during(c.block("job", 2, 0), func() {
		if err := k.Pause(0); err != nil {
			t.Error(err)
		}
		go func() {
			defer close(resumed)
			time.Sleep(5 * time.Second) // stands for a pause of that length
			if err := k.Resume(0); err != nil {
				t.Error(err)
			}
		}()
	}))
	<-resumed
	t.Logf("%d retries", out.Retries)
	mustCommit(t, w, 0, 1, 0, c.block("job", 3, 0))
	c.wantBlocks(t, "job", 1, 2, 3)
	values := []string{}
	for _, r := range c.committed(t, c.name) {
		if string(r.Key) != "filler" {
			values = append(values, string(r.Value))
		}
	}
	slices.Sort(values)
	if n := len(slices.Compact(values)); n != 15 {
		t.Errorf("%d records", n)
	}
}

// What brokers refuse for good is told with the remedy, which is one.
func TestRealBrokersTakeARefusedRecordOnceTheTopicDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Kafka")
	}
	brokers := stack.StartKafka(t, stack.KafkaOptions{}).Bootstrap()
	for _, test := range []struct {
		name             string
		setting, at, set string
		record           Record
		code             *kerr.Error
		words            string
	}{
		{"ahead", "message.timestamp.after.max.ms", "3600000", "7200001", Record{Key: []byte("k"), Timestamp: time.Now().Add(2 * time.Hour).UnixMilli()}, kerr.InvalidTimestamp, "message.timestamp.after.max.ms"},
		{"behind", "message.timestamp.before.max.ms", "3600000", "86400000", Record{Key: []byte("k"), Timestamp: time.Now().Add(-2 * time.Hour).UnixMilli()}, kerr.InvalidTimestamp, "message.timestamp.before.max.ms"},
		{"without a key", "cleanup.policy", "compact", "delete", Record{}, kerr.InvalidRecord, "cleanup.policy=compact"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &cluster{brokers: brokers, name: strings.ReplaceAll(test.name, " ", "-")}
			c.makeTopic(t, c.name, 1, map[string]*string{test.setting: &test.at})
			o := c.options()
			prepare(t, o)
			w := newCommitter(t, o)
			b := blockOf("job", 1, 0, func(yield func(Record, error) bool) {
				r := test.record
				r.Topic, r.Value = c.name, []byte("job/1/0")
				yield(r, nil)
			})
			_, err := w.Commit(t.Context(), 0, []Block{b})
			if !isPermanent(err) || !errors.Is(err, test.code) || !strings.Contains(err.Error(), test.words) || !strings.Contains(err.Error(), "goes on by itself") {
				t.Fatalf("error %v", err)
			}
			if _, err := c.admin(t).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: test.setting, Value: &test.set}}, c.name); err != nil {
				t.Fatal(err)
			}
			mustCommit(t, w, 0, 1, 0, b)
			if n := len(c.committed(t, c.name)); n != 1 {
				t.Errorf("%d records", n)
			}
		})
	}
}
