package main

import (
	"io"
	"slices"
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

func TestReportIsMarkdown(t *testing.T) {
	r := &report{facts: [][2]string{{"date", "today"}}, tables: []table{{title: "Speed", notes: []string{"Of light."}, head: []string{"in", "m/s"}}}}
	r.tables[0].add("vacuum", secs(1500*time.Millisecond))
	const want = "| | |\n| --- | --- |\n| date | today |\n\n## Speed\n\nOf light.\n\n| in | m/s |\n| --- | --- |\n| vacuum | 1.5 |\n"
	if got := r.String(); len(got) < len(want) || got[len(got)-len(want):] != want {
		t.Errorf("got\n%s\nwant its end to be\n%s", got, want)
	}
}
