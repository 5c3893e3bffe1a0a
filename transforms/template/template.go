// Package template makes text from rows: S3 paths, index names, ids and keys.
// A template is compiled and checked against the schema once; for a row it
// then only appends, without an allocation.
//
//	{field}           the value: integers in decimal, floats in their shortest form, true or false,
//	                  text as it is, timestamps as 2006-01-02T15:04:05.000Z
//	{field:%03d}      int, long, and timestamp as milliseconds since 1970: %d with "+", "0" and a width
//	{field:%.2f}      float and double: %f, %e and %g with "+", "0", a width and a precision
//	{field:%t}        boolean
//	{field:%s}        string
//	{field:2006-01}   timestamp in UTC, by a layout of package time
//	{variable}        text that the program gives, such as the start of the job, or a time (see Time)
//	{family.name}     what the program has under a name that it does not know before (see Named)
//	{{ and }}         braces
//
// All mean what package fmt and package time make of them, but for what a row
// can be refused for: see Reason. A null takes the field's default where there
// is one that is not null.
//
// Paths (CompilePath) are safe whatever the values are: see escape.go for what
// is escaped.
package template

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// MaxPath is how long a path may become, in bytes. S3 takes keys of up to
// 1024; the rest is for the prefix before and the file's name behind. Whoever
// has a longer prefix allows less: see Within.
const MaxPath = 700

// Template is compiled text. It does not change: any number of goroutines may use it.
type Template struct {
	text     string
	path     bool
	limit    int // of a path, in bytes
	segments []segment
	fields   []string
}

// kind tells what a segment appends.
type kind uint8

const (
	literal kind = iota
	variable
	named // a variable of Named, text is the name behind the family
	integer
	float
	boolean
	text
	date      // by own code
	timestamp // by time.AppendFormat
)

// segment is one piece of a template.
type segment struct {
	kind kind
	// escape is set in paths for what can need it.
	escape bool
	// at is the field's position in the row, or the variable's among the variables.
	at int
	// name is the field's or the variable's, text the literal or the layout.
	name, text string
	// declared is the variable as Compile was given it, empty for a field.
	declared string
	verb     verb
	// size is the field's number of bits, for floats.
	size int
	// fallback is what a null becomes; null itself when there is nothing.
	fallback event.Value
	layout   []element
}

// String returns the text that the template was compiled from.
func (t *Template) String() string { return t.text }

// Fields returns the names of the schema's fields that the template uses,
// each once, in the order of their first use.
func (t *Template) Fields() []string { return append([]string(nil), t.fields...) }

// Uses reports whether the template uses the variable that Compile was given so.
func (t *Template) Uses(variable string) bool {
	return slices.ContainsFunc(t.segments, func(s segment) bool { return s.declared != "" && s.declared == variable })
}

// Append appends the text for row to dst and returns the longer slice. vars
// are the values of the variables, in the order in which Compile was given
// their names; those that the template does not use may be left out at the
// end. A row that cannot be used gives an *Error; dst is then returned as it was.
func (t *Template) Append(dst []byte, row event.Row, vars []string) ([]byte, error) {
	start := len(dst)
	var day civil
	for i := range t.segments {
		s := &t.segments[i]
		from := len(dst)
		switch s.kind {
		case literal:
			dst = append(dst, s.text...)
		case variable, named:
			if s.at >= len(vars) {
				return dst[:start], t.valueless(s)
			}
			value := vars[s.at]
			if s.kind == named {
				var there, null bool
				if value, there, null = lookup(value, s.text); !there || null {
					return dst[:start], s.without(there)
				}
				if t.path && len(value) > t.limit {
					return dst[:start], t.tooLong(row, vars)
				}
			}
			dst = append(dst, value...)
		default:
			if s.declared != "" {
				if s.at >= len(vars) {
					return dst[:start], t.valueless(s)
				}
				v := parseMillis(vars[s.at])
				if v.Null {
					return dst[:start], s.without(true)
				}
				var err *Error
				if dst, err = s.append(dst, &v, &day); err != nil {
					return dst[:start], err
				}
				break
			}
			if s.at >= len(row) {
				return dst[:start], fmt.Errorf("template %q: row of %d values has no field %s", t.text, len(row), s.name)
			}
			v := &row[s.at]
			if v.Null {
				if v = &s.fallback; v.Null {
					return dst[:start], s.without(true)
				}
			}
			if s.kind == text && t.path && len(v.Str) > t.limit { // not even copied
				return dst[:start], t.tooLong(row, vars)
			}
			var err *Error
			if dst, err = s.append(dst, v, &day); err != nil {
				return dst[:start], err
			}
		}
		if !t.path {
			continue
		}
		if len(dst) == from {
			return dst[:start], &Error{Field: s.name, Reason: EmptyValue, Detail: "a path needs a value"}
		}
		// Escaping makes three bytes of one at most: what is too long already is left alone.
		if s.escape && len(dst)-start <= t.limit {
			dst = escape(dst, from, from == start || dst[from-1] == '/')
		}
		if len(dst)-start > t.limit {
			return dst[:start], t.tooLong(row, vars)
		}
	}
	return dst, nil
}

// Within returns the template of paths that have at most n bytes, and never more
// than MaxPath.
func (t *Template) Within(n int) *Template {
	shorter := *t
	shorter.limit = min(n, MaxPath)
	return &shorter
}

// valueless is the error for values that Append was not given.
func (t *Template) valueless(s *segment) error {
	return fmt.Errorf("template %q: no value for variable %s", t.text, s.name)
}

// without is the error for a value that is null, or not there at all.
func (s *segment) without(there bool) *Error {
	if !there {
		return &Error{Field: s.name, Reason: NullValue, Detail: "the record has none"}
	}
	return &Error{Field: s.name, Reason: NullValue, Detail: "null has no text"}
}

// append appends the value v, which is not null.
func (s *segment) append(dst []byte, v *event.Value, day *civil) ([]byte, *Error) {
	switch s.kind {
	case integer:
		n := v.Int()
		if n < 0 && s.verb.refuses() {
			return dst, &Error{Field: s.name, Reason: ValueOutOfRange, Detail: strconv.FormatInt(n, 10) + " is negative"}
		}
		return s.verb.appendInt(dst, n), nil
	case float:
		x := v.Float()
		if x < 0 && s.verb.refuses() {
			return dst, &Error{Field: s.name, Reason: ValueOutOfRange, Detail: strconv.FormatFloat(x, 'g', -1, s.size) + " is negative"}
		}
		return s.verb.appendFloat(dst, x, s.size), nil
	case boolean:
		return strconv.AppendBool(dst, v.Int() != 0), nil
	case text:
		return append(dst, v.Str...), nil
	}
	ms := v.Int()
	if ms < minMillis || ms > maxMillis {
		return dst, &Error{Field: s.name, Reason: ValueOutOfRange, Detail: strconv.FormatInt(ms, 10) + " ms since 1970 is not within years 0 to 9999"}
	}
	if s.kind == timestamp {
		return time.UnixMilli(ms).UTC().AppendFormat(dst, s.text), nil
	}
	return appendDate(dst, s.layout, ms, day), nil
}

// tooLong is the error for a path beyond the limit; it names the longest value.
func (t *Template) tooLong(row event.Row, vars []string) *Error {
	e := &Error{Reason: ValueTooLong, Detail: "the path has more than " + strconv.Itoa(t.limit) + " bytes"}
	most := -1
	var day civil
	for i := range t.segments {
		s := &t.segments[i]
		size := 0
		switch {
		case s.kind == literal || s.at >= len(vars) && s.declared != "":
			continue
		case s.kind == variable:
			size = len(vars[s.at])
		case s.kind == named:
			value, _, _ := lookup(vars[s.at], s.text)
			size = len(value)
		case s.declared != "":
			v := parseMillis(vars[s.at])
			b, _ := s.append(nil, &v, &day)
			size = len(b)
		case row[s.at].Null:
			size = len(s.fallback.Str)
		case s.kind == text:
			size = len(row[s.at].Str)
		default:
			b, _ := s.append(nil, &row[s.at], &day)
			size = len(b)
		}
		if size > most {
			e.Field, most = s.name, size
		}
	}
	return e
}
