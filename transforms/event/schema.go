// Package event describes events: the fields that an Avro schema file names,
// their types, and rows of typed values. Decode, templates, blocks and files
// are all driven by a Schema.
package event

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

// Schema is the ordered list of an event's fields. It does not change once made.
type Schema struct {
	Name   string
	Fields []Field
}
