package transact

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// cluster is what the contract tests run on: brokers in this process, or the
// ones that TEST_KAFKA_BOOTSTRAP names (host:port, comma-separated; without
// TLS and login). Topics have names of their own, so the latter may be shared.
type cluster struct {
	brokers []string
	// fake is nil for real brokers.
	fake *kfake.Cluster
	name string
}

func realBrokers() string { return os.Getenv("TEST_KAFKA_BOOTSTRAP") }

func newCluster(t testing.TB, opts ...kfake.Opt) *cluster {
	t.Helper()
	name := strings.ToLower("t-" + rand.Text()[:10])
	if real := realBrokers(); real != "" && len(opts) == 0 {
		return &cluster{brokers: strings.Split(real, ","), name: name}
	}
	return newFake(t, name, opts...)
}

// newFake is for what only brokers in this process can be made to do.
func newFake(t testing.TB, name string, opts ...kfake.Opt) *cluster {
	t.Helper()
	fake, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	return &cluster{fake.ListenAddrs(), fake, name}
}

// Timeouts of transactions, and what a commit or abort has to become stable,
// which must be less.
const (
	transactionTimeout = 40 * time.Second
	stableTimeout      = 20 * time.Second
)

// options are those of a Committer with two lanes, whose topics Check makes.
func (c *cluster) options() Options {
	return Options{
		Brokers: c.brokers, TransactionalIDPrefix: c.name, MarkerTopic: c.name + "-markers", Lanes: 2,
		Topic: c.name, CreateTopic: true, Partitions: 3, ReplicationFactor: 1,
		RetryDeadline: 30 * time.Second, TransactionTimeout: transactionTimeout,
	}
}

// prepare makes the topics.
func prepare(t testing.TB, o Options) {
	t.Helper()
	if _, err := o.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func newCommitter(t testing.TB, o Options) *Committer {
	t.Helper()
	c, err := New(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// isPermanent tells whether an error would come again at the next attempt with
// the same configuration and data.
func isPermanent(err error) bool {
	return err != nil && classify(context.Background(), err) == permanent
}

// mustCommit commits blocks and checks what became of them.
func mustCommit(t testing.TB, c *Committer, lane int, written, skipped int, blocks ...Block) Outcome {
	t.Helper()
	out, err := c.Commit(t.Context(), lane, blocks)
	if err != nil {
		t.Fatal(err)
	}
	if out.Blocks != written || out.Skipped != skipped {
		t.Fatalf("%d blocks were written and %d skipped; want %d and %d", out.Blocks, out.Skipped, written, skipped)
	}
	return out
}

// block is one of job with a few records that tell the block.
func (c *cluster) block(job string, number, attempt int64) Block {
	return blockOf(job, number, attempt, func(yield func(Record, error) bool) {
		for i := range 5 {
			text := fmt.Sprintf("%s/%d/%d", job, number, i)
			if !yield(Record{Topic: c.name, Key: []byte(text), Value: []byte(text)}, nil) {
				return
			}
		}
	})
}

func blockOf(job string, number, attempt int64, records iter.Seq2[Record, error]) Block {
	return Block{Job: job, Number: number, Attempt: attempt, Records: records}
}

// committed reads a topic to its last stable offset, as any reader of
// committed data does.
func (c *cluster) committed(t testing.TB, topic string) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends := awaitStable(t, kadm.NewClient(client), topic)
	open := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if o.Offset > 0 {
			open[o.Partition] = o.Offset
		}
	})
	var records []*kgo.Record
	for len(open) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read %s (up to %v): %v", topic, open, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				records = append(records, r)
			}
			if r.Offset+1 >= open[r.Partition] {
				delete(open, r.Partition)
			}
		})
	}
	return records
}

// wantBlocks checks that exactly the records of these blocks are visible, each
// once.
func (c *cluster) wantBlocks(t testing.TB, job string, numbers ...int) {
	t.Helper()
	want := map[string]int{}
	for _, n := range numbers {
		for i := range 5 {
			want[fmt.Sprintf("%s/%d/%d", job, n, i)]++
		}
	}
	got := map[string]int{}
	for _, r := range c.committed(t, c.name) {
		if strings.HasPrefix(string(r.Value), job+"/") {
			got[string(r.Value)]++
		}
	}
	for v, n := range want {
		if got[v] != n {
			t.Errorf("record %s is there %d times, want %d", v, got[v], n)
		}
	}
	for v, n := range got {
		if want[v] == 0 {
			t.Errorf("record %s is there %d times, want none", v, n)
		}
	}
}

// wantStable checks that no transaction is left open on a topic.
func (c *cluster) wantStable(t testing.TB, topic string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	awaitStable(t, kadm.NewClient(client), topic)
}

// awaitStable waits until the last stable offsets are the ends, and returns
// them: brokers confirm a commit before its partitions know it. It fails
// before a forgotten transaction is ended by its timeout.
func awaitStable(t testing.TB, admin *kadm.Client, topic string) kadm.ListedOffsets {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		ends, err := admin.ListEndOffsets(t.Context(), topic)
		if err == nil {
			err = ends.Error()
		}
		if err != nil {
			t.Fatal(err)
		}
		stable, err := admin.ListCommittedOffsets(t.Context(), topic)
		if err == nil {
			err = stable.Error()
		}
		if err != nil {
			t.Fatal(err)
		}
		open := ""
		ends.Each(func(o kadm.ListedOffset) {
			if s, _ := stable.Lookup(topic, o.Partition); s.Offset < o.Offset {
				open += fmt.Sprintf(" partition %d: the last stable offset is %d, the end %d;", o.Partition, s.Offset, o.Offset)
			}
		})
		if open == "" {
			return stable
		}
		if time.Since(begin) > stableTimeout {
			t.Fatalf("topic %s:%s", topic, open)
		}
	}
}

// Faults of a connection at EndTxn, the request that commits.
type endFault int

const (
	// loseAnswer lets the brokers do it and cuts the connection then.
	loseAnswer endFault = iota
	// loseRequest cuts the connection before the request is sent.
	loseRequest
)

// endCutter is a dialer whose connections fail at EndTxn while it is on.
type endCutter struct {
	fault endFault
	mu    sync.Mutex
	on    bool
	hits  int
	// onHit is called when an answer has come that is to be lost.
	onHit func()
}

func (e *endCutter) set(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.on = on
}

func (e *endCutter) hit() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.on {
		e.hits++
	}
	return e.on
}

// use makes a Committer's clients connect through e, with few retries of
// their own, so that a lost answer is the Committer's to deal with.
func (e *endCutter) use(c *Committer) {
	c.client = append(c.client, kgo.RetryTimeout(100*time.Millisecond), kgo.RequestRetries(1),
		kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &endConn{Conn: conn, cutter: e}, nil
		}))
}

type endConn struct {
	net.Conn
	cutter *endCutter
}

var errCut = errors.New("cut by the test")

func (c *endConn) Write(b []byte) (int, error) {
	const keyEndTxn = 26
	if len(b) >= 6 && b[4] == 0 && b[5] == keyEndTxn && c.cutter.hit() {
		if c.cutter.fault == loseRequest {
			c.Conn.Close()
			return 0, errCut
		}
		if _, err := c.Conn.Write(b); err != nil {
			return 0, err
		}
		// The answer's begin says that the brokers have done it.
		_, err := c.Conn.Read(make([]byte, 1))
		if c.cutter.onHit != nil {
			c.cutter.onHit()
		}
		c.Conn.Close()
		return 0, errors.Join(errCut, err)
	}
	return c.Conn.Write(b)
}
