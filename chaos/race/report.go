package main

import "strings"

// A race is one report of the detector.
type race struct {
	// accesses are the functions that made the two accesses, beyond those of the standard library.
	accesses []string
	text     string
}

// of tells whether one of the accesses is a module's. Its programs call themselves main.
func (r race) of(module string) bool {
	for _, function := range r.accesses {
		if strings.HasPrefix(function, module+"/") || strings.HasPrefix(function, module+".") || strings.HasPrefix(function, "main.") {
			return true
		}
	}
	return false
}

// Lines that begin and end a report.
const (
	reportBegins = "WARNING: DATA RACE\n"
	reportEnds   = "==================\n"
)

// racesIn finds the detector's reports, whose form https://go.dev/doc/articles/race_detector shows.
func racesIn(text string) (races []race) {
	for {
		_, rest, found := strings.Cut(text, reportBegins)
		if !found {
			return races
		}
		var report string
		report, text, _ = strings.Cut(rest, reportEnds)
		r := race{text: reportBegins + report}
		for stack := range strings.SplitSeq(report, "\n\n") {
			head, frames, _ := strings.Cut(strings.TrimLeft(stack, "\n"), "\n")
			if strings.Contains(head, " at 0x") { // and not "created at"
				r.accesses = append(r.accesses, accessor(frames))
			}
		}
		races = append(races, r)
	}
}

// unknown is an access whose stack the detector has no more.
const unknown = "an unknown function"

// accessor returns the innermost function of a stack that is not of the standard library, or else the innermost.
func accessor(frames string) string {
	innermost := unknown
	for line := range strings.Lines(frames) {
		function, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "  ")
		if !ok || strings.HasPrefix(function, " ") {
			continue // a file and a line
		}
		function = strings.TrimSuffix(function, "()")
		// The first element of a module's path has a dot; those of the standard library have none.
		domain, _, in := strings.Cut(function, "/")
		if in && strings.Contains(domain, ".") || strings.HasPrefix(function, "main.") {
			return function
		}
		if innermost == unknown {
			innermost = function
		}
	}
	return innermost
}
