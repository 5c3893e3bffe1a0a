package replay

import (
	"context"
	"fmt"
	"io"
)

const (
	// aheadRecords and aheadBatches are what is read and sorted ahead of the
	// sender, so that decompression and network run while it waits.
	aheadRecords = 256
	aheadBatches = 8
)

// readBatch is what the reading goroutine hands over: records in order, and
// what it left out since the batch before.
type readBatch struct {
	pass           int
	files          []string // of the pass, by lane
	records        []record
	broken, before int64
	skips          []Skip
	err            error
}

// reader reads a source ahead, pass after pass.
type reader struct {
	batches chan readBatch
	cancel  context.CancelFunc
	done    chan struct{}
}

// startReader starts the goroutine; close ends it.
func startReader(ctx context.Context, src source, o Options) *reader {
	ctx, cancel := context.WithCancel(ctx)
	r := &reader{batches: make(chan readBatch, aheadBatches), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer close(r.batches)
		if err := r.readAll(ctx, src, o); err != nil {
			r.put(ctx, readBatch{err: err})
		}
	}()
	return r
}

// next waits for a batch; ok is false after the last one.
func (r *reader) next(ctx context.Context) (b readBatch, ok bool, err error) {
	select {
	case b, ok = <-r.batches:
		return b, ok, b.err
	case <-ctx.Done():
		return readBatch{}, false, ctx.Err()
	}
}

func (r *reader) close() {
	r.cancel()
	<-r.done
}

func (r *reader) put(ctx context.Context, b readBatch) bool {
	select {
	case r.batches <- b:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *reader) readAll(ctx context.Context, src source, o Options) error {
	for pass := 1; o.Repeat < 0 || pass <= o.Repeat; pass++ {
		// Listed anew for every pass: one that runs for days sees new files.
		names, err := src.list(ctx)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			return fmt.Errorf("%w: the source has no data file", ErrNoEvents)
		}
		n, err := r.readPass(ctx, newMerger(src, names, o), pass)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: no line of %d files has a %s%s", ErrNoEvents, len(names), o.TimestampField, atOrAfter(o))
		}
	}
	return nil
}

func atOrAfter(o Options) string {
	if o.Seek.IsZero() {
		return ""
	}
	return " of " + o.Seek.UTC().Format("2006-01-02T15:04:05.999Z") + " or later"
}

// readPass reads all files once and returns the number of records handed over.
func (r *reader) readPass(ctx context.Context, m *merger, pass int) (n int, err error) {
	defer m.close()
	for {
		b := readBatch{pass: pass, files: m.names, records: make([]record, 0, aheadRecords)}
		for len(b.records) < aheadRecords && err == nil {
			var rec record
			if rec, err = m.next(ctx); err == nil {
				b.records = append(b.records, rec)
			}
		}
		b.broken, b.before, b.skips = m.broken, m.before, m.skips
		m.broken, m.before, m.skips = 0, 0, nil
		n += len(b.records)
		switch {
		case !r.put(ctx, b):
			return n, ctx.Err()
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		}
	}
}
