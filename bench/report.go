package main

import (
	"context"
	"fmt"
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

// A report is all tables, and what they were made with.
type report struct {
	facts      [][2]string
	submission table
	tables     []table
}

func newReport(ctx context.Context, command string) *report {
	r := &report{}
	fact := func(name, value string) {
		if value != "" {
			r.facts = append(r.facts, [2]string{name, value})
		}
	}
	fact("command", "`"+strings.TrimSpace(command)+"`")
	fact("date", time.Now().UTC().Format("2006-01-02 15:04 MST"))
	fact("commit", said(ctx, "git", "describe", "--always", "--dirty"))
	fact("machine", machine())
	fact("load average at the start", loadAverage())
	java, _, _ := strings.Cut(said(ctx, filepath.Join(os.Getenv("JAVA_HOME"), "bin", "java"), "--version"), "\n")
	if java == "" {
		java, _, _ = strings.Cut(said(ctx, "java", "--version"), "\n")
	}
	versions := []string{runtime.Version(), "Flink " + cluster.Version, java}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if name, ok := strings.CutPrefix(d.Path, "github.com/apache/beam/sdks/"); ok {
				versions = append(versions, "Beam SDK "+name+" "+d.Version)
			}
		}
	}
	cache, _ := cluster.CacheDir() // without it there is none of the tools either
	for _, tool := range []stack.Tool{stack.Versitygw, stack.Kafka, stack.Elasticsearch} {
		if path, err := tool.Path(); err == nil {
			name, _ := filepath.Rel(cache, path)
			name, _, _ = strings.Cut(name, string(filepath.Separator))
			versions = append(versions, name)
		}
	}
	fact("versions", strings.Join(versions, ", "))
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

// String is the report in Markdown.
func (r *report) String() string {
	var b strings.Builder
	b.WriteString("# Figures on Flink\n\nWritten by `make bench-flink` (`go run ./bench`); single runs, nothing asserted. All servers and the job share one machine.\n\n")
	b.WriteString("| | |\n| --- | --- |\n")
	for _, f := range r.facts {
		fmt.Fprintf(&b, "| %s | %s |\n", f[0], f[1])
	}
	for _, t := range append([]table{r.submission}, r.tables...) {
		t.write(&b)
	}
	return b.String()
}

func secs(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }

func mebibytes(n int64) string { return fmt.Sprintf("%d", n>>20) }

func megabytes(n int64) string { return fmt.Sprintf("%.1f", float64(n)/1e6) }
