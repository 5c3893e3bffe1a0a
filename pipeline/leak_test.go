package pipeline

import (
	"context"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/internal/leak"
	"github.com/streaming-etl/streaming-etl/io/slots"
)

// runDirect runs a job on the local runner, and checks that it leaves nothing in the process.
func runDirect(ctx context.Context, t testing.TB, c Config, o DirectOptions) (Summary, error) {
	t.Helper()
	before := leak.Before()
	o.Out = t.TempDir()
	sum, err := RunDirect(ctx, c, o)
	before.NoneLeft(t)
	return sum, err
}

func TestAGoroutineThatIsLeftIsSeen(t *testing.T) {
	w := newWorld(t, 1)
	before := leak.Before()
	r, err := configure(t, w.flags()...).Kinesis.Open(t.Context(), slots.Slot{Count: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for more := time.Now().Add(patience); before.Left() == ""; {
		if _, _, _, err := r.Drain(1); err != nil || time.Now().After(more) {
			t.Fatalf("the reader's goroutines are not seen; reading ended with %v", err)
		}
	}
	r.Close()
	before.NoneLeft(t)
}
