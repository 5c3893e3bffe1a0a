package main

import (
	"fmt"
	"os"
	"strings"
)

// The picture's measures, in pixels.
const (
	pictureWidth  = 760
	pictureLabels = 250 // the width of the labels
	pictureBar    = 18
	pictureRow    = 28
	pictureTop    = 56
)

// The colours of the parts of a bar.
const (
	colourWorker      = "#2a6f97"
	colourTaskManager = "#89c2d9"
	colourJobManager  = "#d0e6f0"
	colourPeer        = "#b5838d"
)

// writePicture draws what a record costs as bars into a file; none where no file is asked for.
func writePicture(path string, slopes []slope) error {
	if path == "" {
		return nil
	}
	return os.WriteFile(path, []byte(picture(slopes)), 0o644)
}

// picture draws a bar for each slope, of its processes one after the other. A process whose slope is below zero, which
// is noise, has no part.
func picture(slopes []slope) string {
	widest := 1.0
	for _, s := range slopes {
		widest = max(widest, s.per(endRun.cpu))
	}
	scale := (pictureWidth - pictureLabels - 60) / widest
	var b strings.Builder
	height := pictureTop + pictureRow*len(slopes) + 12
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">`+"\n", pictureWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", pictureWidth, height)
	text := func(x, y int, of string) { fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`+"\n", x, y, of) }
	bar := func(x float64, y int, w float64, colour string) {
		fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", x, y, w, pictureBar, colour)
	}
	text(8, 18, "CPU seconds for a million records from Kafka")
	x := 8
	for _, key := range []struct{ colour, name string }{
		{colourWorker, ours + ": worker"}, {colourTaskManager, "TaskManager"}, {colourJobManager, "JobManager"}, {colourPeer, peerName},
	} {
		bar(float64(x), 28, pictureBar, key.colour)
		text(x+pictureBar+6, 42, key.name)
		x += pictureBar + 26 + 7*len(key.name)
	}
	for i, s := range slopes {
		y := pictureTop + pictureRow*i
		text(8, y+14, fmt.Sprintf("%s, parallelism %d", sinkNames[s.sink], s.parallelism))
		parts := []struct {
			cpu    float64
			colour string
		}{{s.per(workerCPU), colourWorker}, {s.per(taskManagerCPU), colourTaskManager}, {s.per(jobManagerCPU), colourJobManager}}
		if s.program != ours {
			parts = parts[1:2]
			parts[0].colour = colourPeer
		}
		at := float64(pictureLabels)
		for _, p := range parts {
			if w := p.cpu * scale; w > 0 {
				bar(at, y, w, p.colour)
				at += w
			}
		}
		text(int(at)+6, y+14, fmt.Sprintf("%.1f", s.per(endRun.cpu)))
	}
	b.WriteString("</svg>\n")
	return b.String()
}
