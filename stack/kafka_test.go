//go:build linux

package stack

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// kafkaClient returns a client of the cluster without security, or with what the options say.
func kafkaClient(t *testing.T, brokers []string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func makeTopic(t *testing.T, k *KafkaCluster, name string, partitions int) {
	t.Helper()
	if err := k.MakeTopic(t.Context(), name, partitions, nil); err != nil {
		t.Fatal(err)
	}
}

// put puts a record of a value into a topic.
func put(ctx context.Context, client *kgo.Client, topic, value string) error {
	return client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr()
}

func consume(t *testing.T, k *KafkaCluster, topic string) []KafkaRecord {
	t.Helper()
	records, err := k.Consume(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func values(records []KafkaRecord) []string {
	var values []string
	for _, r := range records {
		values = append(values, string(r.Value))
	}
	slices.Sort(values)
	return values
}

func TestConsoleConsumerReadsAllThatIsCommitted(t *testing.T) {
	const large = 10 << 20
	k := StartKafka(t, KafkaOptions{MaxMessageBytes: large + 1024})
	makeTopic(t, k, "trips", 3)
	makeTopic(t, k, "nothing", 2)
	at := time.UnixMilli(1700000000123)
	first := &kgo.Record{
		Topic: "trips", Partition: 1, Key: []byte("key|\n"), Value: []byte("line 1\nline 2\x00\xff"), Timestamp: at,
		Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1:,\n")}, {Key: "b"}, {Key: "c", Value: []byte{}}},
	}
	partitions := kgo.RecordPartitioner(kgo.ManualPartitioner())
	client := kafkaClient(t, k.Bootstrap(), partitions, kgo.ProducerBatchMaxBytes(large+512), kgo.ProducerBatchCompression(kgo.NoCompression()))
	null := &kgo.Record{Topic: "trips", Partition: 1, Timestamp: at}
	empty := &kgo.Record{Topic: "trips", Partition: 1, Key: []byte{}, Value: []byte{}, Timestamp: at}
	big := &kgo.Record{Topic: "trips", Partition: 2, Value: bytes.Repeat([]byte("x"), large), Timestamp: at}
	for _, r := range []*kgo.Record{first, null, empty, big} {
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	// Committed, aborted, and open at the end.
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		producer := kafkaClient(t, k.Bootstrap(), partitions, kgo.TransactionalID("t"+strconv.Itoa(i)))
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for p := range 2 {
			r := &kgo.Record{Topic: "trips", Partition: int32(p), Value: fmt.Appendf(nil, "of %d", i), Timestamp: at}
			if err := producer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := producer.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	open := kafkaClient(t, k.Bootstrap(), partitions, kgo.TransactionalID("open"))
	if err := open.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := open.ProduceSync(t.Context(), &kgo.Record{Topic: "trips", Value: []byte("open")}).FirstErr(); err != nil {
		t.Fatal(err)
	}

	records := consume(t, k, "trips")
	if len(records) != 6 {
		t.Fatalf("%d records instead of 6: %.500v", len(records), records)
	}
	byPlace := make(map[string]KafkaRecord)
	for _, r := range records {
		byPlace[fmt.Sprint(r.Partition, r.Offset)] = r
		if r.Timestamp != at.UnixMilli() {
			t.Errorf("timestamp %d", r.Timestamp)
		}
	}
	if got := byPlace["1 0"]; !bytes.Equal(got.Key, first.Key) || !bytes.Equal(got.Value, first.Value) || len(got.Headers) != 3 ||
		string(got.Headers[0].Value) != "1:,\n" || got.Headers[1].Key != "b" || got.Headers[1].Value != nil || got.Headers[2].Value == nil {
		t.Errorf("the first record is %+v", got)
	}
	if got := byPlace["1 1"]; got.Key != nil || got.Value != nil || got.Headers != nil {
		t.Errorf("the null record is %+v", got)
	}
	if got := byPlace["1 2"]; got.Key == nil || got.Value == nil {
		t.Errorf("the empty record is %+v", got)
	}
	if got := byPlace["2 0"]; len(got.Value) != large {
		t.Errorf("the large record has %d bytes", len(got.Value))
	}
	if a, b := string(byPlace["0 0"].Value), string(byPlace["1 3"].Value); a != "of 0" || b != "of 0" {
		t.Errorf("the transaction's records are %q and %q", a, b)
	}
	if records := consume(t, k, "nothing"); len(records) != 0 {
		t.Errorf("%d records of a topic without any", len(records))
	}
	if _, err := k.Consume(t.Context(), "missing"); err == nil || !strings.Contains(err.Error(), "consume missing") {
		t.Errorf("error %v for a topic that is not there", err)
	}
	if err := put(t.Context(), client, "missing", "x"); err == nil {
		t.Error("a topic was made by use")
	}
}

func TestKafkaKeepsRecordsOverKillsOfBrokers(t *testing.T) {
	k := StartKafka(t, KafkaOptions{Brokers: 3})
	makeTopic(t, k, "trips", 3)
	before := k.Bootstrap()
	client := kafkaClient(t, before)
	var want []string
	next := func() {
		t.Helper()
		value := strconv.Itoa(len(want))
		if err := put(t.Context(), client, "trips", value); err != nil {
			t.Fatal(err)
		}
		want = append(want, value)
	}
	next()
	if err := k.Kill(1); err != nil {
		t.Fatal(err)
	}
	next() // two of three are in sync
	if err := k.Start(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := k.Start(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "running") {
		t.Errorf("error %v for the start of a running broker", err)
	}
	for i := range 3 {
		if err := k.Kill(i); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.AwaitReady(t.Context()); err == nil {
		t.Error("a cluster without brokers is ready")
	}
	if err := k.Start(t.Context(), 0, 1, 2); err != nil {
		t.Fatal(err)
	}
	next()
	slices.Sort(want)
	if got := values(consume(t, k, "trips")); !slices.Equal(got, want) {
		t.Errorf("records %q, put %q", got, want)
	}
	if after := k.Bootstrap(); !slices.Equal(after, before) {
		t.Errorf("addresses %q after the restarts, %q before", after, before)
	}
	for _, call := range []func(int) error{k.Kill, k.Pause, k.Resume, func(i int) error { return k.Start(t.Context(), i) }} {
		if err := call(3); err == nil || !strings.Contains(err.Error(), "there are 3") {
			t.Errorf("error %v for a fourth broker", err)
		}
	}
}

func TestPausedBrokerDoesNotAnswer(t *testing.T) {
	k := StartKafka(t, KafkaOptions{})
	makeTopic(t, k, "trips", 1)
	client := kafkaClient(t, k.Bootstrap())
	if err := put(t.Context(), client, "trips", "1"); err != nil {
		t.Fatal(err)
	}
	if err := k.Pause(0); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- put(t.Context(), client, "trips", "2") }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := kafkaClient(t, k.Bootstrap()).Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v of a paused broker", err)
	}
	select {
	case err := <-done:
		t.Errorf("the paused broker has taken a record, error %v", err)
	default:
	}
	if err := k.Resume(0); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := k.AwaitReady(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestKafkaKeepsItsDataForTheNextCluster(t *testing.T) {
	var k *KafkaCluster
	dir := t.TempDir()
	for run := range 2 {
		k = start(t, "a Kafka broker", func() (*KafkaCluster, func(), error) {
			k, err := RunKafka(t.Context(), dir, KafkaOptions{})
			if err != nil {
				return nil, nil, err
			}
			return k, k.close, nil
		})
		if run == 0 {
			makeTopic(t, k, "trips", 1)
		}
		if err := put(t.Context(), kafkaClient(t, k.Bootstrap()), "trips", strconv.Itoa(run)); err != nil {
			t.Fatal(err)
		}
		if run == 0 {
			k.Stop()
		}
	}
	if got := values(consume(t, k, "trips")); !slices.Equal(got, []string{"0", "1"}) {
		t.Errorf("records %q", got)
	}
}

func TestKafkaLetsInWhoMayComeIn(t *testing.T) {
	k := StartKafka(t, KafkaOptions{Security: &KafkaSecurity{
		ClientCertificate: true, Users: map[string]string{"alice": `a "secret" \ of hers`},
	}})
	makeTopic(t, k, "trips", 1)
	own, strangers := k.Certificates(), Certificates{}
	strangers, err := MakeCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	password := `a "secret" \ of hers`
	login := func(user, password string) map[string]sasl.Mechanism {
		return map[string]sasl.Mechanism{
			"PLAIN":         plain.Auth{User: user, Pass: password}.AsMechanism(),
			"SCRAM-SHA-256": scram.Auth{User: user, Pass: password}.AsSha256Mechanism(),
			"SCRAM-SHA-512": scram.Auth{User: user, Pass: password}.AsSha512Mechanism(),
		}
	}
	type attempt struct {
		protocol string
		options  []kgo.Opt
		in       bool
	}
	attempts := map[string]attempt{
		"certificate":                    {"SSL", []kgo.Opt{tlsOf(t, own.CAFile, &own)}, true},
		"no certificate":                 {"SSL", []kgo.Opt{tlsOf(t, own.CAFile, nil)}, false},
		"certificate of a stranger":      {"SSL", []kgo.Opt{tlsOf(t, own.CAFile, &strangers)}, false},
		"authority of a stranger":        {"SSL", []kgo.Opt{tlsOf(t, strangers.CAFile, &own)}, false},
		"no login":                       {"SASL_SSL", []kgo.Opt{tlsOf(t, own.CAFile, nil)}, false},
		"token":                          {"SASL_SSL", []kgo.Opt{tlsOf(t, own.CAFile, nil), kgo.SASL(oauth.Auth{Token: UnsignedToken("alice", time.Minute)}.AsMechanism())}, true},
		"token that has run out":         {"SASL_SSL", []kgo.Opt{tlsOf(t, own.CAFile, nil), kgo.SASL(oauth.Auth{Token: UnsignedToken("alice", -time.Minute)}.AsMechanism())}, false},
		"plaintext to a listener of TLS": {"SSL", nil, false},
	}
	for mechanism, m := range login("alice", password) {
		attempts[mechanism+" over TLS"] = attempt{"SASL_SSL", []kgo.Opt{tlsOf(t, own.CAFile, nil), kgo.SASL(m)}, true}
		attempts[mechanism] = attempt{"SASL_PLAINTEXT", []kgo.Opt{kgo.SASL(m)}, true}
	}
	for mechanism, m := range login("alice", "wrong") {
		attempts[mechanism+" with a wrong password"] = attempt{"SASL_SSL", []kgo.Opt{tlsOf(t, own.CAFile, nil), kgo.SASL(m)}, false}
	}
	for mechanism, m := range login("bob", password) {
		attempts[mechanism+" of nobody"] = attempt{"SASL_PLAINTEXT", []kgo.Opt{kgo.SASL(m)}, false}
	}
	for name, a := range attempts {
		t.Run(name, func(t *testing.T) {
			addresses := k.Addresses(a.protocol)
			if len(addresses) != 1 {
				t.Fatalf("addresses %q", addresses)
			}
			client := kafkaClient(t, addresses, append(a.options, kgo.RequestRetries(1), kgo.RecordRetries(1),
				kgo.RetryTimeout(5*time.Second), kgo.RecordDeliveryTimeout(20*time.Second))...)
			err := client.Ping(t.Context())
			if err == nil && a.in {
				err = put(t.Context(), client, "trips", name)
			}
			if (err == nil) != a.in {
				t.Errorf("error %v", err)
			}
		})
	}
	in := 0
	for _, a := range attempts {
		if a.in {
			in++
		}
	}
	if got := consume(t, k, "trips"); len(got) != in {
		t.Errorf("%d records of %d who came in", len(got), in)
	}
	if got := k.Addresses("GSSAPI"); got != nil {
		t.Errorf("addresses %q of no listener", got)
	}
}

// tlsOf is TLS that trusts an authority, and shows a client's certificate.
func tlsOf(t *testing.T, caFile string, c *Certificates) kgo.Opt {
	t.Helper()
	ca, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(ca) {
		t.Fatal("no certificate in the file")
	}
	if c != nil {
		cert, err := tls.LoadX509KeyPair(c.ClientCertFile, c.ClientKeyFile)
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return kgo.DialTLSConfig(config)
}

func TestKafkaThatCannotStartTellsWhy(t *testing.T) {
	if _, err := Kafka.Path(); err != nil {
		StartKafka(t, KafkaOptions{}) // skips or fails
	}
	for _, bad := range []struct {
		options KafkaOptions
		want    string
	}{
		{KafkaOptions{Settings: map[string]string{"num.io.threads": "none"}}, "num.io.threads"},
		{KafkaOptions{Brokers: -1}, "below 0"},
		{KafkaOptions{HeapMB: 1}, "has ended"},
	} {
		k, err := RunKafka(t.Context(), t.TempDir(), bad.options)
		if err == nil {
			k.close()
		}
		if err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("error %v, not %q", err, bad.want)
		}
	}
}

func TestConsoleFormRefusesWhatItDidNotAskFor(t *testing.T) {
	form := consoleForm{field: "|", record: ";", header: ",", null: "NULL"}
	good := "CreateTime:5|Partition:1|Offset:2|a:1,b:NULL|NULL|v"
	parse := func(text string) (records []KafkaRecord, err error) {
		err = form.parse(iotest.OneByteReader(strings.NewReader(text)), func(r *KafkaRecord) error {
			records = append(records, *r)
			return nil
		})
		return records, err
	}
	records, err := parse(good + ";" + good + ";")
	if err != nil || len(records) != 2 || records[1].Timestamp != 5 || records[1].Partition != 1 || records[1].Offset != 2 ||
		len(records[1].Headers) != 2 || records[1].Key != nil || string(records[1].Value) != "v" {
		t.Errorf("records %+v, error %v", records, err)
	}
	for _, bad := range []string{
		good, "CreateTime:5|Partition:1|Offset:2|NO_HEADERS|k;", good + "|w;",
		strings.Replace(good, "Partition:1", "Partition:x", 1) + ";", strings.Replace(good, "Partition:1", "Partition:3000000000", 1) + ";",
		strings.Replace(good, "Offset", "Delivery", 1) + ";", strings.Replace(good, "b:NULL", "b", 1) + ";",
	} {
		if records, err := parse(bad); err == nil {
			t.Errorf("%q is %+v", bad, records)
		}
	}
}
