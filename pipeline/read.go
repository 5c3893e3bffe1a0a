package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/slots"
	"github.com/streaming-etl/streaming-etl/logging"
)

func init() {
	beam.RegisterType(reflect.TypeFor[*readFn]())
}

// idleInterval is the time from a firing that found nothing more to the next.
const idleInterval = 100 * time.Millisecond

// readFn is a source's reader, keyed by slot: the slot's positions are its
// state, and a timer that re-arms itself fires it. Its second output are the
// positions by slot, for who tells others how far the job has come.
type readFn struct {
	Config    Config
	Positions state.Value[[]byte]
	// Seen, Seen0 and Seen1 make a seenState.
	Seen         state.Value[[]byte]
	Seen0, Seen1 state.Bag[[]byte]
	Tick         timers.ProcessingTime

	job     *process
	metrics readMetrics
	// lags is what was told of how far slots are behind.
	lags map[int]*toldLags
	// firings counts those of this bundle, fired those of the one before.
	firings, fired int
	// err is why a firing of this bundle failed; FinishBundle returns it.
	err error
	// warnedReaders says that it was told that the state is of another number of slots.
	warnedReaders bool
}

type readMetrics struct {
	records, bytes, batches, doubles beam.Counter
	requests                         requestMetrics
}

func newReadFn(c Config) *readFn {
	return &readFn{
		Config: c, Positions: state.MakeValueState[[]byte]("positions"), Tick: timers.InProcessingTime("tick"),
		Seen: state.MakeValueState[[]byte]("seen"), Seen0: state.MakeBagState[[]byte]("seen0"), Seen1: state.MakeBagState[[]byte]("seen1"),
	}
}

func (f *readFn) Setup() {
	f.job = processFor(f.Config.JobID)
	f.lags = map[int]*toldLags{}
	f.metrics = readMetrics{
		records: beam.NewCounter("source", "records"), bytes: beam.NewCounter("source", "bytes"), batches: beam.NewCounter("source", "batches"), doubles: beam.NewCounter("source", "doubles"),
		requests: newRequestMetrics(),
	}
}

// ProcessElement takes a slot when it has no state yet: after a restore the
// runner may send the slots again.
func (f *readFn) ProcessElement(_ context.Context, sp state.Provider, tp timers.Provider, _ int64, slot []byte, _ func(batch.Batch), _ func(int64, []byte)) error {
	old, known, err := f.Positions.Read(sp)
	if err != nil {
		return fmt.Errorf("read slot state: %w", err)
	}
	if known {
		if err := sameSlots(old, slot); err != nil {
			return err
		}
	} else {
		if err := f.Positions.Write(sp, slot); err != nil {
			return fmt.Errorf("write slot state: %w", err)
		}
	}
	f.Tick.Set(tp, time.Now())
	return nil
}

// sameSlots refuses another number of slots than the state was made with, where
// the runner sends the slots anew: shards would be read by two slots, or by none.
func sameSlots(state, slot []byte) error {
	was, err := slots.DecodeState(state)
	if err != nil {
		return err
	}
	is, err := slots.DecodeState(slot)
	if err != nil {
		return err
	}
	if was.Slot.Count != is.Slot.Count {
		return fmt.Errorf("InputReaders is %d, but the job's saved state has %d readers: it cannot change when a job is restored", is.Slot.Count, was.Slot.Count)
	}
	return nil
}

// checkReaders tells once that the job goes on with the slots of its saved state: the runner does not send slots anew.
func (f *readFn) checkReaders(ctx context.Context, saved int) {
	if saved == f.Config.Readers || f.warnedReaders {
		return
	}
	f.warnedReaders = true
	slog.WarnContext(ctx, "the job's saved state has another number of reader slots, with which the job continues", logging.Stage, "Read",
		logging.Property, "InputReaders", "value", f.Config.Readers, "saved", saved)
}

func (f *readFn) StartBundle(_ context.Context, _ func(batch.Batch), _ func(int64, []byte)) {
	f.job.monitor.begin()
	f.err = nil
	f.firings, f.fired = 0, f.firings
}

// OnTimer is one firing of the slot. Its errors are returned by FinishBundle:
// Beam (Go SDK 2.77.0) puts a timer's key, in its binary form, into the text of
// an error that OnTimer returns, and then cannot send the text, which is not
// UTF-8: the worker falls silent, and the runner never learns the reason.
func (f *readFn) OnTimer(ctx context.Context, sp state.Provider, tp timers.Provider, key int64, _ timers.Context, emit func(batch.Batch), offsets func(int64, []byte)) {
	if f.err != nil {
		return // the bundle has failed
	}
	f.firings++
	f.err = f.fire(ctx, sp, tp, key, emit, func(positions []byte) {
		if f.Config.commitsOffsets() {
			offsets(key, positions)
		}
	})
}

// FinishBundle fails the bundle of a firing that failed.
func (f *readFn) FinishBundle(ctx context.Context, _ func(batch.Batch), _ func(int64, []byte)) error {
	defer f.job.monitor.end()
	return f.job.failed(ctx, "Read", f.err)
}

func (f *readFn) fire(ctx context.Context, sp state.Provider, tp timers.Provider, key int64, emit func(batch.Batch), moved func(positions []byte)) error {
	old, known, err := f.Positions.Read(sp)
	if err != nil {
		return fmt.Errorf("read slot state: %w", err)
	}
	if !known {
		return fmt.Errorf("reader fired without a slot")
	}
	s, err := slots.DecodeState(old)
	if err != nil {
		return err
	}
	f.checkReaders(ctx, s.Slot.Count)
	switch f.job.monitor.fire() {
	case turnEnd:
		return nil
	case turnFlush:
		emit(batch.Batch{Flush: true})
		fallthrough
	case turnIdle:
		f.Tick.Set(tp, time.Now().Add(idleInterval))
		return nil
	}
	defer f.job.monitor.endFiring()
	f.tellLags(ctx, s.Slot.Index)
	limit := f.job.monitor.allowance(min(f.Config.ReadMaxBytes, f.job.pace.limit(f.fired)))
	if limit == 0 {
		f.Tick.Set(tp, time.Now().Add(idleInterval))
		return nil
	}
	portion := portionBytes
	if f.Config.Deduplicate.Field != "" {
		portion = limit // each is a few calls to the runner's state
	}
	var n passed
	more := true
	for more && n.taken < limit {
		before := n.taken
		if s, more, err = f.pass(ctx, sp, key, s, min(portion, limit-n.taken), emit, &n); err != nil {
			return err
		}
		if n.taken == before {
			break // there were only positions
		}
	}
	if f.job.monitor.filesDue() {
		emit(batch.Batch{Flush: true})
	}
	if n.records > 0 {
		f.metrics.records.Inc(ctx, n.records)
		f.metrics.bytes.Inc(ctx, n.bytes)
		f.metrics.batches.Inc(ctx, n.batches)
		f.job.monitor.read(n.records, n.bytes)
	}
	if next := s.Encode(); string(next) != string(old) {
		if err := f.Positions.Write(sp, next); err != nil {
			return fmt.Errorf("write slot state: %w", err)
		}
		moved(s.Positions)
	}
	wait := idleInterval
	if more {
		wait = 0
	}
	f.Tick.Set(tp, time.Now().Add(wait))
	return nil
}

// portionBytes is how much a firing takes from its reader at a time: the
// fetchers go on as soon as it is taken, while it is being passed on.
const portionBytes = 4 << 20

// passed is what a firing has passed on.
type passed struct {
	records, bytes, batches int64
	taken                   int // bytes, with those of doubles
}

// pass drains the slot's reader of a portion of at most about limit bytes and
// passes it on. It returns the slot behind it, and whether there is more.
func (f *readFn) pass(ctx context.Context, sp state.Provider, key int64, s slots.State, limit int, emit func(batch.Batch), n *passed) (slots.State, bool, error) {
	// The reader's own lines tell the slot and the property: it lives on behind the firing.
	lines := logging.With(ctx, logging.Stage, "Read", logging.Slot, s.Slot.Index, logging.Property, f.Config.sourceProperty())
	fired, err := f.job.readers.Fire(lines, f.Config.source(), s, limit)
	if err != nil {
		return s, false, fmt.Errorf("%s: %w", f.Config.sourceProperty(), err)
	}
	for i := range fired.Batches {
		n.taken += len(fired.Batches[i].Data)
	}
	if d := f.Config.Deduplicate; d.Field != "" {
		seen := seenState{f.Seen, [2]state.Bag[[]byte]{f.Seen0, f.Seen1}}
		dropped, err := seen.drop(sp, f.job, key, d, fired.Batches)
		if err != nil {
			return s, false, err
		}
		f.metrics.doubles.Inc(ctx, dropped)
		f.job.monitor.dropped(dropped)
	}
	f.job.eventLag.read(s.Slot.Index, fired.Batches, time.Now())
	for i, b := range fired.Batches {
		fired.Batches[i] = batch.Batch{} // what was passed on need not wait for the others to be forgotten
		if b.Len() == 0 {
			continue // all of it were doubles
		}
		n.records += int64(b.Len())
		n.bytes += int64(len(b.Data))
		n.batches++
		emit(b)
	}
	return fired.State, fired.More, nil
}
