package pipeline

import (
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/internal/tlsfront"
	"github.com/streaming-etl/streaming-etl/io/elasticsearchio/esfake"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

// startSearch starts a cluster in the process.
func startSearch(t *testing.T, o esfake.Options) *esfake.Server {
	t.Helper()
	es, err := esfake.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(es.Close)
	return es
}

func TestDocumentsGoToAClusterWithACertificateOfAnAuthorityOfItsOwn(t *testing.T) {
	es := startSearch(t, esfake.Options{})
	front, authority := tlsfront.Start(t, es.URL)
	flags := []string{"--InputGeneratedRecords=100", "--OutputElasticsearchEndpoint=" + front, "--ElasticsearchIndex=trips", "--ElasticsearchDocumentId="}
	if err := checked(t, configure(t, flags...)); err == nil || !strings.Contains(err.Error(), "certificate authority's file") {
		t.Errorf("without the file: %v", err)
	}
	sum, err := runUntil(t, configure(t, append(flags, "--ElasticsearchCaFile="+authority)...), already(100))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(es.Documents("trips")); n != 100 || sum.Progress.Delivered != 100 {
		t.Errorf("%d documents, %d delivered", n, sum.Progress.Delivered)
	}
}

func TestRequestsAreSignedForTheServiceThatAPropertyNames(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
	for service, scope := range map[string]string{"AUTO": "/eu-west-1/es/aws4_request", "ES": "/eu-west-1/es/aws4_request", "AOSS": "/eu-west-1/aoss/aws4_request"} {
		t.Run(service, func(t *testing.T) {
			var signed atomic.Bool
			es := startSearch(t, esfake.Options{Authorize: func(r *http.Request, _ []byte) (int, string) {
				if !strings.Contains(r.Header.Get("Authorization"), scope) {
					return http.StatusForbidden, r.Header.Get("Authorization")
				}
				signed.Store(true)
				return 0, ""
			}})
			err := checked(t, configure(t, "--InputGeneratedRecords=1", "--OutputElasticsearchEndpoint="+es.URL, "--ElasticsearchAuth=SIGV4",
				"--ElasticsearchSigningService="+service, "--Region=eu-west-1"))
			if err != nil || !signed.Load() {
				t.Errorf("signed: %t, %v", signed.Load(), err)
			}
		})
	}
}

func TestMistakesOfTheElasticsearchSinkAreTold(t *testing.T) {
	for name, test := range map[string]struct {
		flags []string
		says  string
	}{
		"a service without a signature": {[]string{"--OutputElasticsearchEndpoint=https://search.example.com", "--ElasticsearchSigningService=AOSS"}, "the signing service aoss goes with SIGV4, not with NONE"},
		"another service than the name's": {[]string{"--OutputElasticsearchEndpoint=https://x1.eu-west-1.aoss.amazonaws.com", "--ElasticsearchSigningService=ES"},
			"the signing service is es, and the endpoint is one of aoss"},
		"a pipeline of updates": {[]string{"--OutputElasticsearchEndpoint=http://search.example.com", "--ElasticsearchPipeline=clean", "--ElasticsearchOperation=update"},
			"requires ElasticsearchOperation=index or create"},
		"an authority without TLS": {[]string{"--OutputElasticsearchEndpoint=http://search.example.com", "--ElasticsearchCaFile=/ca.pem"}, "a certificate authority goes with https"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := property.Load(property.Sources{Args: append(test.flags, "--InputGeneratedRecords=1")})
			if err != nil {
				t.Fatal(err)
			}
			if _, err = FromProperties(p, false); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v does not say %q", err, test.says)
			}
		})
	}
}

// A proxy before the cluster takes less than the cluster, and less than an
// event may have: its dead letter is as large as it is.
func TestADeadLetterThatIsTooLargeForElasticsearchIsStoredShortened(t *testing.T) {
	const limit = 64 << 10
	es := startSearch(t, esfake.Options{MaxBodyBytes: limit})
	lines := sampleTrips(t, 2)
	large := strings.Replace(lines[1], `"type"`, `"padding":"`+strings.Repeat("x", 5*limit)+`","type"`, 1)
	k := newKafka(t, "trips:1")
	k.put(t.Context(), t, append(tripMessages("trips", lines[:1]),
		&kgo.Record{Topic: "trips", Value: []byte(large)},
		&kgo.Record{Topic: "trips", Value: []byte(strings.Repeat("no JSON", limit))},
		&kgo.Record{Topic: "trips", Value: []byte("{")})...)
	sum, err := runDirect(t.Context(), t, configure(t,
		"--InputKafkaBootstrapServers="+k.brokers, "--InputKafkaTopic=trips", "--InputKafkaInitialPosition=EARLIEST", "--InputKafkaStopAtEnd",
		"--OutputElasticsearchEndpoint="+es.URL, "--ElasticsearchIndex=trips", "--ElasticsearchDeadLetterIndex=letters"), DirectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if p := sum.Progress; p.Delivered != 1 || p.DeadLetters != 3 {
		t.Errorf("%d delivered, %d dead letters; want 1 and 3", p.Delivered, p.DeadLetters)
	}
	whole := map[string]string{"elasticsearch too_large": large, " malformed_json": strings.Repeat("no JSON", limit)}
	cut := 0
	for _, d := range es.Documents("letters") {
		l, err := deadletter.Parse(d.Source)
		if err != nil {
			t.Fatal(err)
		}
		if string(l.Payload) == "{" {
			continue
		}
		cut++
		if all := whole[l.Output+" "+l.Reason]; len(l.Payload) == 0 || !strings.HasPrefix(all, string(l.Payload)) || !l.Cut() {
			t.Errorf("%s %s: %d bytes of payload, %q", l.Output, l.Reason, len(l.Payload), l.Detail)
		}
	}
	if cut != 2 || len(es.Documents("letters")) != 3 {
		t.Errorf("%d letters, %d of them shortened; want 3 and 2", len(es.Documents("letters")), cut)
	}
}

func TestVersionsAreWholeNumbersFromZero(t *testing.T) {
	es := startSearch(t, esfake.Options{})
	line := sampleTrips(t, 1)[0]
	passengers := regexp.MustCompile(`"passenger_count":\d+`)
	var messages []*kgo.Record
	for _, n := range []string{"0", "7", "-1"} {
		messages = append(messages, &kgo.Record{Topic: "trips", Value: []byte(passengers.ReplaceAllString(line, `"passenger_count":`+n))})
	}
	k := newKafka(t, "trips:1")
	k.put(t.Context(), t, messages...)
	sum, err := runDirect(t.Context(), t, configure(t,
		"--InputKafkaBootstrapServers="+k.brokers, "--InputKafkaTopic=trips", "--InputKafkaInitialPosition=EARLIEST", "--InputKafkaStopAtEnd",
		"--OutputElasticsearchEndpoint="+es.URL, "--ElasticsearchIndex=trips", "--ElasticsearchDocumentId=", "--ElasticsearchVersion={passenger_count}"), DirectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for id, d := range es.Documents("trips") {
		got[id] = d.Version
	}
	if want := map[string]int64{"trips/0/0": 0, "trips/0/1": 7}; !maps.Equal(got, want) || sum.Reasons["invalid_version"] != 1 {
		t.Errorf("versions %v, want %v; dead letters %v", got, want, sum.Reasons)
	}
}

// One index of many is closed for writing, as those of past days are.
func TestAnEventOfAReadOnlyIndexHoldsNothingBack(t *testing.T) {
	es := startSearch(t, esfake.Options{})
	put(t, es.URL+"/trips-7", "")
	put(t, es.URL+"/trips-7/_settings", `{"index.blocks.write":true}`)
	passengers := regexp.MustCompile(`"passenger_count":\d+`)
	var messages []*kgo.Record
	for i, line := range sampleTrips(t, 20) {
		n := `"passenger_count":1`
		if i%10 == 3 {
			n = `"passenger_count":7`
		}
		messages = append(messages, &kgo.Record{Topic: "trips", Value: []byte(passengers.ReplaceAllString(line, n))})
	}
	k := newKafka(t, "trips:1")
	k.put(t.Context(), t, messages...)
	c := configure(t,
		"--InputKafkaBootstrapServers="+k.brokers, "--InputKafkaTopic=trips", "--InputKafkaInitialPosition=EARLIEST", "--InputKafkaStopAtEnd",
		"--OutputElasticsearchEndpoint="+es.URL, "--ElasticsearchIndex=trips-{passenger_count}", "--ElasticsearchDocumentId=")
	c.Elasticsearch.Client.ItemDeadline = time.Nanosecond
	sum, err := runDirect(t.Context(), t, c, DirectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if p := sum.Progress; p.Delivered != 18 || sum.Reasons["index_blocked"] != 2 || len(es.Documents("trips-1")) != 18 {
		t.Errorf("%d delivered, %d documents, dead letters %v", p.Delivered, len(es.Documents("trips-1")), sum.Reasons)
	}
}

func TestWhatChoosesAnIndexIsTold(t *testing.T) {
	for index, varies := range map[string]bool{
		"trips": false, "trips-{job_start}": false, "trips-{trip_id}": true, "trips-{kafka.topic}": true, "{kafka.header.day}": true,
		"trips-{kafka.timestamp:2006.01}": true, "trips-{job_start}-{pickup_datetime:2006}": true,
	} {
		d, err := newDocuments(ElasticsearchSink{Index: index}, event.TaxiTrip(), route.Kafka)
		if err != nil {
			t.Fatal(err)
		}
		if d.varies != varies {
			t.Errorf("%s: %v, want %v", index, d.varies, varies)
		}
	}
}
