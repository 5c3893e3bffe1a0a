package property

import (
	"fmt"
	"strconv"
	"strings"
)

// Mistake is one thing that is wrong with the properties as they were given.
// Empty parts are left out of its text.
type Mistake struct {
	// Property is the property's name, or what was given for one.
	Property string
	// Value is what was given, masked if it is a secret; empty for unknown
	// names, whose value might be one.
	Value string
	// Source says where the value was given, as Set.Source does.
	Source string
	// Problem says what is wrong, as the end of a sentence about the value.
	Problem string
	// Allowed says what would be right.
	Allowed string
	// Suggestion is the name or the value that was probably meant.
	Suggestion string
}

// String returns the mistake as one line without its end.
func (m Mistake) String() string {
	var b strings.Builder
	b.WriteString(m.Property)
	if m.Value != "" {
		b.WriteString(" = ")
		b.WriteString(quote(m.Value))
	}
	if m.Source != "" {
		fmt.Fprintf(&b, " (%s)", m.Source)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(m.Problem)
	if m.Allowed != "" {
		fmt.Fprintf(&b, "; allowed: %s", m.Allowed)
	}
	if m.Suggestion != "" {
		fmt.Fprintf(&b, "; did you mean %s?", m.Suggestion)
	}
	return b.String()
}

// Invalid is the error of Load and Set.Err: all mistakes that were found, to
// be mended in one go. Commands exit with code 2 on it.
type Invalid struct {
	Mistakes []Mistake
}

// Error returns a heading and one line per mistake.
func (e *Invalid) Error() string {
	var b strings.Builder
	if len(e.Mistakes) == 1 {
		b.WriteString("1 mistake in the properties:")
	} else {
		fmt.Fprintf(&b, "%d mistakes in the properties:", len(e.Mistakes))
	}
	for _, m := range e.Mistakes {
		b.WriteString("\n  ")
		b.WriteString(m.String())
	}
	return b.String()
}

// quote makes a value safe and short enough for a line of a message.
func quote(s string) string {
	const longest = 200
	if len(s) > longest {
		return strconv.Quote(s[:longest]) + "…"
	}
	return strconv.Quote(s)
}
