package slots

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streaming-etl/streaming-etl/io/batch"
)

// counter is a source of the numbers from 0, ten a firing; positions are the next number.
type counter struct {
	opened []string
	closed int
	fail   error
}

func (c *counter) Open(_ context.Context, _ Slot, positions []byte) (Reader, error) {
	c.opened = append(c.opened, string(positions))
	n, _ := strconv.Atoi(string(positions))
	return &counterReader{c: c, next: n}, nil
}

type counterReader struct {
	c    *counter
	next int
}

func (r *counterReader) Drain(int) ([]batch.Batch, []byte, bool, error) {
	if r.c.fail != nil {
		return nil, nil, false, r.c.fail
	}
	b := batch.Batch{Seqs: []string{""}}
	for range 10 {
		b.Append([]byte(strconv.Itoa(r.next)), 0, 0, 0)
		r.next++
	}
	return []batch.Batch{b}, []byte(strconv.Itoa(r.next)), true, nil
}

func (r *counterReader) Close() { r.c.closed++ }

func fire(t *testing.T, p *Pool, c *counter, s State) Firing {
	t.Helper()
	f, err := p.Fire(t.Context(), c, s, 100)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFireGoesOnWithTheOpenReader(t *testing.T) {
	p, c := NewPool(), &counter{}
	s := State{Slot: Slot{Index: 0, Count: 1, JobStart: 7}}
	f := fire(t, p, c, s)
	if got := f.Batches[0].JobStart; got != 7 {
		t.Errorf("batch has job start %d, want the slot's, 7", got)
	}
	f = fire(t, p, c, f.State)
	if got := string(f.Batches[0].Payload(0)); got != "10" {
		t.Errorf("second firing begins with %s, want 10", got)
	}
	if !f.More {
		t.Error("More of the reader was not passed on")
	}
	if want := []string{""}; !reflect.DeepEqual(c.opened, want) {
		t.Errorf("readers were opened at %q, want once at the start", c.opened)
	}
	p.Close()
	if c.closed != 1 {
		t.Errorf("%d readers closed, want 1", c.closed)
	}
}

func TestFireReopensWhereTheStateIs(t *testing.T) {
	p, c := NewPool(), &counter{}
	s := State{Slot: Slot{Index: 0, Count: 1}}
	first := fire(t, p, c, s)
	fire(t, p, c, first.State) // its bundle fails: the state stays at 10
	f := fire(t, p, c, first.State)
	if got := string(f.Batches[0].Payload(0)); got != "10" {
		t.Errorf("the firing done anew begins with %s, want 10", got)
	}
	if want := []string{"", "10"}; !reflect.DeepEqual(c.opened, want) || c.closed != 1 {
		t.Errorf("opened at %q and closed %d, want %q and 1", c.opened, c.closed, want)
	}
}

func TestFireAfterAnErrorOpensAnew(t *testing.T) {
	p, c := NewPool(), &counter{}
	s := State{Slot: Slot{Index: 0, Count: 1}}
	f := fire(t, p, c, s)
	c.fail = errors.New("the stream is gone")
	if _, err := p.Fire(t.Context(), c, f.State, 100); !errors.Is(err, c.fail) {
		t.Fatalf("error is %v, want the reader's", err)
	}
	c.fail = nil
	f = fire(t, p, c, f.State)
	if got := string(f.Batches[0].Payload(0)); got != "10" {
		t.Errorf("begins with %s, want 10", got)
	}
}

func TestAReaderThatIsNotFiredIsClosed(t *testing.T) {
	p, c := NewPool(), &counter{}
	now := time.Unix(0, 0)
	p.now = func() time.Time { return now }
	closed := make(chan struct{})
	gone := fire(t, p, c, State{Slot: Slot{Index: 0, Count: 2}})
	p.open[0].reader = closeNotifier{p.open[0].reader, closed}
	now = now.Add(idleClose + 1)
	fire(t, p, c, State{Slot: Slot{Index: 1, Count: 2}})
	<-closed
	f := fire(t, p, c, gone.State)
	if got := string(f.Batches[0].Payload(0)); got != "10" {
		t.Errorf("a slot that came back begins with %s, want 10", got)
	}
}

type closeNotifier struct {
	Reader
	closed chan struct{}
}

func (c closeNotifier) Close() { close(c.closed) }

func TestStateRoundTripsAndRefusesOtherBytes(t *testing.T) {
	for _, s := range []State{
		{Slot: Slot{Index: 0, Count: 1}},
		{Slot: Slot{Index: 299, Count: 300, JobStart: 1514768400000}, Positions: []byte{1, 2, 3}},
	} {
		in := s.Encode()
		got, err := DecodeState(in)
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("got %+v, %v, want %+v", got, err, s)
		}
		head := len(in) - len(s.Positions)
		for n := range head {
			if _, err := DecodeState(in[:n]); !errors.Is(err, ErrCorrupt) {
				t.Errorf("the first %d bytes: error is %v, want ErrCorrupt", n, err)
			}
		}
		in[0]++
		if _, err := DecodeState(in); !errors.Is(err, ErrCorrupt) {
			t.Errorf("newer version: error is %v, want ErrCorrupt", err)
		}
	}
}

func FuzzDecodeState(f *testing.F) {
	f.Add(State{Slot: Slot{Index: 1, Count: 2, JobStart: 3}, Positions: []byte("p")}.Encode())
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := DecodeState(in)
		if err != nil {
			return
		}
		if s.Slot.Index < 0 || s.Slot.Index >= s.Slot.Count {
			t.Fatalf("slot %d of %d", s.Slot.Index, s.Slot.Count)
		}
		again, err := DecodeState(s.Encode())
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("got %+v, %v, want %+v", again, err, s)
		}
	})
}

// ending is a source whose slots are done when done says so.
type ending struct {
	counter
	done map[int]bool
}

func (e *ending) Open(ctx context.Context, s Slot, positions []byte) (Reader, error) {
	r, err := e.counter.Open(ctx, s, positions)
	return endingReader{r, e, s.Index}, err
}

type endingReader struct {
	Reader
	e     *ending
	index int
}

func (r endingReader) Done() bool { return r.e.done[r.index] }

func TestDoneWhenAllSlotsAre(t *testing.T) {
	p, e := NewPool(), &ending{done: map[int]bool{}}
	if p.Done(2) {
		t.Error("done before any slot was fired")
	}
	for i := range 2 {
		e.done[i] = true
		if _, err := p.Fire(t.Context(), e, State{Slot: Slot{Index: i, Count: 2}}, 100); err != nil {
			t.Fatal(err)
		}
		if got, want := p.Done(2), i == 1; got != want {
			t.Errorf("%d slots fired: done is %v, want %v", i+1, got, want)
		}
	}
	e.done[0] = false
	if p.Done(2) {
		t.Error("done though slot 0 is not")
	}
	p.Close()
	if p.Done(2) {
		t.Error("done when closed")
	}
}

func TestASourceWithoutAnEndIsNeverDone(t *testing.T) {
	p := NewPool()
	fire(t, p, &counter{}, State{Slot: Slot{Count: 1}})
	if p.Done(1) {
		t.Error("done")
	}
}

func TestAClosedPoolOpensNoReader(t *testing.T) {
	p, c := NewPool(), &counter{}
	f := fire(t, p, c, State{Slot: Slot{Count: 1}})
	p.Close()
	if _, err := p.Fire(t.Context(), c, f.State, 100); !errors.Is(err, ErrClosed) {
		t.Errorf("error is %v, want ErrClosed", err)
	}
	if len(c.opened) != 1 || c.closed != 1 {
		t.Errorf("%d readers opened and %d closed, want 1 and 1", len(c.opened), c.closed)
	}
}

func TestCloseWaitsForReadersThatWereNotFiredForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c := NewPool(), &counter{}
		fire(t, p, c, State{Slot: Slot{Index: 0, Count: 2}})
		slow := make(chan struct{})
		p.open[0].reader = slowCloser{p.open[0].reader, slow}
		time.Sleep(idleClose + 1)
		fire(t, p, c, State{Slot: Slot{Index: 1, Count: 2}})
		closed := make(chan struct{})
		go func() {
			p.Close()
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("the pool is closed, and a reader is not")
		default:
		}
		close(slow)
		<-closed
	})
}

type slowCloser struct {
	Reader
	slow chan struct{}
}

func (c slowCloser) Close() { <-c.slow }
