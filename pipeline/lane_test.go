package pipeline

import (
	"bytes"
	"crypto/rand"
	"errors"
	"reflect"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/transact"
	"github.com/streaming-etl/streaming-etl/transforms/message"
)

func TestNumberedBlocksComeBack(t *testing.T) {
	for _, n := range []numbered{
		{lane: 0, job: "j", number: 1, block: []byte("block")},
		{lane: 255, job: "another job", number: 1 << 40, attempt: 1<<63 - 1, taken: 1700000000000, letters: true, block: []byte{}},
	} {
		got, err := decodeNumbered(n.encode())
		if err != nil || !reflect.DeepEqual(got, n) {
			t.Errorf("%+v became %+v, %v", n, got, err)
		}
		whole := n.encode()
		for i := range len(whole) - len(n.block) {
			if got, err := decodeNumbered(whole[:i]); !errors.Is(err, errLane) {
				t.Errorf("the first %d bytes became %+v, %v", i, got, err)
			}
		}
	}
}

func TestABlockNumberedBeforeTimesWereKeptIsRead(t *testing.T) {
	in := []byte{timelessVersion, 3, 1, 'j', 7, 9, 1, 'b'}
	want := numbered{lane: 3, job: "j", number: 7, attempt: 9, letters: true, block: []byte("b")}
	if got, err := decodeNumbered(in); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("it became %+v, %v, want %+v", got, err, want)
	}
}

func FuzzDecodeNumbered(f *testing.F) {
	n := numbered{lane: 3, job: "j", number: 7, attempt: 9, letters: true, block: []byte("b")}
	f.Add(n.encode())
	f.Add([]byte{timelessVersion, 3, 1, 'j', 7, 9, 1, 'b'})
	f.Fuzz(func(t *testing.T, in []byte) {
		n, err := decodeNumbered(in)
		if err != nil {
			return
		}
		again, err := decodeNumbered(n.encode())
		if err != nil || !reflect.DeepEqual(again, n) {
			t.Fatalf("%+v became %+v, %v", n, again, err)
		}
	})
}

func TestBlocksAreSortedByTheirLanesNumbers(t *testing.T) {
	var o laneOrder
	var blocks []numbered
	for i := range 5 {
		blocks = append(blocks, o.number(1, 9, []byte{byte(i)}, false))
	}
	other := o.number(2, 9, []byte("other"), false)
	if other.number != 1 || other.job == blocks[0].job {
		t.Errorf("another lane's first block is %+v", other)
	}
	var got []byte
	for _, i := range []int{1, 3, 0, 2, 4} {
		for _, n := range o.sort(blocks[i]) {
			if n.number != int64(len(got)+1) || n.attempt != 9 {
				t.Errorf("block %d of attempt %d comes out as the %dth", n.number, n.attempt, len(got)+1)
			}
			got = append(got, n.block...)
		}
	}
	if !bytes.Equal(got, []byte{0, 1, 2, 3, 4}) {
		t.Errorf("blocks come in the order %v", got)
	}
}

// savedNumber is a runner's state with a lane's last number.
type savedNumber struct {
	state.Provider
	last any
}

func (s *savedNumber) ReadValueState(string) (any, []state.Transaction, error) {
	return s.last, nil, nil
}

func (s *savedNumber) WriteValueState(t state.Transaction) error {
	s.last = t.Val
	return nil
}

// laneRun is one run of a job's workers: it numbers blocks of the first lane
// and commits them.
type laneRun struct {
	sequence  *sequenceFn
	committer *transact.Committer
}

func newLaneRun(t *testing.T, c Config) *laneRun {
	t.Helper()
	c.JobID = rand.Text()
	t.Cleanup(func() { endProcess(c.JobID) })
	r := &laneRun{sequence: newSequenceFn(c)}
	r.sequence.Setup()
	var err error
	if r.committer, err = transact.New(t.Context(), c.KafkaSink, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.committer.Close)
	return r
}

// commit numbers a block of a message, from the state on, and commits it.
func (r *laneRun) commit(t *testing.T, s *savedNumber, in []byte) (transact.Outcome, error) {
	t.Helper()
	var sent []byte
	if err := r.sequence.ProcessElement(t.Context(), s, r.sequence.Keys[0], in, func(_ int64, out []byte) { sent = out }); err != nil {
		t.Fatal(err)
	}
	n, err := decodeNumbered(sent)
	if err != nil {
		t.Fatal(err)
	}
	b := transact.Block{Job: n.job, Number: n.number, Attempt: n.attempt, Records: read(n.block, &message.Reader{})}
	return r.committer.Commit(t.Context(), n.lane, []transact.Block{b})
}

// messageBlock is a block of one message.
func messageBlock(topic, value string) []byte {
	var b message.Builder
	b.Append([]byte(topic), []byte(value), &batch.Meta{Timestamp: 1})
	return b.Encode(nil)
}

func laneConfig(t *testing.T) (Config, *kafkaWorld) {
	t.Helper()
	k := newKafka(t, "out:1")
	c := configure(t, "--InputKinesisStream=trips", "--Region=us-east-1", "--OutputKafkaBootstrapServers="+k.brokers, "--OutputKafkaTopic=out", "--OutputKafkaLanes=1")
	if _, err := c.KafkaSink.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, k
}

func TestASavepointOlderThanALanesFirstUseIsRefused(t *testing.T) {
	c, k := laneConfig(t)
	const start = 1514768400000
	if _, err := newLaneRun(t, c).commit(t, &savedNumber{}, laneBlock(messageBlock("out", "first"), false, start)); err != nil {
		t.Fatal(err)
	}
	// The savepoint has no number of the lane, and the reader's state has the job's start.
	_, err := newLaneRun(t, c).commit(t, &savedNumber{}, laneBlock(messageBlock("out", "again"), false, start))
	if !errors.Is(err, transact.ErrOlder) {
		t.Errorf("error %v, want %v", err, transact.ErrOlder)
	}
	if n := len(k.read(t, "out")["out"]); n != 1 {
		t.Errorf("%d records are there", n)
	}
	c.KafkaSink.MarkerPolicy = transact.Accept
	if out, err := newLaneRun(t, c).commit(t, &savedNumber{}, laneBlock(messageBlock("out", "again"), false, start)); err != nil || out.Accepted != 1 {
		t.Errorf("with the policy to go on: %+v, %v", out, err)
	}
}

func TestAFreshStartIsWritten(t *testing.T) {
	c, k := laneConfig(t)
	for i, step := range []struct {
		name  string
		start int64
		// lost says that the block was numbered and never committed: the worker ended before the first checkpoint.
		lost bool
	}{
		{"a new job", 1514768400000, false},
		{"another job, whose worker ends before the first checkpoint", 1514768500000, true},
		{"the same, restarted by the cluster", 1514768500000, false},
		{"another job, lost with its cluster before the first checkpoint", 1514768600000, true},
		{"the same, submitted again", 1514768700000, false},
	} {
		run, s := newLaneRun(t, c), &savedNumber{}
		blk := laneBlock(messageBlock("out", step.name), false, step.start)
		if step.lost {
			if err := run.sequence.ProcessElement(t.Context(), s, run.sequence.Keys[0], blk, func(int64, []byte) {}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if out, err := run.commit(t, s, blk); err != nil || out.Blocks != 1 || out.Accepted != 0 {
			t.Errorf("step %d, %s: %+v, %v", i, step.name, out, err)
		}
	}
	if n := len(k.read(t, "out")["out"]); n != 3 {
		t.Errorf("%d records are there", n)
	}
}

func TestALaneKeepsTheJobOfItsSavedState(t *testing.T) {
	c, _ := laneConfig(t)
	saved := numbered{job: "drawn", number: 4}
	s := &savedNumber{last: saved.encode()}
	f := newLaneRun(t, c).sequence
	var sent []byte
	if err := f.ProcessElement(t.Context(), s, f.Keys[0], laneBlock([]byte("b"), true, 7), func(_ int64, out []byte) { sent = out }); err != nil {
		t.Fatal(err)
	}
	if n, err := decodeNumbered(sent); err != nil || n.job != "drawn" || n.number != 5 || !n.letters || string(n.block) != "b" {
		t.Errorf("the next block is %+v, %v", n, err)
	}
}

func TestABlockRoutedBeforeItSaidTheJobsStartIsNumbered(t *testing.T) {
	c, _ := laneConfig(t)
	f := newLaneRun(t, c).sequence
	var sent []byte
	if err := f.ProcessElement(t.Context(), &savedNumber{}, f.Keys[0], []byte{1, 'b'}, func(_ int64, out []byte) { sent = out }); err != nil {
		t.Fatal(err)
	}
	if n, err := decodeNumbered(sent); err != nil || n.job == "" || n.number != 1 || !n.letters || string(n.block) != "b" {
		t.Errorf("the block is %+v, %v", n, err)
	}
	for _, bad := range [][]byte{{startedBlock}, {startedBlock, 0x80}, {startedBlock, 2}, {3, 'b'}} {
		if err := f.ProcessElement(t.Context(), &savedNumber{}, f.Keys[0], bad, func(int64, []byte) {}); !errors.Is(err, errLane) {
			t.Errorf("%x: error %v", bad, err)
		}
	}
}
