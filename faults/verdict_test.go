//go:build linux

package faults

import (
	"bytes"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// TestVerdict shows that the comparison finds what the other tests are there to find.
func TestVerdict(t *testing.T) {
	sample, err := loadTrips()
	if err != nil {
		t.Fatal(err)
	}
	// Both are of the second time round, and each in a folder of its own.
	first := int64(len(sample.rows))
	second := first + 1
	for folderOf(ptr(sample.row(second)), "1") == folderOf(ptr(sample.row(first)), "1") {
		second++
	}
	changed := sample.row(first)
	changed.TipAmount += 0.01
	for _, test := range []struct {
		name string
		rows []trip // each in a file of its own
		want string
	}{
		{"all there", []trip{sample.row(first), sample.row(second)}, ""},
		{"lost", []trip{sample.row(first)}, "trips are in no object, the first of them is "},
		{"doubled", []trip{sample.row(first), sample.row(second), sample.row(first)}, "is there again"},
		{"doubled and lost", []trip{sample.row(first), sample.row(first)}, "trips are in no object, the first of them is "},
		{"changed", []trip{changed, sample.row(second)}, "was sent as"},
		{"never sent", []trip{sample.row(first), sample.row(second), sample.row(second + 1)}, "was not sent"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := new(feed)
			f.sent.Store(second + 1)
			w := &watch{prefix: "p/", trips: sample, feed: f, etags: make(map[string]string), columns: make(map[int]int64)}
			// As if all but the two had come.
			w.seen = make([]bool, second+1)
			for id := range w.seen {
				w.seen[id] = int64(id) != first && int64(id) != second
			}
			w.delivered = second - 1
			for i := range test.rows {
				w.check("p/"+folderOf(&test.rows[i], "1")+"part-x.parquet", parquetOf(t, test.rows[i]))
			}
			got := strings.Join(w.verdict(), "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("verdict %q, want %q", got, test.want)
			}
		})
	}
	t.Run("in another folder", func(t *testing.T) {
		f := new(feed)
		f.sent.Store(1)
		w := &watch{prefix: "p/", trips: sample, feed: f, etags: make(map[string]string), columns: make(map[int]int64)}
		w.check("p/job_start=1/vendor=99/passengers=1/part-x.parquet", parquetOf(t, sample.row(0)))
		if got := strings.Join(w.verdict(), "\n"); !strings.Contains(got, "belongs to") {
			t.Errorf("verdict %q", got)
		}
	})
}

func ptr(row trip) *trip { return &row }

func parquetOf(t *testing.T, rows ...trip) []byte {
	t.Helper()
	var body bytes.Buffer
	w := parquet.NewGenericWriter[trip](&body)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return body.Bytes()
}
