package deadletters_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/pipeline/deadletters"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
)

// places has the same letters in each kind of place.
func places(t *testing.T, list []deadletter.Letter) map[string]deadletters.Options {
	k := newKafka(t, "letters")
	k.putLetters(t, "letters", list)
	return map[string]deadletters.Options{
		"S3":            {S3: newBucket(t, list).place()},
		"Kafka":         {Kafka: &deadletters.KafkaPlace{Brokers: k.brokers, Topic: "letters"}},
		"Elasticsearch": {Elasticsearch: newElasticsearch(t, list)},
	}
}

func TestLettersAreListedByTimeInPages(t *testing.T) {
	for name, o := range places(t, lettersOf(10)) {
		t.Run(name, func(t *testing.T) {
			b := open(t, o)
			var got []string
			after, pages := "", 0
			for {
				p, err := b.List(t.Context(), deadletters.Filter{}, after, 4)
				if err != nil || len(p.Damaged) > 0 {
					t.Fatal(err, p.Damaged)
				}
				for _, e := range p.Letters {
					got = append(got, string(e.Payload))
				}
				pages++
				if after = p.Next; after == "" {
					break
				}
			}
			var want []string
			for i := range 10 {
				want = append(want, fmt.Sprintf(`{"trip_id":%d}`, i))
			}
			equal(t, "the list", got, want)
			if pages != 3 {
				t.Errorf("%d pages of 4", pages)
			}
		})
	}
}

func TestLettersAreChosenByReasonSourceTimeAndID(t *testing.T) {
	list := lettersOf(10)
	list[3].Source = "rides"
	list[4].Output = "kafka"
	id := deadletters.ID(&list[7])
	for name, o := range places(t, list) {
		t.Run(name, func(t *testing.T) {
			b := open(t, o)
			for _, test := range []struct {
				filter deadletters.Filter
				want   []int
			}{
				{deadletters.Filter{}, upTo(10)},
				{deadletters.Filter{Reasons: []string{"out_of_range"}}, []int{0, 2, 4, 6, 8}},
				{deadletters.Filter{Reasons: []string{"other"}}, nil},
				{deadletters.Filter{Sources: []string{"rides"}}, []int{3}},
				{deadletters.Filter{Outputs: []string{"kafka"}}, []int{4}},
				{deadletters.Filter{IDs: []string{id[:6]}}, []int{7}},
				{deadletters.Filter{Since: time.UnixMilli(list[2].Arrival), Until: time.UnixMilli(list[5].Arrival)}, []int{2, 3, 4}},
				{deadletters.Filter{Reasons: []string{"malformed_json"}, Until: time.UnixMilli(list[3].Arrival)}, []int{1}},
			} {
				p, err := b.List(t.Context(), test.filter, "", 100)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, e := range p.Letters {
					got = append(got, string(e.Payload))
				}
				slices.Sort(got)
				equal(t, fmt.Sprintf("%+v", test.filter), got, payloads(test.want...))
			}
		})
	}
}

func TestLettersAreCountedByWhatIsWrong(t *testing.T) {
	for name, o := range places(t, lettersOf(11)) {
		t.Run(name, func(t *testing.T) {
			groups, damaged, err := open(t, o).Count(t.Context(), deadletters.Filter{})
			if err != nil || len(damaged) > 0 || len(groups) != 2 {
				t.Fatalf("%d groups, %v, error %v", len(groups), damaged, err)
			}
			first, last := time.UnixMilli(lettersOf(1)[0].Arrival).UTC(), time.Date(2018, 3, 1, 0, 10, 0, 0, time.UTC)
			if g := groups[0]; g.Reason != "out_of_range" || g.Field != "vendor_id" || g.Count != 6 || !g.First.Equal(first) || !g.Last.Equal(last) || g.Sample == "" {
				t.Errorf("%+v", g)
			}
			if g := groups[1]; g.Reason != "malformed_json" || g.Count != 5 {
				t.Errorf("%+v", g)
			}
		})
	}
}

func TestALetterIsFoundByTheBeginOfItsID(t *testing.T) {
	list := lettersOf(5)
	list = append(list, list[2])
	list[5].Output, list[5].Reason = "kafka", "too_large"
	b := open(t, deadletters.Options{S3: newBucket(t, list).place()})
	found, err := b.Find(t.Context(), deadletters.ID(&list[2])[:8])
	if err != nil || len(found) != 2 || !strings.HasPrefix(found[0].Where, "s3://lake/raw/dead-letters/") {
		t.Errorf("found %+v, error %v; want both letters of the event", found, err)
	}
	for id, want := range map[string]string{"zzzzzzzz": "there is no dead letter", "ab": "shorter than"} {
		if _, err := b.Find(t.Context(), id); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", id, err)
		}
	}
}

func TestPlacesWithoutLettersHaveNone(t *testing.T) {
	k := newKafka(t)
	for name, o := range map[string]deadletters.Options{
		"S3":            {S3: newBucket(t, nil).place()},
		"Kafka":         {Kafka: &deadletters.KafkaPlace{Brokers: k.brokers, Topic: "letters"}},
		"Elasticsearch": {Elasticsearch: newElasticsearch(t, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := open(t, o).List(t.Context(), deadletters.Filter{}, "", 10); err != nil || len(p.Letters) > 0 {
				t.Errorf("%d letters, error %v", len(p.Letters), err)
			}
		})
	}
}

func TestADamagedLetterIsToldAndHidesNoOther(t *testing.T) {
	bucket := newBucket(t, lettersOf(2))
	bucket.put(t, "raw/dead-letters/job_start=1/reason=other/part-9.jsonl", []byte("{\"reason\":\n"))
	p, err := open(t, deadletters.Options{S3: bucket.place()}).List(t.Context(), deadletters.Filter{}, "", 10)
	if err != nil || len(p.Letters) != 2 || len(p.Damaged) != 1 || !strings.Contains(p.Damaged[0].Error(), "part-9.jsonl line 1") {
		t.Errorf("%d letters, damaged %v, error %v", len(p.Letters), p.Damaged, err)
	}
}

// sources has every place with every source; got returns what the source has.
func sources(t *testing.T, list []deadletter.Letter, each func(t *testing.T, b *deadletters.Box, got func() []string)) {
	for _, kind := range []string{"Kinesis", "Kafka"} {
		t.Run("into "+kind, func(t *testing.T) {
			for name, o := range places(t, list) {
				t.Run("from "+name, func(t *testing.T) {
					if kind == "Kinesis" {
						s := newStream(t)
						o.Kinesis = &s.opts
						each(t, open(t, o), func() []string { return s.payloads(t) })
						return
					}
					k := newKafka(t, "trips")
					o.KafkaSource = k.source()
					each(t, open(t, o), func() []string { return k.payloads(t, "trips") })
				})
			}
		})
	}
	t.Run("into Kafka from the same cluster", func(t *testing.T) {
		k := newKafka(t, "trips", "letters")
		k.putLetters(t, "letters", list)
		b := open(t, deadletters.Options{Kafka: &deadletters.KafkaPlace{Brokers: k.brokers, Topic: "letters"}, KafkaSource: k.source()})
		each(t, b, func() []string { return k.payloads(t, "trips") })
	})
}

func TestTheChosenLettersAreSentOnceByManyCalls(t *testing.T) {
	list := lettersOf(12)
	list = append(list, list[0]) // a letter may be there twice
	sources(t, list, func(t *testing.T, b *deadletters.Box, got func() []string) {
		chosen := deadletters.Filter{Reasons: []string{"out_of_range"}}
		dry := resend(t, b, deadletters.ResendOptions{Filter: chosen, DryRun: true})
		if dry.Chosen != 6 || dry.Sent != 6 || dry.Before != 0 {
			t.Errorf("dry run: %+v", dry)
		}
		equal(t, "the source after a dry run", got(), nil)
		if r := resend(t, b, deadletters.ResendOptions{Filter: chosen}); r.Chosen != 6 || r.Sent != 6 {
			t.Errorf("first call: %+v", r)
		}
		equal(t, "the source", got(), payloads(0, 2, 4, 6, 8, 10))
		if r := resend(t, b, deadletters.ResendOptions{Filter: chosen}); r.Chosen != 6 || r.Sent != 0 || r.Before != 6 {
			t.Errorf("second call: %+v", r)
		}
		if r := resend(t, b, deadletters.ResendOptions{}); r.Chosen != 12 || r.Sent != 6 || r.Before != 6 {
			t.Errorf("call for all: %+v", r)
		}
		equal(t, "the source at the end", got(), payloads(upTo(12)...))
	})
}

func TestACallThatEndsInBetweenIsNotRepeated(t *testing.T) {
	bucket, s := newBucket(t, lettersOf(8)), newStream(t)
	b := open(t, deadletters.Options{S3: bucket.place(), Kinesis: &s.opts})
	// As a crash between the sending and the note of it.
	bucket.server.Inject(refusing("/sent/"))
	if _, err := b.Resend(t.Context(), deadletters.ResendOptions{}); err == nil || !strings.Contains(err.Error(), "in doubt") || !strings.Contains(err.Error(), "s3:PutObject") {
		t.Fatalf("error %v", err)
	}
	bucket.server.Inject(nil)
	r := resend(t, b, deadletters.ResendOptions{})
	if r.Sent != 0 || r.Before != 0 || len(r.InDoubt) != 8 {
		t.Errorf("second call: %+v", r)
	}
	equal(t, "the stream", s.payloads(t), payloads(upTo(8)...))

	one := deadletters.Filter{IDs: r.InDoubt[:1]}
	if r := resend(t, b, deadletters.ResendOptions{Filter: one, InDoubt: true}); r.Sent != 1 || len(r.InDoubt) != 0 {
		t.Errorf("call for what is in doubt: %+v", r)
	}
	if n := len(s.records(t)); n != 9 {
		t.Errorf("%d records, want one more", n)
	}
	if r := resend(t, b, deadletters.ResendOptions{InDoubt: true, Filter: one}); r.Sent != 0 || r.Before != 1 {
		t.Errorf("what was in doubt and then sent: %+v", r)
	}
}

func TestAClaimThatFailsSendsNothing(t *testing.T) {
	bucket, s := newBucket(t, lettersOf(4)), newStream(t)
	b := open(t, deadletters.Options{S3: bucket.place(), Kinesis: &s.opts})
	bucket.server.Inject(refusing("/claimed/"))
	if _, err := b.Resend(t.Context(), deadletters.ResendOptions{}); err == nil {
		t.Error("no error")
	}
	equal(t, "the stream", s.payloads(t), nil)
	bucket.server.Inject(nil)
	resend(t, b, deadletters.ResendOptions{})
	equal(t, "the stream", s.payloads(t), payloads(upTo(4)...))
}

func TestCallsAtTheSameTimeSendEachLetterOnce(t *testing.T) {
	bucket, s := newBucket(t, lettersOf(40)), newStream(t)
	var wg sync.WaitGroup
	for range 4 {
		b := open(t, deadletters.Options{S3: bucket.place(), Kinesis: &s.opts})
		wg.Go(func() {
			if _, err := b.Resend(t.Context(), deadletters.ResendOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	equal(t, "the stream", s.payloads(t), payloads(upTo(40)...))
}

func TestAnUnfinishedTransactionIsUndoneByTheNextCall(t *testing.T) {
	k := newKafka(t, "trips", "letters", "letters-resent")
	k.putLetters(t, "letters", lettersOf(6))
	// As a crash before the commit: events and notes are written, and not committed.
	crashed, err := kgo.NewClient(kgo.SeedBrokers(k.brokers...), kgo.TransactionalID("letters-resent"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(crashed.Close)
	if err := crashed.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for _, e := range lettersOf(6) {
		err := crashed.ProduceSync(t.Context(), &kgo.Record{Topic: "trips", Value: e.Payload},
			&kgo.Record{Topic: "letters-resent", Key: []byte(deadletters.ID(&e)), Value: []byte(`{"state":"sent"}`)}).FirstErr()
		if err != nil {
			t.Fatal(err)
		}
	}
	b := open(t, deadletters.Options{Kafka: &deadletters.KafkaPlace{Brokers: k.brokers, Topic: "letters"}, KafkaSource: k.source()})
	if r := resend(t, b, deadletters.ResendOptions{}); r.Sent != 6 || r.Before != 0 {
		t.Errorf("%+v", r)
	}
	equal(t, "the topic", k.payloads(t, "trips"), payloads(upTo(6)...))
	if err := crashed.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
		t.Error("the transaction that was undone can still be committed")
	}
	equal(t, "the topic", k.payloads(t, "trips"), payloads(upTo(6)...))
}

func TestLettersThatCannotBeSentAreToldBeforeAnyIs(t *testing.T) {
	list := lettersOf(4)
	list[3].Source = "rides"
	sources(t, list, func(t *testing.T, b *deadletters.Box, got func() []string) {
		_, err := b.Resend(t.Context(), deadletters.ResendOptions{})
		if err == nil || !strings.Contains(err.Error(), "rides, which is not the job's source") {
			t.Errorf("error %v", err)
		}
		equal(t, "the source", got(), nil)
	})
}

func TestALetterWithoutAllOfItsEventIsNotSent(t *testing.T) {
	long := letter(1)
	long.Payload = []byte(`{"text":"` + strings.Repeat("x", 5000) + `"}`)
	k, s := newKafka(t, "letters"), newStream(t)
	k.putLetters(t, "letters", lettersOf(1))
	if err := k.client.ProduceSync(t.Context(), &kgo.Record{Topic: "letters", Value: long.AppendShort(nil, 1000)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	b := open(t, deadletters.Options{Kafka: &deadletters.KafkaPlace{Brokers: k.brokers, Topic: "letters"}, Kinesis: &s.opts})
	if r := resend(t, b, deadletters.ResendOptions{}); r.Sent != 1 || !slices.Equal(r.Cut, []string{deadletters.ID(&long)}) {
		t.Errorf("%+v", r)
	}
	equal(t, "the stream", s.payloads(t), payloads(0))
}

func TestAnEventThatTheStreamTakesFromNobodyHoldsNoOtherBack(t *testing.T) {
	list := lettersOf(4)
	list[0].Payload, list[1].Payload, list[2].Payload = nil, []byte("nope"), make([]byte, kinesisio.MaxRecordBytes-10)
	for i := range list {
		list[i].Reason = "malformed_json"
	}
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = deadletters.ID(&list[i])
	}
	unfit := []string{ids[0], ids[2]}
	slices.Sort(unfit)
	s := newStream(t)
	b := open(t, deadletters.Options{S3: newBucket(t, list).place(), Kinesis: &s.opts})
	o := deadletters.ResendOptions{Refuses: func(l *deadletter.Letter, _ *batch.Meta) string {
		return map[bool]string{true: "malformed_json"}[len(l.Payload) != len(list[3].Payload)]
	}}
	for _, step := range []struct {
		dryRun, stillRefused bool
		sent                 int
	}{{true, false, 1}, {true, true, 2}, {false, false, 1}, {false, true, 1}} {
		o.DryRun, o.StillRefused = step.dryRun, step.stillRefused
		r := resend(t, b, o)
		if r.Chosen != 4 || r.Sent != step.sent || !slices.Equal(r.Unfit, unfit) || !reflect.DeepEqual(r.Refused, map[string][]string{"malformed_json": {ids[1]}}) {
			t.Errorf("%+v: %+v", step, r)
		}
	}
	equal(t, "the stream", s.payloads(t), []string{"nope", string(list[3].Payload)})
}

// An event that only the stream itself knows it will not take is claimed with
// others, which are sent and confirmed.
func TestAnEventThatTheStreamRefusesHoldsNoOtherInDoubt(t *testing.T) {
	list := lettersOf(8)
	bad := deadletters.ID(&list[5])
	for name, o := range places(t, list) {
		t.Run(name, func(t *testing.T) {
			s := newStream(t)
			var takes atomic.Bool // larger records
			s.server.Control("PutRecords", func(r *kinesisfake.Request) error {
				var in struct {
					Records []struct{ PartitionKey string }
				}
				if err := json.Unmarshal(r.Body, &in); err != nil {
					return err
				}
				for i := range in.Records {
					if !takes.Load() && strings.HasSuffix(in.Records[i].PartitionKey, bad) {
						return &kinesisfake.Error{Type: "InvalidArgumentException", Message: fmt.Sprintf("Record %d is too large", i)}
					}
				}
				return nil
			})
			o.Kinesis = &s.opts
			for call, sent := range []int{7, 0, 0} {
				r := resend(t, open(t, o), deadletters.ResendOptions{InDoubt: call == 2})
				if r.Chosen != 8 || r.Sent != sent || r.Before != 7-sent || len(r.InDoubt) != 0 || !slices.Equal(r.Unfit, []string{bad}) {
					t.Errorf("call %d: %+v", call, r)
				}
			}
			equal(t, "the stream", s.payloads(t), payloads(0, 1, 2, 3, 4, 6, 7))
			takes.Store(true)
			for call, sent := range []int{1, 0} {
				r := resend(t, open(t, o), deadletters.ResendOptions{})
				if r.Sent != sent || r.Before != 8-sent || len(r.InDoubt)+len(r.Unfit) != 0 {
					t.Errorf("call %d afterwards: %+v", call, r)
				}
			}
			equal(t, "the stream", s.payloads(t), payloads(upTo(8)...))
		})
	}
}

// What was refused is claimed anew, and in doubt where that ends in between.
func TestARefusedEventIsClaimedAnew(t *testing.T) {
	list := lettersOf(1)
	list[0].Payload = fmt.Appendf(nil, `{"trip_id":0,"padding":"%s"}`, strings.Repeat("x", 1<<20))
	bucket, s := newBucket(t, list), newStream(t)
	o := deadletters.Options{S3: bucket.place(), Kinesis: &s.opts}
	for range 2 {
		if r := resend(t, open(t, o), deadletters.ResendOptions{}); r.Sent != 0 || len(r.Unfit) != 1 || len(r.InDoubt) != 0 {
			t.Errorf("while it is too large: %+v", r)
		}
	}
	_, err := s.client.UpdateMaxRecordSize(t.Context(), &kinesis.UpdateMaxRecordSizeInput{
		StreamARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/trips"), MaxRecordSizeInKiB: aws.Int32(10240),
	})
	if err != nil {
		t.Fatal(err)
	}
	bucket.server.Inject(refusing("/sent/"))
	if _, err := open(t, o).Resend(t.Context(), deadletters.ResendOptions{}); err == nil || !strings.Contains(err.Error(), "in doubt") {
		t.Fatalf("error %v", err)
	}
	bucket.server.Inject(nil)
	if r := resend(t, open(t, o), deadletters.ResendOptions{}); r.Sent != 0 || len(r.InDoubt) != 1 || len(r.Unfit) != 0 {
		t.Errorf("after a call that ended in between: %+v", r)
	}
	if n := len(s.records(t)); n != 1 {
		t.Errorf("%d records, want one", n)
	}
}

func TestLettersOfAnotherStreamThatAreLeftOutEndNothing(t *testing.T) {
	list := lettersOf(3)
	list[2].Source = "rides"
	sources(t, list, func(t *testing.T, b *deadletters.Box, got func() []string) {
		r := resend(t, b, deadletters.ResendOptions{Refuses: func(l *deadletter.Letter, _ *batch.Meta) string {
			return map[string]string{"rides": "wrong_type"}[l.Source]
		}})
		if r.Sent != 2 || len(r.Refused["wrong_type"]) != 1 {
			t.Errorf("%+v", r)
		}
		equal(t, "the source", got(), payloads(0, 1))
	})
}

func TestWhatTheJobWouldRefuseAgainIsHeldBackAndCanBeSentLater(t *testing.T) {
	list := lettersOf(6)
	list = append(list, list[1]) // a letter may be there twice
	sources(t, list, func(t *testing.T, b *deadletters.Box, got func() []string) {
		o := deadletters.ResendOptions{Refuses: func(l *deadletter.Letter, _ *batch.Meta) string {
			return map[string]string{`{"trip_id":1}`: "wrong_type", `{"trip_id":4}`: "out_of_range"}[string(l.Payload)]
		}}
		one, four := letter(1), letter(4)
		want := map[string][]string{"wrong_type": {deadletters.ID(&one)}, "out_of_range": {deadletters.ID(&four)}}
		o.DryRun = true
		if r := resend(t, b, o); r.Sent != 4 || !reflect.DeepEqual(r.Refused, want) || len(r.Cut) > 0 {
			t.Errorf("dry run: %+v", r)
		}
		o.DryRun = false
		if r := resend(t, b, o); r.Sent != 4 || !reflect.DeepEqual(r.Refused, want) {
			t.Errorf("first call: %+v", r)
		}
		equal(t, "the source", got(), payloads(0, 2, 3, 5))
		o.StillRefused = true
		if r := resend(t, b, o); r.Sent != 2 || r.Before != 4 || !reflect.DeepEqual(r.Refused, want) {
			t.Errorf("call for all: %+v", r)
		}
		equal(t, "the source", got(), payloads(upTo(6)...))
	})
}

func TestWhatIsAskedAboutIsTheRecordThatWouldBeSent(t *testing.T) {
	k := newKafka(t, "trips")
	b := open(t, deadletters.Options{S3: newBucket(t, lettersOf(1)).place(), KafkaSource: k.source()})
	var asked batch.Meta
	resend(t, b, deadletters.ResendOptions{Key: "trip_id", Refuses: func(_ *deadletter.Letter, m *batch.Meta) string {
		asked = *m
		return ""
	}})
	sent := k.records(t, "trips")[0]
	if string(asked.Key) != string(sent.Key) || len(asked.Headers) != 1 || string(asked.Headers[0].Key) != sent.Headers[0].Key ||
		string(asked.Headers[0].Value) != string(sent.Headers[0].Value) {
		t.Errorf("asked about %+v, sent %+v", asked, sent)
	}
}

func TestTheKeyFieldDecidesTheShardAndTheRecordsKey(t *testing.T) {
	list := lettersOf(6)
	for i := range list {
		list[i].Payload = fmt.Appendf(nil, `{"trip_id":%d,"vendor":"v%d"}`, i, i%2)
	}
	bucket, s, k := newBucket(t, list), newStream(t), newKafka(t, "trips")
	resend(t, open(t, deadletters.Options{S3: bucket.place(), Kinesis: &s.opts}), deadletters.ResendOptions{Key: "vendor"})
	for shard, records := range s.shards(t) {
		for _, r := range records {
			if !strings.HasPrefix(*r.PartitionKey, "resent-") {
				t.Errorf("partition key %s does not name the letter", *r.PartitionKey)
			}
			// The MD5 of v1 is in the lower half of the hash keys, that of v0 in the upper one.
			if want := fmt.Sprintf(`"vendor":"v%d"}`, 1-shard); !strings.HasSuffix(string(r.Data), want) {
				t.Errorf("shard %d has %s", shard, r.Data)
			}
		}
	}
	resend(t, open(t, deadletters.Options{S3: newBucket(t, list).place(), KafkaSource: k.source()}), deadletters.ResendOptions{Key: "trip_id"})
	for _, r := range k.records(t, "trips") {
		if want := strings.TrimPrefix(strings.Split(string(r.Value), ",")[0], `{"trip_id":`); string(r.Key) != want || len(r.Headers) != 1 {
			t.Errorf("record %s has key %q and headers %v", r.Value, r.Key, r.Headers)
		}
	}
}

func TestAnInterruptedCallCanBeGoneOnWith(t *testing.T) {
	list := lettersOf(1200)
	bucket, s := newBucket(t, list), newStream(t)
	b := open(t, deadletters.Options{S3: bucket.place(), Kinesis: &s.opts})
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	r, err := b.Resend(ctx, deadletters.ResendOptions{Progress: func(int, int) { interrupt() }})
	if !errors.Is(err, context.Canceled) || r.Sent == 0 || r.Sent == len(list) {
		t.Fatalf("%d sent, error %v", r.Sent, err)
	}
	again := resend(t, b, deadletters.ResendOptions{})
	if again.Before != r.Sent || again.Sent != len(list)-r.Sent || len(again.InDoubt) > 0 {
		t.Errorf("%d sent, then %d before and %d sent, %d in doubt", r.Sent, again.Before, again.Sent, len(again.InDoubt))
	}
	equal(t, "the stream", s.payloads(t), payloads(upTo(len(list))...))
}
