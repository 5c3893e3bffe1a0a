package pipeline

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"
	"golang.org/x/sync/errgroup"

	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/file"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

func init() {
	beam.RegisterType(reflect.TypeFor[*assembleFn]())
}

// uploadsAtOnce is how many files of a bundle are on their way at a time: an
// upload is a few round trips, and a bundle may close hundreds of files.
const uploadsAtOnce = 16

// partitionAttribute is the token's attribute that holds the partition key.
const partitionAttribute = "partition"

// assembleFn keeps a partition's blocks until they are many or old enough,
// then writes them into a file that is uploaded but not completed, and emits
// the token with which the commit step completes it. It is keyed by partition.
type assembleFn struct {
	Config Config
	Blocks state.Bag[[]byte]
	Size   state.Value[int64] // an openFile
	Roll   timers.ProcessingTime

	job     *process
	schemas *schemas
	stores  stores
	files   *files
	metrics assembleMetrics
	// err is why a timer of this bundle failed; see readFn.OnTimer.
	err error
	// pause overrides outagePause.
	pause time.Duration
}

type assembleMetrics struct {
	files, bytes beam.Counter
}

// files are the ones that a bundle has closed.
type files struct {
	group  *errgroup.Group
	ctx    context.Context
	mu     sync.Mutex
	tokens []s3io.Token
	// waiting are those that are written or about to be.
	waiting []*waitingFile
}

func newAssembleFn(c Config) *assembleFn {
	return &assembleFn{
		Config: c,
		Blocks: state.MakeBagState[[]byte]("blocks"),
		Size:   state.MakeValueState[int64]("size"),
		Roll:   timers.InProcessingTime("roll"),
	}
}

func (f *assembleFn) Setup(ctx context.Context) error {
	f.job = processFor(f.Config.JobID)
	f.metrics = assembleMetrics{files: beam.NewCounter("s3", "files_uploaded"), bytes: beam.NewCounter("s3", "bytes_uploaded")}
	var err error
	if f.schemas, err = newSchemas(f.Config); err != nil {
		return err
	}
	f.stores, err = f.Config.stores(ctx, f.job)
	return err
}

// stores are the places of files by stream.
type stores map[route.Stream]folder

type folder struct {
	store  *s3io.Store
	prefix string
	// property names what says that it is here.
	property string
}

func (c Config) stores(ctx context.Context, job *process) (stores, error) {
	out := stores{}
	if c.Files {
		s, err := job.s3(ctx, c.S3)
		if err != nil {
			return nil, err
		}
		out[route.Events] = folder{s, c.Prefix, bucketProperty}
	}
	if c.Letters == lettersToFiles {
		o, prefix := c.letterBucket()
		s, err := job.s3(ctx, o)
		if err != nil {
			return nil, err
		}
		out[route.DeadLetters] = folder{s, prefix, c.letterProperty()}
	}
	return out, nil
}

// of returns the place of a stream; a job that was restored may no longer have it.
func (s stores) of(stream route.Stream) (folder, error) {
	p, ok := s[stream]
	if !ok {
		return folder{}, fmt.Errorf("the job's saved state has files of a kind (%c) for which it no longer has a bucket", stream)
	}
	return p, nil
}

func (f *assembleFn) StartBundle(ctx context.Context, _ func(s3io.Token)) {
	f.job.monitor.begin()
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(uploadsAtOnce)
	f.files = &files{group: group, ctx: gctx}
	f.err = nil
}

func (f *assembleFn) ProcessElement(ctx context.Context, sp state.Provider, tp timers.Provider, key string, blk []byte, _ func(s3io.Token)) error {
	kind, err := block.KindOf(blk)
	if err != nil {
		return fmt.Errorf("assemble %s: %w", key, err)
	}
	if kind == block.Flush {
		f.Roll.Clear(tp)
		return f.close(ctx, sp, key)
	}
	f.job.monitor.arrived(len(blk))
	f.job.waiting.took(key, time.Now())
	was, known, err := f.Size.Read(sp)
	if err != nil {
		return fmt.Errorf("read size of %s: %w", key, err)
	}
	kept, open := blk, openFile(was).add(len(blk))
	if kind == block.Events {
		if kept, open, err = f.schemas.keep(openFile(was), blk); err != nil {
			return fmt.Errorf("assemble %s: %w", key, err)
		}
	}
	if err := f.Blocks.Add(sp, kept); err != nil {
		return fmt.Errorf("keep block of %s: %w", key, err)
	}
	if open.size() >= f.Config.TargetBytes {
		f.Roll.Clear(tp)
		return f.close(ctx, sp, key)
	}
	if (!known || open.size() == int64(len(blk))) && !f.job.monitor.closesFiles() {
		f.Roll.Set(tp, time.Now().Add(f.Config.RollInterval))
	}
	return f.Size.Write(sp, int64(open))
}

// OnTimer closes the file because of its age. Errors are FinishBundle's, as
// those of readFn.OnTimer are.
func (f *assembleFn) OnTimer(ctx context.Context, sp state.Provider, _ timers.Provider, key string, _ timers.Context, _ func(s3io.Token)) {
	if f.err == nil {
		f.err = f.close(ctx, sp, key)
	}
}

// close takes the blocks out of the state and writes them in the background;
// FinishBundle waits for it.
func (f *assembleFn) close(ctx context.Context, sp state.Provider, key string) error {
	blocks, ok, err := f.Blocks.Read(sp)
	if err != nil {
		return fmt.Errorf("read blocks of %s: %w", key, err)
	}
	if !ok || len(blocks) == 0 {
		return nil
	}
	if err := f.Blocks.Clear(sp); err != nil {
		return fmt.Errorf("clear blocks of %s: %w", key, err)
	}
	if err := f.Size.Clear(sp); err != nil {
		return fmt.Errorf("clear size of %s: %w", key, err)
	}
	return f.start(ctx, key, blocks)
}

// start has a key's files written in the background, each once there is room for it.
func (f *assembleFn) start(ctx context.Context, keyText string, kept [][]byte) error {
	key, err := route.ParseKey(keyText)
	if err != nil {
		return fmt.Errorf("write file of %s: %w", keyText, err)
	}
	closed, err := f.filesOf(key, kept)
	if err != nil {
		// As one of the file itself: FinishBundle tells it, with what to do.
		f.files.group.Go(func() error { return fmt.Errorf("write file of %s: %w", keyText, err) })
		return nil
	}
	out, waiting := f.files, f.job.waiting.closed(keyText, len(closed), time.Now())
	out.waiting = append(out.waiting, waiting...)
	for i, b := range closed {
		var weight int64
		for _, blk := range b.blocks {
			weight += int64(len(blk))
		}
		weight = min(weight, assembleBytes)
		if err := f.job.memory.Acquire(ctx, weight); err != nil {
			return err
		}
		out.group.Go(func() error {
			defer f.job.memory.Release(weight)
			t, err := f.write(out.ctx, key, b)
			if err != nil {
				return fmt.Errorf("write file of %s: %w", keyText, err)
			}
			f.job.monitor.written(keyText, len(b.blocks))
			f.job.waiting.uploaded(waiting[i], &t, time.Now())
			out.mu.Lock()
			defer out.mu.Unlock()
			out.tokens = append(out.tokens, t)
			return nil
		})
	}
	return nil
}

// filesOf returns what a key's blocks become: a file, but where the job has
// another schema than before.
func (f *assembleFn) filesOf(key route.Key, kept [][]byte) ([]fileBlocks, error) {
	if key.Stream != route.Events {
		return []fileBlocks{{file.Lines(), kept}}, nil
	}
	return f.schemas.split(kept)
}

func (f *assembleFn) write(ctx context.Context, key route.Key, b fileBlocks) (t s3io.Token, err error) {
	to, err := f.stores.of(key.Stream)
	if err != nil {
		return s3io.Token{}, err
	}
	var rows int
	for _, blk := range b.blocks {
		n, err := block.RowsOf(blk)
		if err != nil {
			return s3io.Token{}, err
		}
		rows += n
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", to.property, err)
		}
	}()
	err = f.Config.patiently(ctx, to, "Assemble", f.pause, func() (err error) {
		t, err = f.upload(ctx, to, key.Path, b, rows)
		return err
	})
	t.Attributes = map[string]string{partitionAttribute: key.String()}
	return t, err
}

// fileName returns a new name of a file in a folder.
func fileName(path string, format file.Format) string {
	return path + "/part-" + strings.ToLower(rand.Text()) + format.Extension()
}

// upload writes a file with so many rows, once.
func (f *assembleFn) upload(ctx context.Context, to folder, path string, b fileBlocks, rows int) (_ s3io.Token, err error) {
	up, err := to.store.Create(ctx, to.prefix+fileName(path, b.format), b.format.ContentType(), map[string]string{"job": f.Config.JobName, "rows": strconv.Itoa(rows)})
	if err != nil {
		return s3io.Token{}, err
	}
	defer func() {
		if err != nil {
			// It is done anew with another upload: this one is of no use.
			actx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
			defer cancel()
			_ = up.Abort(actx)
		}
	}()
	f.job.encode <- struct{}{}
	written, err := b.format.Write(up, b.blocks, map[string]string{"job": f.Config.JobName, "partition": path})
	<-f.job.encode
	if err != nil {
		return s3io.Token{}, err
	}
	if written != int64(rows) {
		return s3io.Token{}, fmt.Errorf("wrote %d rows of %d", written, rows)
	}
	t, err := up.Finish(ctx)
	if err != nil {
		return s3io.Token{}, err
	}
	t.Rows = written
	return t, nil
}

// FinishBundle waits for the bundle's files and emits their tokens.
func (f *assembleFn) FinishBundle(ctx context.Context, emit func(s3io.Token)) error {
	defer f.job.monitor.end()
	out := f.files
	defer f.stores.tell(ctx, f.job)
	if err := cmp.Or(out.group.Wait(), f.err); err != nil {
		f.job.waiting.dropped(out.waiting)
		f.abort(ctx, out.tokens)
		return f.job.failed(ctx, "Assemble", err)
	}
	for _, t := range out.tokens {
		f.metrics.files.Inc(ctx, 1)
		f.metrics.bytes.Inc(ctx, t.Size)
		emit(t)
	}
	out.tokens = nil
	return nil
}

// abortTimeout bounds what is done for tidiness when S3 may be out of reach:
// the reason of the failure is to be told soon.
const abortTimeout = 10 * time.Second

// abort ends the uploads of a failed bundle, as far as it can: the bundle is
// done anew, with other uploads, and nobody will commit these.
func (f *assembleFn) abort(ctx context.Context, tokens []s3io.Token) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	var g errgroup.Group
	g.SetLimit(uploadsAtOnce)
	for _, t := range tokens {
		g.Go(func() error {
			if key, err := route.ParseKey(t.Attributes[partitionAttribute]); err == nil {
				_ = f.stores[key.Stream].store.AbortUpload(ctx, t.Key, t.UploadID)
			}
			return nil
		})
	}
	_ = g.Wait() // the functions return no error
}
