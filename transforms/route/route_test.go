package route_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

const schema = `{"type":"record","name":"E","fields":[{"name":"id","type":"long"},{"name":"place","type":"string"}]}`

func newRouter(t *testing.T, c route.Config) *route.Router {
	t.Helper()
	if c.Schema == "" {
		c.Schema = schema
	}
	if c.Path == "" {
		c.Path = "job_start={job_start}/place={place}"
	}
	r, err := route.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// events returns a batch with a record for each of the ids, of one place.
func events(start int64, place string, ids ...int) *batch.Batch {
	b := &batch.Batch{Source: "stream", Shard: "shard", JobStart: start, Seqs: []string{"100"}}
	for i, id := range ids {
		b.Append(fmt.Appendf(nil, `{"id":%d,"place":%q}`, id, place), 0, uint32(i), 1514768400000)
	}
	return b
}

// sink keeps what is emitted.
type sink struct {
	t    *testing.T
	keys []string
	blks [][]byte
}

func (s *sink) emit(key string, blk []byte) {
	s.keys = append(s.keys, key)
	s.blks = append(s.blks, blk)
}

// ids returns the ids by key, in the order in which they were emitted.
func (s *sink) ids() map[string][]int64 {
	s.t.Helper()
	parsed, err := event.Parse([]byte(schema))
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string][]int64{}
	for i, blk := range s.blks {
		if kind, err := block.KindOf(blk); err != nil || kind != block.Events {
			continue
		}
		var c block.Columns
		if err := block.Decode(&c, parsed, blk); err != nil {
			s.t.Fatal(err)
		}
		out[s.keys[i]] = append(out[s.keys[i]], c.Fields[0].Ints[:c.Rows]...)
	}
	return out
}

func TestRowsGoToTheirPartitionInOrder(t *testing.T) {
	r, s := newRouter(t, route.Config{}), &sink{t: t}
	r.Add(events(5, "a", 1, 2), s.emit)
	r.Add(events(5, "b", 3), s.emit)
	counts := r.Add(events(5, "a", 4), s.emit)
	if len(s.keys) != 0 {
		t.Errorf("unfinished blocks were emitted: %q", s.keys)
	}
	if counts.Events != 1 || counts.Dead != nil {
		t.Errorf("counts are %+v", counts)
	}
	r.Flush(s.emit)
	want := map[string][]int64{"e|0|job_start=5/place=a": {1, 2, 4}, "e|0|job_start=5/place=b": {3}}
	if got := s.ids(); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got %v, want %v", got, want)
	}
	r.Flush(s.emit)
	if len(s.keys) != 2 {
		t.Errorf("a second flush emitted again: %q", s.keys)
	}
}

func TestAFlushBatchPassesAllOn(t *testing.T) {
	r, s := newRouter(t, route.Config{}), &sink{t: t}
	r.Add(events(5, "a", 1), s.emit)
	r.Add(&batch.Batch{Flush: true}, s.emit)
	if len(s.keys) != 1 {
		t.Errorf("emitted %q", s.keys)
	}
}

func TestAFullBlockIsEmittedAtOnceAndToTheNextWriter(t *testing.T) {
	r, s := newRouter(t, route.Config{BlockBytes: 200, Writers: 2}), &sink{t: t}
	ids := make([]int, 200)
	for i := range ids {
		ids[i] = i
	}
	r.Add(events(5, "a", ids...), s.emit)
	r.Flush(s.emit)
	got := s.ids()
	if len(got) != 2 {
		t.Fatalf("blocks of %d writers, want 2", len(got))
	}
	var all []int64
	for key, rows := range got {
		if !slices.IsSorted(rows) {
			t.Errorf("%s is out of order", key)
		}
		all = append(all, rows...)
	}
	slices.Sort(all)
	if len(all) != 200 || all[0] != 0 || all[199] != 199 {
		t.Errorf("%d rows from %d to %d", len(all), all[0], all[len(all)-1])
	}
}

func TestWritersHaveTheNumbersThatAreChosenForTheirKeys(t *testing.T) {
	r, s := newRouter(t, route.Config{BlockBytes: 1, Writers: 3}), &sink{t: t}
	var asked []string
	r.SpreadWriters(func(n int, key func(dst []byte, number int) []byte) []int {
		asked = append(asked, string(key(nil, 5*n)))
		return []int{0, 7, 1000}
	})
	r.Add(events(5, "a", 1, 2, 3, 4), s.emit)
	r.Add(events(5, "b", 5), s.emit)
	if want := []string{"e|0|job_start=5/place=a", "e|7|job_start=5/place=a", "e|1000|job_start=5/place=a", "e|0|job_start=5/place=a", "e|0|job_start=5/place=b"}; !slices.Equal(s.keys, want) {
		t.Errorf("emitted %q, want %q", s.keys, want)
	}
	if want := []string{"e|15|job_start=5/place=a", "e|15|job_start=5/place=b"}; !slices.Equal(asked, want) {
		t.Errorf("asked with the keys %q, want each partition's once: %q", asked, want)
	}
}

func TestTheOneWriterOfAPartitionKeepsItsNumber(t *testing.T) {
	r, s := newRouter(t, route.Config{}), &sink{t: t}
	r.SpreadWriters(func(int, func([]byte, int) []byte) []int {
		t.Error("there is nothing to choose")
		return []int{9}
	})
	r.Add(events(5, "a", 1), s.emit)
	r.Flush(s.emit)
	if want := []string{"e|0|job_start=5/place=a"}; !slices.Equal(s.keys, want) {
		t.Errorf("emitted %q, want %q", s.keys, want)
	}
}

func TestOpenRowsOfAllPartitionsAreBounded(t *testing.T) {
	r, s := newRouter(t, route.Config{OpenBytes: 2000}), &sink{t: t}
	for i := range 200 {
		r.Add(events(5, fmt.Sprintf("place-%03d", i), i), s.emit)
	}
	before := len(s.keys)
	if before == 0 {
		t.Error("no block was emitted before the flush")
	}
	r.Flush(s.emit)
	rows := 0
	for _, ids := range s.ids() {
		rows += len(ids)
	}
	if rows != 200 {
		t.Errorf("%d rows, want 200", rows)
	}
}

func TestResetForgetsWhatAFailedBundleLeft(t *testing.T) {
	r, s := newRouter(t, route.Config{}), &sink{t: t}
	r.Add(events(5, "a", 1), s.emit)
	bad := &batch.Batch{JobStart: 5, Seqs: []string{"1"}}
	bad.Append([]byte("no JSON"), 0, 0, 0)
	r.Add(bad, s.emit)
	r.Reset()
	r.Add(events(5, "a", 2), s.emit)
	r.Flush(s.emit)
	if got := s.ids()["e|0|job_start=5/place=a"]; len(s.keys) != 1 || !slices.Equal(got, []int64{2}) {
		t.Errorf("emitted %q with ids %v", s.keys, got)
	}
}

func TestAnotherJobStartIsAnotherPartition(t *testing.T) {
	r, s := newRouter(t, route.Config{}), &sink{t: t}
	r.Add(events(5, "a", 1), s.emit)
	r.Add(events(6, "a", 2), s.emit)
	r.Flush(s.emit)
	want := map[string][]int64{"e|0|job_start=5/place=a": {1}, "e|0|job_start=6/place=a": {2}}
	if got := s.ids(); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestManyPartitionsComeAndGo(t *testing.T) {
	r, s := newRouter(t, route.Config{}), &sink{t: t}
	for i := range 10_000 { // more than are kept
		r.Add(events(5, fmt.Sprint(i), i), s.emit)
		if i%100 == 99 {
			r.Flush(s.emit)
		}
	}
	r.Flush(s.emit)
	got := s.ids()
	if len(got) != 10_000 {
		t.Fatalf("%d partitions, want 10000", len(got))
	}
	for key, ids := range got {
		if want := fmt.Sprintf("e|0|job_start=5/place=%d", ids[0]); len(ids) != 1 || key != want {
			t.Fatalf("%s has ids %v", key, ids)
		}
	}
}

func TestWhatIsRefusedIsADeadLetterWithItsOrigin(t *testing.T) {
	r, s := newRouter(t, route.Config{}), &sink{t: t}
	b := &batch.Batch{Source: "stream", Shard: "shardId-7", JobStart: 5, Seqs: []string{"41", "42"}}
	b.Append([]byte(`{"id":1,"place":"a"}`), 0, 0, 1)
	b.Append([]byte(`{"id":"x","place":"a"}`), 1, 3, 1514768400123)
	b.Append([]byte(`{"id":2,"place":""}`), 1, 4, 2)
	b.Append([]byte("\xff"), 1, 5, 3)
	counts := r.Add(b, s.emit)
	r.Flush(s.emit)
	if counts.Events != 1 || counts.Dead["wrong_type"] != 1 || counts.Dead["empty_value"] != 1 || len(counts.Dead) != 3 {
		t.Errorf("counts are %+v", counts)
	}
	letters := map[string]deadletter.Letter{}
	for i, blk := range s.blks {
		key, err := route.ParseKey(s.keys[i])
		if err != nil {
			t.Fatal(err)
		}
		if key.Stream != route.DeadLetters {
			continue
		}
		lines, n, err := block.DecodeLines(nil, blk)
		if err != nil || n != 1 {
			t.Fatalf("%d lines, %v", n, err)
		}
		l, err := deadletter.Parse(bytes.TrimSuffix(lines, []byte("\n")))
		if err != nil {
			t.Fatal(err)
		}
		if want := "dead-letters/job_start=5/reason=" + l.Reason; key.Path != want {
			t.Errorf("letter is under %s, want %s", key.Path, want)
		}
		letters[l.Reason] = l
	}
	l := letters["wrong_type"]
	if l.Field != "id" || l.Source != "stream" || l.Shard != "shardId-7" || l.Seq != "42" || l.Sub != 3 ||
		l.Arrival != 1514768400123 || string(l.Payload) != `{"id":"x","place":"a"}` || !strings.Contains(l.Detail, "at byte") {
		t.Errorf("letter is %+v", l)
	}
	if l := letters["empty_value"]; l.Field != "place" {
		t.Errorf("letter is %+v", l)
	}
	if len(letters) != 3 {
		t.Errorf("letters of %d reasons, want 3", len(letters))
	}
}

func TestNewRefusesWhatCannotBeCompiled(t *testing.T) {
	for name, c := range map[string]route.Config{
		"schema": {Schema: "{"},
		"path":   {Schema: schema, Path: "{plaec}"},
	} {
		if _, err := route.New(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestKeysRoundTrip(t *testing.T) {
	for _, k := range []route.Key{
		{Stream: route.Events, Writer: 63, Path: "a=1/b=|2|"},
		{Stream: route.Events, Writer: 123456, Path: "a=1"},
		{Stream: route.DeadLetters, Path: "dead-letters/job_start=1/reason=empty"},
		{Stream: route.Events},
	} {
		got, err := route.ParseKey(k.String())
		if err != nil || got != k {
			t.Errorf("%+v became %+v, %v", k, got, err)
		}
	}
	for _, text := range []string{"", "e", "e|0", "x|0|a", "e|-1|a", "e|01|a", "e|a|a", "ee|0|a"} {
		if k, err := route.ParseKey(text); err == nil {
			t.Errorf("%q was taken for %+v", text, k)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("e|0|a=1/b=2")
	f.Add("d|63|")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := route.ParseKey(text)
		if err == nil && k.String() != text {
			t.Fatalf("%q was read as %q", text, k)
		}
	})
}
