package pipeline

import (
	"context"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/rtrackers/offsetrange"

	"github.com/streaming-etl/streaming-etl/io/slots"
)

func init() {
	beam.RegisterType(reflect.TypeFor[*discoverFn]())
	beam.RegisterType(reflect.TypeFor[*passFn]())
	beam.RegisterType(reflect.TypeFor[Config]())
}

// wakeInterval is how often discovery looks again. It has nothing to find: it
// stays so that the watermark never reaches the end of time, at which a runner
// clears keyed state without asking (and on Flink each wake-up leaves 1.7 KB of
// state for ever, so it is rare).
const wakeInterval = time.Hour

// discoverFn emits the source's slots once, and never ends.
type discoverFn struct {
	// Keys has a key for each slot, chosen so that they spread evenly.
	Keys     []int64
	JobStart int64
}

func (*discoverFn) CreateInitialRestriction([]byte) offsetrange.Restriction {
	return offsetrange.Restriction{Start: 0, End: 1 << 60}
}

// SplitRestriction keeps the restriction whole: there is one discovery.
func (*discoverFn) SplitRestriction(_ []byte, r offsetrange.Restriction) []offsetrange.Restriction {
	return []offsetrange.Restriction{r}
}

func (*discoverFn) RestrictionSize([]byte, offsetrange.Restriction) float64 { return 1 }

func (*discoverFn) CreateTracker(r offsetrange.Restriction) *sdf.LockRTracker {
	return sdf.NewLockRTracker(offsetrange.NewTracker(r))
}

func (f *discoverFn) ProcessElement(_ context.Context, rt *sdf.LockRTracker, _ []byte, emit func(int64, []byte)) sdf.ProcessContinuation {
	wake := rt.GetRestriction().(offsetrange.Restriction).Start
	if !rt.TryClaim(wake) {
		return sdf.StopProcessing()
	}
	if wake == 0 {
		for i, key := range f.Keys {
			s := slots.State{Slot: slots.Slot{Index: i, Count: len(f.Keys), JobStart: f.JobStart}}
			emit(key, s.Encode())
		}
	}
	return sdf.ResumeProcessingIn(wakeInterval)
}

// passFn stands in front of a stateful step so that the step has its input to
// itself: two stateful steps on one collection swap their state when a
// savepoint is restored.
type passFn struct{}

func (passFn) ProcessElement(_ context.Context, key int64, v []byte, emit func(int64, []byte)) {
	emit(key, v)
}
