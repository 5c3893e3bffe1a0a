package pipeline

import (
	"context"
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

	mu    sync.Mutex
	store *s3io.Store
}

// s3 returns the job's one store: its connections are shared by all steps.
func (p *process) s3(ctx context.Context, o s3io.Options) (*s3io.Store, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.store == nil {
		s, err := s3io.New(ctx, o)
		if err != nil {
			return nil, err
		}
		p.store = s
	}
	return p.store, nil
}

// assembleBytes is the weight of all blocks that one process turns into files
// at a time.
const assembleBytes = 256 << 20

// processes has one entry for each job of this process: one, but in tests.
var processes sync.Map

func processFor(jobID string) *process {
	if p, ok := processes.Load(jobID); ok {
		return p.(*process)
	}
	p, _ := processes.LoadOrStore(jobID, &process{readers: slots.NewPool(), memory: semaphore.NewWeighted(assembleBytes)})
	return p.(*process)
}

// endProcess closes what the job holds open in this process.
func endProcess(jobID string) {
	if p, ok := processes.LoadAndDelete(jobID); ok {
		p.(*process).readers.Close()
	}
}
