package replay

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// event is what a test's sender was given.
type event struct {
	key, data string
	at        time.Time // of the fake clock
}

// recorder is a Sender that keeps what it is given.
type recorder struct {
	clock   Clock
	events  []event
	refs    []int
	refused []Refusal
	flushed int // events delivered by Flush
	flushes int
	// onSend, if set, is called before an event is taken.
	onSend func(n int) error
	// onFlush, if set, is called before events count as delivered.
	onFlush func()
}

func (r *recorder) Send(_ context.Context, key string, data []byte, ref int) error {
	r.refs = append(r.refs, ref)
	if r.onSend != nil {
		if err := r.onSend(len(r.events)); err != nil {
			return err
		}
	}
	r.events = append(r.events, event{key: key, data: string(data), at: r.clock.Now()})
	return nil
}

func (r *recorder) Flush(ctx context.Context) error {
	r.flushes++
	if r.onFlush != nil {
		r.onFlush()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r.flushed = len(r.events)
	return nil
}

func (r *recorder) Refused() []Refusal {
	out := r.refused
	r.refused = nil
	return out
}

func (r *recorder) Stats() SenderStats { return SenderStats{Requests: int64(r.flushes), Retries: 7} }

func (r *recorder) data() []string {
	var out []string
	for _, e := range r.events {
		out = append(out, e.data)
	}
	return out
}

// fakeClock goes on only when somebody sleeps.
type fakeClock struct {
	mu     sync.Mutex
	now    time.Time
	sleeps int
}

func newFakeClock() *fakeClock {
	return &fakeClock{now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.sleeps++
	return ctx.Err()
}

// base is the time of the second that line counts from.
var base = time.Date(2018, 3, 1, 0, 0, 0, 0, time.UTC)

// line makes an event at a second.
func line(second, id int) string {
	return fmt.Sprintf(`{"trip_id":%d,"dropoff_datetime":"%s"}`, id, base.Add(time.Duration(second)*time.Second).Format("2006-01-02T15:04:05.000Z"))
}

func linesOf(seconds ...int) string {
	var b strings.Builder
	for i, s := range seconds {
		b.WriteString(line(s, i) + "\n")
	}
	return b.String()
}

func mapFS(files map[string]string) fstest.MapFS {
	fs := fstest.MapFS{}
	for name, content := range files {
		fs[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return fs
}

// run replays and fails the test on an error.
func run(t *testing.T, o Options) (*recorder, Statistics) {
	t.Helper()
	if o.Clock == nil {
		o.Clock = newFakeClock()
	}
	to := &recorder{clock: o.Clock}
	stats, err := Run(t.Context(), o, to)
	if err != nil {
		t.Fatal(err)
	}
	return to, stats
}

func asLZ4(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := lz4.NewWriter(&b)
	err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb))
	_, writeErr := w.Write([]byte(s))
	if err = errors.Join(err, writeErr, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func asGzip(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(s))
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func asZstd(t testing.TB, s string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(s), nil))
}
