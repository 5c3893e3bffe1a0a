package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/streaming-etl/streaming-etl/pipeline"
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
	pause    time.Duration // after the next line
	open     bool
}

// Pauses between lines that stay.
const (
	firstPause = time.Second
	maxPause   = time.Minute
)

func newProgressLine(w io.Writer) *progressLine {
	return &progressLine{w: w, terminal: isTerminal(w), start: time.Now(), pause: firstPause}
}

func (l *progressLine) show(p pipeline.Progress) {
	now := time.Now()
	if !l.terminal && now.Before(l.next) {
		return
	}
	l.next = now.Add(l.pause)
	l.pause = min(2*l.pause, maxPause)
	text := fmt.Sprintf("%6.1f s  read %s  delivered %s  dead letters %s  files %s", now.Sub(l.start).Seconds(),
		pipeline.Number(p.Read), pipeline.Number(p.Delivered), pipeline.Number(p.DeadLetters), pipeline.Number(p.Files))
	if l.terminal {
		fmt.Fprintf(l.w, "\r\033[K%s", text)
		l.open = true
		return
	}
	fmt.Fprintln(l.w, text)
}

func (l *progressLine) end() {
	if l.open {
		fmt.Fprintln(l.w)
	}
}
