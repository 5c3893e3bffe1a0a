package property

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestHelpListsEveryPropertyAsInGoldenFile(t *testing.T) {
	var b bytes.Buffer
	runner := Property{
		Name: "runner", Group: GroupCommand, Kind: Enum, Default: "direct", Values: []string{"direct", "flink"},
		Doc: "Where the job runs.",
	}
	if err := Help(&b, runner); err != nil {
		t.Fatal(err)
	}
	golden(t, "help.txt", b.Bytes())
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > helpColumns && strings.Contains(strings.TrimSpace(line), " ") {
			t.Errorf("line of %d columns: %s", n, line)
		}
	}
	for _, p := range properties() {
		if !strings.Contains(b.String(), p.Name) {
			t.Errorf("help does not name %s", p.Name)
		}
	}
}

func TestMarkdownIsAsInGoldenFile(t *testing.T) {
	var b bytes.Buffer
	if err := Markdown(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "properties.md", b.Bytes())
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "|") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 4 {
			t.Errorf("row has not three cells: %s", line)
		}
	}
}

func TestMarkdownEscapesBars(t *testing.T) {
	var b bytes.Buffer
	table := newTable(nil, []Property{{Name: "Sep", Group: "G", Kind: String, Default: "a|b", Doc: "One | of."}})
	if err := table.markdown(&b); err != nil {
		t.Fatal(err)
	}
	if want := "| `Sep` | `a\\|b` | One \\| of. Allowed: text. |\n"; !strings.Contains(b.String(), want) {
		t.Errorf("got %s, want the row %s", b.String(), want)
	}
}

func TestWriteValuesListsWhatIsGiven(t *testing.T) {
	s, err := load(Sources{
		Env:  []string{"STREAMING_ETL_SERVER_PORT=0081"},
		Args: []string{"--Rate=1.50", "--ServerURL=http://localhost:9200"},
	}, serverProperties())
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.WriteValues(&b); err != nil {
		t.Fatal(err)
	}
	want := "ServerURL   http://localhost:9200  flag --ServerURL\n" +
		"ServerPort  81                     environment STREAMING_ETL_SERVER_PORT\n" +
		"Rate        1.5                    flag --Rate\n" // its default, all the same
	if b.String() != want {
		t.Errorf("got:\n%swant:\n%s", b.String(), want)
	}
}
