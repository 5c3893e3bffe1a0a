package transact

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kversion"
)

func TestCommitKeepsRecordsAsTheyAre(t *testing.T) {
	c := newCluster(t)
	o := c.options()
	o.Partitions = 1
	prepare(t, o)
	// Of today: brokers delete what is older than a topic keeps.
	at := time.Now().UnixMilli() - 5000
	want := []Record{
		{Key: []byte("k"), Value: []byte("v"), Timestamp: at, Headers: []Header{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "b"}}},
		{Key: []byte("k"), Timestamp: at + 1}, // a tombstone
		{Value: []byte{}, Timestamp: at - 2},
		{Key: []byte{}, Value: make([]byte, 900_000), Timestamp: at + 3},
	}
	mustCommit(t, newCommitter(t, o), 1, 1, 0, blockOf("job", 1, 0, func(yield func(Record, error) bool) {
		for _, r := range want {
			r.Topic = c.name
			if !yield(r, nil) {
				return
			}
		}
	}))
	var got []Record
	for _, r := range c.committed(t, c.name) {
		got = append(got, Record{Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp.UnixMilli()})
	}
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range want {
		same := reflect.DeepEqual(got[i].Key, want[i].Key) && reflect.DeepEqual(got[i].Value, want[i].Value) &&
			got[i].Timestamp == want[i].Timestamp && len(got[i].Headers) == len(want[i].Headers)
		for j := range want[i].Headers {
			same = same && got[i].Headers[j].Key == want[i].Headers[j].Key && string(got[i].Headers[j].Value) == string(want[i].Headers[j].Value)
		}
		if !same {
			t.Errorf("record %d is %.200v, want %.200v", i, got[i], want[i])
		}
	}
}

func TestCommitWritesOneMarkerPerTransaction(t *testing.T) {
	c := newCluster(t)
	o := c.options()
	prepare(t, o)
	k := newCommitter(t, o)
	mustCommit(t, k, 1, 2, 0, c.block("job", 1, 7), c.block("job", 2, 7))
	mustCommit(t, k, 1, 1, 0, c.block("job", 3, 8))
	var got []marker
	for _, r := range c.committed(t, o.MarkerTopic) {
		m, err := decodeMarker(1, r.Key, r.Value)
		if err != nil || r.Partition != 1 {
			t.Fatalf("marker %s in partition %d: %v", r.Value, r.Partition, err)
		}
		got = append(got, m)
	}
	want := []marker{
		{Version: 1, Job: "job", Lane: 1, Number: 2, Runs: []run{{1, 7}}, Owner: k.owner},
		{Version: 1, Job: "job", Lane: 1, Number: 3, Runs: []run{{1, 7}, {3, 8}}, Owner: k.owner},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("markers %+v, want %+v", got, want)
	}
	c.wantBlocks(t, "job", 1, 2, 3)
}

func TestCommitEndsATransactionAtItsSize(t *testing.T) {
	c := newCluster(t)
	o := c.options()
	o.TransactionBytes = 400 // two blocks have more
	prepare(t, o)
	var blocks []Block
	var released []int64
	for n := range int64(7) {
		b := c.block("job", n+1, 0)
		b.Release = func() { released = append(released, b.Number) }
		blocks = append(blocks, b)
	}
	k := newCommitter(t, o)
	out := mustCommit(t, k, 0, 7, 0, blocks...)
	if want := []int64{1, 2, 3, 4, 5, 6, 7}; !slices.Equal(released, want) {
		t.Errorf("released blocks %d, want %d", released, want)
	}
	mustCommit(t, k, 0, 0, 7, blocks...)
	if len(released) != 7 {
		t.Errorf("blocks that were skipped are released: %d", released[7:])
	}
	if out.Transactions < 3 || out.Transactions > 4 {
		t.Errorf("%d transactions", out.Transactions)
	}
	if out.Records != 35 {
		t.Errorf("%d records", out.Records)
	}
	if n := len(c.committed(t, o.MarkerTopic)); n != out.Transactions {
		t.Errorf("%d markers for %d transactions", n, out.Transactions)
	}
	c.wantBlocks(t, "job", 1, 2, 3, 4, 5, 6, 7)
}

// What a marker decides is tested on the brokers as well: a new Committer has
// nothing but the marker.
func TestCommitAfterRestart(t *testing.T) {
	type commit struct {
		job             string
		number, attempt int64
	}
	for _, test := range []struct {
		name   string
		before []commit
		now    []commit
		policy MarkerPolicy
		// written and skipped, or the error.
		written, skipped, accepted int
		err                        error
		words                      string
	}{
		{name: "the first block", now: []commit{{"a", 1, 0}}, written: 1},
		{name: "the next block", before: []commit{{"a", 1, 0}}, now: []commit{{"a", 2, 0}}, written: 1},
		{name: "the next block of a later attempt", before: []commit{{"a", 1, 0}}, now: []commit{{"a", 2, 1}}, written: 1},
		{name: "a replay", before: []commit{{"a", 1, 0}, {"a", 2, 0}}, now: []commit{{"a", 1, 0}, {"a", 2, 0}}, skipped: 2},
		{name: "a replay and new blocks", before: []commit{{"a", 1, 0}, {"a", 2, 0}}, now: []commit{{"a", 2, 0}, {"a", 3, 0}, {"a", 4, 0}}, written: 2, skipped: 1},
		{name: "a replay of an earlier attempt's block", before: []commit{{"a", 1, 0}, {"a", 2, 1}}, now: []commit{{"a", 1, 0}}, skipped: 1},
		{name: "another job's first block", before: []commit{{"a", 1, 0}, {"a", 2, 0}}, now: []commit{{"b", 1, 0}, {"b", 2, 0}}, written: 2},
		{name: "a savepoint of before the lane's first block", before: []commit{{"a", 1, 0}, {"a", 2, 0}}, now: []commit{{"a", 1, 1}}, err: ErrOlder, words: "blocks 1 to 2 again"},
		{name: "the same, accepted", before: []commit{{"a", 1, 0}, {"a", 2, 0}}, now: []commit{{"a", 1, 1}}, policy: Accept, written: 1, accepted: 1},
		{name: "an older savepoint", before: []commit{{"a", 1, 0}, {"a", 2, 0}, {"a", 3, 0}}, now: []commit{{"a", 2, 1}}, err: ErrOlder, words: "blocks 2 to 3 again"},
		{name: "an older savepoint, of a smaller attempt", before: []commit{{"a", 1, 7}, {"a", 2, 7}, {"a", 3, 7}}, now: []commit{{"a", 2, 3}}, err: ErrOlder, words: "blocks 2 to 3 again"},
		{name: "the older of two restores", before: []commit{{"a", 1, 4}, {"a", 2, 5}, {"a", 3, 6}}, now: []commit{{"a", 3, 5}}, err: ErrOlder, words: "blocks 3 to 3 again"},
		{name: "an older savepoint, accepted", before: []commit{{"a", 1, 0}, {"a", 2, 0}, {"a", 3, 0}}, now: []commit{{"a", 2, 1}, {"a", 3, 1}}, policy: Accept, written: 2, accepted: 1},
		{name: "a gap", before: []commit{{"a", 1, 0}}, now: []commit{{"a", 4, 0}}, err: ErrGap, words: "blocks 2 to 3 were lost"},
		{name: "a gap, accepted", before: []commit{{"a", 1, 0}}, now: []commit{{"a", 4, 0}, {"a", 5, 0}}, policy: Accept, written: 2, accepted: 1},
		{name: "no marker", now: []commit{{"a", 3, 0}}, err: ErrGap, words: "there is no marker"},
		{name: "no marker, accepted", now: []commit{{"a", 3, 0}}, policy: Accept, written: 1, accepted: 1},
		{name: "another job's marker", before: []commit{{"b", 1, 0}}, now: []commit{{"a", 2, 0}}, err: ErrGap, words: "that of job b"},
		{name: "another job's marker, accepted", before: []commit{{"b", 1, 0}}, now: []commit{{"a", 2, 0}}, policy: Accept, written: 1, accepted: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t)
			o := c.options()
			o.MarkerPolicy = test.policy
			prepare(t, o)
			blocks := func(commits []commit) (blocks []Block) {
				for _, b := range commits {
					blocks = append(blocks, c.block(b.job, b.number, b.attempt))
				}
				return blocks
			}
			if len(test.before) > 0 {
				mustCommit(t, newCommitter(t, o), 0, len(test.before), 0, blocks(test.before)...)
			}
			k := newCommitter(t, o)
			if test.err == nil {
				out := mustCommit(t, k, 0, test.written, test.skipped, blocks(test.now)...)
				if out.Accepted != test.accepted {
					t.Errorf("%d accepted, want %d", out.Accepted, test.accepted)
				}
			} else {
				_, err := k.Commit(t.Context(), 0, blocks(test.now))
				if !errors.Is(err, test.err) || !isPermanent(err) {
					t.Fatalf("error %v (permanent: %t), want %v", err, isPermanent(err), test.err)
				}
				for _, words := range []string{"lane 0", test.now[0].job, test.words, "ACCEPT"} {
					if !strings.Contains(err.Error(), words) {
						t.Errorf("error %q does not say %q", err, words)
					}
				}
			}
			if n, want := len(c.committed(t, c.name)), 5*(len(test.before)+test.written); n != want {
				t.Errorf("%d records are visible, want %d", n, want)
			}
		})
	}
}

func TestOlderCommitterIsFenced(t *testing.T) {
	c := newCluster(t)
	o := c.options()
	prepare(t, o)
	old, young := newCommitter(t, o), newCommitter(t, o)
	mustCommit(t, old, 0, 1, 0, c.block("job", 1, 0))
	mustCommit(t, young, 0, 1, 1, c.block("job", 1, 0), c.block("job", 2, 0))
	for range 2 { // it stays so
		_, err := old.Commit(t.Context(), 0, []Block{c.block("job", 3, 0)})
		if !errors.Is(err, ErrFenced) {
			t.Fatalf("error %v, want %v", err, ErrFenced)
		}
	}
	c.wantBlocks(t, "job", 1, 2)
	mustCommit(t, young, 0, 1, 0, c.block("job", 3, 0))
	mustCommit(t, old, 1, 1, 0, c.block("other", 1, 0)) // the other lane is its own
	c.wantBlocks(t, "job", 1, 2, 3)
	c.wantStable(t, c.name)
	c.wantStable(t, o.MarkerTopic)
}

// The older Committer is in the middle of a transaction when it is fenced:
// what it has written of it must not become visible.
func TestOlderCommitterIsFencedInMidTransaction(t *testing.T) {
	c := newCluster(t)
	o := c.options()
	prepare(t, o)
	old, young := newCommitter(t, o), newCommitter(t, o)
	half, on := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		slow := blockOf("job", 1, 0, func(yield func(Record, error) bool) {
			for r, err := range c.block("job", 1, 0).Records {
				if !yield(r, err) {
					return
				}
			}
			// So much that some of it is sent.
			for range 4 {
				if !yield(Record{Topic: c.name, Key: []byte("x"), Value: make([]byte, 700_000)}, nil) {
					return
				}
			}
			once.Do(func() { close(half) })
			<-on
		})
		_, err = old.Commit(t.Context(), 0, []Block{slow})
	}()
	<-half
	mustCommit(t, young, 0, 1, 0, c.block("job", 1, 0))
	close(on)
	<-done
	if !errors.Is(err, ErrFenced) {
		t.Fatalf("error %v, want %v", err, ErrFenced)
	}
	c.wantBlocks(t, "job", 1)
	c.wantStable(t, c.name)
	if n := len(c.committed(t, c.name)); n != 5 {
		t.Errorf("%d records are visible, want 5", n)
	}
}

// A Committer that lost its connection looks who has the lane before it
// takes it back.
func TestDisconnectedCommitterDoesNotTakeTheLaneBack(t *testing.T) {
	c := newCluster(t)
	o := c.options()
	prepare(t, o)
	cut := &endCutter{fault: loseRequest}
	old, young := newCommitter(t, o), newCommitter(t, o)
	cut.use(old)
	mustCommit(t, old, 0, 1, 0, c.block("job", 1, 0))
	cut.set(true)
	// Its second commit fails once, then the lane is taken over, and it fails
	// again without having heard of that.
	walks, again, on := 0, make(chan struct{}), make(chan struct{})
	twice := blockOf("job", 2, 0, func(yield func(Record, error) bool) {
		if walks++; walks == 2 {
			close(again)
			<-on
		}
		for r, err := range c.block("job", 2, 0).Records {
			if !yield(r, err) {
				return
			}
		}
	})
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err = old.Commit(t.Context(), 0, []Block{twice})
	}()
	<-again
	mustCommit(t, young, 0, 1, 0, c.block("job", 2, 0))
	close(on)
	<-done
	if !errors.Is(err, ErrFenced) {
		t.Fatalf("error %v, want %v", err, ErrFenced)
	}
	mustCommit(t, young, 0, 1, 0, c.block("job", 3, 0))
	c.wantBlocks(t, "job", 1, 2, 3)
}

func TestLostCommitAnswerNeitherDoublesNorLoses(t *testing.T) {
	for name, fault := range map[string]endFault{"the answer is lost": loseAnswer, "the request is lost": loseRequest} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			o := c.options()
			prepare(t, o)
			cut := &endCutter{fault: fault}
			k := newCommitter(t, o)
			cut.use(k)
			mustCommit(t, k, 0, 1, 0, c.block("job", 1, 0))
			cut.set(true)
			// The fault ends with the session in which it came.
			again := blockOf("job", 2, 0, func(yield func(Record, error) bool) {
				if cut.mu.Lock(); cut.hits > 0 {
					cut.on = false
				}
				cut.mu.Unlock()
				for r, err := range c.block("job", 2, 0).Records {
					if !yield(r, err) {
						return
					}
				}
			})
			out, err := k.Commit(t.Context(), 0, []Block{again})
			if err != nil {
				t.Fatal(err)
			}
			cut.mu.Lock()
			hits := cut.hits
			cut.mu.Unlock()
			if hits == 0 || out.Retries == 0 {
				t.Fatalf("the fault came %d times and %d retries were made", hits, out.Retries)
			}
			if fault == loseAnswer && (out.Skipped != 1 || out.Blocks != 0) {
				t.Errorf("the committed block was skipped %d times and written %d times after the fault", out.Skipped, out.Blocks)
			}
			cut.set(false)
			mustCommit(t, k, 0, 1, 0, c.block("job", 3, 0))
			c.wantBlocks(t, "job", 1, 2, 3)
			c.wantStable(t, c.name)
		})
	}
}

// A Committer that never learns what became of its commit says so, and the
// next one finds it out.
func TestCommitOutcomeIsFoundByTheNextCommitter(t *testing.T) {
	c := newCluster(t)
	o := c.options()
	o.RetryDeadline = 100 * time.Millisecond
	prepare(t, o)
	cut := &endCutter{fault: loseAnswer}
	k := newCommitter(t, o)
	cut.use(k)
	cut.set(true)
	ctx, cancel := context.WithCancel(t.Context())
	b := c.block("job", 1, 0)
	// Ends the Committer's own search for the outcome.
	cut.onHit = cancel
	if _, err := k.Commit(ctx, 0, []Block{b}); err == nil {
		t.Fatal("the outcome was not in doubt")
	}
	// It may have come to pass or not; the next one does what is left.
	out, err := newCommitter(t, o).Commit(t.Context(), 0, []Block{b, c.block("job", 2, 0)})
	if err != nil || out.Blocks+out.Skipped != 2 {
		t.Fatalf("%+v, %v", out, err)
	}
	c.wantBlocks(t, "job", 1, 2)
}

func TestErrorInABlockAbortsTheTransaction(t *testing.T) {
	c := newCluster(t)
	o := c.options()
	prepare(t, o)
	k := newCommitter(t, o)
	broken := errors.New("broken block")
	_, err := k.Commit(t.Context(), 0, []Block{c.block("job", 1, 0), blockOf("job", 2, 0, func(yield func(Record, error) bool) {
		for range 4 {
			if !yield(Record{Topic: c.name, Value: make([]byte, 700_000)}, nil) {
				return
			}
		}
		yield(Record{}, broken)
	})})
	if !errors.Is(err, broken) || !isPermanent(err) {
		t.Fatalf("error %v (permanent: %t), want %v", err, isPermanent(err), broken)
	}
	c.wantStable(t, c.name)
	c.wantBlocks(t, "job")
	mustCommit(t, k, 0, 2, 0, c.block("job", 1, 0), c.block("job", 2, 0))
	c.wantBlocks(t, "job", 1, 2)
}

func TestTooLargeRecordNamesTheLimit(t *testing.T) {
	c := newCluster(t)
	o := c.options()
	prepare(t, o)
	k := newCommitter(t, o)
	_, err := k.Commit(t.Context(), 0, []Block{blockOf("job", 1, 0, func(yield func(Record, error) bool) {
		yield(Record{Topic: c.name, Value: make([]byte, DefaultMaxMessageBytes)}, nil)
	})})
	if !isPermanent(err) || !strings.Contains(err.Error(), "1000012 bytes") || !strings.Contains(err.Error(), c.name) {
		t.Fatalf("error %v", err)
	}
	c.wantStable(t, c.name)
	mustCommit(t, k, 0, 1, 0, c.block("job", 1, 0))
	c.wantBlocks(t, "job", 1)
}

func TestRecordOfTheLargestSizeIsTaken(t *testing.T) {
	c := newCluster(t)
	o := c.options()
	o.MaxMessageBytes = 5000
	limit := fmt.Sprint(o.MaxMessageBytes)
	c.makeTopic(t, c.name, 1, map[string]*string{"max.message.bytes": &limit})
	o.Compression = "none"
	prepare(t, o)
	largest := Record{Topic: c.name, Key: make([]byte, 200), Headers: []Header{{Key: "a", Value: make([]byte, 100)}, {Key: "b"}}}
	largest.Value = make([]byte, o.MaxMessageBytes-largest.Size())
	if largest.Size() != o.MaxMessageBytes {
		t.Fatalf("size %d", largest.Size())
	}
	out := mustCommit(t, newCommitter(t, o), 0, 1, 0, blockOf("job", 1, 0, func(yield func(Record, error) bool) {
		for range 10 {
			if !yield(largest, nil) {
				return
			}
		}
	}))
	if n := len(c.committed(t, c.name)); n != 10 || out.Records != 10 {
		t.Errorf("%d records are visible, %d were written", n, out.Records)
	}
}

// Kafka's own limit is lower; a topic's can be raised.
func TestARecordOf10MiBIsTaken(t *testing.T) {
	const size = 10 << 20
	large := make([]byte, size)
	if _, err := rand.Read(large); err != nil { // which no codec makes smaller
		t.Fatal(err)
	}
	for _, compression := range []string{"none", "lz4"} {
		t.Run(compression, func(t *testing.T) {
			c := newCluster(t)
			o := c.options()
			o.Compression, o.MaxMessageBytes = compression, size+1<<10
			c.makeTopic(t, c.name, 1, setting(o.MaxMessageBytes))
			prepare(t, o)
			records := func(yield func(Record, error) bool) {
				_ = yield(Record{Topic: c.name, Value: []byte("before")}, nil) &&
					yield(Record{Topic: c.name, Key: []byte("k"), Value: large, Headers: []Header{{Key: "a", Value: []byte("1")}}}, nil) &&
					yield(Record{Topic: c.name, Value: []byte("behind")}, nil)
			}
			mustCommit(t, newCommitter(t, o), 0, 1, 0, blockOf("job", 1, 0, records))
			p := newProducer(t, o)
			for r := range records {
				if err := p.Put(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := c.committed(t, c.name)
			if len(got) != 6 {
				t.Fatalf("%d records are there", len(got))
			}
			for i, r := range got {
				if i%3 == 1 && (string(r.Key) != "k" || !bytes.Equal(r.Value, large) || len(r.Headers) != 1) {
					t.Errorf("record %d has the key %q, %d bytes, headers %v", i, r.Key, len(r.Value), r.Headers)
				}
			}
		})
	}
}

func TestTopicThatDoesNotExist(t *testing.T) {
	c := newCluster(t)
	o := c.options()
	prepare(t, o)
	o.RetryDeadline = time.Millisecond
	_, err := newCommitter(t, o).Commit(t.Context(), 0, []Block{blockOf("job", 1, 0, func(yield func(Record, error) bool) {
		yield(Record{Topic: c.name + "-missing", Value: []byte("v")}, nil)
	})})
	if !isPermanent(err) || !strings.Contains(err.Error(), c.name+"-missing") || !strings.Contains(err.Error(), "does not exist") {
		t.Fatalf("error %v", err)
	}
}

func TestLanesCommitAtTheSameTime(t *testing.T) {
	c := newCluster(t)
	o := c.options()
	o.Lanes = 6
	prepare(t, o)
	k := newCommitter(t, o)
	var all sync.WaitGroup
	for lane := range o.Lanes {
		all.Go(func() {
			job := fmt.Sprintf("job%d", lane)
			for n := range int64(5) {
				// Each block comes twice, as in a replay.
				for i := range 2 {
					out, err := k.Commit(t.Context(), lane, []Block{c.block(job, n+1, 0)})
					if err != nil || out.Skipped != i {
						t.Errorf("lane %d block %d: %+v, %v", lane, n+1, out, err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	for lane := range o.Lanes {
		c.wantBlocks(t, fmt.Sprintf("job%d", lane), 1, 2, 3, 4, 5)
	}
	c.wantStable(t, c.name)
}

// Brokers without epochs that change at each commit (before Kafka 4).
func TestOlderBrokers(t *testing.T) {
	c := newCluster(t, kfake.MaxVersions(kversion.V3_3_0()))
	o := c.options()
	prepare(t, o)
	old, young := newCommitter(t, o), newCommitter(t, o)
	mustCommit(t, old, 0, 1, 0, c.block("job", 1, 0))
	mustCommit(t, old, 0, 1, 0, c.block("job", 2, 0))
	mustCommit(t, young, 0, 1, 1, c.block("job", 2, 0), c.block("job", 3, 0))
	if _, err := old.Commit(t.Context(), 0, []Block{c.block("job", 3, 0)}); !errors.Is(err, ErrFenced) {
		t.Fatalf("error %v, want %v", err, ErrFenced)
	}
	c.wantBlocks(t, "job", 1, 2, 3)
}

func TestCloseEndsACommit(t *testing.T) {
	c := newCluster(t)
	o := c.options()
	prepare(t, o)
	k := newCommitter(t, o)
	half := make(chan struct{})
	var once sync.Once
	failed := make(chan error)
	go func() {
		_, err := k.Commit(t.Context(), 0, []Block{blockOf("job", 1, 0, func(yield func(Record, error) bool) {
			for yield(Record{Topic: c.name, Value: make([]byte, 10_000)}, nil) {
				once.Do(func() { close(half) })
			}
		})})
		failed <- err
	}()
	<-half
	k.Close()
	if err := <-failed; !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want %v", err, ErrClosed)
	}
	if _, err := k.Commit(t.Context(), 0, []Block{c.block("job", 1, 0)}); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want %v", err, ErrClosed)
	}
	if n := len(c.committed(t, c.name)); n != 0 {
		t.Errorf("%d records are visible", n)
	}
}

func TestCommitRefusesMisuse(t *testing.T) {
	c := newCluster(t)
	k := newCommitter(t, c.options())
	for name, call := range map[string]struct {
		lane   int
		blocks []Block
	}{
		"a lane that is not there": {2, []Block{c.block("job", 1, 0)}},
		"a negative lane":          {-1, []Block{c.block("job", 1, 0)}},
		"block 0":                  {0, []Block{c.block("job", 0, 0)}},
		"no job":                   {0, []Block{c.block("", 1, 0)}},
		"blocks out of order":      {0, []Block{c.block("job", 2, 0), c.block("job", 1, 0)}},
	} {
		if _, err := k.Commit(t.Context(), call.lane, call.blocks); !isPermanent(err) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if out, err := k.Commit(t.Context(), 0, nil); err != nil || out != (Outcome{}) {
		t.Errorf("nothing: %+v, %v", out, err)
	}
}
