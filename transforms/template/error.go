package template

import "fmt"

// Reason tells why a row has no text by a template. Reasons are part of the
// dead letters' format: they do not change.
type Reason string

// The reasons.
const (
	// NullValue is a null in a field that has no default to take its place, or a
	// name of a family of variables that the record has nothing under.
	NullValue Reason = "null_value"
	// EmptyValue is empty text in a path, where it would leave a nameless folder.
	EmptyValue Reason = "empty_value"
	// ValueOutOfRange is a negative number under a verb that pads with zeros
	// and has no "+" (it would sort among the positive ones), or a timestamp
	// outside of the years 0 to 9999, which four digits cannot tell.
	ValueOutOfRange Reason = "value_out_of_range"
	// ValueTooLong is a value that makes a path longer than MaxPath, or than Within allows.
	ValueTooLong Reason = "value_too_long"
)

// Error tells which field of a row a template cannot use.
type Error struct {
	// Field is the schema's field, or the variable.
	Field  string
	Reason Reason
	// Detail is for people.
	Detail string
}

// Error returns all of it in one line.
func (e *Error) Error() string {
	return fmt.Sprintf("template: %s: field %s: %s", e.Reason, e.Field, e.Detail)
}
