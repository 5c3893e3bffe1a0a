package pipeline

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/io/slots"
)

// process is what the steps of one job share within a worker process. A
// runner makes and drops instances of a step as it likes and runs them on any
// thread, so clients, readers and limits cannot live in an instance.
type process struct {
	readers *slots.Pool
	// monitor is nil but in the process of the direct runner's command.
	monitor *Monitor
	// memory bounds the bytes of blocks that are being written into files.
	memory *semaphore.Weighted
	// encode has room for as many encoders of files as there are processors.
	encode chan struct{}

	// pace keeps bundles short.
	pace *pace

	// attempt tells this run of the job's workers from those before a restore.
	attempt int64
	// order numbers and sorts the blocks of lanes on the local runner.
	order laneOrder
	// seen has the values that slots have seen (*seenValues), by slot.
	seen sync.Map
	// eventLag and waiting are what the readers tell of the process.
	eventLag eventLag
	waiting  uncommitted

	mu sync.Mutex
	// shared holds what the steps share, by kind and name; closers end it.
	shared  map[string]any
	closers []func()
}

// share returns the process's one client of that name, made at first use: the
// connections are shared by all steps. stop may be nil.
func share[T any](p *process, name string, open func() (client T, stop func(), err error)) (T, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c, ok := p.shared[name]; ok {
		return c.(T), nil
	}
	c, stop, err := open()
	if err != nil {
		return c, err
	}
	p.shared[name] = c
	if stop != nil {
		p.closers = append(p.closers, stop)
	}
	return c, nil
}

// atEnd has stop called when the job ends in this process. (A step's Teardown
// is not: runners drop instances without a word.)
func (p *process) atEnd(stop func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closers = append(p.closers, stop)
}

// s3 returns the job's store of a bucket.
func (p *process) s3(ctx context.Context, o s3io.Options) (*s3io.Store, error) {
	return share(p, "s3 "+o.Bucket+" "+o.Prefix, func() (*s3io.Store, func(), error) {
		s, err := s3io.New(ctx, o)
		return s, nil, err
	})
}

// assembleBytes is the weight of all blocks that one process turns into files
// at a time: two files of the default size, one of which is encoded while the
// other is on its way.
const assembleBytes = 128 << 20

// processes has one entry for each job of this process: one, but in tests.
var processes sync.Map

func processFor(jobID string) *process {
	if p, ok := processes.Load(jobID); ok {
		return p.(*process)
	}
	p, _ := processes.LoadOrStore(jobID, &process{
		readers: slots.NewPool(), memory: semaphore.NewWeighted(assembleBytes), encode: make(chan struct{}, runtime.GOMAXPROCS(0)),
		pace: newPace(), attempt: rand.Int64(), shared: map[string]any{},
	})
	return p.(*process)
}

// endProcess closes what the job holds open in this process.
func endProcess(jobID string) {
	v, ok := processes.LoadAndDelete(jobID)
	if !ok {
		return
	}
	p := v.(*process)
	p.readers.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, stop := range slices.Backward(p.closers) {
		stop()
	}
}
