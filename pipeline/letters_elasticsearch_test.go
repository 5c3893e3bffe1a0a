package pipeline

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio/esfake"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
)

// The first payload looks like a date, of which a dynamic mapping makes one.
func TestDeadLettersOfAnyPayloadAreTakenByElasticsearch(t *testing.T) {
	payloads := []string{"2026-01-01", "{", "no JSON", "2026/01/01", "\xff\xfe"}
	for name, prepare := range map[string]func(t *testing.T, es *esfake.Server){
		"an index that the job makes": func(*testing.T, *esfake.Server) {},
		"one that it may not make": func(_ *testing.T, es *esfake.Server) {
			es.OnRequest(func(r esfake.Request) *esfake.Fault {
				if r.Method != http.MethodPut {
					return nil
				}
				return &esfake.Fault{Status: http.StatusForbidden, Body: `{"error":{"type":"security_exception","reason":"action [indices:admin/create] is unauthorized"},"status":403}`}
			})
		},
		"one that took dates before": func(t *testing.T, es *esfake.Server) {
			res, err := http.Post(es.URL+"/letters/_doc/1", "application/json", strings.NewReader(`{"reason":"r","source":"s","shard":"0","sequence_number":"0","arrival_time":"2026-01-01T00:00:00.000Z","payload":"2026-01-01"}`))
			if err != nil || res.Body.Close() != nil || res.StatusCode != http.StatusCreated {
				t.Fatalf("%v, error %v", res, err)
			}
		},
		"one that may be written, and not asked for": func(t *testing.T, es *esfake.Server) {
			put(t, es.URL+"/letters", letterMapping)
			put(t, es.URL+"/letters/_settings", `{"index.blocks.metadata":true}`)
		},
		"one that is made while the cluster is busy": func(_ *testing.T, es *esfake.Server) {
			var tries atomic.Int64
			es.OnRequest(func(r esfake.Request) *esfake.Fault {
				if r.Method != http.MethodPut || tries.Add(1) > 3 {
					return nil
				}
				return &esfake.Fault{Status: http.StatusServiceUnavailable, Body: `{"error":{"type":"master_not_discovered_exception","reason":null},"status":503}`}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			es := startSearch(t, esfake.Options{})
			prepare(t, es)
			k := newKafka(t, "trips:1")
			want := map[string]string{}
			var messages []*kgo.Record
			for i, p := range payloads {
				messages = append(messages, &kgo.Record{Topic: "trips", Value: []byte(p)})
				want[fmt.Sprintf("trips/0/%d/0/", i)] = p
			}
			k.put(t.Context(), t, messages...)
			c := configure(t,
				"--InputKafkaBootstrapServers="+k.brokers, "--InputKafkaTopic=trips", "--InputKafkaInitialPosition=EARLIEST", "--InputKafkaStopAtEnd",
				"--OutputElasticsearchEndpoint="+es.URL, "--ElasticsearchIndex=trips", "--ElasticsearchDeadLetterIndex=letters")
			c.Elasticsearch.Client.MaxActions = 1 // each in a request of its own, in their order
			c.Elasticsearch.Client.Concurrency = 1
			c.Elasticsearch.Client.RetryBackoff, c.Elasticsearch.Client.RetryBackoffMax = time.Millisecond, 10*time.Millisecond
			sum, err := runDirect(t.Context(), t, c, DirectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if n := sum.Progress.DeadLetters; n != int64(len(payloads)) {
				t.Errorf("%d dead letters", n)
			}
			got := map[string]string{}
			for id, d := range es.Documents("letters") {
				l, err := deadletter.Parse(d.Source)
				if err != nil {
					t.Fatal(err)
				}
				if id != "1" {
					got[id] = string(l.Payload)
				}
			}
			if !maps.Equal(got, want) {
				t.Errorf("letters %q, want %q", got, want)
			}
		})
	}
}

// put makes a call of the cluster that has to succeed.
func put(t *testing.T, url, body string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.Body.Close() != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("PUT %s: %v, error %v", url, res, err)
	}
}

// A payload that is put again in another form may be too large then.
func TestADeadLetterIsShortenedInEitherForm(t *testing.T) {
	const limit = 64 << 10
	es := startSearch(t, esfake.Options{MaxBodyBytes: limit})
	res, err := http.Post(es.URL+"/letters/_doc/1", "application/json", strings.NewReader(`{"payload":"2026-01-01"}`))
	if err != nil || res.Body.Close() != nil {
		t.Fatal(err)
	}
	k := newKafka(t, "trips:1")
	const fits = limit * 9 / 10 // as text, and not in base64
	whole := map[string]string{"trips/0/0/0/": strings.Repeat("x", 3*limit), "trips/0/1/0/": strings.Repeat("x", fits)}
	k.put(t.Context(), t, &kgo.Record{Topic: "trips", Value: []byte(whole["trips/0/0/0/"])}, &kgo.Record{Topic: "trips", Value: []byte(whole["trips/0/1/0/"])})
	sum, err := runDirect(t.Context(), t, configure(t,
		"--InputKafkaBootstrapServers="+k.brokers, "--InputKafkaTopic=trips", "--InputKafkaInitialPosition=EARLIEST", "--InputKafkaStopAtEnd",
		"--OutputElasticsearchEndpoint="+es.URL, "--ElasticsearchIndex=trips", "--ElasticsearchDeadLetterIndex=letters"), DirectOptions{})
	if err != nil || sum.Progress.DeadLetters != 2 {
		t.Fatal(sum.Progress, err)
	}
	found := es.Documents("letters")
	for id, all := range whole {
		l, err := deadletter.Parse(found[id].Source)
		if err != nil {
			t.Fatal(err)
		}
		if len(l.Payload) == 0 || !strings.HasPrefix(all, string(l.Payload)) || !l.Cut() {
			t.Errorf("%s: %d bytes of payload, %q", id, len(l.Payload), l.Detail)
		}
	}
}

func TestAllOfALetterIsMapped(t *testing.T) {
	var mapping struct {
		Mappings struct {
			Properties map[string]struct{ Type string }
		}
	}
	if err := json.Unmarshal([]byte(letterMapping), &mapping); err != nil {
		t.Fatal(err)
	}
	unmet := maps.Clone(mapping.Mappings.Properties)
	for _, payload := range []string{"text", "\xff"} {
		l := deadletter.Letter{Payload: []byte(payload)}
		var members map[string]any
		if err := json.Unmarshal(l.AppendJSON(nil), &members); err != nil {
			t.Fatal(err)
		}
		for name := range members {
			if mapping.Mappings.Properties[name].Type == "" {
				t.Errorf("%s has no type", name)
			}
			delete(unmet, name)
		}
	}
	if len(unmet) > 0 {
		t.Errorf("no letter has %v", unmet)
	}
}

// The privilege is asked for, though a job works without it: what a letter is
// put in then cannot be searched.
func TestThePrivilegesForLettersAreAskedFor(t *testing.T) {
	c := configure(t, "--InputGeneratedRecords=1", "--OutputElasticsearchEndpoint=http://search.example.com", "--ElasticsearchIndex=trips", "--ElasticsearchDeadLetterIndex=letters")
	want := map[string][]string{"trips": {"index", "auto_configure"}, "letters": {"index", "auto_configure", "create_index"}}
	if got := c.Elasticsearch.permissions().Indices; !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("privileges %v, want %v", got, want)
	}
}
