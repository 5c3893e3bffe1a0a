package deadletters

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
)

// A batch is claimed, sent and confirmed together: so much a crash can leave in doubt.
const (
	batchLetters = 500
	batchBytes   = 4 << 20
)

// closeTimeout is how long the end of a sender is waited for.
const closeTimeout = time.Minute

// ResendOptions choose letters, and say how they are sent.
type ResendOptions struct {
	Filter Filter
	// InDoubt sends also letters that an earlier call has claimed and not
	// confirmed: it ended in between, and the source may have them.
	InDoubt bool
	// Key names a field of the event whose value is the record's key in Kafka,
	// and decides the shard in Kinesis. Without it, records have no key in
	// Kafka and are spread over the shards of Kinesis.
	Key string
	// Refuses says for which reason the job would make a dead letter of the
	// event again when it comes with m beside it, or ""; nil refuses none.
	Refuses func(l *deadletter.Letter, m *batch.Meta) (reason string)
	// StillRefused sends also what Refuses refuses.
	StillRefused bool
	// DryRun finds out what would be sent, and sends and writes nothing.
	DryRun bool
	// Progress is called with how many were sent after each batch; may be nil.
	Progress func(sent, of int)
}

// Resent is what became of the chosen letters' events.
type Resent struct {
	// Chosen events are Sent, or were sent Before, or are one of the next four.
	// With a dry run, Sent is what would be sent.
	Chosen, Sent, Before int
	// InDoubt are the ids of events that another call has claimed and not
	// confirmed.
	InDoubt []string
	// Cut are the ids of those whose letters do not have all of the event.
	Cut []string
	// Unfit are the ids of those whose events the source does not take: they are
	// empty, or too large for it. Where only the source itself could tell, which
	// a dry run does not ask, they are claimed no more and can be sent when it
	// takes them.
	Unfit []string
	// Refused are, by reason, the ids of those of which the job would make dead
	// letters again; the ones that StillRefused sends are among Sent too.
	Refused map[string][]string
	// Damaged are letters of the place that cannot be read.
	Damaged []error
	// Ledger is where it is written down.
	Ledger string
}

// Resend sends the events of the chosen letters into the job's source again,
// each once, whatever number of letters it has, and by however many calls. All
// are looked at before the first is sent, and what the job would refuse again
// is left out: sent, it could not be sent once more when it is mended.
//
// Where the letters are in the cluster of a Kafka source, event and note are
// one transaction, and an event is there once to those who read what is
// committed. Elsewhere an event is claimed in the ledger, sent, and confirmed:
// a call that ends in between leaves it claimed, and no later call sends it
// unless told by InDoubt. What the service itself doubles, as Kinesis does when
// an answer is lost and the call is made again, is doubled here too.
func (b *Box) Resend(ctx context.Context, o ResendOptions) (_ Resent, err error) {
	l, err := b.place.ledger(ctx)
	if err != nil {
		return Resent{}, fmt.Errorf("open the record of what was sent: %w", err)
	}
	defer l.close()
	out := Resent{Ledger: l.place(), Refused: map[string][]string{}}
	if joint, ok := l.(interface{ begin(context.Context) error }); ok && !o.DryRun {
		if err := joint.begin(ctx); err != nil {
			return out, err
		}
	}
	known, err := l.load(ctx)
	if err != nil {
		return out, fmt.Errorf("read the record of what was sent, %s: %w", l.place(), err)
	}
	s, err := b.sender(ctx, l, o.Key)
	if err != nil {
		return out, err
	}
	defer func() {
		cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		err = errors.Join(err, s.close(cctx))
	}()
	plan, err := b.plan(ctx, o, known, s, &out)
	if err != nil || o.DryRun {
		out.Sent = len(plan)
		if err != nil {
			out.Sent = 0
		}
		return out, err
	}
	r := &resending{box: b, opts: o, ledger: l, sender: s, known: known, plan: plan, total: len(plan), out: &out}
	return out, r.run(ctx)
}

// plan returns the ids of what is to be sent.
func (b *Box) plan(ctx context.Context, o ResendOptions, known map[string]state, s sender, out *Resent) (map[string]bool, error) {
	plan, cut, whole := map[string]bool{}, map[string]bool{}, map[string]bool{}
	seen := map[string]bool{}
	err := b.each(ctx, o.Filter, &out.Damaged, func(e Entry) error {
		if !seen[e.ID] {
			seen[e.ID] = true
			out.Chosen++
			switch {
			case known[e.ID] == sent:
				out.Before++
			case known[e.ID] == claimed && !o.InDoubt:
				out.InDoubt = append(out.InDoubt, e.ID)
			}
		}
		switch {
		case e.Cut():
			cut[e.ID] = true
			return nil
		case whole[e.ID] || known[e.ID] == sent || known[e.ID] == claimed && !o.InDoubt:
			return nil
		}
		whole[e.ID] = true
		if !s.takes(&e) {
			out.Unfit = append(out.Unfit, e.ID)
			return nil
		}
		if reason := b.refuses(&e, o); reason != "" {
			out.Refused[reason] = append(out.Refused[reason], e.ID)
			if !o.StillRefused {
				return nil
			}
		}
		plan[e.ID] = true
		return s.check(&e)
	})
	for id := range cut {
		if !whole[id] && known[id] == unknown { // no other letter has all of it
			out.Cut = append(out.Cut, id)
		}
	}
	slices.Sort(out.Cut)
	slices.Sort(out.Unfit)
	return plan, err
}

// refuses says for which reason the job would refuse an event that is sent again, or "".
func (b *Box) refuses(e *Entry, o ResendOptions) string {
	if o.Refuses == nil {
		return ""
	}
	m := batch.Meta{Timestamp: -1}
	if b.opts.KafkaSource != nil {
		m.Headers = []batch.Header{{Key: []byte(batch.ResentHeader), Value: []byte(e.ID)}}
		if key, ok := keyOf(e.Payload, o.Key); ok {
			m.Key = []byte(key)
		}
	}
	return o.Refuses(&e.Letter, &m)
}

// sender returns what puts events into the job's source.
func (b *Box) sender(ctx context.Context, l ledger, key string) (sender, error) {
	switch {
	case b.opts.KafkaSource != nil:
		joint, ok := l.(*kafkaLedger)
		if source := b.opts.KafkaSource; ok && slices.Equal(source.Brokers, joint.Brokers) && source.Security == joint.Security {
			reads, err := sourceTopics(source.Topic)
			if err != nil {
				return nil, err
			}
			return &jointSender{ledger: joint, reads: reads, key: key}, nil
		}
		return newKafkaSender(ctx, b.opts, key)
	case b.opts.Kinesis != nil:
		return newKinesisSender(*b.opts.Kinesis, key), nil
	}
	return nil, errors.New("the job has no source to which dead letters could be sent")
}

// resending is the second walk over the letters, which sends.
type resending struct {
	box    *Box
	opts   ResendOptions
	ledger ledger
	sender sender
	known  map[string]state
	plan   map[string]bool // what is left to send
	total  int
	out    *Resent

	batch []Entry
	bytes int
}

func (r *resending) run(ctx context.Context) error {
	var damaged []error // told by the plan
	err := r.box.each(ctx, r.opts.Filter, &damaged, func(e Entry) error {
		if !r.plan[e.ID] || e.Cut() {
			return nil
		}
		delete(r.plan, e.ID)
		r.batch = append(r.batch, e)
		r.bytes += len(e.Payload)
		if len(r.batch) < batchLetters && r.bytes < batchBytes {
			return nil
		}
		return r.send(ctx)
	})
	if err != nil {
		return err
	}
	return r.send(ctx)
}

// send sends a batch. Once it has begun it is not interrupted, since that would
// leave it in doubt.
func (r *resending) send(ctx context.Context) error {
	list := r.batch
	r.batch, r.bytes = nil, 0
	if err := ctx.Err(); err != nil || len(list) == 0 {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if _, joint := r.sender.(*jointSender); joint {
		if _, err := r.sender.send(ctx, list); err != nil {
			return fmt.Errorf("send %d events again: %w", len(list), err)
		}
		r.sent(len(list))
		return nil
	}
	list, err := r.claim(ctx, list)
	if err != nil || len(list) == 0 {
		return err
	}
	refused, err := r.sender.send(ctx, list)
	if err != nil {
		return fmt.Errorf("send %d events again, which are in doubt now: %w", len(list), err)
	}
	taken := slices.DeleteFunc(idsOf(list), func(id string) bool { return slices.Contains(refused, id) })
	if len(taken) > 0 {
		if err := r.ledger.confirm(ctx, taken); err != nil {
			return fmt.Errorf("record in %s that %d events were sent, which are in doubt there now: %w", r.ledger.place(), len(taken), err)
		}
		r.sent(len(taken))
	}
	if len(refused) > 0 {
		if err := r.ledger.refuse(ctx, refused); err != nil {
			return fmt.Errorf("record in %s that %d events were refused, which are in doubt there now: %w", r.ledger.place(), len(refused), err)
		}
		r.out.Unfit = append(r.out.Unfit, refused...)
		slices.Sort(r.out.Unfit)
	}
	return nil
}

// claim returns those of the list that are this call's to send.
func (r *resending) claim(ctx context.Context, list []Entry) ([]Entry, error) {
	var mine, fresh []Entry
	for _, e := range list {
		if r.known[e.ID] == claimed {
			mine = append(mine, e) // which InDoubt has chosen
		} else {
			fresh = append(fresh, e)
		}
	}
	if len(fresh) == 0 {
		return mine, nil
	}
	won, err := r.ledger.claim(ctx, idsOf(fresh))
	if err != nil {
		return nil, fmt.Errorf("claim %d events in %s; those that were claimed are in doubt now: %w", len(fresh), r.ledger.place(), err)
	}
	for i, e := range fresh {
		if won[i] {
			mine = append(mine, e)
		} else {
			r.out.InDoubt = append(r.out.InDoubt, e.ID) // another call is at it
		}
	}
	return mine, nil
}

func (r *resending) sent(n int) {
	r.out.Sent += n
	if r.opts.Progress != nil {
		r.opts.Progress(r.out.Sent, r.total)
	}
}

func idsOf(list []Entry) []string {
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	return ids
}
