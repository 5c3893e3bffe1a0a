package pipeline

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/slots"
)

// clients are the packages whose goroutines are to end with a job. The servers
// of a test have packages of their own.
var clients = []string{"/io/kinesisio.", "/io/kafkaio.", "/io/kafkaio/transact.", "/io/s3io.", "/io/elasticsearchio.", "/io/slots."}

// noneLeft checks that a job that is over has left no goroutine of its clients
// and no open file in its folder.
func noneLeft(t testing.TB, out string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		left := leftGoroutines()
		if left == "" {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("the job has left a goroutine:\n%s", left)
			break
		}
		time.Sleep(10 * time.Millisecond) // they end by themselves, and tell nobody
	}
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if name, err := os.Readlink(link); err == nil && strings.HasPrefix(name, out+string(filepath.Separator)) {
			t.Errorf("the job has left %s open", name)
		}
	}
}

// leftGoroutines returns the stack of a client's goroutine, if there is one.
func leftGoroutines() string {
	all := make([]byte, 4<<20)
	all = all[:runtime.Stack(all, true)]
	for stack := range strings.SplitSeq(string(all), "\n\n") {
		if strings.Contains(stack, "testing.tRunner") {
			continue // a test that calls a client itself
		}
		for _, p := range clients {
			if strings.Contains(stack, p) {
				return stack
			}
		}
	}
	return ""
}

func TestAGoroutineThatIsLeftIsSeen(t *testing.T) {
	w := newWorld(t, 1)
	r, err := configure(t, w.flags()...).Kinesis.Open(t.Context(), slots.Slot{Count: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for more := time.Now().Add(patience); leftGoroutines() == ""; {
		if _, _, _, err := r.Drain(1); err != nil || time.Now().After(more) {
			t.Fatalf("the reader's goroutines are not seen; reading ended with %v", err)
		}
	}
	r.Close()
	noneLeft(t, t.TempDir())
}
