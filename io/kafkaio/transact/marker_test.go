package transact

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
)

func TestMarkerDecodesWhatWasEncoded(t *testing.T) {
	m := marker{Job: "trips \"2\" ü", Lane: 3, Number: 1 << 40, Runs: []run{{1, 5}, {1 << 39, 1<<63 - 1}}, Owner: "X"}
	text, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeMarker(3, []byte("3"), text)
	m.Version = markerVersion
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("%+v, %v; want %+v", got, err, m)
	}
}

func TestMarkerDecodeRefuses(t *testing.T) {
	for name, test := range map[string]struct{ key, value string }{
		"another key":     {"4", `{"v":1,"job":"j","lane":3,"number":1}`},
		"no JSON":         {"3", `hello`},
		"a later version": {"3", `{"v":2,"job":"j","lane":3,"number":1}`},
		"another lane":    {"3", `{"v":1,"job":"j","lane":4,"number":1}`},
		"no number":       {"3", `{"v":1,"job":"j","lane":3}`},
		"no job":          {"3", `{"v":1,"lane":3,"number":1,"runs":[{"first":1,"attempt":1}]}`},
		"no attempt":      {"3", `{"v":1,"job":"j","lane":3,"number":1}`},
		"attempts amiss":  {"3", `{"v":1,"job":"j","lane":3,"number":5,"runs":[{"first":4,"attempt":1},{"first":2,"attempt":3}]}`},
		"a later attempt": {"3", `{"v":1,"job":"j","lane":3,"number":5,"runs":[{"first":6,"attempt":1}]}`},
		"a huge number":   {"3", `{"v":1,"job":"j","lane":3,"number":99999999999999999999}`},
	} {
		if m, err := decodeMarker(3, []byte(test.key), []byte(test.value)); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func FuzzDecodeMarker(f *testing.F) {
	good, err := marker{Job: "j", Lane: 3, Number: 7, Runs: []run{{2, 1}, {5, 9}}, Owner: "o"}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("3"), good)
	f.Add([]byte("4"), []byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		m, err := decodeMarker(3, key, value)
		if err != nil {
			return
		}
		if m.Lane != 3 || m.Number < 1 || m.Job == "" {
			t.Fatalf("accepted %+v", m)
		}
		text, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decodeMarker(3, key, text); err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}

func TestMarkerKnowsWhichAttemptWroteABlock(t *testing.T) {
	var m *marker
	write := func(number, attempt int64) {
		runs := m.after(Block{Job: "j", Number: number, Attempt: attempt})
		m = &marker{Job: "j", Number: number, Runs: runs}
	}
	for n := int64(1); n <= 10; n++ {
		write(n, 100+n/4) // 1-3, 4-7, 8-10
	}
	for _, b := range []struct {
		number, attempt int64
		want            bool
	}{{1, 100, true}, {3, 100, true}, {4, 100, false}, {4, 101, true}, {10, 102, true}, {10, 101, false}, {11, 102, false}} {
		if got := m.wrote(b.number, b.attempt); got != b.want {
			t.Errorf("block %d of attempt %d was written: %t", b.number, b.attempt, got)
		}
	}
	write(5, 200) // set back, and accepted
	for _, b := range []struct {
		number, attempt int64
		want            bool
	}{{3, 100, true}, {4, 101, true}, {5, 200, true}, {5, 101, false}, {6, 200, false}, {8, 102, false}} {
		if got := m.wrote(b.number, b.attempt); got != b.want {
			t.Errorf("set back, block %d of attempt %d was written: %t", b.number, b.attempt, got)
		}
	}
	for n := int64(6); n < 200; n++ {
		write(n, n)
	}
	if len(m.Runs) != maxRuns || !m.wrote(199, 199) || m.wrote(6, 6) {
		t.Errorf("%d runs are kept", len(m.Runs))
	}
	if runs := m.after(Block{Job: "other", Number: 1, Attempt: 1}); !reflect.DeepEqual(runs, []run{{1, 1}}) {
		t.Errorf("another job's runs are %v", runs)
	}
}

// Whatever the marker is: a block is written without a word only where it is
// the next one or the first of a job, and each error says what to do.
func FuzzDecide(f *testing.F) {
	f.Add("a", int64(3), int64(0), "a", int64(4), int64(0))
	f.Add("", int64(0), int64(0), "a", int64(1), int64(0))
	f.Fuzz(func(t *testing.T, job string, number, attempt int64, blockJob string, blockNumber, blockAttempt int64) {
		var m *marker
		if job != "" && number > 0 && number < 1<<62 {
			m = &marker{Job: job, Number: number, Runs: []run{{1, attempt}}}
		}
		if blockNumber < 1 || blockJob == "" {
			return
		}
		b := Block{Job: blockJob, Number: blockNumber, Attempt: blockAttempt}
		v, err := decide(m, 1, b, Strict)
		known := m != nil && m.Job == blockJob
		switch next := !known && blockNumber == 1 || known && blockNumber == m.Number+1; {
		case next:
			if v != write || err != nil {
				t.Fatalf("the next block: %v, %v", v, err)
			}
		case known && blockNumber <= m.Number && blockAttempt == attempt:
			if v != skip || err != nil {
				t.Fatalf("a replay: %v, %v", v, err)
			}
		default:
			var order *OrderError
			if !errors.As(err, &order) || fmt.Sprint(order) == "" {
				t.Fatalf("a block that does not follow: %v, %v", v, err)
			}
			if v, err := decide(m, 1, b, Accept); v != accept || err != nil {
				t.Fatalf("accepted: %v, %v", v, err)
			}
		}
	})
}
