package pipeline

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"golang.org/x/sync/errgroup"

	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

func init() {
	beam.RegisterType(reflect.TypeFor[*commitFn]())
}

// commitFn completes uploads. On a cluster its input is stable: it sees a
// token only after a checkpoint holds it, and sees it again after a restore.
// Completing an upload twice is completing it once.
type commitFn struct {
	Config Config

	job     *process
	stores  stores
	metrics commitMetrics
	group   *errgroup.Group
	ctx     context.Context
	mu      sync.Mutex
	done    []committed
	// pause overrides outagePause.
	pause time.Duration
}

// committed is one token and what its commit came to.
type committed struct {
	token   s3io.Token
	key     route.Key
	outcome s3io.Outcome
}

type commitMetrics struct {
	files, bytes, rows, dead, repeated beam.Counter
}

func (f *commitFn) Setup(ctx context.Context) (err error) {
	f.job = processFor(f.Config.JobID)
	f.metrics = commitMetrics{
		files:    beam.NewCounter("s3", "files_committed"),
		bytes:    beam.NewCounter("s3", "bytes_committed"),
		rows:     beam.NewCounter("s3", "rows_committed"),
		dead:     beam.NewCounter("s3", "dead_letters_committed"),
		repeated: beam.NewCounter("s3", "commits_repeated"),
	}
	f.stores, err = f.Config.stores(ctx, f.job)
	return err
}

func (f *commitFn) StartBundle(ctx context.Context) {
	f.job.monitor.begin()
	f.group, f.ctx = errgroup.WithContext(ctx)
	f.group.SetLimit(uploadsAtOnce)
	f.done = f.done[:0]
}

func (f *commitFn) ProcessElement(_ context.Context, t s3io.Token) error {
	key, err := route.ParseKey(t.Attributes[partitionAttribute])
	if err != nil {
		return fmt.Errorf("commit %s: %w", t.Key, err)
	}
	to, err := f.stores.of(key.Stream)
	if err != nil {
		return err
	}
	f.group.Go(func() error {
		waiting := f.job.waiting.committing(t, time.Now())
		outcome, err := f.commit(f.ctx, to, t)
		if err != nil {
			return fmt.Errorf("%s: %w", to.property, err)
		}
		f.job.waiting.committed(waiting, t)
		f.job.monitor.committed(t, key, outcome)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.done = append(f.done, committed{t, key, outcome})
		return nil
	})
	return nil
}

// commit completes an upload; what is away is waited for.
func (f *commitFn) commit(ctx context.Context, to folder, t s3io.Token) (outcome s3io.Outcome, err error) {
	err = f.Config.patiently(ctx, to, "Commit", f.pause, func() (err error) {
		outcome, err = to.store.Commit(ctx, t)
		return err
	})
	return outcome, err
}

// FinishBundle waits for the bundle's commits: what is not committed fails
// the bundle. Metrics are counted here, since a bundle's belong to its thread.
func (f *commitFn) FinishBundle(ctx context.Context) error {
	defer f.job.monitor.end()
	err := f.group.Wait()
	f.stores.tell(ctx, f.job)
	for _, rare := range []beam.Counter{f.metrics.repeated, f.metrics.dead, f.metrics.rows} {
		rare.Inc(ctx, 0) // a counter that is there before it counts has a rate of its first
	}
	for _, c := range f.done {
		if c.outcome == s3io.AlreadyCommitted {
			f.metrics.repeated.Inc(ctx, 1)
			continue
		}
		f.metrics.files.Inc(ctx, 1)
		f.metrics.bytes.Inc(ctx, c.token.Size)
		if c.key.Stream == route.DeadLetters {
			f.metrics.dead.Inc(ctx, c.token.Rows)
		} else {
			f.metrics.rows.Inc(ctx, c.token.Rows)
		}
	}
	if err != nil {
		return f.job.failed(ctx, "Commit", err)
	}
	return nil
}
