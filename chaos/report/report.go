// Package report makes of a run's history and the check's result a report: JSON
// for programs, text for a terminal, and one HTML page with a timeline, which
// needs nothing else.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/streaming-etl/streaming-etl/chaos/check"
	"github.com/streaming-etl/streaming-etl/chaos/history"
)

// Names of the files in a run's directory.
const (
	JSONFile = "report.json"
	HTMLFile = "report.html"
)

// A Report is what there is to tell of a run. Times are in seconds since its start.
type Report struct {
	*check.Result
	Start    history.Start    `json:"start"`
	Began    time.Time        `json:"began"`
	Seconds  float64          `json:"seconds"`
	Sent     map[string]int64 `json:"sent"`
	Damages  []Damage         `json:"damages"`
	Kinds    []Kind           `json:"kinds"`
	Restarts map[string]int   `json:"restarts"`
	// Checkpoints are all completed ones by job.
	Checkpoints map[string]Checkpoints `json:"checkpoints"`
	looks       []history.Event
	snapshots   []history.Event
	restarts    []history.Event
}

// A Damage is one that was done.
type Damage struct {
	history.Damage
	Step     int     `json:"step"`
	From     float64 `json:"from"`
	Repaired float64 `json:"repaired"`
	// Recovered is when a record sent after the repair of all of its step was in all sinks; 0 if that never was.
	Recovered float64 `json:"recovered,omitempty"`
}

// A Kind sums up damages of a kind. Times are from a damage's begin to the recovery of its step, in seconds.
type Kind struct {
	Kind    string  `json:"kind"`
	Done    int     `json:"done"`
	Skipped int     `json:"skipped,omitempty"`
	Middle  float64 `json:"recovery_median"`
	Longest float64 `json:"recovery_longest"`
}

// Checkpoints sum up the completed checkpoints of a job.
type Checkpoints struct {
	Completed int   `json:"completed"`
	Millis    int64 `json:"median_millis"`
	Longest   int64 `json:"longest_millis"`
	Bytes     int64 `json:"largest_bytes"`
}

// Make makes a report.
func Make(events []history.Event, result *check.Result) *Report {
	r := &Report{Result: result, Restarts: make(map[string]int), Checkpoints: make(map[string]Checkpoints)}
	if len(events) == 0 {
		return r
	}
	r.Began = events[0].Time
	r.Seconds = r.at(events[len(events)-1].Time)
	at := make(map[int]int) // damages by id
	snapshots := make(map[string][]history.Snapshot)
	for _, e := range events {
		switch e.Kind {
		case history.Started:
			r.Start = *e.Start
		case history.Ended:
			r.Sent = e.Sent
		case history.Progress:
			r.looks = append(r.looks, e)
		case history.Checkpoint:
			r.snapshots = append(r.snapshots, e)
			snapshots[e.Job] = append(snapshots[e.Job], *e.Snapshot)
		case history.Restart:
			r.restarts = append(r.restarts, e)
			if !e.Restored.Submitted {
				r.Restarts[e.Job] += e.Restored.Times
			}
		case history.Damaged:
			at[e.Damage.ID] = len(r.Damages)
			r.Damages = append(r.Damages, Damage{Damage: *e.Damage, Step: e.Step, From: r.at(e.Time)})
		case history.Repaired:
			if i, ok := at[e.Damage.ID]; ok {
				r.Damages[i].Damage, r.Damages[i].Repaired = *e.Damage, r.at(e.Time)
			}
		case history.Recovered:
			for i := range r.Damages {
				if r.Damages[i].Step == e.Step {
					r.Damages[i].Recovered = r.at(e.Time)
				}
			}
		}
	}
	r.sumDamages()
	for job, s := range snapshots {
		slices.SortFunc(s, func(a, b history.Snapshot) int { return cmp.Compare(a.Millis, b.Millis) })
		c := Checkpoints{Completed: len(s), Millis: s[len(s)/2].Millis, Longest: s[len(s)-1].Millis}
		for _, x := range s {
			c.Bytes = max(c.Bytes, x.Bytes)
		}
		r.Checkpoints[job] = c
	}
	return r
}

func (r *Report) at(t time.Time) float64 { return t.Sub(r.Began).Seconds() }

func (r *Report) sumDamages() {
	times := make(map[string][]float64)
	kinds := make(map[string]*Kind)
	for _, d := range r.Damages {
		k := kinds[d.Kind]
		if k == nil {
			k = &Kind{Kind: d.Kind}
			kinds[d.Kind] = k
		}
		if d.Skipped != "" {
			k.Skipped++
			continue
		}
		k.Done++
		if d.Recovered > 0 {
			times[d.Kind] = append(times[d.Kind], d.Recovered-d.From)
		}
	}
	for name, k := range kinds {
		if t := times[name]; len(t) > 0 {
			slices.Sort(t)
			k.Middle, k.Longest = t[len(t)/2], t[len(t)-1]
		}
		r.Kinds = append(r.Kinds, *k)
	}
	slices.SortFunc(r.Kinds, func(a, b Kind) int { return strings.Compare(a.Kind, b.Kind) })
}

// Done is how many damages were done.
func (r *Report) Done() (n int) {
	for _, k := range r.Kinds {
		n += k.Done
	}
	return n
}

// Write writes both files into a run's directory.
func (r *Report) Write(dir string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, JSONFile), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	page, err := r.HTML()
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, HTMLFile), page, 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// Text returns the report for a terminal.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d damages in %.1f minutes", r.Start.Seed, r.Done(), r.Seconds/60)
	for _, job := range r.Start.Jobs {
		fmt.Fprintf(&b, "; %d records from %s, %d restarts", r.Sent[job], job, r.Restarts[job])
	}
	b.WriteString("\n\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "expected\tlost\tdoubled\tmay be doubled\tout of order\twrong\tnever sent\t  outlet")
	for _, v := range r.Verdicts {
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t  %s\n", v.Expected, v.Lost, v.Doubled, v.Repeated, v.Disordered, v.Wrong, v.Unsent, v.Outlet)
	}
	fmt.Fprintln(w, "\t\t\t\t\t\t\t")
	fmt.Fprintln(w, "done\trecovered after\tat most\t  damage\t\t\t\t")
	for _, k := range r.Kinds {
		fmt.Fprintf(w, "%d\t%.1f s\t%.1f s\t  %s\t\t\t\t\n", k.Done, k.Middle, k.Longest, k.Kind)
	}
	_ = w.Flush() // a strings.Builder has no errors
	for _, v := range r.Verdicts {
		for _, e := range v.Examples {
			fmt.Fprintf(&b, "%s: %s\n", v.Outlet, e)
		}
	}
	for _, f := range r.Faults {
		fmt.Fprintln(&b, "WRONG:", f)
	}
	for _, n := range r.Notes {
		fmt.Fprintln(&b, n)
	}
	if r.OK {
		fmt.Fprintln(&b, "\nnothing is wrong")
	} else {
		fmt.Fprintln(&b, "\nSOMETHING IS WRONG")
	}
	return b.String()
}
