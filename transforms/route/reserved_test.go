package route_test

import (
	"fmt"
	"testing"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

func TestEventsDoNotNameTheFoldersOfDeadLetters(t *testing.T) {
	for _, test := range []struct {
		path, place string
		refused     bool
	}{
		{"a/{place}", "dead-letters", true}, // Reserved
		{"a/{place}/x", "dead-letters", true},
		{"a/dead-{place}", "letters", true},
		{"a/{place}", "dead-letters-too", false},
		{"b/{place}", "dead-letters", false},
		{"{place}", "dead-letters", true},
		{"{place}/x", "dead-letters-resent", true},
		{"dead-{place}/x", "letters", true},
		{"{place}/x", "dead-letters/claimed", false}, // the slash is escaped
		{"{place}/x", "dead", false},
		{"place={place}", "dead-letters", false},
		{"events/{place}", "dead-letters", false},
		{"dead-letters/{place}", "a", false}, // the user's choice
	} {
		r, s := newRouter(t, route.Config{Path: test.path, Reserved: []string{"a/dead-letters"}}), &sink{t: t}
		b := &batch.Batch{Source: "stream", Shard: "shardId-7", JobStart: 5, Seqs: []string{"41"}}
		b.Append(fmt.Appendf(nil, `{"id":1,"place":%q}`, test.place), 0, 0, 1)
		counts := r.Add(b, s.emit)
		if got := counts.Dead["reserved_path"] == 1; got != test.refused || counts.Rows == 1 == test.refused {
			t.Errorf("%s of %s: %+v", test.path, test.place, counts)
		}
	}
}

func TestEventsDoNotNameTopicsOfTheJobOrTheBrokers(t *testing.T) {
	for _, test := range []struct {
		topic, place string
		refused      bool
	}{
		{"{place}", "etl-markers", true},
		{"{place}", "__transaction_state", true},
		{"etl-{place}", "markers", true},
		{"{place}", "trips", false},
		{"to-{place}", "__x", false},
		{"etl-markers", "any", false}, // the user's choice
	} {
		l, _ := newLanes(t, route.LanesConfig{Topic: test.topic, Lanes: 1, MaxMessageBytes: 1000, Reserved: []string{"etl-markers"}})
		r, err := route.New(route.Config{Schema: schema, Source: route.Kafka}, l)
		if err != nil {
			t.Fatal(err)
		}
		b := kafkaBatch()
		b.AppendMeta(fmt.Appendf(nil, `{"id":1,"place":%q}`, test.place), &batch.Meta{}, 0, 0, 0)
		counts := r.Add(b, func(string, []byte) {})
		if got := counts.Dead["invalid_topic"] == 1; got != test.refused || counts.Events == 1 == test.refused {
			t.Errorf("%s of %s: %+v", test.topic, test.place, counts)
		}
	}
}

func TestEventsDoNotNameTopicsThatTheJobReads(t *testing.T) {
	for _, test := range []struct {
		topic, read, place string
		refused            bool
	}{
		{"{place}", "trips-.*", "trips-a", true},
		{"trips-{place}", "trips-.*|x", "a", true},
		{"{place}", "trips-.*", "trips", false},
		{"{place}", "trips", "my-trips", false}, // whole names
		{"{place}", "", "trips", false},
	} {
		l, _ := newLanes(t, route.LanesConfig{Topic: test.topic, Lanes: 1, MaxMessageBytes: 1000, Read: test.read})
		r, err := route.New(route.Config{Schema: schema, Source: route.Kafka}, l)
		if err != nil {
			t.Fatal(err)
		}
		b := kafkaBatch()
		for i := range uint32(2) { // the second time it is known
			b.AppendMeta(fmt.Appendf(nil, `{"id":1,"place":%q}`, test.place), &batch.Meta{}, i, 0, 0)
		}
		counts := r.Add(b, func(string, []byte) {})
		if got := counts.Dead["invalid_topic"] == 2; got != test.refused || counts.Events == 2 == test.refused {
			t.Errorf("%s of %s, where %s is read: %+v", test.topic, test.place, test.read, counts)
		}
	}
}
