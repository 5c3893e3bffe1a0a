package kafkaio

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/logging"
)

// missingGrace is how long a topic must be missing before that counts: brokers
// learn of new ones one after another, and of all again when they start.
const missingGrace = 30 * time.Second

// watch is what successive looks at the topics have to remember.
type watch struct {
	missing map[string]time.Time
	// denied are topics of an expression of which brokers say that there is none
	// of the id, since when.
	denied map[topicID]time.Time
	// failing counts looks that failed, troubled those that saw trouble.
	failing  failing
	troubled int
}

// discover looks at the topics in turn, and out of turn when asked.
func (r *Reader) discover(ctx context.Context) error {
	w := watch{missing: map[string]time.Time{}, denied: map[topicID]time.Time{}}
	for {
		trouble, err := r.look(ctx, &w)
		if err != nil && (ctx.Err() != nil || !r.passing(err)) {
			return err
		}
		wait := r.opts.DiscoveryInterval
		if err == nil {
			w.failing.succeeded()
		} else {
			var over bool
			if wait, over = w.failing.failed(&r.opts, time.Now()); over {
				return err
			}
			r.counts.retries.Add(1)
			logging.Retry(ctx, "kafka: topics are looked at again", w.failing.attempts, wait, err)
		}
		if !trouble {
			w.troubled = 0
		} else {
			w.troubled++
			wait = min(wait, backoff(w.troubled, r.opts.RetryBackoff, r.opts.RetryBackoffMax))
		}
		// There is a least time between looks, however many ask for them.
		if err := pause.Sleep(ctx, min(wait, r.opts.RetryBackoff)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.relook:
		case <-time.After(wait):
		}
	}
}

func (r *Reader) askRelook() {
	select {
	case r.relook <- struct{}{}:
	default:
	}
}

// look asks for the topics once: it takes over leaders and finds partitions
// that are new, gone or of another topic of the same name. trouble says that
// another look is wanted soon. An error may be passing.
func (r *Reader) look(ctx context.Context, w *watch) (trouble bool, err error) {
	topics, err := r.client.topics(ctx, r.sel)
	if err != nil {
		return true, err
	}
	if err := r.deny(ctx, w, topics); err != nil {
		return true, err
	}
	missing, err := r.missing(ctx, w, topics)
	if err != nil {
		return true, err
	}
	fresh, replaced, leaderless, err := r.compare(topics)
	if err != nil {
		return true, err
	}
	for _, p := range replaced {
		if err := r.reset(ctx, p.partition, p.place, fmt.Errorf("the topic was deleted and made again: %w", ErrLost)); err != nil {
			return true, err
		}
	}
	err = r.begin(ctx, fresh)
	for _, t := range topics {
		if err == nil && t.err != nil && !unknownTopic(t.err) {
			err = r.client.listError(t) // it passes, or lasts too long
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.assign()
	r.looked = r.looked || err == nil && !missing
	return missing || leaderless, err
}

// deny asks for topics of an expression that are not to be seen by their ids,
// for which brokers tell those that are no more from those that are hidden.
func (r *Reader) deny(ctx context.Context, w *watch, topics []topic) error {
	if r.sel.expr == nil {
		return nil
	}
	there := make(map[string]bool, len(topics))
	for _, t := range topics {
		there[t.name] = true
	}
	unseen := map[topicID]bool{}
	r.mu.Lock()
	for k, p := range r.partitions {
		if !there[k.topic] && !p.gone && p.at.id != (topicID{}) {
			unseen[p.at.id] = true
		}
	}
	r.mu.Unlock()
	gone, err := r.client.gone(ctx, unseen)
	if err != nil {
		return err
	}
	maps.DeleteFunc(w.denied, func(id topicID, _ time.Time) bool { return !gone[id] })
	for id := range gone {
		if _, ok := w.denied[id]; !ok {
			w.denied[id] = time.Now()
		}
	}
	return nil
}

// missing handles topics that are not there: one that was named is an error
// after a while. One of an expression is forgotten once brokers have said for
// as long that it was deleted; ids do not come again. Otherwise it may be
// hidden from the user: its positions are kept, however long that takes, since
// without them all of it would be read again. Brokers that know no ids (before
// Kafka 3.1) never say so: there a topic that was deleted costs the state some
// bytes for each partition.
func (r *Reader) missing(ctx context.Context, w *watch, topics []topic) (bool, error) {
	there := make(map[string]bool, len(topics))
	for _, t := range topics {
		there[t.name] = !unknownTopic(t.err)
		if t.err != nil && !passing(t.err) {
			return true, r.client.listError(t)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known := map[string]bool{}
	away := map[string]bool{}
	for k, p := range r.partitions {
		if !p.gone {
			known[k.topic] = true
			away[k.topic] = away[k.topic] || p.at.away
		}
	}
	wanted := map[string]bool{}
	for _, name := range r.sel.names {
		wanted[name] = true
	}
	if r.sel.expr != nil {
		wanted = known
	}
	now, grace := time.Now(), min(missingGrace, r.opts.RetryDeadline)
	for name := range wanted {
		if there[name] {
			delete(w.missing, name)
			continue
		}
		if _, ok := w.missing[name]; !ok && !away[name] {
			w.missing[name] = now
		}
		if !away[name] && now.Sub(w.missing[name]) < grace {
			continue
		}
		if r.sel.expr == nil {
			return true, r.missingError(name, known[name])
		}
		r.part(ctx, name, func(id topicID) bool {
			since, denied := w.denied[id]
			return denied && now.Sub(since) >= grace
		})
		delete(w.missing, name)
	}
	return len(w.missing) > 0, nil
}

// part stops reading a topic that is not to be seen, and forgets those of its
// partitions that are of a topic that was deleted. r.mu is held.
func (r *Reader) part(ctx context.Context, name string, deleted func(topicID) bool) {
	dropped, left := 0, 0
	for k, p := range r.partitions {
		switch {
		case k.topic != name || p.gone:
		case deleted(p.at.id):
			r.drop(p)
			dropped++
		case !p.at.away:
			p.at.away = true
			p.moved()
			left++
		}
	}
	switch {
	case dropped > 0:
		slog.WarnContext(ctx, "kafka: a topic was deleted; it is no longer read", logging.Topic, name)
	case left > 0:
		slog.WarnContext(ctx, "kafka: a topic is no longer visible; if it reappears, reading resumes where it stopped", logging.Topic, name,
			logging.Next, "if it was not deleted, give the user the ACLs Describe and Read on it")
	}
}

// moved tells Drain of a position that changed by itself, and has what is being
// fetched thrown away. The reader's mu is held.
func (p *partition) moved() {
	p.era++
	p.queue = append(p.queue, chunk{after: p.at})
}

func (r *Reader) missingError(name string, known bool) error {
	err := fmt.Errorf("%w, or the user may not describe it", ErrNoTopic)
	if known {
		err = fmt.Errorf("%w any more: it was deleted, or the user may not describe it any more", ErrNoTopic)
	}
	return r.client.listError(topic{name: name, err: err})
}

// drop ends a partition that is no more, behind what was read of it. r.mu is held.
func (r *Reader) drop(p *partition) {
	if !p.gone {
		p.gone = true
		p.era++
		p.queue = append(p.queue, chunk{gone: true})
	}
}

// replacedPartition is one whose topic was deleted and made again.
type replacedPartition struct {
	partition *partition
	place     place
}

// compare takes leaders over and returns what is new in the topics.
func (r *Reader) compare(topics []topic) (fresh []place, replaced []replacedPartition, leaderless bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for _, t := range topics {
		if t.err != nil {
			leaderless = true
			continue
		}
		there := make(map[int32]bool, len(t.partitions))
		for _, info := range t.partitions {
			there[info.number] = true
			at := t.place(info)
			if !r.sel.owns(r.slot, at.key) {
				continue
			}
			p := r.partitions[at.key]
			if p == nil {
				if !r.finished {
					fresh = append(fresh, at)
				}
				continue
			}
			if p.at.away && !p.gone {
				r.back(p, t.id)
			}
			if p.gone {
				leaderless = true // known anew once what there was is delivered
				continue
			}
			if info.leader != noLeader && t.id != (topicID{}) && p.at.id != (topicID{}) && t.id != p.at.id {
				replaced = append(replaced, replacedPartition{p, at})
				continue
			}
			if p.leader != info.leader || p.epoch != info.epoch {
				p.leader, p.epoch, p.unverified = info.leader, info.epoch, true
				p.resume = time.Time{}
			}
			if info.leader == noLeader {
				leaderless = true
				if _, over := p.failing.failed(&r.opts, now); over {
					return nil, nil, true, &Error{Op: "read records", Topic: t.name, Partition: info.number, Attempts: p.failing.attempts, Err: kerr.LeaderNotAvailable}
				}
				continue
			}
			switch {
			case p.at.id == topicID{}:
				p.at.id = t.id
			case r.opts.StopAtEnd && p.at.stop == noStop:
				fresh = append(fresh, at) // restored from a reading without an end
			}
		}
		for k, p := range r.partitions {
			if k.topic != t.name || there[k.number] || t.id == (topicID{}) || t.id == p.at.id {
				continue
			}
			if p.at.away {
				r.drop(p)
				continue
			}
			// The new topic has fewer partitions.
			err := fmt.Errorf("the topic was deleted and made again with %d partitions: %w", len(t.partitions), ErrLost)
			if r.opts.OffsetReset == ResetFail {
				return nil, nil, true, r.lostError(p, err)
			}
			r.drop(p)
		}
	}
	return fresh, replaced, leaderless, nil
}

// back goes on with a partition whose topic was away. Another topic of the name
// is one that is new: the old one's records cannot have been waited for.
// r.mu is held.
func (r *Reader) back(p *partition, id topicID) {
	if id != (topicID{}) && p.at.id != (topicID{}) && id != p.at.id {
		r.drop(p)
		return
	}
	p.at.away = false
	p.moved()
	p.failing.succeeded()
	p.resume = time.Time{}
	slog.InfoContext(r.ctx, "kafka: a topic is there again", logging.Topic, p.key.topic, logging.Partition, p.key.number, "from", p.at.next)
}

// begin makes new partitions known: they are read from their beginning.
func (r *Reader) begin(ctx context.Context, fresh []place) error {
	if len(fresh) == 0 {
		return nil
	}
	found, err := r.client.begin(ctx, &r.opts, fresh, Earliest, 0)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, at := range fresh {
		begin, ok := found[at.key]
		if !ok {
			continue
		}
		p := r.partitions[at.key]
		if p == nil {
			p = r.add(at.key, begin)
			slog.InfoContext(ctx, "kafka: a partition is new", logging.Topic, at.key.topic, logging.Partition, at.key.number, "from", begin.next)
		} else {
			// Nothing was fetched of it yet: it waited for its stop.
			p.at.stop = begin.stop
			p.queue = append(p.queue, chunk{after: p.at})
		}
		p.leader, p.epoch = at.leader, at.epoch
	}
	return err
}

// pin is the first look of a job: it finds all the slot's partitions and where
// to begin in each, however long that takes, up to the retry deadline.
func (r *Reader) pin(ctx context.Context) error {
	w := watch{missing: map[string]time.Time{}, denied: map[topicID]time.Time{}}
	missing := ""
	err := r.retry(ctx, func() error {
		missing = ""
		topics, err := r.client.topics(ctx, r.sel)
		if err != nil {
			return err
		}
		if _, err := r.missing(ctx, &w, topics); err != nil {
			return err
		}
		for _, t := range topics {
			if t.err != nil {
				if unknownTopic(t.err) {
					missing = t.name
				}
				return r.client.listError(t)
			}
		}
		fresh, _, _, err := r.compare(topics)
		if err != nil {
			return err
		}
		found, err := r.client.begin(ctx, &r.opts, fresh, r.opts.InitialPosition, r.slot.JobStart)
		if err != nil {
			return err
		}
		for _, at := range fresh {
			p := r.add(at.key, found[at.key])
			p.leader, p.epoch = at.leader, at.epoch
		}
		r.looked = true
		return nil
	})
	if missing != "" {
		return r.missingError(missing, false)
	}
	return err
}

// assign wakes the fetchers of all leaders, and starts those that are missing. r.mu is held.
func (r *Reader) assign() {
	for _, p := range r.turns {
		if p.leader == noLeader || r.closed {
			continue
		}
		f := r.fetchers[p.leader]
		if f == nil {
			f = newFetcher(r, p.leader)
			r.fetchers[p.leader] = f
			r.run(f.run)
		}
		f.wake()
	}
}
