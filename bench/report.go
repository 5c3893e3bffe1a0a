package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
	"github.com/streaming-etl/streaming-etl/stack"
)

// A table is one part's figures.
type table struct {
	title string
	notes []string
	head  []string
	rows  [][]string
}

func (t *table) add(row ...string) { t.rows = append(t.rows, row) }

func (t *table) write(b *strings.Builder) {
	if len(t.rows) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n", t.title)
	for _, n := range t.notes {
		fmt.Fprintf(b, "\n%s\n", n)
	}
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	b.WriteByte('\n')
	line(t.head)
	rule := make([]string, len(t.head))
	for i := range rule {
		rule[i] = "---"
	}
	line(rule)
	for _, r := range t.rows {
		line(r)
	}
}

// submissionPart is the section of what was submitted, which is no part of its own.
const submissionPart = "submission"

// A report is the sections of a run by part, in the order in which they were measured, and what they were made with.
type report struct {
	facts    string
	parts    []string
	sections map[string][]table
}

func newReport(ctx context.Context, command string) *report {
	r := &report{sections: map[string][]table{}}
	facts := []string{"`" + strings.TrimSpace(command) + "`", time.Now().UTC().Format("2006-01-02 15:04 MST")}
	if commit := said(ctx, "git", "describe", "--always", "--dirty"); commit != "" {
		facts = append(facts, "commit "+commit)
	}
	facts = append(facts, machine(), "load average at the start "+loadAverage())
	java, _, _ := strings.Cut(said(ctx, filepath.Join(os.Getenv("JAVA_HOME"), "bin", "java"), "--version"), "\n")
	if java == "" {
		java, _, _ = strings.Cut(said(ctx, "java", "--version"), "\n")
	}
	facts = append(facts, runtime.Version(), "Flink "+cluster.Version, java)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if name, ok := strings.CutPrefix(d.Path, "github.com/apache/beam/sdks/"); ok {
				facts = append(facts, "Beam SDK "+name+" "+d.Version)
			}
		}
	}
	cache, _ := cluster.CacheDir() // without it there is none of the tools either
	for _, tool := range []stack.Tool{stack.Versitygw, stack.Kafka, stack.Elasticsearch} {
		if path, err := tool.Path(); err == nil {
			name, _ := filepath.Rel(cache, path)
			name, _, _ = strings.Cut(name, string(filepath.Separator))
			facts = append(facts, name)
		}
	}
	r.facts = strings.Join(facts, ", ")
	return r
}

// said is what a command says, or nothing where there is no such command.
func said(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// set keeps the tables of a part that have rows.
func (r *report) set(part string, tables ...table) {
	var filled []table
	for _, t := range tables {
		if len(t.rows) > 0 {
			filled = append(filled, t)
		}
	}
	if len(filled) == 0 {
		return
	}
	if r.sections[part] == nil {
		r.parts = append(r.parts, part)
	}
	r.sections[part] = filled
}

// section is a part in Markdown, with what it was measured by.
func (r *report) section(part string) string {
	var b strings.Builder
	for _, t := range r.sections[part] {
		t.write(&b)
	}
	return "\n" + strings.TrimLeft(b.String(), "\n") + "\nMeasured by " + r.facts + ".\n"
}

// String is the whole report in Markdown.
func (r *report) String() string { return r.into("") }

// into returns a document with the report's sections in place of those of the same parts, and all else in it as it was:
// what people have written stays, and parts that were not measured too. Sections that it does not have go to its end.
func (r *report) into(document string) string {
	for _, part := range r.parts {
		begin, end := "<!-- measured: "+part+" -->\n", "<!-- end of "+part+" -->\n"
		section := begin + r.section(part) + "\n" + end
		before, rest, found := strings.Cut(document, begin)
		_, after, ended := strings.Cut(rest, end)
		switch {
		case found && ended:
			document = before + section + after
		case document == "":
			document = section
		default:
			document = strings.TrimRight(document, "\n") + "\n\n" + section
		}
	}
	return document
}

// write puts the sections into a file, which is made where there is none.
func (r *report) write(path string) error {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, []byte(r.into(string(old))), 0o644)
}

func secs(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }

func mebibytes(n int64) string { return fmt.Sprintf("%d", n>>20) }

func megabytes(n int64) string { return fmt.Sprintf("%.1f", float64(n)/1e6) }
