package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/streaming-etl/streaming-etl/pipeline/property"
)

// Exit codes. They are part of what scripts rely on: docs/operations.md lists
// them too.
const (
	// exitOK is for what was done, and for help.
	exitOK = 0
	// exitFailure is for what was asked for rightly and could not be done.
	exitFailure = 1
	// exitUsage is for wrong properties, flags and commands: nothing was begun.
	exitUsage = 2
)

// jsonFlag has a command write its result and its errors for programs.
const jsonFlag = "json"

// wantsJSON says whether the flag is among the arguments, so that also what is
// wrong with the others can be told in JSON.
func wantsJSON(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool {
		return a == "--"+jsonFlag || a == "-"+jsonFlag || a == "--"+jsonFlag+"=true" || a == "-"+jsonFlag+"=true"
	})
}

// fail tells an error and returns the exit code that it has.
func fail(stderr io.Writer, err error) int {
	var invalid *property.Invalid
	code, prefix := exitFailure, "error: "
	if errors.As(err, &invalid) {
		code, prefix = exitUsage, ""
	}
	if j, ok := stderr.(*jsonLines); ok {
		j.Fail(err, code)
		return code
	}
	fmt.Fprintln(stderr, prefix+err.Error())
	return code
}

// misuse tells what is wrong with the flags of a command.
func misuse(stderr io.Writer, format string, args ...any) int {
	text := fmt.Sprintf(format, args...)
	if j, ok := stderr.(*jsonLines); ok {
		j.Fail(errors.New(text), exitUsage)
		return exitUsage
	}
	fmt.Fprintln(stderr, "error: "+text)
	return exitUsage
}

// jsonLines makes an object of each line that is written to it, so that what
// a command tells on its way can be read by programs too.
type jsonLines struct {
	w    io.Writer
	line []byte // not yet ended
}

// errorJSON is an error for programs.
type errorJSON struct {
	Error string `json:"error"`
	Code  int    `json:"exit_code"`
	// Mistakes are those of properties, each on its own.
	Mistakes []mistakeJSON `json:"mistakes,omitempty"`
}

type mistakeJSON struct {
	Property   string `json:"property"`
	Value      string `json:"value,omitempty"`
	Source     string `json:"source,omitempty"`
	Problem    string `json:"problem"`
	Allowed    string `json:"allowed,omitempty"`
	Suggestion string `json:"suggestion,omitempty"`
}

type messageJSON struct {
	Message string `json:"message"`
}

// Write takes text of whole lines or parts of them.
func (j *jsonLines) Write(text []byte) (int, error) {
	j.line = append(j.line, text...)
	for {
		line, rest, ended := bytes.Cut(j.line, []byte("\n"))
		if !ended {
			return len(text), nil
		}
		message := messageJSON{Message: string(bytes.TrimSpace(line))}
		j.line = rest
		if message.Message == "" {
			continue
		}
		if err := writeJSON(j.w, message); err != nil {
			return 0, err
		}
	}
}

// Fail tells an error and the exit code that it has.
func (j *jsonLines) Fail(err error, code int) {
	e := errorJSON{Error: err.Error(), Code: code}
	var invalid *property.Invalid
	if errors.As(err, &invalid) {
		for _, m := range invalid.Mistakes {
			e.Mistakes = append(e.Mistakes, mistakeJSON(m))
		}
	}
	_ = writeJSON(j.w, e) // there is nowhere else to tell
}

// writeJSON writes one value as a line.
func writeJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(value)
}

// tell writes a result, for programs or for people.
func tell(stdout, stderr io.Writer, asJSON bool, value any, text string) int {
	var err error
	if asJSON {
		err = writeJSON(stdout, value)
	} else {
		_, err = fmt.Fprintln(stdout, text)
	}
	if err != nil {
		return fail(stderr, err)
	}
	return exitOK
}
