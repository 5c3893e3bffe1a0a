package pipeline

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/pipeline/property"
)

var update = flag.Bool("update", false, "write what is compared anew")

func TestReadmeListsEveryProperty(t *testing.T) {
	const name = "../README.md"
	const begin, end = "<!-- properties: written by \"make readme\" -->\n", "<!-- end of properties -->"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	table, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("README.md has no place for the table between %q and %q", begin, end)
	}
	var want bytes.Buffer
	if err := property.Markdown(&want); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(name, []byte(head+begin+want.String()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table != want.String() {
		t.Error("the README's table of properties is not that of the program: run make readme")
	}
}
