package slots

import (
	"context"
	"errors"
	"testing"

	"github.com/streaming-etl/streaming-etl/io/batch"
)

// asking is a source whose readers make two requests a firing, and a third one
// when they are closed.
type asking struct{ counter }

func (a *asking) Open(ctx context.Context, s Slot, positions []byte) (Reader, error) {
	r, err := a.counter.Open(ctx, s, positions)
	return &askingReader{Reader: r}, err
}

type askingReader struct {
	Reader
	counts Counts
}

func (r *askingReader) Drain(limit int) ([]batch.Batch, []byte, bool, error) {
	r.counts.add(Counts{Requests: 2, Retries: 1})
	return r.Reader.Drain(limit)
}

func (r *askingReader) Close() {
	r.counts.Throttles++
	r.Reader.Close()
}

func (r *askingReader) Counts() Counts { return r.counts }

func TestCountsAreToldOnceAlsoThoseOfClosedReaders(t *testing.T) {
	p, a := NewPool(), &asking{}
	if got := p.Counts(0); got != (Counts{}) {
		t.Errorf("before the first firing: %+v", got)
	}
	var f Firing
	step := func() (err error) {
		f, err = p.Fire(t.Context(), a, f.State, 100)
		return err
	}
	f.State = State{Slot: Slot{Index: 0, Count: 1}}
	expect := func(when string, want Counts) {
		t.Helper()
		if got := p.Counts(0); got != want {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}
	for range 2 {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	expect("after two firings", Counts{Requests: 4, Retries: 2})
	expect("and again", Counts{})
	state := f.State
	a.fail = errors.New("the stream is gone")
	if err := step(); !errors.Is(err, a.fail) {
		t.Fatal(err)
	}
	a.fail, f.State = nil, state
	if err := step(); err != nil {
		t.Fatal(err)
	}
	expect("after a reader that failed and a new one", Counts{Requests: 4, Retries: 2, Throttles: 1})
}
