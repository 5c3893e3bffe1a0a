package compare

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-faster/jx"
)

// maxLine is the longest line that is read, in bytes.
const maxLine = 64 << 20

// jsonLines reads lines that are JSON objects; empty ones are none.
func (r *reader) jsonLines(in io.Reader, do func(row int64, record []byte) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	columns := map[string]bool{}
	defer func() { r.note(columns) }()
	var record []byte
	for row := int64(1); lines.Scan(); row++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		fields, err := object(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", row, err)
		}
		for name, value := range fields {
			if !r.wants(name) {
				delete(fields, name)
				continue
			}
			columns[name] = columns[name] || value != nil
			if value == nil {
				delete(fields, name)
			}
		}
		record = appendValue(record[:0], fields)
		if err := do(row, record); err != nil {
			return err
		}
	}
	return lines.Err()
}

// number is a JSON number as it is spelled: float64 has not all integers.
type number string

// object reads a line. It refuses what can be read in more than one way, since
// lines that differ could then be the same: names that are there twice, bytes
// that are not UTF-8, halves of surrogate pairs.
func object(line []byte) (map[string]any, error) {
	switch {
	case !utf8.Valid(line):
		return nil, errors.New("it is not UTF-8")
	case loneSurrogate(line):
		return nil, errors.New("it has half a surrogate pair, which is not a character")
	}
	d := jx.DecodeBytes(line)
	if t := d.Next(); t != jx.Object {
		return nil, fmt.Errorf("it is not a JSON object: %s", t)
	}
	fields, err := objectFields(d)
	if err != nil {
		return nil, err
	}
	if err := d.Skip(); !errors.Is(err, io.EOF) {
		return nil, errors.New("it is not a JSON object: something follows it")
	}
	return fields, nil
}

func notJSON(err error) error { return fmt.Errorf("it is not a JSON object: %w", err) }

func objectFields(d *jx.Decoder) (map[string]any, error) {
	fields := map[string]any{}
	in, err := d.ObjIter()
	if err != nil {
		return nil, notJSON(err)
	}
	for in.Next() {
		name := string(in.Key())
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("it has the name %q twice", name)
		}
		if fields[name], err = value(d); err != nil {
			return nil, err
		}
	}
	if err := in.Err(); err != nil {
		return nil, notJSON(err)
	}
	return fields, nil
}

// value reads a value as appendValue takes it.
func value(d *jx.Decoder) (v any, err error) {
	switch d.Next() {
	case jx.Object:
		return objectFields(d)
	case jx.Array:
		return elements(d)
	case jx.String:
		v, err = d.Str()
	case jx.Number:
		var spelled jx.Raw
		spelled, err = d.Raw()
		v = number(spelled)
	case jx.Bool:
		v, err = d.Bool()
	default:
		err = d.Null()
	}
	if err != nil {
		return nil, notJSON(err)
	}
	return v, nil
}

func elements(d *jx.Decoder) (any, error) {
	list := []any{}
	in, err := d.ArrIter()
	if err != nil {
		return nil, notJSON(err)
	}
	for in.Next() {
		v, err := value(d)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	if err := in.Err(); err != nil {
		return nil, notJSON(err)
	}
	return list, nil
}

// loneSurrogate says whether an escape such as \ud800 has no other half: all
// of these are read as the same replacement character.
func loneSurrogate(line []byte) bool {
	for {
		i := bytes.IndexByte(line, '\\')
		if i < 0 || i+1 == len(line) {
			return false
		}
		unit, width := escaped(line[i:])
		line = line[i+width:]
		if !utf16.IsSurrogate(unit) {
			continue
		}
		low, width := escaped(line)
		if utf16.DecodeRune(unit, low) == utf8.RuneError {
			return true
		}
		line = line[width:]
	}
}

// escaped returns the code unit that the text begins with if that is a \u
// escape, and how long the escape is.
func escaped(text []byte) (unit rune, width int) {
	const width4 = len(`\u0000`)
	if len(text) >= width4 && text[0] == '\\' && text[1] == 'u' {
		if n, err := strconv.ParseUint(string(text[2:width4]), 16, 16); err == nil {
			return rune(n), width4
		}
	}
	return 0, len(`\n`)
}

// appendValue appends what value has read.
func appendValue(b []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		if v {
			return append(b, "true"...)
		}
		return append(b, "false"...)
	case number:
		return appendNumber(b, string(v))
	case string:
		return appendText(b, []byte(v))
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, e)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for i, name := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendText(b, []byte(name)), ':')
			b = appendValue(b, v[name])
		}
		return append(b, '}')
	}
	panic(fmt.Sprintf("compare: value gave a %T", value)) // it knows no other types
}
