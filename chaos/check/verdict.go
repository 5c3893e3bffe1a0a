package check

import (
	"bytes"
	"fmt"
	"path"
	"path/filepath"
	"slices"

	"github.com/streaming-etl/streaming-etl/chaos/record"
)

// maxExamples are told of what is wrong with an outlet.
const maxExamples = 10

// A Verdict is what is right and wrong with one outlet. Counts are of records.
type Verdict struct {
	Outlet string `json:"outlet"`
	// Expected is how many there are to be, Seen how many different ones there are.
	Expected int64 `json:"expected"`
	Seen     int64 `json:"seen"`
	Lost     int64 `json:"lost"`
	// Doubled are those too many, Repeated those that are there again as they may.
	Doubled    int64 `json:"doubled"`
	Repeated   int64 `json:"repeated"`
	Disordered int64 `json:"disordered"`
	// Wrong have another value, key or place than they should; or are objects of a name that none should have.
	Wrong int64 `json:"wrong"`
	// Unsent were never sent, or should not be in this outlet.
	Unsent int64 `json:"unsent"`
	// Examples tell in words what is wrong.
	Examples []string `json:"examples,omitempty"`
}

// OK is whether nothing is wrong.
func (v *Verdict) OK() bool {
	return v.Lost+v.Doubled+v.Disordered+v.Wrong+v.Unsent == 0
}

func (v *Verdict) example(format string, args ...any) {
	if len(v.Examples) < maxExamples {
		v.Examples = append(v.Examples, fmt.Sprintf(format, args...))
	}
}

// An expectation is what is to be in an outlet.
type expectation struct {
	Outlet string
	Origin string
	Sent   int64
	Sample *record.Sample
	// Key returns the key that a record is to have; nil if it has none.
	Key func(number int64) string
	// Ordered says that the records of a key are to be in one partition, in order.
	Ordered bool
	// Scope tells within what the order of a key holds; nil is all.
	Scope func(number int64) int
	// Raw says that records are there as they were sent, bad ones too.
	Raw bool
	// Again has the records that the source has more than once, and how often, which is how often they are to be here.
	Again map[int64]int
	// MayRepeat tells how many times more than once a record may be there; nil is none.
	MayRepeat func(number int64) int
}

// copies is how often a record is to be there.
func (e expectation) copies(number int64) int64 { return int64(max(1, e.Again[number])) }

// An Observation is a record as it was read from an outlet.
type Observation struct {
	// Partition is where in the outlet it was: a partition, shard or index.
	Partition string `json:"p"`
	Key       string `json:"k"`
	Value     string `json:"v"`
}

// A tally takes what is in an outlet, in the order of each partition.
type tally struct {
	expectation
	v       Verdict
	times   []uint32 // by number
	courses map[scope]*course
	where   map[string]string // the partition of a key
	// astray are the courses in which a record came after a later one.
	astray []*course
}

type scope struct {
	key string
	of  int
}

// A course are the records of a key in a scope, as they came: each for the first time, and again where it may.
type course struct {
	came    []int64
	records int   // different ones
	latest  int64 // the highest of them
	// after and late are the first two that came the wrong way round, if astray.
	astray      bool
	after, late int64
}

// add takes the next record, and tells whether the course goes astray by it.
func (c *course) add(number int64, first bool) (goesAstray bool) {
	c.came = append(c.came, number)
	if !first {
		return false
	}
	c.records++
	if goesAstray = number < c.latest && !c.astray; goesAstray {
		c.astray, c.after, c.late = true, c.latest, number
	}
	c.latest = max(c.latest, number)
	return goesAstray
}

// disordered is how many of the records are in no order with the others, whichever occurrence is taken of each: all but
// those of a longest ascending sequence.
func (c *course) disordered() int64 {
	var lowest []int64 // that a sequence of so many can end with
	for _, number := range c.came {
		at, _ := slices.BinarySearch(lowest, number)
		if at == len(lowest) {
			lowest = append(lowest, number)
		}
		lowest[at] = number
	}
	return int64(c.records - len(lowest))
}

func newTally(e expectation) *tally {
	t := &tally{expectation: e, times: make([]uint32, e.Sent), courses: make(map[scope]*course), where: make(map[string]string)}
	t.v.Outlet, t.v.Expected = e.Outlet, record.Good(e.Sent)
	if e.Raw {
		t.v.Expected = e.Sent
	}
	return t
}

// add notes that a record is there, and tells whether it belongs there and comes for the first time.
func (t *tally) add(number int64, at string) (belongs, first bool) {
	if number < 0 || number >= t.Sent || !t.Raw && record.Reason(number) != "" {
		t.v.Unsent++
		t.v.example("%s: record %d was not sent, or is none to be here", at, number)
		return false, false
	}
	t.times[number]++
	if first = t.times[number] == 1; first {
		t.v.Seen++
	}
	return true, first
}

// again returns the records that are there more than once, and how often.
func (t *tally) again() map[int64]int {
	more := make(map[int64]int)
	for number, n := range t.times {
		if n > 1 {
			more[int64(number)] = int(n)
		}
	}
	return more
}

// take takes a record whose value is a line.
func (t *tally) take(o *Observation) {
	number, err := record.Number([]byte(o.Value))
	if err != nil {
		t.v.Unsent++
		t.v.example("%s: %q is no record: %v", o.Partition, o.Value, err)
		return
	}
	belongs, first := t.add(number, o.Partition)
	if !belongs {
		return
	}
	if want := t.Sample.Line(t.Origin, number); !bytes.Equal([]byte(o.Value), want) {
		t.v.Wrong++
		t.v.example("%s: record %d is (its checksum holds: %t)\n%s, was sent as\n%s", o.Partition, number, record.Intact([]byte(o.Value)), o.Value, want)
	}
	if t.Key != nil && o.Key != t.Key(number) {
		t.v.Wrong++
		t.v.example("%s: record %d has key %q, want %q", o.Partition, number, o.Key, t.Key(number))
	}
	if t.Ordered {
		t.order(number, record.Key(number), o.Partition, first)
	}
}

// order notes a record's place among those of its key.
func (t *tally) order(number int64, key, partition string, first bool) {
	if was, known := t.where[key]; !t.Raw && known && was != partition {
		t.v.Wrong++
		t.v.example("record %d of key %s is in partition %s, others of it are in %s", number, key, partition, was)
	}
	t.where[key] = partition
	// A writer that was halted may write late, or early, what another one writes in its place: then either is the one in
	// order. All others that are there again are counted as doubles.
	if !first && !t.mayRepeat(number) {
		return
	}
	s := scope{key: key}
	if t.Scope != nil {
		s.of = t.Scope(number)
	}
	c := t.courses[s]
	if c == nil {
		c = new(course)
		t.courses[s] = c
	}
	if c.add(number, first) {
		t.astray = append(t.astray, c)
	}
}

func (t *tally) mayRepeat(number int64) bool { return t.MayRepeat != nil && t.MayRepeat(number) > 0 }

// takeRow takes a record by its fields.
func (t *tally) takeRow(row *record.Row, at string) {
	belongs, _ := t.add(row.TripID, at)
	if !belongs {
		return
	}
	if want := t.Sample.Row(t.Origin, row.TripID); *row != want {
		t.v.Wrong++
		t.v.example("%s: record %d is\n%+v, was sent as\n%+v", at, row.TripID, *row, want)
	}
	if folder := path.Base(path.Dir(filepath.ToSlash(at))); folder != row.Folder() {
		t.v.Wrong++
		t.v.example("%s: record %d is in folder %s, want %s", at, row.TripID, folder, row.Folder())
	}
}

// verdict is what has come of it when all was taken.
func (t *tally) verdict() *Verdict {
	for number, n := range t.times {
		number := int64(number)
		if n == 0 && !t.Raw && record.Reason(number) != "" {
			continue
		}
		copies := t.copies(number)
		if missing := copies - int64(n); missing > 0 {
			if t.v.Lost == 0 {
				t.v.example("record %d is lost, sequence %d of key %s: it is there %d times, want %d", number, record.Sequence(number), record.Key(number), n, copies)
			}
			t.v.Lost += missing
			continue
		}
		more, may := int64(n)-copies, int64(0)
		switch {
		case more > 0 && t.Raw:
			may = more // a client of Kinesis that has got no answer sends again: the sinks are to have it as often
		case more > 0 && t.MayRepeat != nil:
			may = min(more, copies*int64(t.MayRepeat(number)))
		}
		t.v.Repeated += may
		if more > may {
			t.v.Doubled += more - may
			t.v.example("record %d is there %d times, and may be %d times", number, n, copies+may)
		}
	}
	for _, c := range t.astray {
		n := c.disordered()
		if n == 0 {
			continue
		}
		t.v.Disordered += n
		t.v.example("record %d of key %s comes after record %d; %d of the key's records are out of order, whichever is taken of those that came again",
			c.late, record.Key(c.late), c.after, n)
	}
	return &t.v
}
