package permissions_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
	"github.com/streaming-etl/streaming-etl/io/secret"
	"github.com/streaming-etl/streaming-etl/pipeline/permissions"
	"github.com/streaming-etl/streaming-etl/stack"
)

// A real broker's access rules: what it tells of them is what the report says.
func TestRealKafkaTellsWhichAccessRulesAreMissing(t *testing.T) {
	cluster := stack.StartKafka(t, stack.KafkaOptions{
		Security: &stack.KafkaSecurity{Users: map[string]string{"etl": "secret"}},
		Settings: map[string]string{"allow.everyone.if.no.acl.found": "false"},
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
	await(t, "with all rules", try, func(r permissions.Report) bool { return r.OK() })
	for name, r := range kafkaRules() {
		withdraw(t, client, r)
		await(t, "without "+name, try, func(r permissions.Report) bool { return outcomes(r)[name] == permissions.Refused })
		if _, err := admin.CreateACLs(t.Context(), rules(r)); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "with all rules", try, func(r permissions.Report) bool { return r.OK() })
}

// withdraw deletes a rule.
func withdraw(t *testing.T, client *kgo.Client, r rule) {
	t.Helper()
	who := "User:etl"
	f := kmsg.NewDeleteACLsRequestFilter()
	f.ResourceType, f.ResourceName, f.Principal, f.Operation, f.PermissionType = r.resource, &r.name, &who, r.operation, kmsg.ACLPermissionTypeAllow
	if f.ResourcePatternType = kmsg.ACLResourcePatternTypeLiteral; r.prefixed {
		f.ResourcePatternType = kmsg.ACLResourcePatternTypePrefixed
	}
	req := kmsg.NewPtrDeleteACLsRequest()
	req.Filters = append(req.Filters, f)
	resp, err := req.RequestWith(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(resp.Results[0].MatchingACLs); n != 1 {
		t.Fatalf("%d rules withdrawn for %+v, error %d", n, r, resp.Results[0].ErrorCode)
	}
}

// patience is how long a rule may take to be known.
const patience = 30 * time.Second

// await tries until it is so.
func await(t *testing.T, what string, try func() permissions.Report, so func(permissions.Report) bool) {
	t.Helper()
	late := time.After(patience)
	for {
		r := try()
		if so(r) {
			return
		}
		select {
		case <-late:
			t.Fatalf("%s: it did not come to be so:\n%s", what, text(t, r))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func TestRealElasticsearchWithoutSecurityIsWrittenToWithoutAChange(t *testing.T) {
	endpoint := stack.StartElasticsearch(t).Endpoint()
	r := permissions.Try(t.Context(), permissions.ElasticsearchSink("OutputElasticsearchEndpoint", permissions.ElasticsearchOptions{
		Client: elasticsearchio.Options{Endpoints: []string{endpoint}}, Indices: map[string][]string{"trips": {"index", "auto_configure"}},
	}))
	got := outcomes(r)
	if got["index index trips"] != permissions.Granted || got["auto_configure index trips"] != permissions.Untried || !r.OK() {
		t.Errorf("report:\n%s", text(t, r))
	}
	res, err := http.Head(endpoint + "/trips")
	if err != nil || res.Body.Close() != nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("the index that was not there: %v, error %v", res, err)
	}
}
