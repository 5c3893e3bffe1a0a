package template

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/streaming-etl/streaming-etl/internal/nearest"
	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// Compile checks text against the schema and prepares it. vars are names that
// may be used beside the fields', as they are or made by Time or Named; Append
// is given their values. All mistakes are in one error, each with its offset in
// the text.
func Compile(text string, s *event.Schema, vars ...string) (*Template, error) {
	return compile(text, s, vars, false)
}

// CompilePath is Compile for a path of an object store: values are escaped, so
// that each stays one part of its folder's name, and values that no folder
// can be named by are refused by Append. The text itself must be a relative
// path without empty, "." and ".." folders; it may be empty. The path has no
// slash at its end.
func CompilePath(text string, s *event.Schema, vars ...string) (*Template, error) {
	return compile(text, s, vars, true)
}

// compiler collects segments and mistakes.
type compiler struct {
	t      *Template
	schema *event.Schema
	vars   []string
	bad    []error
	// pending is literal text that is not yet a segment.
	pending []byte
}

func compile(text string, s *event.Schema, vars []string, path bool) (*Template, error) {
	c := compiler{t: &Template{text: text, path: path, limit: MaxPath}, schema: s, vars: vars}
	c.parse(text)
	c.flush()
	if path {
		c.checkPath()
	}
	if len(c.bad) > 0 {
		return nil, fmt.Errorf("template %q: %w", text, errors.Join(c.bad...))
	}
	return c.t, nil
}

func (c *compiler) fail(at int, mistake string) {
	c.bad = append(c.bad, fmt.Errorf("at offset %d: %s", at, mistake))
}

func (c *compiler) flush() {
	if len(c.pending) > 0 {
		c.t.segments = append(c.t.segments, segment{kind: literal, text: string(c.pending)})
		c.pending = c.pending[:0]
	}
}

// parse splits the text into literals and what is between braces.
func (c *compiler) parse(text string) {
	if !utf8.ValidString(text) {
		c.fail(0, "not UTF-8")
		return
	}
	for i := 0; i < len(text); {
		switch {
		case strings.HasPrefix(text[i:], "{{") || strings.HasPrefix(text[i:], "}}"):
			c.pending = append(c.pending, text[i])
			i += 2
		case text[i] == '}':
			c.fail(i, `"}" without "{" (write "}}" for a brace)`)
			i++
		case text[i] != '{':
			c.pending = append(c.pending, text[i])
			i++
		default:
			size := strings.IndexAny(text[i+1:], "{}")
			if size < 0 {
				c.fail(i, `"{" without "}" (write "{{" for a brace)`)
				return
			}
			end := i + 1 + size
			if text[end] == '{' {
				c.fail(i, `"{" within braces`)
				i = end
				continue
			}
			c.flush()
			name, spec, hasSpec := strings.Cut(text[i+1:end], ":")
			c.reference(i, name, spec, hasSpec)
			i = end + 1
		}
	}
}

// ErrNoField says that a template names neither a field of the schema nor a
// variable of the program.
var ErrNoField = errors.New("no field")

// reference adds the segment for {name} or {name:spec} at offset at. After a
// mistake it adds one all the same: the path is checked with something there.
func (c *compiler) reference(at int, name, spec string, hasSpec bool) {
	s, err := c.resolve(name, spec, hasSpec)
	if err != nil {
		c.bad = append(c.bad, fmt.Errorf("at offset %d: %w", at, err))
	}
	c.t.segments = append(c.t.segments, s)
}

// resolve finds out what a name stands for and checks spec against it.
func (c *compiler) resolve(name, spec string, hasSpec bool) (segment, error) {
	s := segment{kind: variable, name: name, escape: c.t.path}
	if hasSpec && spec == "" {
		return s, fmt.Errorf(`{%s:}: nothing behind ":"`, name)
	}
	field, isField := c.schema.Index(name)
	s.at = slices.IndexFunc(c.vars, func(v string) bool { return stands(v, name) })
	if s.at >= 0 {
		s.declared = c.vars[s.at]
	}
	switch {
	case name == "":
		return s, errors.New("braces without a field's name")
	case isField && s.at >= 0:
		return s, fmt.Errorf("%q is a field of the schema and a variable of the program", name)
	case isTime(s.declared):
		at, declared := s.at, s.declared
		s, err := newSegment(&event.Field{Type: event.TimestampMillis}, spec, c.t.path)
		if err != nil {
			return segment{kind: variable}, fmt.Errorf("{%s:%s}: %w", name, spec, err)
		}
		s.at, s.name, s.declared = at, name, declared
		return s, nil
	case s.at >= 0 && hasSpec && spec != "%s":
		return s, fmt.Errorf("{%s:%s}: a variable is text and takes %%s only", name, spec)
	case s.at >= 0:
		if family, ok := isNamed(s.declared); ok {
			s.kind, s.text = named, name[len(family):]
		}
		return s, nil
	case !isField:
		return s, fmt.Errorf("%w %q%s", ErrNoField, name, c.suggest(name))
	}
	f := &c.schema.Fields[field]
	s, err := newSegment(f, spec, c.t.path)
	if err != nil {
		return segment{kind: variable}, fmt.Errorf("{%s:%s}: %w", name, spec, err)
	}
	s.at, s.name = field, name
	s.fallback = event.Value{Null: true}
	if f.HasDefault {
		s.fallback = f.Default
	}
	if !slices.Contains(c.t.fields, name) {
		c.t.fields = append(c.t.fields, name)
	}
	return s, nil
}

// newSegment checks spec, empty for none, against the field's type.
func newSegment(f *event.Field, spec string, path bool) (segment, error) {
	if f.Type == event.TimestampMillis && !strings.HasPrefix(spec, "%") {
		return newDate(spec, path)
	}
	v, err := parseVerb(spec)
	if err != nil {
		return segment{}, fmt.Errorf("%w; %s takes %s", err, f.Type, takes(f.Type))
	}
	s := segment{verb: v}
	fits := false
	switch f.Type {
	case event.Int, event.Long, event.TimestampMillis:
		s.kind, fits = integer, v.letter == 0 || v.letter == 'd' && v.precision < 0
	case event.Float, event.Double:
		s.kind, fits = float, v.letter == 0 || strings.IndexByte("efg", v.letter) >= 0
		s.size = 64
		if f.Type == event.Float {
			s.size = 32
		}
	case event.Boolean:
		s.kind, fits = boolean, v.letter == 0 || spec == "%t"
	case event.String:
		s.kind, fits = text, v.letter == 0 || spec == "%s"
		s.escape = path
	}
	switch {
	case !fits:
		return segment{}, fmt.Errorf("%s takes %s", f.Type, takes(f.Type))
	case path && v.width > 0 && !v.zero:
		return segment{}, errors.New(`a width without "0" puts spaces into the path`)
	}
	return s, nil
}

// takes tells which verbs fit a type.
func takes(t event.Type) string {
	switch t {
	case event.Int, event.Long:
		return "%d, such as %d, %03d or %+d"
	case event.Float, event.Double:
		return "%f, %e or %g, such as %.2f"
	case event.Boolean:
		return "%t"
	case event.TimestampMillis:
		return "a layout, such as 2006-01-02, or %d for milliseconds since 1970"
	}
	return "%s"
}

// checkPath refuses a text that is no path even before values are in it.
func (c *compiler) checkPath() {
	// A value is never empty and never only dots, so a letter may stand for it.
	var whole strings.Builder
	size := 0
	for _, s := range c.t.segments {
		if s.kind != literal {
			whole.WriteByte('v')
			continue
		}
		size += len(s.text)
		whole.WriteString(s.text)
		if i := strings.IndexFunc(s.text, func(r rune) bool { return r == '\\' || unprintable(r) }); i >= 0 {
			r, _ := utf8.DecodeRuneInString(s.text[i:])
			c.bad = append(c.bad, fmt.Errorf("a path cannot hold %s", strconv.QuoteRune(r)))
		}
	}
	if size > MaxPath {
		c.bad = append(c.bad, fmt.Errorf("a path of more than %d bytes", MaxPath))
	}
	if whole.Len() == 0 {
		return
	}
	for i, folder := range strings.Split(whole.String(), "/") {
		switch folder {
		case "":
			c.bad = append(c.bad, fmt.Errorf(`folder %d of the path has no name (it neither begins nor ends with "/")`, i+1))
		case ".", "..":
			c.bad = append(c.bad, fmt.Errorf("folder %d of the path is %q", i+1, folder))
		}
	}
}

// suggest names the field or variable that is nearest to an unknown name.
func (c *compiler) suggest(name string) string {
	var known []string
	for i := range c.schema.Fields {
		known = append(known, c.schema.Fields[i].Name)
	}
	for _, v := range c.vars {
		known = append(known, spoken(v))
	}
	if near := nearest.Of(name, known); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}
