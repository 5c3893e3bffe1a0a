//go:build linux

package faults

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

// toIndices has the job write a document of each trip to indices by type and month.
func (r *run) toIndices(t *testing.T, p poison) {
	t.Helper()
	prefix := strings.ToLower(topicName(t, ""))
	template := filepath.Join(t.TempDir(), "templates.json")
	if err := os.WriteFile(template, []byte(poisonTemplate(prefix+"*")), 0o644); err != nil {
		t.Fatal(err)
	}
	r.sinks = append(r.sinks, "--OutputElasticsearchEndpoint="+r.lab.theElasticsearch(t).Endpoint(),
		"--ElasticsearchIndex="+prefix+indexTemplate, "--ElasticsearchDocumentId="+idTemplate,
		"--ElasticsearchIndexTemplate="+template, "--ElasticsearchDeadLetterIndex=letters-"+prefix+"all")
	r.outlets = append(r.outlets, startDocumentWatch(t, r, prefix+"*", p))
}

// TestTopicToIndicesWithKills sends trips of which some can be no documents.
func TestTopicToIndicesWithKills(t *testing.T) {
	random := randomness(t)
	r := &run{lab: theLab(t)}
	p := badDocuments
	r.fromTopic(t, p)
	r.toIndices(t, p)
	r.cancelAtEnd(t)
	r.submit(t, r.lab.jar, taskManagers, "")
	r.steady(t)
	for range rounds(t) {
		time.Sleep(within(random, spread))
		r.killWorker(t, random)
		time.Sleep(within(random, spread))
		r.killElasticsearch(t)
		time.Sleep(within(random, spread))
		r.killTaskManager(t, random)
	}
	r.finish(t)
	r.checkLetters(t, p)
}

// TestUpdatesToAnIndexWithKills has many trips for each document.
func TestUpdatesToAnIndexWithKills(t *testing.T) {
	forMoreThan(t, 1) // another test has kills of a job that writes documents
	random := randomness(t)
	r := &run{lab: theLab(t)}
	r.fromTopic(t, poison{})
	name := strings.ToLower(topicName(t, "last"))
	r.sinks = append(r.sinks, "--OutputElasticsearchEndpoint="+r.lab.theElasticsearch(t).Endpoint(),
		"--ElasticsearchIndex="+name, "--ElasticsearchDocumentId="+keyTemplate, "--ElasticsearchVersion=position")
	r.outlets = append(r.outlets, startUpdateWatch(t, r, name))
	r.cancelAtEnd(t)
	r.submit(t, r.lab.jar, taskManagers, "")
	r.steady(t)
	for range rounds(t) {
		time.Sleep(within(random, spread))
		r.killWorker(t, random)
	}
	r.finish(t)
}

// TestStreamToAllSinksWithKills has each sink get what the others get.
func TestStreamToAllSinksWithKills(t *testing.T) {
	random := randomness(t)
	l := theLab(t)
	fake, err := kinesisfake.New(kinesisfake.SeedStream(streamName, shards), kinesisfake.SeedStream(copiesName, shards))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fake.Close() })
	r := &run{lab: l, fake: fake}
	r.fromStream(fake.URL())
	r.feed = startFeed(t, newStreamSender(t, l.trips, fake.URL()), number(t, rateVariable, defaultKafkaRate))
	r.toBucket(t)
	r.toTopics(t)
	r.topics.origin = fromStream
	r.toIndices(t, poison{})
	r.sinks = append(r.sinks, "--OutputKinesisStream="+copiesName, "--OutputStreamEndpoint="+fake.URL(), "--OutputKinesisPartitionKey="+keyTemplate,
		"--OutputKinesisAggregation=true")
	copies := startStreamWatch(t, r, "")
	r.outlets = append(r.outlets, copies)
	r.cancelAtEnd(t)
	r.submit(t, l.jar, taskManagers*slotsEach, "")
	r.steady(t)
	for range rounds(t) {
		time.Sleep(within(random, spread))
		copies.underWay(t, r, func() { r.killWorker(t, random) })
		time.Sleep(within(random, spread))
		copies.underWay(t, r, func() { r.killTaskManager(t, random) })
	}
	r.finish(t)
	if copies.aggregates == 0 {
		t.Error("nothing in the stream is aggregated")
	}
}

// killElasticsearch kills the node and starts it again.
func (r *run) killElasticsearch(t *testing.T) {
	t.Helper()
	before := r.status(t).Restarts
	next := r.damage()
	node := r.lab.theElasticsearch(t)
	node.Kill()
	if err := node.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	away := time.Since(r.damaged)
	r.recovered(t, "kill -9 of Elasticsearch, which was away for "+seconds(away), next)
	t.Logf("%d restarts of the job for it", r.status(t).Restarts-before)
}

// checkLetters checks that each trip that is poison is a dead letter, once, with its reason.
func (r *run) checkLetters(t *testing.T, p poison) {
	t.Helper()
	x := index{r.lab.theElasticsearch(t).Endpoint(), "letters-" + strings.ToLower(topicName(t, "all"))}
	docs, err := x.all(t.Context(), "arrival_time")
	if err != nil {
		t.Fatal(err)
	}
	v := &letterVerdict{trips: r.lab.trips, sent: r.feed.sent.Load(), poison: p}
	for _, d := range docs {
		v.check(d.Source)
	}
	v.report(t)
}
