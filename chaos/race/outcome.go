package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// An outcome is what go test tells.
type outcome struct {
	module string
	passed int
	races  []race
	failed []string          // tests, and packages of which no test failed
	raced  map[string]bool   // those of them that failed for a race
	output map[string]string // of them
}

// An event is a line of go test -json, as cmd/test2json documents it.
type event struct{ Action, Package, ImportPath, Test, Output string }

func newOutcome(module string) *outcome {
	return &outcome{module: module, raced: make(map[string]bool), output: make(map[string]string)}
}

// read reads what go test -json prints to its end, and tells which package is done.
func (o *outcome) read(r io.Reader, progress io.Writer) error {
	output := make(map[string]*strings.Builder) // of what has not ended
	broken := make(map[string]bool)             // packages with a failed test
	for d := json.NewDecoder(r); ; {
		var e event
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read go test's output: %w", err)
		}
		name := e.Package + e.ImportPath // a build has the latter
		if e.Test != "" {
			name += " " + e.Test
		}
		if output[name] == nil {
			output[name] = new(strings.Builder)
		}
		switch e.Action {
		case "output", "build-output":
			output[name].WriteString(e.Output)
			continue
		case "pass", "skip":
			if e.Test != "" {
				o.passed++
			}
			o.races = append(o.races, racesIn(output[name].String())...)
		case "fail", "build-fail":
			text := output[name].String()
			o.races = append(o.races, racesIn(text)...)
			if e.Test != "" || !broken[e.Package] {
				o.fail(name, text)
			}
			broken[e.Package] = true
		default:
			continue
		}
		delete(output, name)
		if e.Test == "" {
			fmt.Fprintln(progress, e.Action, name)
		}
	}
}

// fail notes a failure, and for what. A test one of whose parts failed for a race failed for that.
func (o *outcome) fail(name, text string) {
	o.failed = append(o.failed, name)
	o.output[name] = text
	// Package testing tells of a race "during execution of test", or "outside of" it.
	if !o.raced[name] && !strings.Contains(text, "race detected ") {
		return
	}
	o.raced[name] = true
	pkg, test, _ := strings.Cut(name, " ")
	for i := strings.LastIndexByte(test, '/'); i > 0; i = strings.LastIndexByte(test, '/') {
		test = test[:i]
		o.raced[pkg+" "+test] = true
	}
}
