package pipeline

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"

	"github.com/streaming-etl/streaming-etl/runners/flink/keygroup"
)

func init() {
	beam.RegisterType(reflect.TypeFor[*sequenceFn]())
}

// numbered is a lane's block with its number: what the committer gets. The
// encoded form crosses an exchange and lies in checkpoints.
type numbered struct {
	lane int
	// job tells whose numbers these are (see laneJob). It stays with the lane's state.
	job string
	// number counts the lane's blocks from 1. attempt is drawn by each run of
	// the workers: blocks that are made again after a restore have another one,
	// blocks that the runner kept and sends again have theirs.
	number, attempt int64
	// taken is when the block came to its lane, in milliseconds since 1970; 0
	// of one that was numbered before that was kept.
	taken int64
	// letters says that the block holds dead letters.
	letters bool
	block   []byte
}

// startedBlock begins a lane's block that says when its job was first started;
// one that was routed before blocks did begins with the byte of appendLaneBlock.
const startedBlock = 2

// laneBlock is what the router sends to a lane: when the job was first started,
// in milliseconds since 1970, and the block.
func laneBlock(blk []byte, letters bool, start int64) []byte {
	out := make([]byte, 0, len(blk)+binary.MaxVarintLen64+2)
	out = binary.AppendVarint(append(out, startedBlock), start)
	return appendLaneBlock(out, blk, letters)
}

// openLaneBlock takes what laneBlock put before the block off it. The start is
// 0 where the block does not say.
func openLaneBlock(in []byte) (start int64, rest []byte, err error) {
	if len(in) == 0 || in[0] != startedBlock {
		return 0, in, nil
	}
	start, n := binary.Varint(in[1:])
	if n <= 0 {
		return 0, nil, errLane
	}
	return start, in[1+n:], nil
}

// appendLaneBlock appends a byte that tells dead letters from events, and the block.
func appendLaneBlock(dst, blk []byte, letters bool) []byte {
	mark := byte(0)
	if letters {
		mark = 1
	}
	return append(append(dst, mark), blk...)
}

// take sets the number's block from what appendLaneBlock wrote.
func (n *numbered) take(in []byte) error {
	if len(in) == 0 || in[0] > 1 {
		return errLane
	}
	n.letters, n.block = in[0] == 1, in[1:]
	return nil
}

// Versions of the encoding: the first one has no time.
const (
	timelessVersion = 1
	numberedVersion = 2
)

func (n *numbered) encode() []byte {
	out := make([]byte, 0, len(n.block)+len(n.job)+32)
	out = append(out, numberedVersion)
	out = binary.AppendUvarint(out, uint64(n.lane))
	out = binary.AppendUvarint(out, uint64(len(n.job)))
	out = append(out, n.job...)
	out = binary.AppendUvarint(out, uint64(n.number))
	out = binary.AppendUvarint(out, uint64(n.attempt))
	out = binary.AppendUvarint(out, uint64(n.taken))
	return appendLaneBlock(out, n.block, n.letters)
}

// errLane is a block or a state of a lane that this program did not make.
var errLane = errors.New("lane: corrupt or newer encoding")

func decodeNumbered(in []byte) (numbered, error) {
	if len(in) == 0 || in[0] != numberedVersion && in[0] != timelessVersion {
		return numbered{}, errLane
	}
	version := in[0]
	in = in[1:]
	var n numbered
	ok := true
	take := func() uint64 {
		v, size := binary.Uvarint(in)
		if size <= 0 {
			ok = false
			return 0
		}
		in = in[size:]
		return v
	}
	n.lane = int(take())
	size := take()
	if !ok || size > uint64(len(in)) {
		return numbered{}, errLane
	}
	n.job, in = string(in[:size]), in[size:]
	n.number, n.attempt = int64(take()), int64(take())
	if version != timelessVersion {
		n.taken = int64(take())
	}
	if !ok || n.number < 1 || n.attempt < 0 || n.lane < 0 || n.taken < 0 {
		return numbered{}, errLane
	}
	return n, n.take(in)
}

// sequenceFn numbers the blocks of each lane. Keyed by lane, it touches its
// state once a block. The number is fixed before the barrier of a checkpoint,
// so a block that is sent again carries the same one.
type sequenceFn struct {
	Config Config
	// Keys has the key of each lane at its place.
	Keys []int64
	Last state.Value[[]byte]

	job *process
}

func newSequenceFn(c Config) *sequenceFn {
	return &sequenceFn{Config: c, Keys: c.laneKeys(), Last: state.MakeValueState[[]byte]("last")}
}

// laneJob names the job in its lanes' numbers by when it was first started,
// which the reader's state keeps over each restore. So a job that is started
// from a savepoint of before a lane's first use is the same job there, and is
// refused what it wrote since; a drawn name would pass for that of a new job. A
// job that starts anew has another start; one that is restarted before its first
// checkpoint may have the same, but has committed nothing.
func (c Config) laneJob(start int64) string {
	if start == 0 {
		return strings.ToLower(rand.Text())
	}
	return c.KafkaSink.MarkerTopic + "@" + strconv.FormatInt(start, 10)
}

// laneKeys returns a key for each lane that spread evenly over a cluster.
func (c Config) laneKeys() []int64 { return keygroup.EvenKeys(c.Lanes.Lanes, maxParallelism) }

func (f *sequenceFn) Setup() { f.job = processFor(f.Config.JobID) }

func (f *sequenceFn) ProcessElement(_ context.Context, sp state.Provider, key int64, blk []byte, emit func(int64, []byte)) error {
	lane := slices.Index(f.Keys, key)
	if lane < 0 {
		return fmt.Errorf("OutputKafkaLanes is %d, but the job's saved state has more lanes: it cannot change when a job is restored", len(f.Keys))
	}
	start, blk, err := openLaneBlock(blk)
	if err != nil {
		return fmt.Errorf("block of lane %d: %w", lane, err)
	}
	old, known, err := f.Last.Read(sp)
	if err != nil {
		return fmt.Errorf("read number of lane %d: %w", lane, err)
	}
	last := numbered{lane: lane, job: f.Config.laneJob(start)}
	if known {
		if last, err = decodeNumbered(old); err != nil {
			return fmt.Errorf("read number of lane %d: %w", lane, err)
		}
		if last.lane != lane {
			return fmt.Errorf("OutputKafkaLanes is %d, but the job's saved state has another number: it cannot change when a job is restored", len(f.Keys))
		}
	}
	last.number++
	last.attempt = f.job.attempt
	last.taken = time.Now().UnixMilli()
	last.letters, last.block = false, nil
	if err := f.Last.Write(sp, last.encode()); err != nil {
		return fmt.Errorf("write number of lane %d: %w", lane, err)
	}
	if err := last.take(blk); err != nil {
		return err
	}
	f.job.waiting.inLane(last.taken)
	emit(key, last.encode())
	return nil
}

// laneOrder numbers blocks and gives them out in order where the runner does
// not keep the order of elements of a key: on the local one, where all runs in
// this process and nothing is restored. It is safe for concurrent use.
type laneOrder struct {
	mu    sync.Mutex
	lanes map[int]*laneQueue
}

type laneQueue struct {
	job         string
	last, taken int64
	waiting     map[int64]numbered
}

func (o *laneOrder) queue(lane int) *laneQueue {
	if o.lanes == nil {
		o.lanes = map[int]*laneQueue{}
	}
	q := o.lanes[lane]
	if q == nil {
		q = &laneQueue{job: strings.ToLower(rand.Text()), waiting: map[int64]numbered{}}
		o.lanes[lane] = q
	}
	return q
}

// number gives a block the lane's next number.
func (o *laneOrder) number(lane int, attempt int64, blk []byte, letters bool) numbered {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.queue(lane)
	q.last++
	return numbered{lane: lane, job: q.job, number: q.last, attempt: attempt, letters: letters, block: blk}
}

// sort keeps a block and returns those of its lane whose turn it is.
func (o *laneOrder) sort(n numbered) []numbered {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.queue(n.lane)
	q.waiting[n.number] = n
	var out []numbered
	for {
		next, ok := q.waiting[q.taken+1]
		if !ok {
			return out
		}
		delete(q.waiting, next.number)
		q.taken++
		out = append(out, next)
	}
}
