package esfake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// mappings are what an index's creation or a template says of fields.
type mappings struct {
	Dynamic       any              `json:"dynamic,omitempty"`
	DateDetection *bool            `json:"date_detection,omitempty"`
	Properties    map[string]field `json:"properties,omitempty"`
}

// field is a field's mapping.
type field struct {
	Type string `json:"type"`
	// slashes says that dates are written as 2026/01/31, as the first was.
	slashes bool
}

// UnmarshalJSON keeps the type; what else is said is not looked at.
func (f *field) UnmarshalJSON(data []byte) error {
	var loose struct {
		Type string `json:"type"`
	}
	err := json.Unmarshal(data, &loose)
	f.Type = loose.Type
	return err
}

// mapping is that of an index: what templates and its creation have said, and
// the strings that were met since. Other values that nobody has mapped are
// taken as they come.
type mapping struct {
	fields map[string]field
	// dynamic is true, strict, or something else, by which nothing is learnt.
	dynamic string
	dates   bool
}

// mappingOf is the mapping of a new index of a name. s.mu is held.
func (s *Server) mappingOf(name string, own mappings) mapping {
	var layers []mappings
	if t := s.matching(name); t != nil {
		for _, name := range t.body.ComposedOf {
			layers = append(layers, s.components[name].body.Template.Mappings)
		}
		layers = append(layers, t.body.Template.Mappings)
	}
	m := mapping{fields: map[string]field{}, dynamic: "true", dates: true}
	for _, layer := range append(layers, own) {
		for name, f := range layer.Properties {
			m.fields[name] = f
		}
		if layer.Dynamic != nil {
			m.dynamic = fmt.Sprint(layer.Dynamic)
		}
		if layer.DateDetection != nil {
			m.dates = *layer.DateDetection
		}
	}
	return m
}

// check is the mapping's answer to a document, of which it learns if it takes it.
func (m *mapping) check(id string, source []byte, stream bool) *ItemFault {
	refuse := func(kind, format string, args ...any) *ItemFault {
		return &ItemFault{http.StatusBadRequest, kind, fmt.Sprintf(format, args...)}
	}
	var members map[string]any
	if err := strict(source, &members); err != nil {
		return refuse("document_parsing_exception", "[1:2] failed to parse: %v", err)
	}
	if _, ok := members["@timestamp"]; stream && !ok {
		return refuse("document_parsing_exception", "[1:2] failed to parse: data stream timestamp field [@timestamp] is missing")
	}
	learnt := map[string]field{}
	for _, key := range sortedKeys(members) {
		typed, known := m.fields[key]
		if !known && m.dynamic == "strict" {
			return refuse("strict_dynamic_mapping_exception", "[1:2] mapping set to strict, dynamic introduction of [%s] within [_doc] is not allowed", key)
		}
		if !known && m.dynamic == "true" {
			if typed, known = m.detect(members[key]); known {
				learnt[key] = typed
			}
		}
		if !typed.accepts(members[key]) {
			return refuse("document_parsing_exception", "[1:2] failed to parse field [%s] of type [%s] in document with id '%s'. Preview of field's value: '%v'",
				key, typed.Type, id, members[key])
		}
	}
	for key, f := range learnt {
		m.fields[key] = f
	}
	return nil
}

// detect is the mapping of a field that is met for the first time: of a string
// that looks like a date, and not like a number, a date; else, text.
func (m *mapping) detect(value any) (f field, known bool) {
	if list, ok := value.([]any); ok {
		for _, v := range list {
			if f, known = m.detect(v); known {
				break
			}
		}
		return f, known
	}
	text, ok := value.(string)
	if !ok {
		return field{}, false
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil || !m.dates {
		return field{Type: "text"}, true
	}
	switch {
	case isDate(text):
		return field{Type: "date"}, true
	case isSlashed(text):
		return field{Type: "date", slashes: true}, true
	}
	return field{Type: "text"}, true
}

// The forms of Elasticsearch's strict_date_optional_time, and of its other
// format of dynamic dates, yyyy/MM/dd with or without HH:mm:ss.
var (
	dashed  = regexp.MustCompile(`^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?(T([0-9]{2}(:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?)?$`)
	slashed = regexp.MustCompile(`^[0-9]{4}/[0-9]{2}/[0-9]{2}( [0-9]{2}:[0-9]{2}:[0-9]{2})?$`)
)

func isDate(text string) bool { return dashed.MatchString(text) && isReal(text, "2006-01-02") }

func isSlashed(text string) bool { return slashed.MatchString(text) && isReal(text, "2006/01/02") }

// isReal tells whether the day is one of the calendar, as far as it is given.
func isReal(text, layout string) bool {
	day := text[:min(len(text), len(layout))]
	for i, c := range day {
		if c == 'T' {
			day = day[:i]
			break
		}
	}
	_, err := time.Parse(layout[:len(day)], day)
	return err == nil
}

// accepts tells whether a field takes a value: numbers and booleans as strings
// too, arrays where it takes all elements, null always.
func (f field) accepts(value any) bool {
	if list, ok := value.([]any); ok {
		for _, v := range list {
			if !f.accepts(v) {
				return false
			}
		}
		return true
	}
	if _, isMap := value.(map[string]any); isMap {
		return f.Type == "" || f.Type == "object"
	}
	text, isText := value.(string)
	_, isNumber := value.(float64)
	switch f.Type {
	case "long", "integer", "short", "byte", "double", "float":
		if isText {
			_, err := strconv.ParseFloat(text, 64)
			return err == nil
		}
		return isNumber || value == nil
	case "boolean":
		return value == nil || value == true || value == false || isText && (text == "true" || text == "false" || text == "")
	case "date":
		if !isText {
			return isNumber || value == nil
		}
		_, err := strconv.ParseInt(text, 10, 64) // epoch_millis
		return err == nil || !f.slashes && isDate(text) || f.slashes && isSlashed(text)
	case "object":
		return value == nil
	}
	return true
}
