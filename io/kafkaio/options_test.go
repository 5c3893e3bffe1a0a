package kafkaio

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
	"github.com/streaming-etl/streaming-etl/io/secret"
	"github.com/streaming-etl/streaming-etl/io/slots"
)

func TestOptionsTellAllTheirFaults(t *testing.T) {
	o := Options{
		Brokers: []string{"kafka", "kafka:http", ":9092", "kafka:0"}, Topic: "a b", InitialPosition: GroupOffsets, GroupFallback: Timestamp,
		InitialTimestamp: time.Now(), OffsetReset: "SKIP", BufferBytes: -1, FetchBytes: -2, PartitionFetchBytes: -3,
		DiscoveryInterval: -1, MaxWait: -1, RetryDeadline: -1, RetryBackoff: -1, RetryBackoffMax: -1,
		Security: security.Config{Protocol: "TLS"},
	}
	err := o.Validate()
	for _, want := range []string{
		`"kafka"`, `"kafka:http"`, `":9092"`, `"kafka:0"`, `"a b"`, "needs a group id", "an initial timestamp needs", `fallback "TIMESTAMP"`, `"SKIP"`,
		"buffer of -1", "fetch of -2", "partition of -3", "discovery interval", "longest wait", "retry deadline", "retry backoff", "highest retry backoff", `"TLS"`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %s in %v", want, err)
		}
	}
	for name, o := range map[string]Options{
		"nothing":             {},
		"no topic":            {Brokers: []string{"k:9092"}},
		"unknown position":    {Brokers: []string{"k:9092"}, Topic: "t", InitialPosition: "BEGIN"},
		"no timestamp":        {Brokers: []string{"k:9092"}, Topic: "t", InitialPosition: Timestamp},
		"a fallback of none":  {Brokers: []string{"k:9092"}, Topic: "t", GroupFallback: Latest},
		"a wait too long":     {Brokers: []string{"k:9092"}, Topic: "t", MaxWait: time.Hour},
		"a topic twice":       {Brokers: []string{"k:9092"}, Topic: "t,u,t"},
		"an empty topic":      {Brokers: []string{"k:9092"}, Topic: "t,,u"},
		"a dot":               {Brokers: []string{"k:9092"}, Topic: ".."},
		"no expression":       {Brokers: []string{"k:9092"}, Topic: "regex:"},
		"a broken expression": {Brokers: []string{"k:9092"}, Topic: "regex:("},
	} {
		if o.Validate() == nil {
			t.Errorf("%s was taken", name)
		}
	}
	good := Options{Brokers: []string{"k:9092", "[::1]:9093"}, Topic: "t, u.v_w-x"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}

func TestOptionsTravelAsJSON(t *testing.T) {
	in := Options{
		Brokers: []string{"k:9092"}, Topic: "regex:a.*", Exclude: []string{"ab"}, GroupID: "g", InitialPosition: Timestamp, GroupFallback: Latest,
		InitialTimestamp: time.UnixMilli(1514768400123).UTC(), OffsetReset: ResetLatest, Ends: &Ends{At: 1514768400123, Topics: map[string]TopicEnds{"t": {ID: [16]byte{1}, Offsets: map[int32]int64{3: 1 << 40}}}}, ReadUncommitted: true, StopAtEnd: true,
		DiscoveryInterval: 1, BufferBytes: 2, FetchBytes: 3, PartitionFetchBytes: 4, MaxWait: 5, RetryDeadline: 6, RetryBackoff: 7, RetryBackoffMax: 8,
		Security: security.Config{Protocol: security.SASLSSL, Mechanism: security.Plain, Username: "u", Password: secret.Secret{Env: "P"}},
	}
	v := reflect.ValueOf(in)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Fatalf("the test leaves %s out", v.Type().Field(i).Name)
		}
	}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out Options
	if err := json.Unmarshal(text, &out); err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("%+v became %+v, error %v", in, out, err)
	}
}

func TestSelections(t *testing.T) {
	for option, cases := range map[string]map[string]bool{
		"trips":                {"trips": true, "trips2": false},
		"b, a":                 {"a": true, "b": true, "c": false, "": false},
		"regex:trips-[a-z]+":   {"trips-a": true, "trips-1": false, "my-trips-a": false, "trips-a1": false},
		"regex:trips|trips-.*": {"trips": true, "trips-x": true, "xtrips": false, "tripsx": false},
	} {
		sel, err := parseTopics(option)
		if err != nil {
			t.Fatal(err)
		}
		for topic, want := range cases {
			if sel.has(topic) != want {
				t.Errorf("%s has %q: %v", option, topic, !want)
			}
		}
	}
}

func TestAnExpressionDoesNotStandForWhatIsExcluded(t *testing.T) {
	for option, want := range map[string]bool{"regex:trips.*": false, "trips-markers,trips": true} {
		o := Options{Topic: option, Exclude: []string{"trips-markers"}}
		if o.Reads("trips-markers") != want || !o.Reads("trips") || o.Reads("other") {
			t.Errorf("%s reads the excluded topic: %v", option, !want)
		}
	}
}

func TestEachPartitionIsOfOneSlot(t *testing.T) {
	for _, option := range []string{"trips", "trips,taxis", "regex:t.*"} {
		sel, err := parseTopics(option)
		if err != nil {
			t.Fatal(err)
		}
		for _, topic := range []string{"trips", "taxis"} {
			perSlot := make([]int, 4)
			for p := range int32(100) {
				owners := 0
				for i := range 4 {
					if sel.owns(slots.Slot{Index: i, Count: 4}, partitionKey{topic, p}) {
						owners++
						perSlot[i]++
						if option == "trips" && i != int(p)%4 {
							t.Errorf("partition %d of the only topic is of slot %d", p, i)
						}
					}
				}
				if owners != 1 {
					t.Errorf("partition %d of %s has %d owners", p, topic, owners)
				}
			}
			for i, n := range perSlot {
				if n != 25 {
					t.Errorf("%s: slot %d has %d of 100 partitions of %s", option, i, n, topic)
				}
			}
		}
	}
}
