package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/transact"
	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/transforms/decode"
	"github.com/streaming-etl/streaming-etl/transforms/route"
	"github.com/streaming-etl/streaming-etl/transforms/template"
)

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// commandLines are the commands of this program in the page's shell blocks.
func commandLines(t *testing.T) [][]string {
	t.Helper()
	var out [][]string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(page(t), -1) {
		for line := range strings.Lines(block[1]) {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "go run . "); ok {
				out = append(out, strings.Fields(rest))
			}
		}
	}
	return out
}

func TestEveryCommandOfTheOperationPageHasItsFlags(t *testing.T) {
	lines := commandLines(t)
	if len(lines) < 8 {
		t.Fatalf("%d commands in the page", len(lines))
	}
	for _, words := range lines {
		if !slices.Contains(names(), words[0]) {
			t.Errorf("%s is not a command", words[0])
			continue
		}
		known := map[string]bool{}
		for _, f := range flagsOf(words[0]) {
			known["--"+f.Name] = true
		}
		for _, word := range words[1:] {
			name, _, _ := strings.Cut(word, "=")
			if strings.HasPrefix(name, "--") && !known[name] {
				t.Errorf("%v: %s is no flag of %s", words, name, words[0])
			}
		}
	}
}

func TestChecksOfTheOperationPageRun(t *testing.T) {
	ran := 0
	for _, words := range commandLines(t) {
		if words[0] != "check" || slices.Contains(words, "--connect") {
			continue
		}
		for i, word := range words {
			if strings.HasPrefix(word, "--svg=") {
				words[i] = "--svg=" + t.TempDir() + "/plan.svg"
			}
		}
		if code, _, stderr := runCommand(t, words...); code != exitOK {
			t.Errorf("%v: exit code %d: %s", words, code, stderr)
		}
		ran++
	}
	if ran < 2 {
		t.Errorf("%d commands were run", ran)
	}
}

func TestTheOperationPageKnowsEveryReasonOfADeadLetter(t *testing.T) {
	text := page(t)
	reasons := []string{
		elasticsearchio.ReasonMapping, elasticsearchio.ReasonInvalidIndex, elasticsearchio.ReasonMissingID, elasticsearchio.ReasonTooLongID, elasticsearchio.ReasonInvalidID,
		elasticsearchio.ReasonInvalidRouting, elasticsearchio.ReasonInvalidVersion, elasticsearchio.ReasonInvalidJSON, elasticsearchio.ReasonTooLarge, elasticsearchio.ReasonForbidden,
		kinesisio.ReasonTooLarge, kinesisio.ReasonPartitionKey, kinesisio.ReasonExplicitHashKey, kinesisio.ReasonRefused,
		route.ReasonUndecodable, route.ReasonTombstone, route.ReasonTooLarge, route.ReasonReservedPath, route.ReasonInvalidTopic, route.ReasonMissingKey, route.ReasonInvalidTimestamp,
		transact.ReasonUnknownTopic, transact.ReasonInvalidTopic, transact.ReasonForbidden,
	}
	for _, r := range []decode.Reason{
		decode.Empty, decode.MalformedJSON, decode.NotAnObject, decode.TrailingData, decode.InvalidUTF8, decode.TooDeep, decode.WrongType,
		decode.OutOfRange, decode.InvalidTimestamp, decode.NullValue, decode.MissingField, decode.DuplicateField,
	} {
		reasons = append(reasons, string(r))
	}
	for _, r := range []template.Reason{template.NullValue, template.EmptyValue, template.ValueOutOfRange, template.ValueTooLong} {
		reasons = append(reasons, string(r))
	}
	for _, r := range reasons {
		if !strings.Contains(text, "`"+r+"`") {
			t.Errorf("the page does not know %s", r)
		}
	}
}

func TestTheOperationPageKnowsEveryAlarm(t *testing.T) {
	source, err := os.ReadFile("deploy/aws/stack/alarms.go")
	if err != nil {
		t.Fatal(err)
	}
	alarms := regexp.MustCompile(`b\.alarm\("(\w+)"`).FindAllStringSubmatch(string(source), -1)
	if len(alarms) < 5 {
		t.Fatalf("%d alarms found", len(alarms))
	}
	text := page(t)
	for _, a := range alarms {
		if !strings.Contains(text, "| `"+a[1]+"` |") {
			t.Errorf("the page does not know the alarm %s", a[1])
		}
	}
}

func TestLinksWithinTheOperationPageLeadSomewhere(t *testing.T) {
	text := page(t)
	anchors := map[string]bool{}
	for _, h := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		anchors[strings.ReplaceAll(strings.ToLower(h[1]), " ", "-")] = true
	}
	for _, link := range regexp.MustCompile(`\]\(#([^)]*)\)`).FindAllStringSubmatch(text, -1) {
		if !anchors[link[1]] {
			t.Errorf("#%s is no heading", link[1])
		}
	}
}

func TestTheOperationPageTellsOfEveryAlert(t *testing.T) {
	rules, err := os.ReadFile("deploy/grafana/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range regexp.MustCompile(`(?m)^ *- alert: (\w+)$`).FindAllSubmatch(rules, -1) {
		want = append(want, string(m[1]))
	}
	if len(want) < 7 {
		t.Fatalf("the alerts are not read rightly: %q", want)
	}
	for _, head := range []string{"| alert | fires when |", "| alarm | means | see | do |"} {
		_, table, ok := strings.Cut(page(t), head)
		if !ok {
			t.Fatalf("the page has no table %s", head)
		}
		table, _, _ = strings.Cut(table, "\n\n")
		var got []string
		for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(table, -1) {
			got = append(got, m[1])
		}
		if !slices.Equal(got, want) {
			t.Errorf("the table %s has %q, alerts.yaml %q", head, got, want)
		}
	}
}
