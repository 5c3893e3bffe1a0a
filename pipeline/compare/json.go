package compare

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
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
			return fmt.Errorf("line %d is no JSON object: %w", row, err)
		}
		for name, value := range fields {
			if !r.wants(name) || value == nil {
				delete(fields, name)
				continue
			}
			columns[name] = true
		}
		record = appendValue(record[:0], fields)
		if err := do(row, record); err != nil {
			return err
		}
	}
	return lines.Err()
}

func object(line []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber() // float64 has not all integers
	var fields map[string]any
	if err := d.Decode(&fields); err != nil {
		return nil, err
	}
	if fields == nil {
		return nil, errors.New("it is null")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows it")
	}
	return fields, nil
}

// appendValue appends a value as encoding/json reads it.
func appendValue(b []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		if v {
			return append(b, "true"...)
		}
		return append(b, "false"...)
	case json.Number:
		return appendNumber(b, v.String())
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
	panic(fmt.Sprintf("compare: encoding/json gave a %T", value)) // it knows no other types
}
