package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/pipeline/compare"
)

// isTerminal says whether somebody looks at what is written. The null device
// is a character device as terminals are.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// progressLine shows how far the job is: in place on a terminal; elsewhere,
// where lines stay, as a line now and then, ever more rarely.
type progressLine struct {
	w        io.Writer
	terminal bool
	start    time.Time
	next     time.Time     // no line before
	pause    time.Duration // after the next line that stays
	open     bool
}

// Pauses between lines that stay, and between changes of the one in place.
const (
	firstPause = time.Second
	maxPause   = time.Minute
	framePause = 100 * time.Millisecond
)

func newProgressLine(w io.Writer) *progressLine {
	return &progressLine{w: w, terminal: isTerminal(w), start: time.Now(), pause: firstPause}
}

func (l *progressLine) show(p pipeline.Progress) {
	l.write(fmt.Sprintf("read %s  delivered %s  dead letters %s  files %s",
		pipeline.Number(p.Read), pipeline.Number(p.Delivered), pipeline.Number(p.DeadLetters), pipeline.Number(p.Files)))
}

// showComparison shows nothing elsewhere than on a terminal: what a comparison
// is for is its result.
func (l *progressLine) showComparison(p compare.Progress) {
	if l.terminal {
		l.write(fmt.Sprintf("read %s records of %s files", pipeline.Number(p.Records), pipeline.Number(p.Files)))
	}
}

func (l *progressLine) write(text string) {
	now := time.Now()
	if now.Before(l.next) {
		return
	}
	text = fmt.Sprintf("%6.1f s  %s", now.Sub(l.start).Seconds(), text)
	if l.terminal {
		l.next = now.Add(framePause)
		fmt.Fprintf(l.w, "\r\033[K%s", text)
		l.open = true
		return
	}
	l.next = now.Add(l.pause)
	l.pause = min(2*l.pause, maxPause)
	fmt.Fprintln(l.w, text)
}

func (l *progressLine) end() {
	if l.open {
		fmt.Fprintln(l.w)
	}
}
