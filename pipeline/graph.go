// Package pipeline is the job: its properties, its graph, and the one place
// that knows all parts.
//
// As data walks it: discover.go emits the reader slots; read.go drains
// batches from a source; route.go decodes them and makes blocks of one
// partition's rows; assemble.go writes blocks into files, uploaded but not
// completed; commit.go completes them. Batches, blocks and tokens cross
// between the steps, never single records.
package pipeline

import (
	"context"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/runners/flink/keygroup"
)

func init() {
	beam.RegisterType(reflect.TypeFor[*discardFn]())
}

// maxParallelism is the number of key groups that keys are spread over; a
// cluster is told the same.
const maxParallelism = 128

// commitName is the unique name of the commit step, which a cluster's runner
// must give stable input.
const commitName = "Commit/pipeline.commitFn"

// Counters of a job by "namespace/name", as a cluster's metrics have them.
const (
	CounterRead      = "source/records"
	CounterDelivered = "s3/rows_committed"
	CounterDead      = "s3/dead_letters_committed"
	CounterFiles     = "s3/files_committed"
)

// Graph tells a runner what it must know of a built pipeline.
type Graph struct {
	// StableInput names the steps that may see an element only once a checkpoint holds it.
	StableInput []string
}

// Build adds the job to the scope. The names of steps are part of what a
// savepoint holds: new branches go to the end, and none is renamed.
func Build(s beam.Scope, c Config) Graph {
	start := time.Now().UnixMilli()
	found := beam.ParDo(s.Scope("Discover"), &discoverFn{Keys: keygroup.EvenKeys(c.Readers, maxParallelism), JobStart: start}, beam.Impulse(s))
	slots := beam.ParDo(s.Scope("Slots"), &passFn{}, found)
	batches := beam.ParDo(s.Scope("Read"), newReadFn(c), slots)
	if c.Discard {
		beam.ParDo0(s.Scope("Discard"), &discardFn{Config: c}, batches)
		return Graph{}
	}
	blocks := beam.ParDo(s.Scope("Route"), &routeFn{Config: c}, batches)
	exchanged := beam.ParDo(s.Scope("Blocks"), &passBlockFn{}, blocks)
	tokens := beam.ParDo(s.Scope("Assemble"), newAssembleFn(c), exchanged)
	beam.ParDo0(s.Scope("Commit"), &commitFn{Config: c}, beam.Reshuffle(s.Scope("Tokens"), tokens))
	return Graph{StableInput: []string{commitName}}
}

// discardFn counts what is read and drops it.
type discardFn struct {
	Config Config
	count  beam.Counter
	job    *process
}

func (f *discardFn) Setup() {
	f.job = processFor(f.Config.JobID)
	f.count = beam.NewCounter("discard", "records")
}

func (f *discardFn) ProcessElement(ctx context.Context, b batch.Batch) {
	f.count.Inc(ctx, int64(b.Len()))
	f.job.monitor.discarded(int64(b.Len()))
}
