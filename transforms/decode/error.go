package decode

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// Reason tells why a payload was refused. Reasons are part of the dead
// letters' format: they do not change.
type Reason string

// The reasons.
const (
	// Empty is a payload of no bytes, or of white space.
	Empty Reason = "empty"
	// MalformedJSON is text that is not JSON, cut short included.
	MalformedJSON Reason = "malformed_json"
	// NotAnObject is a JSON value other than an object.
	NotAnObject Reason = "not_an_object"
	// TrailingData is anything but white space behind the object.
	TrailingData Reason = "trailing_data"
	// InvalidUTF8 is a byte that is not UTF-8, or an escaped lone surrogate, which UTF-8 has no form for.
	InvalidUTF8 Reason = "invalid_utf8"
	// TooDeep is nesting beyond MaxDepth.
	TooDeep Reason = "too_deep"
	// WrongType is a value of another type than the field's, 1.0 for an int included.
	WrongType Reason = "wrong_type"
	// OutOfRange is a number that the field's type cannot hold.
	OutOfRange Reason = "out_of_range"
	// InvalidTimestamp is text that is no RFC 3339 time, or a day that does not exist.
	InvalidTimestamp Reason = "invalid_timestamp"
	// NullValue is null for a field that is not a union with null.
	NullValue Reason = "null_value"
	// MissingField is a field without a default that the object does not have.
	MissingField Reason = "missing_field"
	// DuplicateField is a field of the schema that the object has twice.
	DuplicateField Reason = "duplicate_field"
)

// Error tells why and where a payload was refused: the first mistake, by
// offset, but that data behind the object is told before missing fields.
type Error struct {
	Reason Reason
	// Field is the schema's field that was being read, or is missing; else empty.
	Field string
	// Detail is for people: what was found and wanted, never more than a few words of the payload.
	Detail string
	// Offset is where in the payload the mistake is, in bytes.
	Offset int
}

// Error returns all of it in one line.
func (e *Error) Error() string {
	where := ""
	if e.Field != "" {
		where = " field " + e.Field + ":"
	}
	return fmt.Sprintf("decode: %s:%s %s at offset %d", e.Reason, where, e.Detail, e.Offset)
}

// in names the field that was being read.
func (e *Error) in(field string) *Error {
	e.Field = field
	return e
}

// unexpected is the error for a byte, or an end, where want was wanted.
func unexpected(p []byte, i int, want string) *Error {
	return &Error{Reason: MalformedJSON, Detail: "found " + charAt(p, i) + ", want " + want, Offset: min(i, len(p))}
}

// charAt shows the character at i.
func charAt(p []byte, i int) string {
	if i >= len(p) {
		return "the end"
	}
	r, _ := utf8.DecodeRune(p[i:])
	return strconv.QuoteRune(r)
}

// excerpt shows the beginning of a piece of the payload.
func excerpt(b []byte) string {
	const limit = 40
	if len(b) <= limit {
		return string(b)
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(b[cut]) {
		cut--
	}
	return string(b[:cut]) + "…"
}

// refuseOuter tells a JSON value that is not an object from no JSON.
func refuseOuter(p []byte, i int) *Error {
	if _, err := skipValue(p, i, 0); err != nil {
		return err
	}
	return &Error{Reason: NotAnObject, Detail: "found " + kindAt(p, i), Offset: i}
}

// refuseValue finds out why the value at i does not fit f.
func refuseValue(p []byte, i int, f *event.Field) *Error {
	end, err := skipValue(p, i, 1)
	if err != nil {
		return err.in(f.Name)
	}
	value, kind := p[i:end], kindAt(p, i)
	e := &Error{Reason: WrongType, Field: f.Name, Offset: i}
	switch {
	case kind == "null":
		e.Reason = NullValue
	case kind == "number" && (f.Type == event.Float || f.Type == event.Double):
		e.Reason = OutOfRange
	case kind == "number" && f.Type != event.String && f.Type != event.Boolean && !bytes.ContainsAny(value, ".eE"):
		e.Reason = OutOfRange
	case kind == "string" && f.Type == event.TimestampMillis:
		e.Reason = InvalidTimestamp
	}
	e.Detail = "want " + f.Type.String() + ", found " + kind
	if kind == "number" || e.Reason == InvalidTimestamp {
		e.Detail += " " + excerpt(value)
	}
	return e
}

// kindAt names the JSON value that begins at i.
func kindAt(p []byte, i int) string {
	switch p[i] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}
