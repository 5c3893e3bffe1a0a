package main

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		only []string
		out  string
		ok   bool
	}{
		{"everything by default, into the file", nil, []string{"latency", "recovery", "idle", "generated", "streamed", "kafka"}, figuresFile, true},
		{"some parts, into no file", []string{"-only", "latency,idle"}, []string{"latency", "idle"}, "", true},
		{"a file that is asked for", []string{"-quick", "-out", "x.md"}, []string{"latency", "recovery", "idle", "generated", "streamed", "kafka"}, "x.md", true},
		{"an unknown part", []string{"-only", "latencies"}, nil, "", false},
		{"no records", []string{"-records", "0"}, nil, "", false},
		{"nothing left after the warm-up", []string{"-latency", "15s"}, nil, "", false},
		{"no sink of that name", []string{"-kafka-to", "files,hbase"}, nil, "", false},
		{"too few records for a short run", []string{"-kafka-records", "99"}, nil, "", false},
		{"an argument", []string{"quick"}, nil, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := parse(tt.args, io.Discard)
			if (err == nil) != tt.ok {
				t.Fatalf("error %v", err)
			}
			if err == nil && (!slices.Equal(o.only, tt.only) || o.out != tt.out) {
				t.Errorf("parts %q into %q, want %q into %q", o.only, o.out, tt.only, tt.out)
			}
		})
	}
}

func TestServersThatDoNotStartAreToldAndLeaveNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := openLab(ctx, options{jar: "not.jar"}, io.Discard); err == nil {
		t.Error("servers of a run that is over were started")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func speedOfLight(seconds time.Duration) *report {
	r := &report{facts: "`go run ./bench`, today", sections: map[string][]table{}}
	r.set("speed", table{title: "Speed", notes: []string{"Of light."}, head: []string{"in", "s"}, rows: [][]string{{"vacuum", secs(seconds)}}})
	return r
}

func TestReportIsMarkdown(t *testing.T) {
	const want = "<!-- measured: speed -->\n\n## Speed\n\nOf light.\n\n| in | s |\n| --- | --- |\n| vacuum | 1.5 |\n\n" +
		"Measured by `go run ./bench`, today.\n\n<!-- end of speed -->\n"
	if got := speedOfLight(1500 * time.Millisecond).String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReportReplacesOnlyWhatWasMeasured(t *testing.T) {
	r := speedOfLight(time.Second)
	r.set("empty", table{title: "Nothing", head: []string{"in"}})
	const lead, other, tail = "# Figures\n\nWritten by hand.\n\n", "<!-- measured: weight -->\n\nOf air.\n\n<!-- end of weight -->\n", "\nBy hand too.\n"
	old := lead + speedOfLight(2*time.Second).String() + tail + other
	if got, want := r.into(old), lead+r.String()+tail+other; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := r.into(lead+other), lead+other+"\n"+r.String(); got != want {
		t.Errorf("a document without the part: got\n%s\nwant\n%s", got, want)
	}
	if got, cut := r.into(lead+"<!-- measured: speed -->\nno end\n"), "no end"; !strings.Contains(got, cut) || !strings.HasSuffix(got, r.String()) {
		t.Errorf("a section without an end is lost, or the new one is not there:\n%s", got)
	}
}

func TestCommandLineIsOneThatAShellTakes(t *testing.T) {
	for want, args := range map[string][]string{
		"go run ./bench -only scale -peer '' -checkpoints 10s":  {"-only", "scale", "-peer", "", "-checkpoints", "10s"},
		"go run ./bench -jvm '-Xint -Xmx1g' -out 'it'\\''s.md'": {"-jvm", "-Xint -Xmx1g", "-out", "it's.md"},
	} {
		if got := commandLine(args); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
