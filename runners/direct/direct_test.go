package direct

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"
)

func init() {
	// By reflection: the generated callers of package register take the
	// compiler most of a minute.
	beam.RegisterType(reflect.TypeFor[*spreadFn]())
	beam.RegisterType(reflect.TypeFor[*countFn]())
	beam.RegisterType(reflect.TypeFor[*tickFn]())
	beam.RegisterType(reflect.TypeFor[*failFn]())
}

func TestMain(m *testing.M) {
	flag.Parse()
	beam.Init()
	Quiet()
	os.Exit(m.Run())
}

// patience ends a test that waits for something that does not come.
const patience = time.Minute

func guard(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// spreadFn emits the numbers from 0 to Each-1 for each of the keys.
type spreadFn struct{ Keys, Each int }

func (f *spreadFn) ProcessElement(_ []byte, emit func(int, int)) {
	for i := range f.Each {
		for k := range f.Keys {
			emit(k, i)
		}
	}
}

// counted has the counts that each key's elements found, in the order in which they came.
var counted struct {
	sync.Mutex
	seen map[int][]int
}

// countFn counts a key's elements in its state; the first takes long.
type countFn struct{ Count state.Value[int] }

func (f *countFn) ProcessElement(sp state.Provider, key, _ int) error {
	n, _, err := f.Count.Read(sp)
	if err != nil {
		return err
	}
	if n == 0 {
		// Longer than what the runner takes for standing still.
		time.Sleep(500 * time.Millisecond)
	}
	counted.Lock()
	counted.seen[key] = append(counted.seen[key], n)
	counted.Unlock()
	return f.Count.Write(sp, n+1)
}

// Splits would run one key in two bundles at a time: without noSplits, counts
// are found twice and others never.
func TestASlowStatefulStepLosesAndDoublesNothing(t *testing.T) {
	const keys, each = 3, 20
	counted.seen = map[int][]int{}
	p, s := beam.NewPipelineWithRoot()
	elements := beam.ParDo(s, &spreadFn{Keys: keys, Each: each}, beam.Impulse(s))
	beam.ParDo0(s, &countFn{Count: state.MakeValueState[int]("count")}, elements)
	if err := Run(guard(t), p); !errors.Is(err, ErrEnded) {
		t.Fatal(err)
	}
	var want []int
	for i := range each {
		want = append(want, i)
	}
	for k := range keys {
		if got := counted.seen[k]; !slices.Equal(got, want) {
			t.Errorf("key %d found the counts %v, want %v", k, got, want)
		}
	}
}

// ticks counts the firings of each tickFn by name.
var ticks sync.Map

func ticksOf(name string) *atomic.Int64 {
	n, _ := ticks.LoadOrStore(name, &atomic.Int64{})
	return n.(*atomic.Int64)
}

// tickFn fires for ever.
type tickFn struct {
	Name string
	Tick timers.ProcessingTime
}

func newTick(name string) *tickFn { return &tickFn{Name: name, Tick: timers.InProcessingTime("tick")} }

func (f *tickFn) ProcessElement(tp timers.Provider, _, _ int) { f.Tick.Set(tp, time.Now()) }

func (f *tickFn) OnTimer(tp timers.Provider, _ int, _ timers.Context) {
	ticksOf(f.Name).Add(1)
	f.Tick.Set(tp, time.Now().Add(20*time.Millisecond))
}

// runTicking runs a job that ticks, and cancels it after so many ticks.
func runTicking(t *testing.T, name string, n int64) {
	t.Helper()
	ctx, stop := context.WithCancel(guard(t))
	defer stop()
	go func() {
		for ticksOf(name).Load() < n && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		stop()
	}()
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo0(s, newTick(name), beam.ParDo(s, &spreadFn{Keys: 1, Each: 1}, beam.Impulse(s)))
	if err := Run(ctx, p); err != nil {
		t.Errorf("a job that was cancelled: %v", err)
	}
	if got := ticksOf(name).Load(); got < n {
		t.Errorf("%d ticks of %s, want %d", got, name, n)
	}
}

func TestACancelledJobGoesOnWithNothing(t *testing.T) {
	runTicking(t, "first", 3)
	before := ticksOf("first").Load()
	// The second job's ticks are the clock.
	runTicking(t, "second", 10)
	// One may have been under way when the job was cancelled.
	if after := ticksOf("first").Load(); after > before+1 {
		t.Errorf("the first job ticked %d times after its end", after-before)
	}
}

type failFn struct{}

func (failFn) ProcessElement([]byte) error { return fmt.Errorf("out of order") }

func TestAFailureIsTold(t *testing.T) {
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo0(s, &failFn{}, beam.Impulse(s))
	if err := Run(guard(t), p); err == nil || errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("error is %v", err)
	}
}

// A signal may come at any time, also while the job is being started.
func TestACancelAtTheStartIsAnEndToo(t *testing.T) {
	for i := range 20 {
		ctx, cancel := context.WithCancel(guard(t))
		go func() {
			time.Sleep(time.Duration(i-1) * time.Millisecond)
			cancel()
		}()
		if i == 0 {
			cancel()
		}
		p, s := beam.NewPipelineWithRoot()
		beam.ParDo0(s, newTick("never"), beam.ParDo(s, &spreadFn{Keys: 1, Each: 1}, beam.Impulse(s)))
		if err := Run(ctx, p); err != nil {
			t.Error(err)
		}
	}
}
