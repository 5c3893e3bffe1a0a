// Package event describes events: the fields that an Avro schema file names,
// their types, and rows of typed values. Decode, templates, blocks and files
// are all driven by a Schema; a payload becomes a Row in transforms/decode.
package event

import (
	"strings"
)

// Type is a field's type. Values of Int are 32-bit, of Float single precision
// (both held widened in Value.Bits), TimestampMillis is milliseconds since
// 1970 UTC (Avro's logical type timestamp-millis on long).
type Type uint8

// The types of fields.
const (
	Int Type = iota + 1
	Long
	Float
	Double
	Boolean
	String
	TimestampMillis
)

// String returns the type's name as Avro has it, for TimestampMillis that of
// the logical type.
func (t Type) String() string {
	switch t {
	case Int:
		return "int"
	case Long:
		return "long"
	case Float:
		return "float"
	case Double:
		return "double"
	case Boolean:
		return "boolean"
	case String:
		return "string"
	case TimestampMillis:
		return "timestamp-millis"
	}
	return "unknown"
}

// Field is one field of an event.
type Field struct {
	Name string
	Type Type
	// Nullable is a union of null and the type: null is accepted.
	Nullable bool
	// HasDefault says that the field may be missing; Default is then its value.
	HasDefault bool
	Default    Value
}

// Schema is the ordered list of an event's fields. It does not change once
// made, so it may be shared. Parse makes one that is checked and can find its
// fields at once.
type Schema struct {
	// Name is the record's full name: its namespace, if any, a dot, its name.
	Name   string
	Fields []Field

	index map[string]int
}

// Index returns the position of the field with that name.
func (s *Schema) Index(name string) (int, bool) {
	if s.index != nil {
		i, ok := s.index[name]
		return i, ok
	}
	for i := range s.Fields {
		if s.Fields[i].Name == name {
			return i, true
		}
	}
	return 0, false
}

// Fingerprint identifies the layout of the schema's rows: names, types,
// nullability and order of the fields, not their defaults and not the record's
// name. Encoded rows carry it, so that they are never read with another
// schema. It is FNV-1a, 64 bit, of a text that must not change: encoded rows
// outlive the program that wrote them.
func (s *Schema) Fingerprint() uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	add := func(text string) {
		for i := range len(text) {
			h = (h ^ uint64(text[i])) * prime
		}
		h *= prime // a zero byte ends each text
	}
	for i := range s.Fields {
		f := &s.Fields[i]
		add(f.Name)
		add(f.Type.String())
		if f.Nullable {
			add("null")
		}
		add("")
	}
	return h
}

// folded is the form in which two column names must differ: engines that read
// Parquet by SQL do not tell upper from lower case.
func folded(name string) string { return strings.ToLower(name) }
