package event

import "math"

// Value is one field of a row: which of its parts holds depends on the
// field's type. The zero Value is the integer 0 and the empty string.
type Value struct {
	// Bits holds Int, Long, TimestampMillis and Boolean (0 or 1) as a two's
	// complement integer, Float and Double as math.Float64bits.
	Bits uint64
	// Str holds String; its bytes may be a slice of the input's buffer.
	Str []byte
	// Null is set for a null of a nullable field; Bits and Str are then zero.
	Null bool
}

// Int returns the value of an Int, Long, TimestampMillis or Boolean field.
func (v *Value) Int() int64 { return int64(v.Bits) }

// Float returns the value of a Float or Double field.
func (v *Value) Float() float64 { return math.Float64frombits(v.Bits) }

// IntValue returns the value of an Int, Long, TimestampMillis or Boolean field.
func IntValue(i int64) Value { return Value{Bits: uint64(i)} }

// FloatValue returns the value of a Float or Double field.
func FloatValue(f float64) Value { return Value{Bits: math.Float64bits(f)} }

// StringValue returns the value of a String field, sharing s.
func StringValue(s []byte) Value { return Value{Str: s} }

// Row is one event, a Value for each field of its schema, in its order. A row
// is decoded into the same memory again and again: whoever keeps it copies it.
type Row []Value
