package pipeline

import (
	"fmt"
	"testing"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/runners/flink/keygroup"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

// Flink places a writer by its key's hash, so the numbers in the keys are chosen.
func TestWritersOfAFolderAreOnSubtasksOfTheirOwn(t *testing.T) {
	lines := sampleTrips(t, 5000)
	for _, writers := range []int{2, 4, 8} {
		c := configure(t, "--InputKinesisStream=trips", "--OutputBucket=lake", "--Region=eu-west-1",
			fmt.Sprintf("--OutputWritersPerPartition=%d", writers))
		c.Route.BlockBytes = 1 // each event is a block
		f := newRouteFn(c)
		if err := f.Setup(t.Context()); err != nil {
			t.Fatal(err)
		}
		var b batch.Batch
		for i, line := range lines {
			b.Append([]byte(line), 0, uint32(i), 0)
		}
		blocks := map[string]int{}                // by path
		subtasks := map[string]map[int]struct{}{} // by path
		f.router.Add(&b, func(text string, _ []byte) {
			key, err := route.ParseKey(text)
			if err != nil {
				t.Fatal(err)
			}
			if subtasks[key.Path] == nil {
				subtasks[key.Path] = map[int]struct{}{}
			}
			blocks[key.Path]++
			group := keygroup.KeyGroup(keygroup.String(text), maxParallelism)
			subtasks[key.Path][keygroup.Subtask(group, maxParallelism, writers)] = struct{}{}
		})
		full := 0
		for path, n := range blocks {
			if want := min(n, writers); len(subtasks[path]) != want {
				t.Errorf("%d blocks of %s are on %d subtasks of %d, want %d", n, path, len(subtasks[path]), writers, want)
			} else if want == writers {
				full++
			}
		}
		if full < 50 {
			t.Errorf("%d folders have blocks for %d writers, too few to tell", full, writers)
		}
	}
}
