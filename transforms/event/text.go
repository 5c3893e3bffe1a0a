package event

import (
	"encoding/json"
	"strconv"
)

// Text returns the schema as Avro JSON in one fixed form, for the metadata of
// files: no white space, no documentation, logical types and defaults kept.
// Parse of it gives an equal schema. (Avro's own Parsing Canonical Form drops
// logical types and defaults.)
func (s *Schema) Text() string {
	b := append([]byte(`{"type":"record","name":`), quote(s.Name)...)
	b = append(b, `,"fields":[`...)
	for i := range s.Fields {
		f := &s.Fields[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"name":`...)
		b = append(b, quote(f.Name)...)
		b = append(b, `,"type":`...)
		switch {
		case !f.Nullable:
			b = appendType(b, f.Type)
		case f.HasDefault && !f.Default.Null:
			// Readers before Avro 1.12 take a default for the first branch's.
			b = append(appendType(append(b, '['), f.Type), `,"null"]`...)
		default:
			b = append(appendType(append(b, `["null",`...), f.Type), ']')
		}
		if f.HasDefault {
			b = appendDefault(append(b, `,"default":`...), f)
		}
		b = append(b, '}')
	}
	return string(append(b, "]}"...))
}

func appendType(b []byte, t Type) []byte {
	if t == TimestampMillis {
		return append(b, `{"type":"long","logicalType":"timestamp-millis"}`...)
	}
	return append(b, quote(t.String())...)
}

func appendDefault(b []byte, f *Field) []byte {
	v := &f.Default
	if v.Null {
		return append(b, "null"...)
	}
	switch f.Type {
	case Float:
		return strconv.AppendFloat(b, v.Float(), 'g', -1, 32)
	case Double:
		return strconv.AppendFloat(b, v.Float(), 'g', -1, 64)
	case Boolean:
		return strconv.AppendBool(b, v.Int() != 0)
	case String:
		return append(b, quote(string(v.Str))...)
	}
	return strconv.AppendInt(b, v.Int(), 10)
}

func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil { // json.Marshal of a string does not fail
		return []byte(`""`)
	}
	return b
}
