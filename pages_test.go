package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/pipeline/property"
)

// pages are the documents whose commands are tested.
func pages(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("docs/*.md")
	if err != nil || len(names) < 5 {
		t.Fatalf("%d pages: %v", len(names), err)
	}
	return append([]string{"README.md"}, names...)
}

func pageText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// shellBlock is a block of commands in a page.
type shellBlock struct {
	page string
	line int
	text string
	// mark is what a comment right above the block says of how it runs, empty
	// for one that just runs.
	mark, reason string
	// output is what the page says that the commands write, empty where it
	// says nothing: the next block, under a comment "output".
	output string
}

func (b shellBlock) name() string { return fmt.Sprintf("%s line %d", b.page, b.line) }

// Marks. What stands behind the colon is for the reader, and is printed.
const (
	markNeeds = "needs" // something that a test cannot have; flink: it runs in the test on a real Flink
	markLong  = "long"  // it takes long, and what it does is tested elsewhere
	markEnds  = "ends"  // it runs until it gets a signal
)

var (
	fence      = regexp.MustCompile("^( *)```(.*)$")
	markLine   = regexp.MustCompile(`^ *<!-- (needs|long|ends): (.+) -->$`)
	outputLine = regexp.MustCompile(`^ *<!-- output -->$`)
)

// shellBlocks finds the blocks of a page. Commands may stand in sh blocks only:
// they would not be found elsewhere.
func shellBlocks(t *testing.T, page string) []shellBlock {
	t.Helper()
	var out []shellBlock
	lines := strings.Split(pageText(t, page), "\n")
	for i := 0; i < len(lines); i++ {
		open := fence.FindStringSubmatch(lines[i])
		if open == nil {
			continue
		}
		above := ""
		if i > 0 {
			above = lines[i-1]
		}
		begin := i + 1
		var content []string
		for i = begin; ; i++ {
			if i == len(lines) {
				t.Fatalf("%s line %d: the block has no end", page, begin)
			}
			if strings.TrimSpace(lines[i]) == "```" {
				break
			}
			content = append(content, strings.TrimPrefix(lines[i], open[1]))
		}
		text := strings.Join(content, "\n") + "\n"
		if open[2] != "sh" {
			if regexp.MustCompile(`(?m)^\$? ?(go|streaming-etl|make|aws) `).MatchString(text) {
				t.Errorf("%s line %d: commands stand in blocks of sh", page, begin)
			}
			if outputLine.MatchString(above) {
				if len(out) == 0 || out[len(out)-1].output != "" {
					t.Errorf("%s line %d: it is the output of no block", page, begin)
					continue
				}
				out[len(out)-1].output = text
			}
			continue
		}
		b := shellBlock{page: page, line: begin, text: text}
		if m := markLine.FindStringSubmatch(above); m != nil {
			b.mark, b.reason = m[1], m[2]
		}
		out = append(out, b)
	}
	return out
}

// onFlink says that the test on a real Flink runs the block.
func (b shellBlock) onFlink() bool {
	return b.mark == markNeeds && strings.HasPrefix(b.reason, "flink")
}

func TestEveryCommandOfThePagesRunsOrSaysWhyNot(t *testing.T) {
	ran, marked := 0, []string{}
	for _, page := range pages(t) {
		blocks := shellBlocks(t, page)
		var w *pageWorld
		for _, b := range blocks {
			if b.mark == markNeeds || b.mark == markLong {
				marked = append(marked, fmt.Sprintf("%s: %s: %s", b.name(), b.mark, b.reason))
				continue
			}
			if strings.Contains(b.text, "go test") || strings.Contains(b.text, "make ") {
				t.Errorf("%s: it may run this very test: mark it", b.name())
				continue
			}
			if w == nil {
				w = newPageWorld(t, "")
			}
			t.Run(b.name(), func(t *testing.T) { w.run(t, b) })
			ran++
		}
		if w != nil {
			w.leftIgnored(t, page)
		}
	}
	t.Logf("%d blocks of commands were run, these were not:\n%s", ran, strings.Join(marked, "\n"))
	if ran < 15 || ran < len(marked) {
		t.Errorf("%d blocks of commands were run, and %d are marked", ran, len(marked))
	}
}

var testLine = regexp.MustCompile(`^(ok  |\?   )\t(github\.com/streaming-etl/streaming-etl)((?:/[a-z0-9]+)*)\t(?:[0-9.]+s|\[no test files\])$`)

// TestOutputsThatAreNotComparedAreOfTests knows the one kind of output that no
// test can compare with another run's: that of the tests themselves. Its lines
// name packages that there are, with tests or without as they say.
func TestOutputsThatAreNotComparedAreOfTests(t *testing.T) {
	lines := 0
	for _, page := range pages(t) {
		for _, b := range shellBlocks(t, page) {
			if b.output == "" || b.mark == "" {
				continue // run compares it
			}
			if b.text != "go test ./...\n" {
				t.Errorf("%s: the output is compared with nothing", b.name())
				continue
			}
			for line := range strings.Lines(b.output) {
				line = strings.TrimSuffix(line, "\n")
				if line == "…" {
					continue
				}
				m := testLine.FindStringSubmatch(line)
				if m == nil {
					t.Errorf("%s: go test writes no line as %q", b.name(), line)
					continue
				}
				lines++
				tests, err := filepath.Glob("." + m[3] + "/*_test.go")
				if has := m[1] == "ok  "; err != nil || has != (len(tests) > 0) {
					t.Errorf("%s: %q, and there are %d files of tests, %v", b.name(), line, len(tests), err)
				}
				if _, err := os.Stat("." + m[3]); err != nil {
					t.Errorf("%s: %v", b.name(), err)
				}
			}
		}
	}
	if lines == 0 {
		t.Error("no page shows what the tests write")
	}
}

// commandsIn are the commands of a shell text, with continued lines joined,
// comments cut and quotes taken away.
func commandsIn(text string) [][]string {
	var out [][]string
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, " #")
		words := strings.Fields(strings.NewReplacer("'", "", `"`, "", "<(", " ", ")", " ").Replace(line))
		if len(words) > 0 {
			out = append(out, words)
		}
	}
	return out
}

// ownArgs are the arguments of this program in a command, if it is one of it.
func ownArgs(words []string) ([]string, bool) {
	if len(words) > 1 && words[0] == "source" {
		words = words[1:]
	}
	if len(words) > 1 && words[0] == programName {
		return untilRedirect(words[1:]), true
	}
	for i := range words {
		if len(words) > i+2 && words[i] == "go" && words[i+1] == "run" && words[i+2] == "." {
			return untilRedirect(words[i+3:]), true
		}
	}
	return nil, false
}

func untilRedirect(words []string) []string {
	if i := slices.IndexFunc(words, func(w string) bool { return w == ">" || w == "|" || w == "2>" || w == "<" }); i >= 0 {
		return words[:i]
	}
	return words
}

var codeSpan = regexp.MustCompile("`([^`\n]+)`")

func TestFlagsInThePagesExist(t *testing.T) {
	checked := 0
	for _, page := range pages(t) {
		var commands [][]string
		for _, b := range shellBlocks(t, page) {
			commands = append(commands, commandsIn(b.text)...)
		}
		for _, span := range codeSpan.FindAllStringSubmatch(pageText(t, page), -1) {
			commands = append(commands, commandsIn(strings.NewReplacer("[", "", "]", "").Replace(span[1]))...)
		}
		for _, words := range commands {
			args, ok := ownArgs(words)
			if !ok || len(args) == 0 || args[0] == "…" {
				continue
			}
			checked++
			checkFlags(t, page, args)
		}
	}
	if checked < 40 {
		t.Errorf("%d commands were found", checked)
	}
}

func checkFlags(t *testing.T, page string, args []string) {
	t.Helper()
	command := "run"
	if !strings.HasPrefix(args[0], "-") {
		command, args = args[0], args[1:]
	}
	if !slices.Contains(names(), command) {
		t.Errorf("%s: %s is no command", page, command)
		return
	}
	known := map[string]bool{"--help": true, "--version": true}
	for _, f := range flagsOf(command) {
		known["--"+f.Name] = true
	}
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		if strings.HasPrefix(arg, "-") && arg != "-" && !known[name] {
			t.Errorf("%s: %s is no flag of %s", page, name, command)
		}
	}
}

// TestJobsInThePagesAreRight has check look at the properties of each job that
// a page runs, also of those that no test can run.
func TestJobsInThePagesAreRight(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-west-1")
	own := map[string]bool{}
	for _, o := range options() {
		own["--"+o.Name] = true
	}
	checked := 0
	for _, page := range pages(t) {
		for _, b := range shellBlocks(t, page) {
			for _, words := range commandsIn(b.text) {
				args, ok := ownArgs(words)
				if !ok || len(args) == 0 || !strings.HasPrefix(args[0], "-") && args[0] != "run" {
					continue
				}
				properties := []string{"check"}
				named := false
				for _, a := range args {
					name, _, _ := strings.Cut(a, "=")
					if !own[name] && a != "run" {
						properties = append(properties, a)
						named = named || strings.HasPrefix(name, "--Input") || name == "--properties"
					}
				}
				if !named {
					continue // the sample, with servers in the process
				}
				checked++
				if code, _, stderr := runCommand(t, properties...); code != exitOK {
					t.Errorf("%s: %v: %s", b.name(), properties, stderr)
				}
			}
		}
	}
	if checked < 2 {
		t.Errorf("%d jobs were checked", checked)
	}
}

// notProperties are words of the pages that look like properties and are others'.
var notProperties = map[string]bool{
	"OutputFiles":               true, // an output of the template
	"InputStreamInitalPosition": true, // the original's spelling, which is taken
}

var propertyLike = regexp.MustCompile(`^(Input|Output|Elasticsearch|Kafka[A-Z]|DeadLetter|Parquet|Checkpoint[A-Z]|Worker[A-Z])[A-Za-z]*$`)

func TestPropertiesInThePagesExist(t *testing.T) {
	known := map[string]bool{}
	for _, f := range property.Flags() {
		known[f.Name] = true
	}
	found := 0
	for _, page := range pages(t) {
		for _, span := range codeSpan.FindAllStringSubmatch(pageText(t, page), -1) {
			for _, word := range strings.FieldsFunc(span[1], func(r rune) bool { return strings.ContainsRune(" =:,()/{}|…", r) }) {
				word = strings.TrimPrefix(word, "--")
				if !propertyLike.MatchString(word) || word == "Input" || word == "Output" || word == "Elasticsearch" || word == "Parquet" {
					continue
				}
				found++
				if !known[word] && !notProperties[word] && !isAlarm(word) {
					t.Errorf("%s: %s is no property", page, word)
				}
			}
		}
	}
	if found < 200 {
		t.Errorf("%d properties were found", found)
	}
}

// isAlarm says that a name is of an alarm or a parameter of deploy/aws.
func isAlarm(word string) bool {
	return word == "DeadLetters" || word == "DeadLetterAlarmBytes" || word == "DeadLetterAlarmLines"
}

var (
	heading   = regexp.MustCompile(`(?m)^#+ (.*)$`)
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	notAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchorsOf are the anchors that GitHub gives a page's headings.
func anchorsOf(text string) map[string]bool {
	out := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(text, -1) {
		out[strings.ReplaceAll(strings.ToLower(notAnchor.ReplaceAllString(h[1], "")), " ", "-")] = true
	}
	return out
}

func TestLinksOfThePagesLeadSomewhere(t *testing.T) {
	all := append(pages(t), "CONTRIBUTING.md", "testdata/README.md")
	for _, page := range all {
		for _, m := range link.FindAllStringSubmatch(pageText(t, page), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			name := page
			if target != "" {
				name = filepath.Join(filepath.Dir(page), target)
			}
			if _, err := os.Stat(name); err != nil {
				t.Errorf("%s: %s: %v", page, m[1], err)
				continue
			}
			if anchor != "" && !anchorsOf(pageText(t, name))[anchor] {
				t.Errorf("%s: %s: there is no such heading", page, m[1])
			}
		}
	}
}
