package route_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/message"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

// laneSink takes apart what lanes emit.
type laneSink struct {
	t        *testing.T
	messages map[int][]message.Message
	letters  int
	blocks   int
}

func (s *laneSink) emit(lane int, blk []byte, n int, letters bool) {
	s.t.Helper()
	s.blocks++
	var r message.Reader
	if err := r.Open(blk); err != nil {
		s.t.Fatal(err)
	}
	seen := 0
	for ; ; seen++ {
		var m message.Message
		ok, err := r.Next(&m)
		if err != nil {
			s.t.Fatal(err)
		}
		if !ok {
			break
		}
		if letters {
			s.letters++
		}
		s.messages[lane] = append(s.messages[lane], m)
	}
	if seen != n {
		s.t.Errorf("a block of %d messages is said to have %d", seen, n)
	}
}

func newLanes(t *testing.T, c route.LanesConfig) (*route.Lanes, *laneSink) {
	t.Helper()
	parsed, err := event.Parse([]byte(schema))
	if err != nil {
		t.Fatal(err)
	}
	l, err := route.NewLanes("kafka", c, parsed, route.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	s := &laneSink{t: t, messages: map[int][]message.Message{}}
	l.Start(s.emit, nil)
	return l, s
}

// kafkaBatch is a batch as a Kafka source makes it, its first offset being 100.
func kafkaBatch() *batch.Batch { return &batch.Batch{Source: "in", Shard: "3", JobStart: 5, Base: 100} }

func TestTimeAndHeadersOfARecordNameThings(t *testing.T) {
	l, s := newLanes(t, route.LanesConfig{Topic: "to-{kafka.header.type}", Key: "{kafka.timestamp:2006-01-02}/{kafka.timestamp:%d}/{kafka.key}", Lanes: 1})
	r, err := route.New(route.Config{Schema: schema, Source: route.Kafka}, l)
	if err != nil {
		t.Fatal(err)
	}
	header := func(name, value string) batch.Header {
		return batch.Header{Key: []byte(name), Value: []byte(value)}
	}
	b := kafkaBatch()
	for i, m := range []batch.Meta{
		{Key: []byte("k"), Timestamp: 1514862245006, Headers: []batch.Header{header("trace", "7"), header("type", "x"), header("type", "y")}},
		{Timestamp: 1514862245006, Headers: []batch.Header{header("trace", "7")}},
		{Timestamp: 1514862245006, Headers: []batch.Header{{Key: []byte("type")}}},
		{Timestamp: -1, Headers: []batch.Header{header("type", "x")}},
	} {
		b.AppendMeta([]byte(`{"id":1,"place":"a"}`), &m, uint32(i), 0, 0)
	}
	counts := r.Add(b, func(string, []byte) {})
	if counts.Events != 1 || counts.Dead["null_value"] != 3 {
		t.Errorf("counts are %+v", counts)
	}
	l.Flush()
	if all := s.messages[0]; len(all) != 1 || all[0].Topic != "to-y" || string(all[0].Meta.Key) != "2018-01-02/1514862245006/k" {
		t.Errorf("messages are %+v", all)
	}
}

func TestEventsAreDecodedOnceForAllOutputs(t *testing.T) {
	l, s := newLanes(t, route.LanesConfig{Topic: "to-{place}", Key: "{kafka.topic}/{kafka.partition}/{kafka.offset}/{kafka.key}/{position}/{job_start}", Lanes: 2})
	r, err := route.New(route.Config{Schema: schema, Source: route.Kafka, Path: "place={place}"}, l)
	if err != nil {
		t.Fatal(err)
	}
	b := kafkaBatch()
	b.AppendMeta([]byte(`{"id":1,"place":"a"}`), &batch.Meta{Key: []byte("k"), Timestamp: 77, Headers: []batch.Header{{Key: []byte("h"), Value: []byte("v")}}}, 2, 0, 78)
	b.AppendMeta([]byte(`{"id":2,"place":"not a topic"}`), &batch.Meta{Timestamp: -1}, 3, 0, 79)
	b.AppendMeta([]byte(`{`), &batch.Meta{Timestamp: -1}, 4, 0, 80)
	files := &sink{t: t}
	counts := r.Add(b, files.emit)
	want := route.Counts{Events: 2, Rows: 2, Outputs: []int{1}, Dead: map[string]int{"invalid_topic": 1, "malformed_json": 1}}
	if !reflect.DeepEqual(counts, want) {
		t.Errorf("counts are %+v, want %+v", counts, want)
	}
	r.Flush(files.emit)
	l.Flush()
	if got := files.ids(); len(got) != 2 {
		t.Errorf("rows are in %v", got)
	}
	all := slices.Concat(s.messages[0], s.messages[1])
	if len(all) != 1 {
		t.Fatalf("%d messages", len(all))
	}
	m := all[0]
	if m.Topic != "to-a" || string(m.Meta.Key) != "in/3/102/k/in/3/102/5" || string(m.Value) != `{"id":1,"place":"a"}` || m.Meta.Timestamp != 77 ||
		len(m.Meta.Headers) != 1 || string(m.Meta.Headers[0].Value) != "v" {
		t.Errorf("the message is %+v", m)
	}
}

func TestMessagesOfAKeyAreOfOneLaneInOrder(t *testing.T) {
	l, s := newLanes(t, route.LanesConfig{Topic: "t", Lanes: 4, BlockBytes: 300, OpenBytes: 1000})
	b := kafkaBatch()
	for i := range 1000 {
		b.AppendMeta(fmt.Appendf(nil, "%d", i), &batch.Meta{Key: fmt.Appendf(nil, "k%d", i%50), Timestamp: 1}, uint32(i), 0, 1)
	}
	for i := range b.Records {
		if err := l.Add(b, i, event.Row{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	l.Flush()
	if s.blocks < 20 {
		t.Errorf("blocks of 300 bytes were passed on only %d times", s.blocks)
	}
	of := map[string]int{}
	n := 0
	for lane, messages := range s.messages {
		last := map[string]int{}
		for _, m := range messages {
			key := string(m.Meta.Key)
			if was, ok := of[key]; ok && was != lane {
				t.Fatalf("key %s is in lanes %d and %d", key, was, lane)
			}
			of[key] = lane
			var i int
			if _, err := fmt.Sscan(string(m.Value), &i); err != nil || i < last[key] {
				t.Fatalf("%s comes after %d, %v", m.Value, last[key], err)
			}
			last[key] = i
			n++
		}
	}
	if n != 1000 || len(s.messages) != 4 {
		t.Errorf("%d messages in %d lanes", n, len(s.messages))
	}
}

func TestMessagesWithoutAKeyGoByTheirShard(t *testing.T) {
	l, s := newLanes(t, route.LanesConfig{Topic: "t", Lanes: 8})
	b := kafkaBatch()
	for i := range 20 {
		b.Append(fmt.Appendf(nil, "%d", i), uint32(i), 0, 9)
	}
	for i := range b.Records {
		if err := l.Add(b, i, event.Row{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	l.Flush()
	if len(s.messages) != 1 {
		t.Errorf("one shard's messages are in %d lanes", len(s.messages))
	}
	for _, messages := range s.messages {
		if m := messages[19]; string(m.Value) != "19" || m.Meta.Key != nil || m.Meta.Timestamp != 9 {
			t.Errorf("the last message is %+v", m)
		}
	}
}

// The mark of a dead letter's event that was sent again is of the source.
func TestMessagesHaveTheHeadersOfTheirRecordsButTheMark(t *testing.T) {
	l, s := newLanes(t, route.LanesConfig{Topic: "t", Lanes: 1})
	b := kafkaBatch()
	b.AppendMeta([]byte("{}"), &batch.Meta{Headers: []batch.Header{
		{Key: []byte("trace"), Value: []byte("7")}, {Key: []byte(batch.ResentHeader), Value: []byte("abcd")}, {Key: []byte("last")},
	}}, 0, 0, 9)
	if err := l.Add(b, 0, event.Row{}, nil); err != nil {
		t.Fatal(err)
	}
	l.Flush()
	if h := s.messages[0][0].Meta.Headers; len(h) != 2 || string(h[0].Key) != "trace" || string(h[1].Key) != "last" {
		t.Errorf("headers are %q", h)
	}
}

func TestMessagesOverTheLimitAreRefused(t *testing.T) {
	l, _ := newLanes(t, route.LanesConfig{Topic: "t", Lanes: 1, MaxMessageBytes: 200})
	b := kafkaBatch()
	b.AppendMeta(make([]byte, 60), &batch.Meta{Key: make([]byte, 44)}, 0, 0, 0)
	b.AppendMeta(make([]byte, 60), &batch.Meta{Key: make([]byte, 45)}, 1, 0, 0)
	if err := l.Add(b, 0, event.Row{}, nil); err != nil {
		t.Error(err)
	}
	err := l.Add(b, 1, event.Row{}, nil)
	if r, ok := err.(*route.Refusal); !ok || r.Reason != "too_large" || !strings.Contains(r.Detail, "the limit is 200") {
		t.Errorf("error is %v", err)
	}
}

func TestMessagesOfATopicThatDoesNotTakeThemAreRefused(t *testing.T) {
	l, s := newLanes(t, route.LanesConfig{Topic: "{place}", Lanes: 1, MaxMessageBytes: 300})
	asked := map[string]int{}
	topics := func(name string) (rules route.TopicRules, err error) {
		asked[name]++
		switch name {
		case "small":
			rules.MaxBytes = 200
			return rules, nil
		case "large":
			rules.MaxBytes = 400
			return rules, nil
		case "untold":
			return rules, nil
		}
		return rules, fmt.Errorf("ask: %w", &route.Refusal{Reason: "unknown_topic", Detail: name + " does not exist"})
	}
	l.Start(s.emit, topics)
	r, err := route.New(route.Config{Schema: schema, Source: route.Kafka}, l)
	if err != nil {
		t.Fatal(err)
	}
	var letters []string
	r.SendLetters(func(l *deadletter.Letter, _ *batch.Batch) { letters = append(letters, l.Reason+": "+l.Detail) })
	b := kafkaBatch()
	add := func(place string, size int) {
		value := fmt.Sprintf(`{"id":1,"place":%q}`, place)
		b.AppendMeta([]byte(value), &batch.Meta{Key: make([]byte, size-96-len(value)), Timestamp: 1}, uint32(b.Len()), 0, 1)
	}
	for range 2 {
		add("small", 200)
		add("small", 201)
		add("large", 300)
		add("large", 301)
		add("untold", 300)
		add("untold", 301)
		add("none", 150)
	}
	counts := r.Add(b, func(string, []byte) {})
	l.Flush()
	if want := map[string]int{"too_large": 6, "unknown_topic": 2}; !reflect.DeepEqual(counts.Dead, want) || counts.Events != 6 || l.Err() != nil {
		t.Errorf("counts are %+v, error %v", counts, l.Err())
	}
	if want := map[string]int{"small": 1, "large": 1, "untold": 1, "none": 1}; !reflect.DeepEqual(asked, want) {
		t.Errorf("topics are asked for %v times", asked)
	}
	want := []string{
		"too_large: a message of 201 bytes, the limit of topic small is 200, its max.message.bytes",
		"too_large: a message of 301 bytes, the limit is 300",
		"too_large: a message of 301 bytes, the limit is 300",
		"unknown_topic: none does not exist",
	}
	if !slices.Equal(letters, append(want, want...)) {
		t.Errorf("letters are %q", letters)
	}
	if n := len(s.messages[0]); n != 6 {
		t.Errorf("%d messages", n)
	}
}

func TestTopicsThatCannotBeAskedForFailTheBundle(t *testing.T) {
	l, s := newLanes(t, route.LanesConfig{Topic: "{place}", Lanes: 1})
	broken := fmt.Errorf("the brokers are away")
	asked := 0
	l.Start(s.emit, func(string) (route.TopicRules, error) { asked++; return route.TopicRules{}, broken })
	r, err := route.New(route.Config{Schema: schema, Source: route.Kafka}, l)
	if err != nil {
		t.Fatal(err)
	}
	if counts := r.Add(events(5, "a", 1, 2, 3), func(string, []byte) {}); len(counts.Dead) > 0 {
		t.Errorf("counts are %+v", counts)
	}
	if l.Err() != broken || asked != 1 {
		t.Errorf("error %v after %d questions", l.Err(), asked)
	}
	l.Start(s.emit, nil)
	if l.Err() != nil {
		t.Errorf("the next bundle has the error %v", l.Err())
	}
}

// Should such a topic go, its events are not put aside: the job waits for it.
func TestOfATopicThatTheUserNamesOnlyTheRulesCount(t *testing.T) {
	l, s := newLanes(t, route.LanesConfig{Topic: "t", Lanes: 1})
	l.Start(s.emit, func(string) (route.TopicRules, error) {
		return route.TopicRules{}, &route.Refusal{Reason: "unknown_topic"}
	})
	r, err := route.New(route.Config{Schema: schema, Source: route.Kafka}, l)
	if err != nil {
		t.Fatal(err)
	}
	if counts := r.Add(events(5, "a", 1), func(string, []byte) {}); counts.Events != 1 || l.Err() != nil {
		t.Errorf("counts are %+v, error %v", counts, l.Err())
	}
	l.Start(s.emit, func(string) (route.TopicRules, error) { return route.TopicRules{MaxBytes: 20}, nil })
	if counts := r.Add(events(5, "a", 1), func(string, []byte) {}); counts.Dead["too_large"] != 1 || l.Err() != nil {
		t.Errorf("counts are %+v, error %v", counts, l.Err())
	}
}

// Brokers refuse them for good, and a block is numbered by then.
func TestMessagesThatATopicsSettingsForbidAreRefused(t *testing.T) {
	now := time.Now()
	at := func(d time.Duration) int64 { return now.Add(d).UnixMilli() }
	const hour, day = time.Hour, 24 * time.Hour
	key := []byte("k")
	for _, test := range []struct {
		name   string
		rules  route.TopicRules
		meta   batch.Meta
		reason string
	}{
		{"no rules", route.TopicRules{}, batch.Meta{Timestamp: at(9000 * hour)}, ""},
		{"no key", route.TopicRules{Keyed: true}, batch.Meta{Timestamp: 1}, "missing_key"},
		{"an empty key", route.TopicRules{Keyed: true}, batch.Meta{Timestamp: 1, Key: []byte{}}, ""},
		{"far ahead", route.TopicRules{Ahead: hour}, batch.Meta{Timestamp: at(hour + time.Minute), Key: key}, "invalid_timestamp"},
		{"as micro- in place of milliseconds", route.TopicRules{Ahead: hour, Behind: hour}, batch.Meta{Timestamp: now.UnixMicro(), Key: key}, "invalid_timestamp"},
		{"as far as can be", route.TopicRules{Ahead: hour, Behind: hour}, batch.Meta{Timestamp: math.MaxInt64, Key: key}, "invalid_timestamp"},
		{"a little ahead", route.TopicRules{Ahead: hour}, batch.Meta{Timestamp: at(hour - time.Minute), Key: key}, ""},
		{"ahead where nothing may be", route.TopicRules{Ahead: 1}, batch.Meta{Timestamp: at(time.Minute), Key: key}, "invalid_timestamp"},
		{"ahead of what is bounded behind", route.TopicRules{Behind: hour}, batch.Meta{Timestamp: at(day), Key: key}, ""},
		{"long ago", route.TopicRules{Behind: day}, batch.Meta{Timestamp: at(-day - time.Minute), Key: key}, "invalid_timestamp"},
		{"too old soon", route.TopicRules{Behind: day}, batch.Meta{Timestamp: at(-23*hour - time.Minute), Key: key}, "invalid_timestamp"},
		{"old", route.TopicRules{Ahead: hour, Behind: day}, batch.Meta{Timestamp: at(-23*hour + time.Minute), Key: key}, ""},
		{"older than half of a short span", route.TopicRules{Behind: hour}, batch.Meta{Timestamp: at(-hour/2 - time.Minute), Key: key}, "invalid_timestamp"},
		{"without a time", route.TopicRules{Ahead: hour, Behind: hour}, batch.Meta{Timestamp: -1, Key: key}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, s := newLanes(t, route.LanesConfig{Topic: "t", Lanes: 1, MaxMessageBytes: 2000})
			l.Start(s.emit, func(string) (route.TopicRules, error) { return test.rules, nil })
			r, err := route.New(route.Config{Schema: schema, Source: route.Kafka}, l)
			if err != nil {
				t.Fatal(err)
			}
			var letters []deadletter.Letter
			r.SendLetters(func(d *deadletter.Letter, _ *batch.Batch) {
				letters = append(letters, *d)
				l.AddLetter("letters", d)
			})
			b := kafkaBatch()
			b.AppendMeta([]byte(`{"id":1,"place":"a"}`), &test.meta, 0, 0, max(0, test.meta.Timestamp))
			r.Add(b, func(string, []byte) {})
			l.Flush()
			m := s.messages[0][0]
			if test.reason == "" {
				if len(letters) > 0 || m.Topic != "t" {
					t.Fatalf("letters are %+v", letters)
				}
				return
			}
			if len(letters) != 1 || letters[0].Reason != test.reason || letters[0].Output != "kafka" || !strings.Contains(letters[0].Detail, "topic t ") {
				t.Fatalf("letters are %+v", letters)
			}
			// The letter must not be refused in its turn, nor be unreadable.
			if m.Topic != "letters" || string(m.Meta.Key) != "in/3/100/0/kafka" || m.Meta.Timestamp != 0 {
				t.Errorf("the letter's message is %+v", m)
			}
			if d, err := deadletter.Parse(m.Value); err != nil || d.Arrival > time.Now().UnixMilli() {
				t.Errorf("the letter is %+v, %v", d, err)
			}
		})
	}
}

func TestTombstonesArePassedOnOrDeadLetters(t *testing.T) {
	for _, test := range []struct {
		name       string
		tombstones bool
		key        string
		dead       map[string]int
		passed     int
	}{
		{"refused", false, "", map[string]int{"tombstone": 1}, 0},
		{"passed on", true, "{kafka.key}", nil, 1},
		{"without fields for the key", true, "{id}", map[string]int{"tombstone": 1}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, s := newLanes(t, route.LanesConfig{Topic: "t", Key: test.key, Lanes: 1})
			r, err := route.New(route.Config{Schema: schema, Source: route.Kafka, Path: "place={place}", Tombstones: test.tombstones}, l)
			if err != nil {
				t.Fatal(err)
			}
			b := kafkaBatch()
			b.AppendMeta(nil, &batch.Meta{Key: []byte("k"), Null: true, Timestamp: 1}, 0, 0, 1)
			files := &sink{t: t}
			counts := r.Add(b, files.emit)
			l.Flush()
			if !reflect.DeepEqual(counts.Dead, test.dead) || counts.Events != test.passed || len(s.messages[0]) != test.passed {
				t.Errorf("counts are %+v, %d messages", counts, len(s.messages[0]))
			}
			if test.passed == 1 {
				if m := s.messages[0][0]; m.Value != nil || string(m.Meta.Key) != "k" {
					t.Errorf("the message is %+v", m)
				}
			}
		})
	}
}

func TestDeadLettersCanGoElsewhere(t *testing.T) {
	r, err := route.New(route.Config{Schema: schema, Source: route.Kinesis})
	if err != nil {
		t.Fatal(err)
	}
	var got []deadletter.Letter
	r.SendLetters(func(l *deadletter.Letter, _ *batch.Batch) { got = append(got, *l) })
	files := &sink{t: t}
	r.Add(events(5, "a", 1), files.emit)
	bad := events(5, "a", 2)
	bad.Data[0] = '!'
	r.Add(bad, files.emit)
	r.Flush(files.emit)
	if len(got) != 1 || got[0].Reason != "malformed_json" || got[0].Output != "" || len(files.keys) != 0 {
		t.Errorf("letters are %+v, blocks %q", got, files.keys)
	}
}

func TestALaneTakesDeadLettersApartFromEvents(t *testing.T) {
	l, s := newLanes(t, route.LanesConfig{Topic: "t", Lanes: 2})
	l.AddLetter("letters", &deadletter.Letter{Reason: "x", Source: "in", Shard: "3", Seq: "9", Arrival: 7})
	l.Flush()
	if s.letters != 1 || len(s.messages[0]) != 1 || s.messages[0][0].Topic != "letters" || string(s.messages[0][0].Meta.Key) != "in/3/9/0/" {
		t.Errorf("letters are %+v", s.messages)
	}
}

// A letter that is larger than a message may be would stop the job for good:
// its block is numbered.
func TestADeadLetterFitsIntoAMessageWhateverIsInTheEvent(t *testing.T) {
	for _, max := range []int{1024, 20_000, 1_000_012} {
		for name, place := range map[string]string{"quotes": `"`, "letters": "a", "zeros": "\x00", "emoji": "🚕"} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, max), func(t *testing.T) {
				l, s := newLanes(t, route.LanesConfig{Topic: "trips-{place}", Lanes: 1, MaxMessageBytes: max})
				r, err := route.New(route.Config{Schema: schema, Source: route.Kafka}, l)
				if err != nil {
					t.Fatal(err)
				}
				r.OnLetter(func(d *deadletter.Letter) {
					if len(d.Detail) > 1024 {
						t.Errorf("a detail of %d bytes is told", len(d.Detail))
					}
				})
				r.SendLetters(func(d *deadletter.Letter, _ *batch.Batch) { l.AddLetter("letters", d) })
				payload, err := json.Marshal(map[string]any{"id": 1, "place": strings.Repeat(place, 300_000)})
				if err != nil {
					t.Fatal(err)
				}
				b := kafkaBatch()
				b.AppendMeta(payload, &batch.Meta{Timestamp: 5}, 0, 0, 5)
				counts := r.Add(b, func(string, []byte) {})
				l.Flush()
				if counts.Dead["invalid_topic"] != 1 || l.Err() != nil || s.letters != 1 {
					t.Fatalf("counts are %+v, %d letters, error %v", counts, s.letters, l.Err())
				}
				if m := s.messages[0][0]; len(m.Value)+len(m.Meta.Key)+96 > max {
					t.Errorf("a message of %d bytes", len(m.Value)+len(m.Meta.Key)+96)
				}
			})
		}
	}
}

func TestADeadLetterThatCannotFitIsNotPutIntoABlock(t *testing.T) {
	l, s := newLanes(t, route.LanesConfig{Topic: "t", Lanes: 1, MaxMessageBytes: 1024})
	l.AddLetter("letters", &deadletter.Letter{Reason: strings.Repeat("r", 2000), Source: "in", Shard: "0", Seq: "1"})
	l.Flush()
	if s.letters != 0 || l.Err() == nil || !strings.Contains(l.Err().Error(), "in/0/1") {
		t.Errorf("%d letters, error %v", s.letters, l.Err())
	}
}

// Its topic may take less than when the job was started. That it is gone is for
// the commit to wait for.
func TestADeadLetterHeedsTheLimitOfItsOwnTopic(t *testing.T) {
	for name, refusal := range map[string]error{"there": nil, "gone": &route.Refusal{Reason: "unknown_topic"}} {
		for _, topic := range []string{"t", "{place}"} {
			l, s := newLanes(t, route.LanesConfig{Topic: topic, Lanes: 1, MaxMessageBytes: 100_000})
			l.Start(s.emit, func(name string) (route.TopicRules, error) {
				if name == "letters" {
					return route.TopicRules{MaxBytes: 2000}, refusal
				}
				return route.TopicRules{}, nil
			})
			d := &deadletter.Letter{Reason: "x", Source: "in", Shard: "0", Seq: "1", Payload: make([]byte, 5000)}
			l.AddLetter("letters", d)
			l.Flush()
			if s.letters != 1 || l.Err() != nil {
				t.Fatalf("%s, events to %s: %d letters, error %v", name, topic, s.letters, l.Err())
			}
			if m := s.messages[0][0]; len(m.Value)+len(m.Meta.Key)+96 > 2000 {
				t.Errorf("%s, events to %s: a message of %d bytes", name, topic, len(m.Value)+len(m.Meta.Key)+96)
			}
			d.Reason = strings.Repeat("r", 3000)
			l.AddLetter("letters", d)
			if l.Err() == nil || !strings.Contains(l.Err().Error(), "a message of topic letters may have 2000") {
				t.Errorf("%s, events to %s: error %v", name, topic, l.Err())
			}
		}
	}
}

func TestVariablesAreThoseOfTheSource(t *testing.T) {
	parsed, err := event.Parse([]byte(schema))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		source   route.Source
		topic    string
		accepted bool
	}{
		{route.Kafka, "{kafka.topic}", true},
		{route.Kinesis, "{kafka.topic}", false},
		{route.Kinesis, "{kinesis.stream}-{kinesis.shard}-{kinesis.sequence_number}", true},
		{"", "{position}", true},
	} {
		_, err := route.NewLanes("kafka", route.LanesConfig{Topic: test.topic, Lanes: 1}, parsed, test.source)
		if (err == nil) != test.accepted {
			t.Errorf("%s of a %s source: %v", test.topic, test.source, err)
		}
	}
}
