package transact

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
	"github.com/streaming-etl/streaming-etl/logging"
)

// Reasons of a TopicRefusal.
const (
	ReasonUnknownTopic = "unknown_topic"
	ReasonInvalidTopic = "invalid_topic"
	ReasonForbidden    = "forbidden"
)

// TopicRefusal is why no record can be written to a topic.
type TopicRefusal struct {
	Topic string
	// Reason is one of the constants, Detail is for people.
	Reason, Detail string
}

func (r *TopicRefusal) Error() string { return fmt.Sprintf("topic %s: %s", r.Topic, r.Detail) }

const (
	// refusedFor is how long a topic that cannot be written to is not asked for
	// again: it may be made.
	refusedFor = 30 * time.Second
	// takenFor is the same of one that can: its limit may be changed, and it may
	// be deleted.
	takenFor = 5 * time.Minute
	// maxTopics bounds the topics that are remembered.
	maxTopics = 4096
	// topicRequests bounds the requests for one topic.
	topicRequests = 15 * time.Second
	// unknownTo is how many brokers must not know a topic: one that was just
	// started, or has not heard of a new topic, is not believed alone.
	unknownTo = 3
	// listedFor is how long their lists of all topics do for that: whoever writes
	// events can name as many topics as they like.
	listedFor = 5 * time.Second
	// glance is how long a new answer of a fixed topic of which something is known
	// is waited for. Brokers that are there answer in it.
	glance = time.Second
)

// Topics knows of topics that records name, so that a record that could never
// be written is found before its block is numbered. A topic is asked for when
// it is named first, and then now and then. It is safe for concurrent use.
type Topics struct {
	admin  *admin
	errors *lastError
	// turn holds one token: who has it asks.
	turn chan struct{}
	// proven says, to who has the turn, that brokers have answered.
	proven bool
	// listed are the topics that some brokers know, for who has the turn.
	listed      map[string]bool
	listedUntil time.Time
	now         func() time.Time
	// patience is how long a fixed topic is asked for while nothing is known of it.
	patience time.Duration
	// glance is that of the constant, but in tests.
	glance time.Duration
	// ending is closed by Close, which waits for asking.
	ending context.Context
	end    context.CancelFunc
	asking sync.WaitGroup

	mu    sync.RWMutex
	known map[string]topicFacts
	// renewals are under way.
	renewals map[string]*renewal
}

// renewal asks, in the background, for a topic of which something is known.
type renewal struct {
	begun time.Time
	done  chan struct{}
	// err is why there is no answer, once done is closed.
	err error
}

// Rules are what a topic's settings ask of its records. One that is 0 or false
// asks nothing, or is not told to this user.
type Rules struct {
	// MaxBytes is how large a record may be (see Record.Size): max.message.bytes.
	MaxBytes int
	// Keyed says that a record needs a key: the topic is compacted.
	Keyed bool
	// Ahead and Behind are how far a record's timestamp may be from the present
	// time: message.timestamp.after.max.ms and message.timestamp.before.max.ms,
	// unless the brokers set the timestamps (message.timestamp.type).
	Ahead, Behind time.Duration
}

// topicFacts is what is known of one topic.
type topicFacts struct {
	rules   Rules
	refusal *TopicRefusal
	until   time.Time
}

// NewTopics returns Topics that know what the options do. It opens no connection.
func NewTopics(ctx context.Context, o Options) (*Topics, error) {
	if err := o.validateProducer(); err != nil {
		return nil, fmt.Errorf("ask for topics: %w", err)
	}
	o = o.withDefaults()
	opts, err := o.clientOptions(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for topics: %w", err)
	}
	last := new(lastError)
	client, err := kgo.NewClient(append(opts, kgo.WithHooks(last))...)
	if err != nil {
		return nil, fmt.Errorf("ask for topics: %w", err)
	}
	t := &Topics{
		admin: &admin{o, client, kadm.NewClient(client)}, errors: last,
		turn: make(chan struct{}, 1), now: time.Now, patience: topicRequests, glance: glance,
		known: map[string]topicFacts{}, renewals: map[string]*renewal{},
	}
	for topic, rules := range o.Fixed {
		if rules != (Rules{}) {
			t.known[topic] = topicFacts{rules: rules, until: time.Now()} // to be asked for at once
		}
	}
	t.ending, t.end = context.WithCancel(context.Background())
	return t, nil
}

// Close ends the calls that are under way, and all connections.
func (t *Topics) Close() {
	t.mu.Lock()
	t.end()
	t.mu.Unlock()
	t.asking.Wait()
	t.turn <- struct{}{} // nobody asks any more
	t.admin.client.Close()
}

// Rules returns what the topic asks of records. A *TopicRefusal says that none can
// be written there. Where the topic is not there and CreateTopic is set it is made,
// but for a fixed one, Options.Topic or one of Options.Fixed, which was there at
// start. Passing faults are waited out for up to RetryDeadline; of a fixed topic what
// was heard last counts, with a refusal too, until there is a new answer, and nothing
// is asked where for some seconds there is none.
func (t *Topics) Rules(ctx context.Context, topic string) (Rules, error) {
	f, fresh := t.look(topic)
	if !fresh {
		ask := t.ask
		if t.fixed(topic) && !f.until.IsZero() {
			ask = t.renew
		}
		var err error
		if f, err = ask(ctx, topic); err != nil {
			return Rules{}, fmt.Errorf("ask for topic %s: %w", topic, err)
		}
	}
	if f.refusal != nil {
		return f.rules, f.refusal
	}
	return f.rules, nil
}

// fixed says that the user named the topic, and not an event.
func (t *Topics) fixed(topic string) bool {
	_, ok := t.admin.opts.Fixed[topic]
	return ok || topic == t.admin.opts.Topic
}

// renew returns a new answer where it comes soon, else what is known.
func (t *Topics) renew(ctx context.Context, topic string) (topicFacts, error) {
	r := t.renewal(ctx, topic)
	if r == nil {
		return topicFacts{}, ErrClosed
	}
	late := time.NewTimer(time.Until(r.begun.Add(t.glance)))
	defer late.Stop()
	select {
	case <-r.done:
		if r.err != nil {
			return topicFacts{}, r.err
		}
	case <-late.C:
	case <-ctx.Done():
		return topicFacts{}, context.Cause(ctx)
	}
	f, _ := t.look(topic)
	return f, nil
}

// renewal returns the topic's, which it begins if there is none; nil after Close.
func (t *Topics) renewal(ctx context.Context, topic string) *renewal {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ending.Err() != nil {
		return nil
	}
	r := t.renewals[topic]
	if r == nil {
		topic = strings.Clone(topic) // it may be part of a block
		r = &renewal{begun: time.Now(), done: make(chan struct{})}
		t.renewals[topic] = r
		ctx = logging.Copy(t.ending, ctx)
		t.asking.Go(func() {
			defer close(r.done)
			_, r.err = t.ask(ctx, topic)
			t.mu.Lock()
			defer t.mu.Unlock()
			delete(t.renewals, topic)
		})
	}
	return r
}

// look returns what is known, and whether that is still to be believed.
func (t *Topics) look(topic string) (f topicFacts, fresh bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	f, ok := t.known[topic]
	return f, ok && t.now().Before(f.until)
}

// expire has a topic asked for anew when it is named next.
func (t *Topics) expire(topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f, ok := t.known[topic]; ok {
		f.until = t.now()
		t.known[topic] = f
	}
}

// batchLimit is the largest batch for a topic, uncompressed. It asks nobody.
func (t *Topics) batchLimit(topic string, most int) int {
	const least = 512 // of the client
	if t == nil {
		return most
	}
	if f, _ := t.look(topic); f.rules.MaxBytes > 0 {
		return max(least, min(most, f.rules.MaxBytes))
	}
	return most
}

func (t *Topics) ask(ctx context.Context, topic string) (topicFacts, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(t.ending, func() { cancel(ErrClosed) })()
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return topicFacts{}, context.Cause(ctx)
	}
	topic = strings.Clone(topic) // it may be part of a block
	begun := time.Now()
	for attempt := 1; ; attempt++ {
		old, fresh := t.look(topic)
		if fresh {
			return old, nil // by who had the turn before
		}
		f, err := t.request(ctx, topic)
		fixed := t.fixed(topic)
		if err == nil {
			if fixed && f.refusal != nil {
				f.rules = old.rules // it is for the commit to find out what became of the topic
			}
			t.proven = true
			t.keep(topic, f)
			return f, nil
		}
		kind := classify(ctx, err)
		if kind == permanent && t.proven && security.Refused(err) {
			kind = transient // credentials that were taken are being replaced
		}
		err = t.admin.opts.explain(t.errors.because(err), "")
		wait := pause.Backoff(attempt, t.admin.opts.RetryBackoff, t.admin.opts.RetryBackoffMax)
		switch {
		case kind == canceled:
			return f, fmt.Errorf("%w (%v)", context.Cause(ctx), err)
		case kind == permanent:
			return f, fault{err}
		case !old.until.IsZero() && (fixed || old.refusal == nil):
			// What was so will do until the brokers answer.
			old.until = t.now().Add(refusedFor)
			t.keep(topic, old)
			return old, nil
		case fixed && time.Since(begun)+wait > t.patience:
			// Other sinks need not wait for what this topic's settings forbid.
			f = topicFacts{until: t.now().Add(refusedFor)}
			t.keep(topic, f)
			return f, nil
		case time.Since(begun)+wait > t.admin.opts.RetryDeadline:
			return f, fmt.Errorf("tried %d times in %s: %w", attempt, time.Since(begun).Round(time.Millisecond), err)
		}
		logging.Retry(ctx, "kafka: a topic is asked for again", attempt, wait, err, logging.Topic, topic)
		if err := pause.Sleep(ctx, wait); err != nil {
			return f, err
		}
	}
}

func (t *Topics) keep(topic string, f topicFacts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.known[topic]; !ok && len(t.known) >= maxTopics {
		t.makeRoom()
	}
	t.known[topic] = f
}

// makeRoom forgets topics, those first that cannot be written to: whoever
// writes events can name as many as they like.
func (t *Topics) makeRoom() {
	for name, f := range t.known {
		if f.refusal != nil {
			delete(t.known, name)
		}
	}
	for name := range t.known {
		if len(t.known) < maxTopics/2 {
			return
		}
		delete(t.known, name)
	}
}

// request asks the brokers once. An error is theirs, not the topic's.
func (t *Topics) request(ctx context.Context, topic string) (topicFacts, error) {
	ctx, cancel := context.WithTimeout(ctx, topicRequests)
	defer cancel()
	refused := func(reason, detail string) (topicFacts, error) {
		return topicFacts{refusal: &TopicRefusal{topic, reason, detail}, until: t.now().Add(refusedFor)}, nil
	}
	found, err := t.find(ctx, topic)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		if !t.admin.opts.CreateTopic || t.fixed(topic) {
			return refused(ReasonUnknownTopic, ErrNoTopic.Error())
		}
		if err = t.admin.create(ctx, topic, t.admin.partitions(), t.admin.opts.ReplicationFactor, nil); err == nil {
			t.listedUntil = time.Time{}
			found, err = t.find(ctx, topic)
		} else if classify(ctx, err) == permanent && !security.Refused(err) && !errors.Is(err, kerr.InvalidTopicException) {
			return refused(ReasonUnknownTopic, fmt.Sprintf("it does not exist: %v", t.admin.opts.explain(err, "")))
		}
	}
	if err == nil {
		err = writable(found)
	}
	switch {
	case errors.Is(err, kerr.InvalidTopicException):
		return refused(ReasonInvalidTopic, err.Error())
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return refused(ReasonForbidden, t.admin.opts.explain(err, "").Error())
	case err != nil:
		return topicFacts{}, err
	}
	rules, err := t.admin.rules(ctx, topic)
	return topicFacts{rules: rules, until: t.now().Add(takenFor)}, err
}

// find is describe, but a topic that is not known is looked for in the lists of
// other brokers too. One that was made since they were asked is found a while later.
func (t *Topics) find(ctx context.Context, topic string) (*kmsg.MetadataResponseTopic, error) {
	found, err := t.admin.describe(ctx, topic)
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return found, err
	}
	brokers := t.admin.client.DiscoveredBrokers()
	brokers = brokers[:min(len(brokers), unknownTo)]
	if !t.now().Before(t.listedUntil) {
		var all bool
		if t.listed, all = t.admin.list(ctx, brokers); all {
			t.listedUntil = t.now().Add(listedFor)
		}
	}
	if !t.listed[topic] {
		return nil, err
	}
	for _, b := range brokers {
		found, other := t.admin.describeBy(ctx, b, topic)
		var code *kerr.Error
		if other == nil || errors.As(other, &code) && !errors.Is(other, kerr.UnknownTopicOrPartition) {
			return found, other
		}
	}
	return nil, err
}

// list returns the names of all topics that one of the brokers knows, and whether
// all of them have answered.
func (a *admin) list(ctx context.Context, brokers []*kgo.Broker) (names map[string]bool, all bool) {
	names, all = map[string]bool{}, true
	for _, b := range brokers {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = nil // stands for all
		resp, err := req.RequestWith(ctx, b)
		if err != nil {
			all = false
			continue
		}
		for _, t := range resp.Topics {
			if t.Topic != nil {
				names[*t.Topic] = true
			}
		}
	}
	return names, all
}

// rules returns what a topic's settings ask, nothing where this user is not told.
func (a *admin) rules(ctx context.Context, topic string) (Rules, error) {
	settings, err := a.settings(ctx, topic)
	if err != nil && classify(ctx, err) == permanent && !security.Refused(err) {
		return Rules{}, nil // who may write need not be allowed to see settings
	}
	if err != nil {
		return Rules{}, err
	}
	var r Rules
	if n, err := strconv.Atoi(settings["max.message.bytes"]); err == nil {
		r.MaxBytes = n
	}
	r.Keyed = strings.Contains(settings["cleanup.policy"], "compact")
	if settings["message.timestamp.type"] != "LogAppendTime" {
		// The third is of brokers before Kafka 4.0, which have it for both sides
		// where the other is not set.
		both := span(settings["message.timestamp.difference.max.ms"])
		r.Ahead = cmp.Or(span(settings["message.timestamp.after.max.ms"]), both)
		r.Behind = cmp.Or(span(settings["message.timestamp.before.max.ms"]), both)
	}
	return r, nil
}

// span reads a number of milliseconds, 0 where it is none, or so large that it
// bounds nothing.
func span(text string) time.Duration {
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
		return 0
	}
	return max(time.Duration(ms)*time.Millisecond, 1) // that of 0 is a bound
}
