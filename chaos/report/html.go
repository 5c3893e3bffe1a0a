package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"strings"

	"github.com/streaming-etl/streaming-etl/chaos/history"
)

//go:embed report.html
var page string

// pageTemplate is parsed each time: a report is made once.
func pageTemplate() (*template.Template, error) {
	return template.New("report").Funcs(template.FuncMap{
		"seconds": func(s float64) string { return fmt.Sprintf("%.1f", s) },
		"minutes": func(s float64) string { return fmt.Sprintf("%.1f", s/60) },
		"clock":   func(s float64) string { return fmt.Sprintf("%d:%02d", int(s)/60, int(s)%60) },
	}).Parse(page)
}

// The picture's measures, in pixels.
const (
	width       = 1100
	left        = 130
	laneHeight  = 18
	chartHeight = 90
	maxPoints   = 300 // of a curve
	topRates    = 5   // how many times the rate of sending a curve shows at most
)

// HTML returns the report as a page of its own.
func (r *Report) HTML() ([]byte, error) {
	t, err := pageTemplate()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, struct {
		*Report
		Picture picture
	}{r, r.picture()})
	return b.Bytes(), err
}

// A picture is the timeline, in pixels.
type picture struct {
	Width, Height, Left int
	Ticks               []label
	Lanes               []label
	Bars                []bar
	Dots                []dot
	Charts              []chart
}

type label struct {
	At   float64
	Text string
}

// A bar is a damage: dark while it lasts, light until all had recovered.
type bar struct {
	X, Width, Light, Y float64
	Tip                string
	Skipped            bool
}

// A dot is a checkpoint, or a restart.
type dot struct {
	X, Y, R float64
	Restart bool
	Tip     string
}

// A chart has a curve for each sink of a job.
type chart struct {
	Title  string
	Y      int
	Height int
	Max    string
	// Clipped says that there was more than Max.
	Clipped bool
	Curves  []curve
}

type curve struct {
	Name, Color, Points string
	Row                 int
}

// colors are those of the curves, in the order of the sinks.
func color(i int) string {
	colors := []string{"#2f6fb5", "#c4552d", "#3f8f4f", "#8a5fb0", "#777777"}
	return colors[i%len(colors)]
}

func (r *Report) picture() picture {
	p := picture{Width: width, Left: left}
	if r.Seconds <= 0 {
		return p
	}
	scale := float64(width-left-10) / r.Seconds
	x := func(s float64) float64 { return left + math.Round(s*scale*10)/10 }
	step := 60.0
	for r.Seconds/step > 15 {
		step *= 2
	}
	for s := 0.0; s < r.Seconds; s += step {
		p.Ticks = append(p.Ticks, label{x(s), fmt.Sprintf("%.0f min", s/60)})
	}
	y := 20.0
	lanes := make(map[string]float64)
	for _, k := range r.Kinds {
		lanes[k.Kind] = y
		p.Lanes = append(p.Lanes, label{y + laneHeight - 6, k.Kind})
		y += laneHeight
	}
	for _, d := range r.Damages {
		p.Bars = append(p.Bars, bar{
			X: x(d.From), Width: max(2, (d.Repaired-d.From)*scale), Light: max(0, (d.Recovered-d.From)*scale), Y: lanes[d.Kind] + 3,
			Tip: tip(d), Skipped: d.Skipped != "",
		})
	}
	for _, job := range r.Start.Jobs {
		p.Lanes = append(p.Lanes, label{y + laneHeight - 6, "checkpoints, " + job})
		r.dots(&p, job, y+laneHeight/2, x)
		y += laneHeight
	}
	for _, job := range r.Start.Jobs {
		y += 14
		p.Charts = append(p.Charts, r.chart(job, int(y), x))
		y += chartHeight + 6
	}
	p.Height = int(y) + 10
	return p
}

func tip(d Damage) string {
	text := fmt.Sprintf("%d: %s, at %.0f s", d.ID, d.What, d.From)
	switch {
	case d.Skipped != "":
		return text + "; " + d.Skipped
	case d.Recovered > 0:
		return text + fmt.Sprintf("; all recovered after %.1f s", d.Recovered-d.From)
	}
	return text + "; not recovered"
}

// dots draws checkpoints, larger where they took longer, and restarts.
func (r *Report) dots(p *picture, job string, y float64, x func(float64) float64) {
	for _, e := range r.snapshots {
		if e.Job == job {
			p.Dots = append(p.Dots, dot{X: x(r.at(e.Snapshot.Triggered)), Y: y, R: min(7, 1+math.Round(10*math.Log10(1+float64(e.Snapshot.Millis)/200))/10*3)})
		}
	}
	for _, e := range r.restarts {
		if e.Job == job {
			cause, _, _ := strings.Cut(e.Restored.Cause, "\n")
			p.Dots = append(p.Dots, dot{X: x(r.at(e.Time)), Y: y, R: 3, Restart: true, Tip: fmt.Sprintf("restart at %.0f s: %s", r.at(e.Time), cause)})
		}
	}
}

// chart draws how many records per second have come into each sink of a job.
func (r *Report) chart(job string, y int, x func(float64) float64) chart {
	c := chart{Title: "records/s, " + job, Y: y, Height: chartHeight}
	stride := max(1, len(r.looks)/maxPoints)
	type point struct{ at, rate float64 }
	rates := make([][]point, len(r.Start.Sinks))
	highest := 1.0
	for i := stride; i < len(r.looks); i += stride {
		before, now := r.looks[i-stride], r.looks[i]
		took := now.Time.Sub(before.Time).Seconds()
		if took <= 0 {
			continue
		}
		for n, sink := range r.Start.Sinks {
			name := job + "/" + sink
			rate := max(0, float64(now.Reached[name].Seen-before.Reached[name].Seen)/took)
			rates[n] = append(rates[n], point{r.at(now.Time), rate})
			highest = max(highest, rate)
		}
	}
	// What comes at once after a halt would make all else flat.
	if top := float64(topRates * r.Start.Rate); top > 0 && highest > top {
		highest = top
		c.Clipped = true
	}
	c.Max = fmt.Sprintf("%.0f", highest)
	for n, sink := range r.Start.Sinks {
		var points strings.Builder
		for _, q := range rates[n] {
			fmt.Fprintf(&points, "%.1f,%.1f ", x(q.at), float64(y)+chartHeight*(1-min(1, q.rate/highest)))
		}
		c.Curves = append(c.Curves, curve{Name: sink, Color: color(n), Points: points.String(), Row: y + 28 + 14*n})
	}
	return c
}

// RestartsSeen are the restarts of tasks with their causes, for the page.
func (r *Report) RestartsSeen() []history.Event { return r.restarts }

// At tells a time of the run in seconds, for the page.
func (r *Report) At(e history.Event) float64 { return r.at(e.Time) }
