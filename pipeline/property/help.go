package property

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// GroupCommand is the group of the flags that are no properties.
const GroupCommand = "Command line"

// helpColumns is how wide the help text is.
const helpColumns = 100

// Help writes every property by groups, with default, range and meaning, at
// most 100 columns wide. The options are the command's own, as in Sources;
// they come first.
func Help(w io.Writer, options ...Property) error {
	return newTable(append(commandOptions(), options...), properties()).help(w)
}

func (t *table) help(w io.Writer) error {
	var b bytes.Buffer
	wrap(&b, "", "Properties are read from three places, of which a later one overrides an earlier one:")
	wrap(&b, "  ", "1. a properties file, "+DefaultFile+" when it exists, or --"+optionFile+"=FILE: a JSON array of "+
		`{"PropertyGroupId": "`+fileGroup+`", "PropertyMap": {"Name": "value"}};`)
	wrap(&b, "  ", "2. the environment: the exact name, or upper snake case after "+envPrefix+
		" (OutputBucket or "+envName("OutputBucket")+");")
	wrap(&b, "  ", "3. flags: --Name=value, --Name value, or --Name alone for those that are true or false.")
	for _, group := range t.groups() {
		fmt.Fprintf(&b, "\n%s\n", group)
		for _, p := range t.list {
			if p.Group != group {
				continue
			}
			fmt.Fprintf(&b, "\n  --%s\n", p.Name)
			wrap(&b, "      ", p.Doc)
			wrap(&b, "      ", "Default: "+p.defaultText(func(s string) string { return s })+". Allowed: "+p.allowed()+".")
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Markdown writes the README's table of all properties: name, default, meaning.
func Markdown(w io.Writer) error {
	return newTable(nil, properties()).markdown(w)
}

func (t *table) markdown(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("| Property | Default | Meaning |\n|---|---|---|\n")
	for _, group := range t.groups() {
		fmt.Fprintf(&b, "| **%s** | | |\n", group)
		for _, p := range t.list {
			if p.Group != group {
				continue
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s Allowed: %s. |\n",
				p.Name, cell(p.defaultText(func(s string) string { return "`" + s + "`" })), cell(p.Doc), cell(p.allowed()))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// cell escapes what would end a cell of a Markdown table.
func cell(s string) string {
	return strings.ReplaceAll(s, "|", `\|`)
}

// defaultText says what a property is when none is given; literal marks up values.
func (p *Property) defaultText(literal func(string) string) string {
	switch {
	case p.DefaultOf != "":
		return "the value of " + literal(p.DefaultOf)
	case p.Default == "" && p.DefaultNote != "":
		return p.DefaultNote
	case p.Default == "":
		return "none"
	case p.DefaultNote != "":
		return literal(p.Default) + " (" + p.DefaultNote + ")"
	default:
		return literal(p.Default)
	}
}

// WriteValues writes the values that a source gives, a line each: name, value and
// source, in the order of the table. One that equals the default is among them,
// since a job keeps it when the default changes.
func (s *Set) WriteValues(w io.Writer) error {
	var b bytes.Buffer
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, p := range s.table.list {
		v, given := s.values[p.Name]
		if !given || !v.valid {
			continue
		}
		shown := p.show(v.text)
		if shown == "" {
			shown = `""`
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", p.Name, shown, v.source)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// wrap writes text in lines of at most helpColumns, each after the indent. A
// word that is longer has a line of its own.
func wrap(b *bytes.Buffer, indent, text string) {
	column := 0
	for word := range strings.FieldsSeq(text) {
		width := len([]rune(word))
		switch {
		case column == 0:
			b.WriteString(indent)
			column = len(indent)
		case column+1+width > helpColumns:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += width
	}
	b.WriteByte('\n')
}
