package kafkaio

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/streaming-etl/streaming-etl/io/internal/pause"
	"github.com/streaming-etl/streaming-etl/logging"
)

// missingGrace is how long a topic must be missing before it is taken for
// deleted: brokers learn of new ones one after another, and of all again when
// they start.
const missingGrace = 30 * time.Second

// watch is what successive looks at the topics have to remember.
type watch struct {
	missing map[string]time.Time
	// failing counts looks that failed, troubled those that saw trouble.
	failing  failing
	troubled int
}

// discover looks at the topics in turn, and out of turn when asked.
func (r *Reader) discover(ctx context.Context) error {
	w := watch{missing: map[string]time.Time{}}
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

// missing handles topics that are not there: one that was named is an error
// after a while, one of an expression is forgotten.
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
	for k := range r.partitions {
		known[k.topic] = true
	}
	wanted := map[string]bool{}
	for _, name := range r.sel.names {
		wanted[name] = true
	}
	if r.sel.expr != nil {
		wanted = known
	}
	now := time.Now()
	for name := range wanted {
		if there[name] {
			delete(w.missing, name)
			continue
		}
		since, ok := w.missing[name]
		if !ok {
			since = now
			w.missing[name] = now
		}
		if now.Sub(since) < min(missingGrace, r.opts.RetryDeadline) {
			continue
		}
		if r.sel.expr == nil {
			return true, r.missingError(name, known[name])
		}
		slog.WarnContext(ctx, "kafka: a topic was deleted, its records are read no more", logging.Topic, name, logging.Property, "InputKafkaTopic")
		for k, p := range r.partitions {
			if k.topic == name {
				r.drop(p)
			}
		}
		delete(w.missing, name)
	}
	return len(w.missing) > 0, nil
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
			k := partitionKey{t.name, info.number}
			if !r.sel.owns(r.slot, k) {
				continue
			}
			at := place{key: k, id: t.id, leader: info.leader, epoch: info.epoch}
			p := r.partitions[k]
			if p == nil {
				if !r.finished {
					fresh = append(fresh, at)
				}
				continue
			}
			if p.leader != info.leader || p.epoch != info.epoch {
				p.leader, p.epoch = info.leader, info.epoch
				p.resume = time.Time{}
			}
			if info.leader == noLeader {
				leaderless = true
				if _, over := p.failing.failed(&r.opts, now); over {
					return nil, nil, true, &Error{Op: "read records", Topic: k.topic, Partition: k.number, Attempts: p.failing.attempts, Err: kerr.LeaderNotAvailable}
				}
				continue
			}
			switch {
			case p.gone:
				// Made again since: known anew once what there was is delivered.
			case p.at.id == topicID{}:
				p.at.id = t.id
			case t.id != topicID{} && t.id != p.at.id:
				replaced = append(replaced, replacedPartition{p, at})
			case r.opts.StopAtEnd && p.at.stop == noStop:
				fresh = append(fresh, at) // restored from a reading without an end
			}
		}
		for k, p := range r.partitions {
			if k.topic != t.name || there[k.number] || t.id == (topicID{}) || t.id == p.at.id {
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

// begin makes new partitions known: they are read from their beginning.
func (r *Reader) begin(ctx context.Context, fresh []place) error {
	if len(fresh) == 0 {
		return nil
	}
	found, err := r.client.begin(ctx, &r.opts, fresh, Earliest)
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
	w := watch{missing: map[string]time.Time{}}
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
		found, err := r.client.begin(ctx, &r.opts, fresh, r.opts.InitialPosition)
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
