package kafkaio

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
	"github.com/streaming-etl/streaming-etl/io/secret"
)

// hideable is a fake cluster whose options are those of a user who may read
// topic trips by an ACL of its own; root may do all.
type hideable struct {
	*cluster
	root []kgo.Opt
	acl  *kadm.ACLBuilder
}

func newHideable(t *testing.T, options ...kfake.Opt) hideable {
	t.Helper()
	t.Setenv("PASSWORD", "secret")
	c := newFake(t, 2, append(options, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "secret"), kfake.User("PLAIN", "reader", "secret"))...)
	login := func(name string) security.Config {
		return security.Config{Protocol: security.SASLPlaintext, Mechanism: security.Plain, Username: name, Password: secret.Secret{Env: "PASSWORD"}}
	}
	root, err := login("root").Options(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.kgo = c.client(root...)
	c.admin = kadm.NewClient(c.kgo)
	c.opts.Security = login("reader")
	c.opts.Topic, c.opts.RetryDeadline = "regex:trip.", 500*time.Millisecond // which bounds the grace too
	acl := kadm.NewACLs().Topics("trips").ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpRead).Allow("User:reader").AllowHosts()
	h := hideable{c, root, acl}
	h.show()
	return h
}

func (h hideable) show() {
	h.t.Helper()
	if _, err := h.admin.CreateACLs(h.t.Context(), h.acl); err != nil {
		h.t.Fatal(err)
	}
}

func (h hideable) hide() {
	h.t.Helper()
	if _, err := h.admin.DeleteACLs(h.t.Context(), h.acl); err != nil {
		h.t.Fatal(err)
	}
}

// stop returns the reader's positions and closes it.
func stop(t *testing.T, r *Reader) []byte {
	t.Helper()
	_, at, _, err := r.Drain(1)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	return at
}

func TestATopicThatWasHiddenIsReadOnWhereItWasLeft(t *testing.T) {
	for name, restored := range map[string]bool{"running": false, "restored": true} {
		t.Run(name, func(t *testing.T) {
			c := newHideable(t)
			var asked atomic.Int64
			c.fake.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
				c.fake.KeepControl()
				if topics := req.(*kmsg.MetadataRequest).Topics; len(topics) > 0 && topics[0].TopicID != (topicID{}) {
					asked.Add(1)
				}
				return nil, nil, false
			})
			next := map[string]int{}
			c.put("trips", 20, 2, next)
			got := collect(t)
			r := c.open(one(), nil)
			got.drain(20, r)
			at := stop(t, r)

			c.hide()
			r = c.open(one(), at)
			got.until("not read any more", func() bool { return r.Stats().Partitions == 0 && r.Stats().CaughtUp }, r)
			if len(r.Lags()) != 0 {
				t.Errorf("lags are %+v", r.Lags())
			}
			// So often as takes longer than a topic has to be forgotten that is deleted.
			from := asked.Load()
			got.until("looked for again", func() bool { return asked.Load() > from+20 }, r)
			if restored {
				r = c.open(one(), stop(t, r))
			}
			c.put("trips", 20, 2, next)
			c.show()
			got.drain(40, r)
			got.quiet(r)
			got.once(next)
		})
	}
}

func TestATopicThatWasMadeAgainWhileItWasHiddenIsReadFromItsBeginning(t *testing.T) {
	c := newHideable(t)
	c.put("trips", 20, 2, map[string]int{})
	got := collect(t)
	r := c.open(one(), nil)
	got.drain(20, r)
	at := stop(t, r)
	c.hide()
	r = c.open(one(), at)
	got.until("not read any more", func() bool { return r.Stats().Partitions == 0 && r.Stats().CaughtUp }, r)
	c.remove("trips")
	c.create("trips", 2, nil)
	c.kgo = c.client(c.root...) // the old one does not know the new id
	for i := range 4 {
		c.produce(c.kgo, &kgo.Record{Topic: "trips", Partition: int32(i % 2), Value: fmt.Append(nil, "new", i)})
	}
	c.show()
	got = collect(t)
	got.drain(4, r)
	got.quiet(r)
	got.exactly([]string{"new0", "new1", "new2", "new3"})
}

// TestPositionsAreKeptWhereBrokersDoNotTellWhatWasDeleted reads from brokers
// that cannot be asked for a topic by its id.
func TestPositionsAreKeptWhereBrokersDoNotTellWhatWasDeleted(t *testing.T) {
	c := newHideable(t, kfake.MaxVersions(kversion.V2_7_0()))
	next := map[string]int{}
	c.put("trips", 20, 2, next)
	got := collect(t)
	r := c.open(one(), nil)
	got.drain(20, r)
	at := stop(t, r)
	c.hide()
	r = c.open(one(), at)
	got.until("not read any more", func() bool { return r.Stats().Partitions == 0 && r.Stats().CaughtUp }, r)
	at = stop(t, r)
	o, err := decodePositions(at)
	if err != nil || len(o.partitions) != 2 {
		t.Errorf("positions are %+v, error %v", o, err)
	}
	c.put("trips", 20, 2, next)
	c.show()
	r = c.open(one(), at)
	got.drain(40, r)
	got.quiet(r)
	got.once(next)
}

func TestPositionsOfATopicThatIsAwayAreNotCommitted(t *testing.T) {
	c := newFake(t, 2)
	o := c.committer()
	at := positions{count: 1, partitions: map[partitionKey]position{{c.topic, 0}: {next: 7, stop: noStop}, {c.topic, 1}: {next: 7, stop: noStop, away: true}}}
	if err := o.Commit(t.Context(), at.encode()); err != nil {
		t.Fatal(err)
	}
	offsets, err := c.admin.FetchOffsets(t.Context(), c.opts.GroupID)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := offsets.Lookup(c.topic, 1); ok || len(offsets[c.topic]) != 1 {
		t.Errorf("committed are %+v", offsets)
	}
}
