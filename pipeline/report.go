package pipeline

import (
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"slices"
	"time"
)

//go:embed report.html.tmpl
var reportText string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"number": Number,
	"bytes":  Bytes,
}).Parse(reportText))

// bar is one bar of a chart, its width in percent of the widest.
type bar struct {
	Label string
	Rows  int64
	Width float64
}

// cell is one partition in the picture of all.
type cell struct {
	X, Y  int
	Shade float64
	Title string
}

const (
	cellSize    = 12
	cellsInLine = 70
	barsShown   = 40
)

// WriteReport writes the summary as one HTML page that needs no network. The
// page is replaced in one step: a reader never sees half of it.
func (s Summary) WriteReport(file string) error {
	var events []PartitionCount
	for _, p := range s.Partitions {
		if !p.Dead {
			events = append(events, p)
		}
	}
	bySize := slices.Clone(events)
	slices.SortStableFunc(bySize, func(a, b PartitionCount) int { return int(b.Rows - a.Rows) })
	data := struct {
		Summary
		Events  []PartitionCount
		Largest []bar
		More    int
		Dead    []bar
		Cells   []cell
		Width   int
		Height  int
		Seconds string
		Made    string
	}{
		Summary: s,
		Events:  events,
		Largest: bars(bySize),
		More:    max(0, len(events)-barsShown),
		Dead:    deadBars(s.Reasons),
		Cells:   cells(events),
		Width:   cellsInLine * cellSize,
		Height:  (len(events)/cellsInLine + 1) * cellSize,
		Seconds: fmt.Sprintf("%.1f", s.Elapsed.Seconds()),
		Made:    s.Started.UTC().Format(time.RFC3339),
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".report-*")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	defer os.Remove(tmp.Name())
	err = reportTemplate.Execute(tmp, data)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(tmp.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func bars(parts []PartitionCount) []bar {
	var out []bar
	for _, p := range parts[:min(len(parts), barsShown)] {
		out = append(out, bar{Label: p.Path, Rows: p.Rows, Width: 100 * float64(p.Rows) / float64(parts[0].Rows)})
	}
	return out
}

func deadBars(reasons map[string]int64) []bar {
	var out []bar
	var most int64 = 1
	for r, n := range reasons {
		out = append(out, bar{Label: r, Rows: n})
		most = max(most, n)
	}
	for i := range out {
		out[i].Width = 100 * float64(out[i].Rows) / float64(most)
	}
	slices.SortFunc(out, func(a, b bar) int {
		if a.Rows != b.Rows {
			return int(b.Rows - a.Rows)
		}
		if a.Label < b.Label {
			return -1
		}
		return 1
	})
	return out
}

func cells(parts []PartitionCount) []cell {
	var most int64 = 1
	for _, p := range parts {
		most = max(most, p.Rows)
	}
	out := make([]cell, len(parts))
	for i, p := range parts {
		out[i] = cell{
			X: i % cellsInLine * cellSize, Y: i / cellsInLine * cellSize,
			Shade: 0.15 + 0.85*float64(p.Rows)/float64(most),
			Title: fmt.Sprintf("%s: %s rows in %s files", p.Path, Number(p.Rows), Number(p.Files)),
		}
	}
	return out
}
