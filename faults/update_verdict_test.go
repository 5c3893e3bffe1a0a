//go:build linux

package faults

import (
	"fmt"
	"strings"
	"testing"
)

// TestVerdictOnUpdates shows that an older document over a newer one is found, also when the newer one has come again
// since, and while the index is looked at in parts.
func TestVerdictOnUpdates(t *testing.T) {
	doc := func(key string, id int64) document {
		return document{ID: key, Source: fmt.Appendf(nil, `{"trip_id":%d}`, id)}
	}
	for _, test := range []struct {
		name  string
		looks [][]document
		want  string
	}{
		{"newer over older", [][]document{{doc("a", 1), doc("b", 2)}, {doc("b", 2), doc("a", 3)}}, ""},
		{"older over newer", [][]document{{doc("a", 3), doc("b", 4)}, {doc("a", 1), doc("b", 4)}, {doc("a", 3), doc("b", 4)}}, "document a was of trip 3, and then of trip 1"},
		{"older over newer after it was not found", [][]document{{doc("a", 3)}, {}, {doc("a", 1)}}, "document a was of trip 3, and then of trip 1"},
		{"the same one twice in a look", [][]document{{doc("a", 1), doc("a", 3)}}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := &updateWatch{numbers: make(map[string]int64)}
			for _, docs := range test.looks {
				w.take(docs)
			}
			got := strings.Join(w.told(), "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("told %q, want %q", got, test.want)
			}
		})
	}
}
