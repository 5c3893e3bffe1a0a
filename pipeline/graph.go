// Package pipeline is the job: its properties, its graph, and the one place
// that knows all parts.
//
// As data walks it: discover.go emits the reader slots; read.go drains
// batches from a source; route.go decodes them and makes blocks of one
// partition's rows; assemble.go writes blocks into files, uploaded but not
// completed; commit.go completes them. For Kafka, lane.go numbers the blocks
// of each lane and commit_lanes.go writes them in transactions; sink.go writes
// to what needs no barrier. Batches, blocks and tokens cross between the
// steps, never single records.
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

// Names of the steps that a cluster's runner must give stable input.
const (
	commitName      = "Commit/pipeline.commitFn"
	commitLanesName = "CommitLanes/pipeline.commitLanesFn"
	offsetsName     = "CommitOffsets/pipeline.commitOffsetsFn"
)

// Counters of a job by "namespace/name", as a cluster's metrics have them.
const (
	CounterRead      = "source/records"
	CounterDelivered = "s3/rows_committed"
	CounterDead      = "s3/dead_letters_committed"

	counterFiles         = "s3/files_committed"
	counterDoubles       = "source/doubles"
	counterPassed        = "source/positions_passed"
	counterShardsLost    = "source/shards_lost"
	counterKafka         = "kafka/records_committed"
	counterKafkaWritten  = "kafka/records_written"
	counterElasticsearch = "elasticsearch/records_written"
	counterKinesis       = "kinesis/records_written"
	counterKafkaDead     = "kafka/dead_letters_committed"
	counterDeadWritten   = "dead_letters/written"
)

// Counters are the names of all counters that Counted needs.
func Counters() []string {
	return []string{CounterRead, counterDoubles, counterPassed, counterShardsLost, CounterDelivered, CounterDead, counterFiles,
		counterKafka, counterKafkaWritten, counterElasticsearch, counterKinesis, counterKafkaDead, counterDeadWritten}
}

// Counted makes the progress of a job of its counters by name. Sinks that have
// nothing yet are not among Progress.Sinks.
func Counted(by map[string]int64) Progress {
	p := Progress{
		Read: by[CounterRead], Doubles: by[counterDoubles], Files: by[counterFiles],
		PositionsPassed: by[counterPassed], ShardsLost: by[counterShardsLost],
		DeadLetters: by[CounterDead] + by[counterKafkaDead] + by[counterDeadWritten],
		Sinks:       map[string]int64{},
	}
	for name, n := range map[string]int64{
		filesName: by[CounterDelivered], kafkaName: by[counterKafka] + by[counterKafkaWritten],
		elasticsearchName: by[counterElasticsearch], kinesisName: by[counterKinesis],
	} {
		if n == 0 {
			continue
		}
		if len(p.Sinks) == 0 || n < p.Delivered {
			p.Delivered = n
		}
		p.Sinks[name] = n
	}
	return p
}

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
	batches, offsets := beam.ParDo2(s.Scope("Read"), newReadFn(c), slots)
	c.Kafka.Ends = nil // one for each partition is enough
	if c.Discard {
		beam.ParDo0(s.Scope("Discard"), &discardFn{Config: c}, batches)
		return Graph{}
	}
	blocks, lanes := beam.ParDo2(s.Scope("Route"), newRouteFn(c), batches)
	var g Graph
	if c.Files || c.Letters == lettersToFiles {
		exchanged := beam.ParDo(s.Scope("Blocks"), &passBlockFn{}, blocks)
		tokens := beam.ParDo(s.Scope("Assemble"), newAssembleFn(c), exchanged)
		beam.ParDo0(s.Scope("Commit"), &commitFn{Config: c}, beam.Reshuffle(s.Scope("Tokens"), tokens))
		g.StableInput = append(g.StableInput, commitName)
	}
	if c.lanes() {
		in := beam.ParDo(s.Scope("Lanes"), &passFn{}, lanes)
		if !c.Local {
			in = beam.ParDo(s.Scope("Sequence"), newSequenceFn(c), in)
			in = beam.ParDo(s.Scope("Numbered"), &passFn{}, in)
			g.StableInput = append(g.StableInput, commitLanesName)
		}
		beam.ParDo0(s.Scope("CommitLanes"), newCommitLanesFn(c), in)
	}
	if c.commitsOffsets() {
		in := beam.ParDo(s.Scope("Offsets"), &passFn{}, offsets)
		beam.ParDo0(s.Scope("CommitOffsets"), newCommitOffsetsFn(c), in)
		g.StableInput = append(g.StableInput, offsetsName)
	}
	return g
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
	f.job.monitor.discarded(b.Len())
}
