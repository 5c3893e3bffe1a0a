package pipeline

import (
	"context"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"

	"github.com/streaming-etl/streaming-etl/io/kafkaio"
	"github.com/streaming-etl/streaming-etl/logging"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

func init() {
	beam.RegisterType(reflect.TypeFor[*commitOffsetsFn]())
}

// offsetsPatience bounds how long a bundle tries to commit the positions of all
// its slots: checkpoints wait for it, and the next one brings newer positions.
const offsetsPatience = 5 * time.Second

// commitOffsetsFn commits the positions of slots to the consumer group, for
// tools that show the lag. Its input is stable: what it commits is held by a
// checkpoint. The job itself never reads the group's positions again.
type commitOffsetsFn struct {
	Config Config
	// Order is declared for the runner to key the step by slot, as that of
	// commitLanesFn is.
	Order state.Value[int64]

	job       *process
	committer *kafkaio.OffsetCommitter
	// last has the newest positions of each slot in the bundle.
	last            map[int64][]byte
	patience        time.Duration
	commits, failed beam.Counter
}

func newCommitOffsetsFn(c Config) *commitOffsetsFn {
	return &commitOffsetsFn{Config: c, Order: state.MakeValueState[int64]("order")}
}

// commitsOffsets says that positions are told to Kafka. The local runner keeps
// no order and no checkpoints: there they are not.
func (c Config) commitsOffsets() bool {
	return c.Route.Source == route.Kafka && c.CommitOffsets && !c.Local && !c.Discard
}

func (f *commitOffsetsFn) Setup(ctx context.Context) (err error) {
	f.job = processFor(f.Config.JobID)
	f.last = map[int64][]byte{}
	f.patience = offsetsPatience
	f.commits = beam.NewCounter("kafka", "offset_commits")
	f.failed = beam.NewCounter("kafka", "offset_commits_failed")
	f.committer, err = share(f.job, "kafka offsets", func() (*kafkaio.OffsetCommitter, func(), error) {
		c, err := kafkaio.NewOffsetCommitter(context.WithoutCancel(ctx), f.Config.Kafka)
		if err != nil {
			return nil, nil, err
		}
		return c, c.Close, nil
	})
	return err
}

func (f *commitOffsetsFn) ProcessElement(_ context.Context, _ state.Provider, slot int64, positions []byte) {
	f.last[slot] = positions
}

// FinishBundle commits. A group that cannot be told is no reason to stop, nor
// to hold checkpoints up.
func (f *commitOffsetsFn) FinishBundle(ctx context.Context) {
	slots := int64(len(f.last))
	f.commits.Inc(ctx, slots)
	f.failed.Inc(ctx, 0)
	within, cancel := context.WithTimeout(ctx, f.patience)
	defer cancel()
	if err := f.committer.Commit(within, slices.Collect(maps.Values(f.last))...); err != nil {
		f.failed.Inc(ctx, slots)
		slog.WarnContext(ctx, "positions were not committed to the consumer group; those of the next checkpoint will be", logging.Stage, "CommitOffsets",
			logging.Property, "InputKafkaGroupId", logging.Error, err, logging.Next, "the job does not need them; check --connect says what is missing")
	}
	clear(f.last)
}
