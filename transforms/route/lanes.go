package route

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/message"
	"github.com/streaming-etl/streaming-etl/transforms/template"
)

// LanesConfig says how events become messages of lanes. It is data only.
type LanesConfig struct {
	// Topic and Key are templates. An empty key is that of the source's record,
	// if it has one.
	Topic, Key string
	// Lanes is their number: messages of one key are of one lane, in order.
	Lanes int
	// MaxMessageBytes bounds key, value, headers and what the topic's format
	// needs besides; above it a message is refused.
	MaxMessageBytes int
	// BlockBytes is the raw size at which a lane's block is passed on.
	BlockBytes int
	// OpenBytes bounds the messages in unfinished blocks of all lanes.
	OpenBytes int
	// Reserved are topics of the job's own, which no event may name: who writes
	// events would write the job's records of what was committed. Where Topic is
	// a template, neither may topics of the brokers', which begin with __.
	Reserved []string
	// Read is an expression for the topics that the job reads from where it
	// writes to, empty for none: it would read what it has written, for ever.
	// Where Topic is a template, no event may name one.
	Read string
}

// messageOverhead is what a record batch of one message needs besides the
// message's own bytes: 61 of the batch's header and at most 35 of lengths and
// deltas (Kafka's protocol guide, "Record Batch").
const messageOverhead = 96

// EmitLane takes a block of n messages of a lane, which are events or all dead
// letters. The block holds until it returns.
type EmitLane func(lane int, blk []byte, n int, letters bool)

// TopicRules are what a topic asks of its messages; what is 0 or false is not
// asked, or not known.
type TopicRules struct {
	// MaxBytes is how large a message may be.
	MaxBytes int
	// Keyed says that a message needs a key.
	Keyed bool
	// Ahead and Behind are how far its timestamp may be from the present time.
	Ahead, Behind time.Duration
}

// Topics tells what a topic asks. A *Refusal is why none can be written there,
// which counts where events name the topic; any other error is not the event's.
type Topics func(name string) (TopicRules, error)

// taken is what Topics said of a topic.
type taken struct {
	rules   TopicRules
	refusal *Refusal
}

// maxTaken bounds the topics that are remembered within a bundle.
const maxTaken = 4096

// Lanes collects messages in a block for each lane. It is an Output.
type Lanes struct {
	name       string
	config     LanesConfig
	topic, key *template.Template
	// templated says that events name the topic.
	templated bool
	// read matches the topics that the job reads, nil for none; isRead has what
	// it said of those that events have named.
	read    *regexp.Regexp
	isRead  map[string]bool
	lanes   []message.Builder
	letters message.Builder
	emit    EmitLane
	// topics is nil where nobody is asked; said is what they said in this bundle.
	topics Topics
	said   map[string]taken
	// begun is when the bundle began, in milliseconds since 1970.
	begun     int64
	err       error
	topicText []byte
	keyText   []byte
	// letterText is the text of the last dead letter.
	letterText []byte
	meta       batch.Meta
	open       int
	// block is the last block that was emitted: what a block is compressed into
	// is larger than what it then takes.
	block []byte
}

// NewLanes compiles the configuration.
func NewLanes(name string, c LanesConfig, schema *event.Schema, source Source) (*Lanes, error) {
	l := &Lanes{name: name, config: c, templated: strings.Contains(c.Topic, "{"), lanes: make([]message.Builder, c.Lanes), said: map[string]taken{}, keyText: []byte{}}
	if c.BlockBytes <= 0 {
		l.config.BlockBytes = DefaultBlockBytes
	}
	if c.OpenBytes <= 0 {
		l.config.OpenBytes = DefaultOpenBytes
	}
	if c.Lanes <= 0 {
		return nil, fmt.Errorf("%d lanes", c.Lanes)
	}
	var err error
	if l.topic, err = template.Compile(c.Topic, schema, source.Variables()...); err != nil {
		return nil, fmt.Errorf("topic: %w", err)
	}
	if c.Read != "" && l.templated {
		if l.read, err = regexp.Compile("^(?:" + c.Read + ")$"); err != nil {
			return nil, fmt.Errorf("topics that are read: %w", err)
		}
		l.isRead = map[string]bool{}
	}
	if c.Key != "" {
		if l.key, err = template.Compile(c.Key, schema, source.Variables()...); err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
	}
	return l, nil
}

// Name returns the output's name.
func (l *Lanes) Name() string { return l.name }

// Templates returns those of topic and key.
func (l *Lanes) Templates() []*template.Template {
	if l.key == nil {
		return []*template.Template{l.topic}
	}
	return []*template.Template{l.topic, l.key}
}

// Err returns why the bundle cannot go on: an error of Topics, or a dead letter
// that does not fit.
func (l *Lanes) Err() error { return l.err }

// TakesTombstones says that a message may be without a value.
func (l *Lanes) TakesTombstones() bool { return true }

// Start begins a bundle: emit takes its blocks, and what an earlier one left
// is forgotten. topics are asked for each topic; nil stands for topics that take
// all.
func (l *Lanes) Start(emit EmitLane, topics Topics) {
	l.emit, l.topics, l.err, l.begun = emit, topics, nil, time.Now().UnixMilli()
	clear(l.said)
	for i := range l.lanes {
		l.lanes[i].Reset()
	}
	l.letters.Reset()
	l.open = 0
}

// Add puts a record into the block of its key's lane.
func (l *Lanes) Add(b *batch.Batch, i int, row event.Row, vars []string) error {
	m := &l.meta
	if err := b.Meta(i, m); err != nil {
		return err
	}
	if row == nil && (len(l.topic.Fields()) > 0 || l.key != nil && len(l.key.Fields()) > 0) {
		return &Refusal{Reason: ReasonTombstone, Detail: "a null value has no fields for the templates of topic and key"}
	}
	var err error
	if l.topicText, err = l.topic.Append(l.topicText[:0], row, vars); err != nil {
		return err
	}
	if reason := cmp.Or(topicFault(l.topicText), l.reserved(l.topicText)); reason != "" {
		return &Refusal{Reason: ReasonInvalidTopic, Detail: fmt.Sprintf("%.*q: %s", maxTopic, l.topicText, reason)}
	}
	topic := l.ask(l.topicText)
	if l.err != nil {
		return nil // of the bundle, which fails
	}
	if topic.refusal != nil {
		return topic.refusal
	}
	if l.key != nil {
		if l.keyText, err = l.key.Append(l.keyText[:0], row, vars); err != nil {
			return err
		}
		m.Key = l.keyText
	}
	// The mark is of the source: who reads the topic would take it for its own.
	m.Headers = slices.DeleteFunc(m.Headers, batch.Header.Resent)
	if m.Timestamp < 0 {
		m.Timestamp = b.Records[i].Arrival
	}
	value := b.Payload(i)
	if m.Null {
		value = nil
	} else if value == nil {
		value = []byte{}
	}
	if err := l.fits(topic.rules.MaxBytes, value, m); err != nil {
		return err
	}
	if m.Key == nil && topic.rules.Keyed {
		return &Refusal{Reason: ReasonMissingKey, Detail: fmt.Sprintf("topic %s is compacted: a message needs a key", l.topicText)}
	}
	if err := l.timely(&topic.rules, m.Timestamp); err != nil {
		return err
	}
	l.put(l.lane(b, m.Key), l.topicText, value, m)
	return nil
}

// ask returns what Topics say of a topic. Each is asked for once in a bundle. One
// that the user names was there at start: should it go, the job waits for it.
func (l *Lanes) ask(name []byte) taken {
	if l.topics == nil || l.err != nil {
		return taken{}
	}
	if t, ok := l.said[string(name)]; ok {
		return t
	}
	var t taken
	var err error
	if t.rules, err = l.topics(string(name)); err != nil && !errors.As(err, &t.refusal) {
		l.err = err
		return t
	}
	if !l.templated {
		t.refusal = nil
	}
	if len(l.said) >= maxTaken {
		clear(l.said)
	}
	l.said[string(name)] = t
	return t
}

// fits refuses a message that is larger than its topic takes, or any.
func (l *Lanes) fits(ofTopic int, value []byte, m *batch.Meta) error {
	limit := l.config.MaxMessageBytes
	least := ofTopic > 0 && (limit <= 0 || ofTopic < limit)
	if least {
		limit = ofTopic
	}
	if limit <= 0 {
		return nil
	}
	size := messageOverhead + len(m.Key) + len(value)
	for _, h := range m.Headers {
		size += len(h.Key) + len(h.Value) + 10
	}
	switch {
	case size <= limit:
		return nil
	case least:
		return &Refusal{Reason: ReasonTooLarge, Detail: fmt.Sprintf("a message of %d bytes, the limit of topic %s is %d, its max.message.bytes", size, l.topicText, limit)}
	}
	return &Refusal{Reason: ReasonTooLarge, Detail: fmt.Sprintf("a message of %d bytes, the limit is %d", size, limit)}
}

// underWay is how long a message may be under way to its topic. One that would be
// too old by then is refused at once: its block is numbered.
const underWay = time.Hour

// timely refuses a message whose timestamp, in milliseconds since 1970, is too far
// from the present time for its topic. One of 0 is set when the message is written.
func (l *Lanes) timely(r *TopicRules, timestamp int64) error {
	if timestamp == 0 {
		return nil
	}
	detail := ""
	// Most are told by the time at which the bundle began.
	if most := r.Ahead.Milliseconds(); r.Ahead > 0 && timestamp-l.begun > most && timestamp-time.Now().UnixMilli() > most {
		detail = fmt.Sprintf("too far in the future: topic %s accepts timestamps up to %s ahead (message.timestamp.after.max.ms)", l.topicText, r.Ahead)
	}
	if way := min(r.Behind/2, underWay); r.Behind > 0 && l.begun-timestamp > (r.Behind-way).Milliseconds() {
		detail = fmt.Sprintf("too far in the past: topic %s accepts timestamps up to %s old (message.timestamp.before.max.ms), of which %s are reserved for delivery", l.topicText, r.Behind, way)
	}
	if detail == "" {
		return nil
	}
	at := time.UnixMilli(timestamp).UTC().Format(time.RFC3339Nano)
	return &Refusal{Reason: ReasonInvalidTimestamp, Detail: "the timestamp " + at + " is " + detail}
}

// AddLetter puts a dead letter into a block, as a message of the topic, with as
// much of its payload as fits. Whether the topic is there is not its question: the
// user names it, so it was there at start. The letter has a key, since the topic
// may be compacted, and the time when it is written: the event's may be why it is
// a dead letter. One that does not fit without any payload fails the bundle: in a
// block that is numbered it would stop the job until the topic takes more.
func (l *Lanes) AddLetter(topic string, d *deadletter.Letter) {
	key := d.Key()
	most, limit := l.config.MaxMessageBytes, math.MaxInt
	if n := l.ask([]byte(topic)).rules.MaxBytes; n > 0 && (most <= 0 || n < most) {
		most = n
	}
	if most > 0 {
		limit = most - messageOverhead - len(key)
	}
	l.letterText = d.AppendShort(l.letterText[:0], limit)
	if n := len(l.letterText); n > limit {
		l.err = cmp.Or(l.err, fmt.Errorf("the dead letter %s has %d bytes without its event, and a message of topic %s may have %d", key, n, topic, most))
		return
	}
	l.meta = batch.Meta{Key: []byte(key), Headers: l.meta.Headers[:0]}
	before := l.letters.Size()
	l.letters.Append([]byte(topic), l.letterText, &l.meta)
	l.open += l.letters.Size() - before
	if l.letters.Size() >= l.config.BlockBytes {
		l.finishLetters()
	}
}

// lane returns the lane of a key, or, where there is none, of the shard.
func (l *Lanes) lane(b *batch.Batch, key []byte) int {
	h := uint64(offset64)
	if key != nil {
		h = fnv(h, key)
	} else {
		h = fnv(fnv(h, b.Source), b.Shard)
	}
	h ^= h >> 32 // its low bits alone are those of a weaker hash
	return int(h % uint64(len(l.lanes)))
}

// The lane of a key lives in savepoints: the hash is FNV-1a, 64 bit.
const (
	offset64 = 14695981039346656037
	prime64  = 1099511628211
)

func fnv[T []byte | string](h uint64, text T) uint64 {
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * prime64
	}
	return h
}

func (l *Lanes) put(lane int, topic, value []byte, m *batch.Meta) {
	b := &l.lanes[lane]
	before := b.Size()
	b.Append(topic, value, m)
	l.open += b.Size() - before
	if b.Size() >= l.config.BlockBytes {
		l.finish(lane)
	} else if l.open >= l.config.OpenBytes {
		l.Flush()
	}
}

func (l *Lanes) finish(lane int) {
	b := &l.lanes[lane]
	if b.Len() == 0 {
		return
	}
	n := b.Len()
	l.open -= b.Size()
	l.block = b.Encode(l.block[:0])
	l.emit(lane, l.block, n, false)
}

// finishLetters passes dead letters on in the first lane: they have no order.
func (l *Lanes) finishLetters() {
	if l.letters.Len() == 0 {
		return
	}
	n := l.letters.Len()
	l.open -= l.letters.Size()
	l.block = l.letters.Encode(l.block[:0])
	l.emit(0, l.block, n, true)
}

// Flush emits all unfinished blocks.
func (l *Lanes) Flush() {
	for lane := range l.lanes {
		l.finish(lane)
	}
	l.finishLetters()
}

// reserved says why events may not go to a topic, or "".
func (l *Lanes) reserved(topic []byte) string {
	if !l.templated {
		return "" // the user's choice, not an event's
	}
	if bytes.HasPrefix(topic, []byte("__")) {
		return "topics that begin with __ are the brokers' own"
	}
	for _, own := range l.config.Reserved {
		if string(topic) == own {
			return "the topic is the job's own"
		}
	}
	if l.read != nil && l.reads(topic) {
		return "the job reads the topic itself"
	}
	return ""
}

// maxRead bounds the topics of which it is remembered whether they are read.
const maxRead = 1024

func (l *Lanes) reads(topic []byte) bool {
	read, ok := l.isRead[string(topic)]
	if !ok {
		if len(l.isRead) >= maxRead {
			clear(l.isRead)
		}
		read = l.read.Match(topic)
		l.isRead[string(topic)] = read
	}
	return read
}

// maxTopic is the longest name that a Kafka topic can have.
const maxTopic = 249

// topicFault says why no topic can have the name, or "".
func topicFault(name []byte) string {
	switch {
	case len(name) == 0:
		return "no name"
	case len(name) > maxTopic:
		return fmt.Sprintf("more than %d bytes", maxTopic)
	case string(name) == "." || string(name) == "..":
		return "not a name"
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return "only letters, digits, dots, underscores and hyphens can be in it"
		}
	}
	return ""
}
