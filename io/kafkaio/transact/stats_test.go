package transact

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestStatsCountBatchesBytesRetriesAndThrottles(t *testing.T) {
	c := newFake(t, "stats")
	o := c.producerOptions()
	if _, err := o.CheckProducer(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The first request gets no answer, the second one an answer with a quota's delay.
	var n atomic.Int64
	c.fake.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		switch n.Add(1) {
		case 1:
			return nil, errors.New("the connection is cut"), true
		case 2:
			resp := answerWith(req, 0).(*kmsg.ProduceResponse)
			resp.ThrottleMillis = 1
			return resp, nil, true
		}
		return nil, nil, false
	})
	p := newProducer(t, o)
	if err := p.Put(t.Context(), Record{Topic: c.name, Value: []byte("value")}); err != nil {
		t.Fatal(err)
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := awaitBatches(t, p.Stats, 1)
	if got.Bytes < int64(len("value")) {
		t.Errorf("%d bytes", got.Bytes)
	}
	if want := (Stats{Batches: 1, Bytes: got.Bytes, Retries: 1, Throttles: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestStatsOfACommitterHaveItsMarkers(t *testing.T) {
	c := newCluster(t)
	o := c.options()
	prepare(t, o)
	k := newCommitter(t, o)
	out, err := k.Commit(t.Context(), 0, []Block{c.block("job", 1, 3)})
	if err != nil {
		t.Fatal(err)
	}
	if got := awaitBatches(t, k.Stats, 2); got.Bytes == 0 || got.Retries != int64(out.Retries) {
		t.Errorf("got %+v of %+v", got, out)
	}
}

// awaitBatches waits until n batches are counted: the client tells the last
// ones after their records.
func awaitBatches(t testing.TB, stats func() Stats, n int64) Stats {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		if got := stats(); got.Batches >= n {
			return got
		} else if time.Since(begin) > stableTimeout {
			t.Fatalf("got %+v, want %d batches", got, n)
		}
	}
}
