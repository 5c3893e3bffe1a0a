package deadletters

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
)

// quiet is how long a topic that is read may give nothing before its end.
const quiet = 30 * time.Second

type kafkaPlace struct {
	KafkaPlace
	options []kgo.Opt
}

func openKafka(ctx context.Context, o KafkaPlace) (*kafkaPlace, error) {
	opts, err := o.Security.Options(ctx)
	if err != nil {
		return nil, err
	}
	return &kafkaPlace{o, append(opts,
		kgo.SeedBrokers(o.Brokers...), kgo.ClientID("streaming-etl"), kgo.RetryTimeout(quiet), kgo.DisableClientMetrics(),
	)}, nil
}

func (p *kafkaPlace) name() string { return "Kafka topic " + p.Topic }

func (p *kafkaPlace) close() {}

func (p *kafkaPlace) each(ctx context.Context, _ Filter, do func(Entry, error) error) error {
	return p.walk(ctx, p.Topic, func(r *kgo.Record) error {
		return do(parse(r.Value, fmt.Sprintf("%s partition %d offset %d", r.Topic, r.Partition, r.Offset)))
	})
}

// walk calls do with all committed records that a topic has when it begins. A
// topic that is not there has none.
func (p *kafkaPlace) walk(ctx context.Context, topic string, do func(*kgo.Record) error) error {
	admin, err := kgo.NewClient(p.options...)
	if err != nil {
		return err
	}
	defer admin.Close()
	starts, err := kadm.NewClient(admin).ListStartOffsets(ctx, topic)
	if err != nil {
		return security.Explain(err)
	}
	ends, err := kadm.NewClient(admin).ListCommittedOffsets(ctx, topic)
	if err != nil {
		return security.Explain(err)
	}
	if err := errors.Join(starts.Error(), ends.Error()); errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil
	} else if err != nil {
		return fmt.Errorf("topic %s: %w", topic, err)
	}
	open := map[int32]int64{} // ends of partitions that are not read to there
	from := map[int32]kgo.Offset{}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(topic, end.Partition)
		if start.Offset < end.Offset {
			open[end.Partition], from[end.Partition] = end.Offset, kgo.NewOffset().At(start.Offset)
		}
	})
	if len(open) == 0 {
		return nil
	}
	reader, err := kgo.NewClient(append(p.options[:len(p.options):len(p.options)],
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // the last record of a partition may be one
	)...)
	if err != nil {
		return err
	}
	defer reader.Close()
	for len(open) > 0 {
		if err := poll(ctx, reader, open, do); err != nil {
			return fmt.Errorf("read topic %s: %w", topic, security.Explain(err))
		}
	}
	return nil
}

// poll passes on what comes next, and takes partitions out of open that are read to their end.
func poll(ctx context.Context, reader *kgo.Client, open map[int32]int64, do func(*kgo.Record) error) error {
	pctx, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	fetches := reader.PollFetches(pctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if pctx.Err() != nil && fetches.NumRecords() == 0 {
		return fmt.Errorf("nothing arrived for %s, although %d partitions are not at their ends", quiet, len(open))
	}
	if err := fetches.Err(); err != nil {
		return err
	}
	var err error
	fetches.EachRecord(func(r *kgo.Record) {
		end, ok := open[r.Partition]
		if err != nil || !ok || r.Offset >= end {
			return
		}
		if !r.Attrs.IsControl() {
			err = do(r)
		}
		if r.Offset+1 >= end {
			delete(open, r.Partition)
		}
	})
	return err
}

// kafkaLedger is a compacted topic with a record for each letter. Its
// transactional id is one for all who send letters of the topic again, so that
// whoever begins ends what another has under way, before reading what that has
// written.
type kafkaLedger struct {
	*kafkaPlace
	run    string
	client *kgo.Client // nil before begin
}

func (p *kafkaPlace) ledger(context.Context) (ledger, error) {
	return &kafkaLedger{kafkaPlace: p, run: newRun()}, nil
}

func (l *kafkaLedger) topic() string { return l.Topic + ledgerSuffix }

func (l *kafkaLedger) place() string { return "Kafka topic " + l.topic() }

func (l *kafkaLedger) begin(ctx context.Context) error {
	client, err := kgo.NewClient(append(l.options[:len(l.options):len(l.options)],
		kgo.TransactionalID(l.topic()),
		kgo.ProducerBatchMaxBytes(maxMessage),
		kgo.RecordPartitioner(kgo.UniformBytesPartitioner(64<<10, true, true, nil)),
	)...)
	if err != nil {
		return err
	}
	l.client = client
	compact := "compact"
	_, err = kadm.NewClient(client).CreateTopic(ctx, 1, -1, map[string]*string{"cleanup.policy": &compact}, l.topic())
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("create topic %s: %w", l.topic(), security.Explain(err))
	}
	if _, _, err := client.ProducerID(ctx); err != nil {
		return fmt.Errorf("begin transactions as %s: %w", l.topic(), security.Explain(err))
	}
	return nil
}

// kafkaNote is the value of a ledger's record; its key is the letter's id.
type kafkaNote struct {
	note
	State string `json:"state"`
}

func (l *kafkaLedger) load(ctx context.Context) (map[string]state, error) {
	known := map[string]state{}
	return known, l.walk(ctx, l.topic(), func(r *kgo.Record) error {
		var n kafkaNote
		where := fmt.Sprintf("%s partition %d offset %d", r.Topic, r.Partition, r.Offset)
		if err := json.Unmarshal(r.Value, &n); err != nil {
			return &DamagedError{Where: where, Err: err}
		}
		s, ok := states[n.State]
		if !ok || len(r.Key) == 0 {
			return &DamagedError{Where: where, Err: errors.New("it is not the record of a dead letter that was sent")}
		}
		switch id := string(r.Key); {
		case known[id] == sent: // whatever was tried after
		case s == refused:
			delete(known, id)
		default:
			known[id] = s
		}
		return nil
	})
}

func (l *kafkaLedger) claim(ctx context.Context, ids []string) ([]bool, error) {
	won := make([]bool, len(ids))
	for i := range won {
		won[i] = true // who else wants them has ended this one's transactions
	}
	return won, l.write(ctx, claimed, ids, nil)
}

func (l *kafkaLedger) confirm(ctx context.Context, ids []string) error {
	return l.write(ctx, sent, ids, nil)
}

func (l *kafkaLedger) refuse(ctx context.Context, ids []string) error {
	return l.write(ctx, refused, ids, nil)
}

// write writes notes, and records besides, in one transaction: all or nothing.
func (l *kafkaLedger) write(ctx context.Context, s state, ids []string, besides []*kgo.Record) error {
	records := besides
	text, err := json.Marshal(kafkaNote{newNote(l.run), s.String()})
	if err != nil {
		return err
	}
	for _, id := range ids {
		records = append(records, &kgo.Record{Topic: l.topic(), Key: []byte(id), Value: text})
	}
	if err := l.client.BeginTransaction(); err != nil {
		return err
	}
	err = l.client.ProduceSync(ctx, records...).FirstErr()
	if err == nil {
		err = l.client.EndTransaction(ctx, kgo.TryCommit)
	} else {
		err = errors.Join(err, l.client.EndTransaction(ctx, kgo.TryAbort))
	}
	if errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) {
		return fmt.Errorf("another process has begun to send dead letters of topic %s: %w", l.Topic, err)
	}
	return security.Explain(err)
}

func (l *kafkaLedger) close() {
	if l.client != nil {
		l.client.Close()
	}
}

// jointSender sends into the cluster where the letters and their ledger are:
// events and notes become visible in one transaction.
type jointSender struct {
	ledger *kafkaLedger
	reads  func(topic string) bool
	key    string
}

func (s *jointSender) takes(*Entry) bool { return true } // brokers and topics know

func (s *jointSender) check(e *Entry) error { return checkTopic(s.reads, e) }

// send also confirms.
func (s *jointSender) send(ctx context.Context, list []Entry) ([]string, error) {
	var ids []string
	var records []*kgo.Record
	for i := range list {
		e := &list[i]
		r := &kgo.Record{Topic: e.Source, Value: valueOf(e), Headers: []kgo.RecordHeader{{Key: batch.ResentHeader, Value: []byte(e.ID)}}}
		if key, ok := keyOf(e.Payload, s.key); ok {
			r.Key = []byte(key)
		}
		ids, records = append(ids, e.ID), append(records, r)
	}
	return nil, s.ledger.write(ctx, sent, ids, records)
}

func (s *jointSender) close(context.Context) error { return nil }
