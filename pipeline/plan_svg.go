package pipeline

import (
	"fmt"
	"html"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/streaming-etl/streaming-etl/transforms/route"
)

// Measures of the drawn plan, in its own units.
const (
	boxWidth  = 250
	boxHeight = 62
	gapX      = 46
	rowHeight = 86
	marginX   = 16
	marginTop = 56
	// So many characters of a box's head, of its text and of what stands under
	// it have room; the whole text is the box's title, which browsers show.
	headWidth = 27
	textWidth = 34
	noteWidth = 40
)

// planBox is a step or a place.
type planBox struct {
	head, text string
	class      string // place, step or dead
}

// planRow is the way of a sink: its steps before and after the barrier of the
// checkpoint, and the place.
type planRow struct {
	before, after *planBox // nil where there is none
	// offsets come from the reader; all else comes from the end of the trunk.
	offsets bool
	place   planBox
	promise string
}

// WriteSVG draws what the job would do: the source, the steps, where a step
// waits for a checkpoint, and the sinks with what is promised.
func (c Config) WriteSVG(w io.Writer) error {
	schema, err := c.Route.LoadSchema()
	if err != nil {
		return fmt.Errorf("event schema: %w", err)
	}
	trunk := []planBox{
		{c.SourceName(), strings.TrimPrefix(c.sourceWhere(), " ") + " from " + c.fromText(), "place"},
		{"Read", c.readersText(), "step"},
	}
	if !c.Discard {
		trunk = append(trunk, planBox{"Route", "decode and check " + schema.Name + ", " + plural(len(schema.Fields), "field"), "step"})
	}
	d := &drawing{}
	rows := c.planRows()
	middle := (len(rows) - 1) * rowHeight / 2
	for i, b := range trunk {
		d.box(i, middle, b)
		if i > 0 {
			d.arrow(i-1, middle, i, middle)
		}
	}
	split := len(trunk) - 1
	barrier := split + 2
	crossed := false
	for i, r := range rows {
		y := i * rowHeight
		from, fromY := split, middle
		if r.offsets {
			from = 1
		}
		for column, step := range map[int]*planBox{barrier - 1: r.before, barrier: r.after} {
			if step != nil {
				d.box(column, y, *step)
			}
		}
		if r.before != nil {
			d.arrow(from, fromY, barrier-1, y)
			from, fromY = barrier-1, y
		}
		if r.after != nil {
			d.arrow(from, fromY, barrier, y)
			from, fromY = barrier, y
			crossed = true
		}
		d.arrow(from, fromY, barrier+1, y)
		d.box(barrier+1, y, r.place)
		d.text(columnX(barrier+1), marginTop+y+boxHeight+14, "soft", noteWidth, r.promise)
	}
	height := marginTop + len(rows)*rowHeight + 20
	if crossed {
		x := columnX(barrier) - gapX/2
		fmt.Fprintf(&d.b, `<path class="barrier" d="M%d %dV%d"/>`+"\n", x, marginTop-24, height-20)
		d.text(x-62, marginTop-32, "soft", noteWidth, "checkpoint")
	}
	width := columnX(barrier+2) - gapX + marginX
	_, err = fmt.Fprintf(w, svgFrame, width, height, html.EscapeString(c.JobName), html.EscapeString(c.SourceName()+" to "+c.SinkName()), d.b.String())
	return err
}

// svgFrame has width, height, the job's name, a description and the drawing.
const svgFrame = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img">
<title>%s</title>
<desc>%s</desc>
<style>
text { font: 13px system-ui, sans-serif; fill: #1d2733; } .head { font-weight: 600; } .soft { fill: #5b6b7c; font-size: 12px; }
rect { fill: #ffffff; stroke: #1f6feb; stroke-width: 1.5; } rect.step { stroke: #5b6b7c; } rect.dead { stroke: #c9372c; }
path { fill: none; stroke: #5b6b7c; stroke-width: 1.5; } path.barrier { stroke-dasharray: 6 5; }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3; } .soft { fill: #9aa7b4; } rect { fill: #0d1117; } }
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" style="fill:#5b6b7c;stroke:none"/></marker></defs>
%s</svg>
`

func (c Config) fromText() string {
	if c.Generate > 0 {
		return "the workers"
	}
	return c.startsAt()
}

// planRows are the sinks in the order of the written plan, then dead letters.
func (c Config) planRows() []planRow {
	var rows []planRow
	step := func(head, text string) *planBox { return &planBox{head, text, "step"} }
	place := func(name, text string) planBox { return planBox{name, text, "place"} }
	if c.Discard {
		return []planRow{{place: place("nowhere", "events are counted and dropped"), promise: "nothing is delivered"}}
	}
	if c.Files {
		kind := "JSON lines"
		if c.Parquet {
			kind = "Parquet, " + c.Compression
		}
		rows = append(rows, planRow{
			before: step("Assemble", "files of "+Bytes(c.TargetBytes)+" or "+c.RollInterval.String()), after: step("Commit", "completes the uploads"),
			place: place(c.sinkText(filesName), kind+": "+c.Route.Path), promise: "exactly once on Flink",
		})
	}
	if c.ToKafka {
		r := planRow{place: place(c.sinkText(kafkaName), strings.Join(c.KafkaSink.Brokers, ", ")), promise: "at least once, in order per key"}
		if !c.AtLeastOnce {
			r.before, r.after = step("Sequence", "numbers the blocks of "+c.lanesText()), step("CommitLanes", "a transaction per lane, with its marker")
			r.promise = "exactly once on Flink, in order per key"
		}
		rows = append(rows, r)
	}
	if e := c.Elasticsearch; e != nil {
		rows = append(rows, planRow{place: place(c.sinkText(elasticsearchName), strings.Join(e.Client.Endpoints, ", ")), promise: "one document per id"})
	}
	if k := c.KinesisSink; k != nil {
		rows = append(rows, planRow{place: place(c.sinkText(kinesisName), "partition key "+k.PartitionKey), promise: "at least once, in order per partition key"})
	}
	dead := planRow{place: planBox{"dead letters", c.lettersText(), "dead"}, promise: "what is wrong, with its reason"}
	switch c.Letters {
	case lettersToFiles:
		dead.before, dead.after = step("Assemble", "files of JSON lines"), step("Commit", "completes the uploads")
	case lettersToLanes:
		dead.before, dead.after = step("Sequence", "as events"), step("CommitLanes", "as events")
	}
	if c.Route.Source == route.Kafka && c.commitsOffsets() {
		rows = append(rows, planRow{
			offsets: true, after: step("CommitOffsets", "once a checkpoint holds them"),
			place: place("consumer group "+c.Kafka.GroupID, "positions, for tools that show the lag"), promise: "never read again by the job",
		})
	}
	return append(rows, dead)
}

// drawing collects the elements of a picture.
type drawing struct{ b strings.Builder }

func columnX(column int) int { return marginX + column*(boxWidth+gapX) }

// box draws a box into a column, y below the first row.
func (d *drawing) box(column, y int, b planBox) {
	x, y := columnX(column), y+marginTop
	fmt.Fprintf(&d.b, `<g><title>%s</title><rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="6"/>`+"\n",
		html.EscapeString(b.head+": "+b.text), b.class, x, y, boxWidth, boxHeight)
	d.text(x+12, y+26, "head", headWidth, b.head)
	d.text(x+12, y+46, "soft", textWidth, b.text)
	d.b.WriteString("</g>\n")
}

func (d *drawing) text(x, y int, class string, room int, text string) {
	text = strings.TrimSpace(text)
	if utf8.RuneCountInString(text) > room {
		text = string([]rune(text)[:room-1]) + "…"
	}
	fmt.Fprintf(&d.b, `<text class="%s" x="%d" y="%d">%s</text>`+"\n", class, x, y, html.EscapeString(text))
}

// arrow draws from the end of a box to the begin of another one.
func (d *drawing) arrow(from, fromY, to, toY int) {
	x1, x2 := columnX(from)+boxWidth, columnX(to)-2
	y1, y2 := fromY+marginTop+boxHeight/2, toY+marginTop+boxHeight/2
	bend := columnX(from) + boxWidth + gapX/3
	fmt.Fprintf(&d.b, `<path d="M%d %dH%dV%dH%d" marker-end="url(#tip)"/>`+"\n", x1, y1, bend, y2, x2)
}
