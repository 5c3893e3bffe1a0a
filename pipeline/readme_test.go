package pipeline

import (
	"bytes"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/pipeline/property"
)

var update = flag.Bool("update", false, "write what is compared anew")

func TestReadmeListsEveryProperty(t *testing.T) {
	const begin, end = "<!-- properties: written by \"make readme\" -->\n", "<!-- end of properties -->"
	wantTable(t, "../README.md", begin, end, "make readme", property.Markdown)
}

// wantTable compares what a page has between two marks with what the program writes, or writes it there.
func wantTable(t *testing.T, page, begin, end, command string, write func(io.Writer) error) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	table, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table between %q and %q", page, begin, end)
	}
	var want bytes.Buffer
	if err := write(&want); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, []byte(head+begin+want.String()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table != want.String() {
		t.Errorf("the table in %s is not that of the program: run %s", page, command)
	}
}
