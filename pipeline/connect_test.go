package pipeline

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Who writes exactly once reads the topic too, to see what brokers have left open.
func TestOutputTopicsAreReadWhereTransactionsAreWritten(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "trips", "clean", "letters"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	brokers := strings.Join(cluster.ListenAddrs(), ",")
	for delivery, want := range map[string]bool{"EXACTLY_ONCE": true, "AT_LEAST_ONCE": false} {
		c := configure(t, "--InputKafkaBootstrapServers="+brokers, "--InputKafkaTopic=trips", "--OutputKafkaBootstrapServers="+brokers,
			"--OutputKafkaTopic=clean", "--OutputKafkaDeadLetterTopic=letters", "--OutputKafkaDelivery="+delivery)
		tried := map[string]bool{}
		r := Connect(t.Context(), c)
		for _, p := range r.Permissions {
			if p.Property == "OutputKafkaTopic" {
				tried[p.Action+" "+p.Resource] = true
			}
		}
		for _, topic := range []string{"clean", "letters"} {
			if !tried["WRITE topic "+topic] || !tried["DESCRIBE_CONFIGS topic "+topic] || tried["READ topic "+topic] != want {
				t.Errorf("%s: of topic %s is tried %v", delivery, topic, tried)
			}
		}
	}
}
