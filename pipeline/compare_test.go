package pipeline

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// complaints is a test that keeps what a comparison says.
type complaints struct {
	testing.TB
	said []string
}

func (c *complaints) Errorf(format string, args ...any) {
	c.said = append(c.said, fmt.Sprintf(format, args...))
}
func (c *complaints) Helper() {}

// What the end-to-end tests rest on must itself be able to fail.
func TestTheComparisonFindsWhatIsWrong(t *testing.T) {
	w := newWorld(t, 1)
	c := configure(t, w.flags()...)
	lines := sampleTrips(t, 40)
	tokens, err := assembleNow(t, c, tripBlocks(t, c, lines))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := commitBundle(t.Context(), c, tokens...); err != nil {
		t.Fatal(err)
	}
	all, want := w.objects(t), expect(t, lines)
	compare := func(objects []object, want map[int64]trip) string {
		found := &complaints{TB: t}
		checkObjects(found, objects, want, "", time.UnixMilli(1), time.UnixMilli(1))
		return strings.Join(found.said, "\n")
	}
	if said := compare(all, want); said != "" {
		t.Fatalf("of what is right it says %s", said)
	}
	first, _, err := readParquet(all[0].body)
	if err != nil {
		t.Fatal(err)
	}
	id := first[0].TripID
	changed := func(change func(*trip)) map[int64]trip {
		out := map[int64]trip{}
		for k, v := range want {
			if k == id {
				change(&v)
			}
			out[k] = v
		}
		return out
	}
	fewer := changed(func(*trip) {})
	delete(fewer, id)
	more := changed(func(*trip) {})
	more[-1] = trip{TripID: -1}
	moved := append([]object{}, all...)
	moved[0].key = strings.Replace(moved[0].key, "/month=", "/month=1", 1)
	counted := append([]object{}, all...)
	counted[0].metadata = map[string]string{"rows": "99"}
	torn := append([]object{}, all...)
	torn[0].body = torn[0].body[:len(torn[0].body)-1]
	for name, test := range map[string]struct {
		objects []object
		want    map[int64]trip
		says    string
	}{
		"a trip lost":           {all, more, "1 of 41 trips are in no file"},
		"a trip invented":       {all, fewer, "was not sent"},
		"a file doubled":        {append(all[:1:1], all...), want, "is there again"},
		"a number changed":      {all, changed(func(v *trip) { v.TipAmount += 0.01 }), "was sent as"},
		"a time changed":        {all, changed(func(v *trip) { v.DropoffDatetime++ }), "was sent as"},
		"text changed":          {all, changed(func(v *trip) { v.StoreAndFwdFlag += " " }), "was sent as"},
		"a folder changed":      {moved, want, "want job_start=1/"},
		"the number of rows":    {counted, want, `its metadata say "99"`},
		"a file cut short":      {torn, want, all[0].key},
		"something else's file": {append(all[:len(all):len(all)], object{key: "stray.txt"}), want, "stray.txt is none of the job's files"},
	} {
		if said := compare(test.objects, test.want); !strings.Contains(said, test.says) {
			t.Errorf("%s: it says %q, want %q", name, said, test.says)
		}
	}
}
