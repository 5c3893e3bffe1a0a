package permissions_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
	"github.com/streaming-etl/streaming-etl/io/secret"
	"github.com/streaming-etl/streaming-etl/pipeline/permissions"
	"github.com/streaming-etl/streaming-etl/stack"
)

// A real broker's access rules: what it tells of them is what the report says.
func TestRealKafkaTellsWhichAccessRulesAreMissing(t *testing.T) {
	cluster := stack.StartKafka(t, stack.KafkaOptions{
		Security: &stack.KafkaSecurity{Users: map[string]string{"etl": "secret"}},
		Settings: map[string]string{
			"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users": "User:ANONYMOUS",
		},
	})
	for _, topic := range []string{"trips", "clean", "markers"} {
		if err := cluster.MakeTopic(t.Context(), topic, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Bootstrap()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	rules := func(r rule) *kadm.ACLBuilder {
		b := kadm.NewACLs().Allow("User:etl").AllowHosts().Operations(r.operation).ResourcePatternType(kadm.ACLPatternLiteral)
		if r.prefixed {
			b.ResourcePatternType(kadm.ACLPatternPrefixed)
		}
		switch r.resource {
		case kmsg.ACLResourceTypeTopic:
			b.Topics(r.name)
		case kmsg.ACLResourceTypeGroup:
			b.Groups(r.name)
		case kmsg.ACLResourceTypeTransactionalId:
			b.TransactionalIDs(r.name)
		}
		return b
	}
	for _, r := range kafkaRules() {
		made, err := admin.CreateACLs(t.Context(), rules(r))
		if err != nil || made[0].Err != nil {
			t.Fatal(err, made)
		}
	}
	t.Setenv("KAFKA_PASSWORD", "secret")
	login := security.Config{Protocol: security.SASLPlaintext, Mechanism: security.Plain, Username: "etl", Password: secret.Secret{Env: "KAFKA_PASSWORD"}}
	try := func() permissions.Report {
		return kafkaTried(t, cluster.Addresses(security.SASLPlaintext), login)
	}
	// Rules are known to all brokers a moment after they are made.
	await(t, func() bool { r := try(); return r.OK() })
	for name, r := range kafkaRules() {
		if _, err := admin.DeleteACLs(t.Context(), rules(r)); err != nil {
			t.Fatal(err)
		}
		await(t, func() bool { return outcomes(try())[name] == permissions.Refused })
		if _, err := admin.CreateACLs(t.Context(), rules(r)); err != nil {
			t.Fatal(err)
		}
	}
	await(t, func() bool { r := try(); return r.OK() })
}

// await asks until it is so.
func await(t *testing.T, so func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-t.Context().Done():
			t.Fatal("it did not come to be so")
		case <-tick.C:
		}
	}
}
