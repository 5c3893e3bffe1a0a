package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hamba/avro/v2"
)

// MaxText is the size in bytes of the largest schema, as a file and as Text:
// it is kept with blocks in saved state, where it bounds what damaged bytes can
// make a reader allocate.
const MaxText = 1 << 20

// allowed ends every refusal of a type.
const allowed = "allowed are int, long, float, double, boolean, string, " +
	`{"type":"long","logicalType":"timestamp-millis"}, and unions of one of them with null`

// Parse reads an Avro schema file (.avsc): one record whose fields are int,
// long, float, double, boolean, string, long with logicalType
// timestamp-millis, or a union of null and one of them, in either order, each
// with or without a default. A field without a default must be in every event,
// also one that may be null, as Avro has it. A default of a union may be of
// either branch (Avro 1.12, "Default values").
//
// Everything else is refused, all mistakes in one error, each with the name of
// its field: nested records, arrays, maps, enums, fixed, bytes, other unions,
// other logical types, and aliases, which would promise a reading that is not
// done. Names are Avro's, so letters, digits and "_", and may not differ in
// case only: they become Parquet columns, which SQL reads regardless of case.
// A schema larger than MaxText is refused too.
func Parse(avsc []byte) (*Schema, error) {
	if len(avsc) > MaxText {
		return nil, fmt.Errorf("schema: %d bytes, at most %d are read", len(avsc), MaxText)
	}
	top, err := parseRecord(avsc)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	var bad []error
	s := &Schema{index: make(map[string]int, len(top.fields))}
	if s.Name, err = recordName(top); err != nil {
		bad = append(bad, err)
	}
	columns := make(map[string]string, len(top.fields))
	for i, raw := range top.fields {
		f, err := parseField(raw)
		if err != nil {
			for _, e := range flatten(err) {
				bad = append(bad, fmt.Errorf("field %s: %w", label(f.Name, i), e))
			}
		}
		if f.Name == "" {
			continue
		}
		switch other, taken := columns[folded(f.Name)]; {
		case taken && other == f.Name:
			bad = append(bad, fmt.Errorf("field %s: the name is taken by an earlier field", label(f.Name, i)))
		case taken:
			bad = append(bad, fmt.Errorf("field %s: the name differs from %q in case only, which SQL engines cannot tell apart", label(f.Name, i), other))
		}
		columns[folded(f.Name)] = f.Name
		s.index[f.Name] = len(s.Fields)
		s.Fields = append(s.Fields, f)
	}
	if len(top.fields) == 0 {
		bad = append(bad, errors.New("the record has no fields"))
	}
	if len(bad) > 0 {
		return nil, fmt.Errorf("schema %s: %w", top.label(), errors.Join(bad...))
	}
	// Escapes can make a default's text longer than it was in the file.
	if n := len(s.Text()); n > MaxText {
		return nil, fmt.Errorf("schema %s: its text has %d bytes, at most %d are kept", top.label(), n, MaxText)
	}
	return s, nil
}

// label names a field in errors, by position where it has no name.
func label(name string, i int) string {
	if name == "" {
		return "number " + strconv.Itoa(i+1)
	}
	return strconv.Quote(name)
}

// flatten returns the parts of a joined error.
func flatten(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

// record is the outer shape of a schema file.
type record struct {
	name, namespace string
	aliases         bool
	fields          []json.RawMessage
}

func (r *record) label() string { return strconv.Quote(r.name) }

// parseRecord reads the outer shape only, so that each field can then be
// parsed, and refused, on its own.
func parseRecord(avsc []byte) (record, error) {
	if !utf8.Valid(avsc) {
		return record{}, errors.New("not UTF-8 text")
	}
	var m map[string]json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(avsc))
	if err := dec.Decode(&m); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return record{}, fmt.Errorf(`want a record, {"type":"record","name":…,"fields":[…]}, found %s`, wrong.Value)
		}
		return record{}, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return record{}, errors.New("not JSON: something follows the record")
	}
	var r record
	var kind string
	if err := json.Unmarshal(orNull(m["type"]), &kind); err != nil || kind != "record" {
		return record{}, fmt.Errorf("want a record, found type %s", orNull(m["type"]))
	}
	if err := json.Unmarshal(orNull(m["name"]), &r.name); err != nil || r.name == "" {
		return record{}, errors.New("the record has no name")
	}
	if raw, ok := m["namespace"]; ok {
		if err := json.Unmarshal(raw, &r.namespace); err != nil {
			return record{}, errors.New("the namespace is not a string")
		}
	}
	_, r.aliases = m["aliases"]
	if raw, ok := m["fields"]; !ok || json.Unmarshal(raw, &r.fields) != nil {
		return record{}, errors.New("the record has no list of fields")
	}
	return r, nil
}

func orNull(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}

// recordName returns the full name by Avro's rules: a dotted name stands for itself.
func recordName(r record) (string, error) {
	s, err := avro.NewRecordSchema(r.name, r.namespace, nil)
	if err != nil {
		return "", fmt.Errorf("name of the record: %w", err)
	}
	if r.aliases {
		return "", errors.New("aliases of the record are not supported")
	}
	return s.FullName(), nil
}

// parseField reads one field. The name is returned also with an error, when there is one.
func parseField(raw json.RawMessage) (Field, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil || m == nil {
		return Field{}, errors.New("not an object with name and type")
	}
	var f Field
	if err := json.Unmarshal(orNull(m["name"]), &f.Name); err != nil || f.Name == "" {
		return Field{}, errors.New("no name")
	}
	var bad []error
	if _, err := avro.NewField(f.Name, &avro.NullSchema{}); err != nil {
		bad = append(bad, errors.New(`a name has letters, digits and "_" only and does not begin with a digit`))
	}
	if _, ok := m["aliases"]; ok {
		bad = append(bad, errors.New("aliases are not supported: name the field as the events do"))
	}
	if _, ok := m["logicalType"]; ok {
		bad = append(bad, errors.New(`logicalType belongs into the type: "type":{"type":"long","logicalType":"timestamp-millis"}`))
	}
	typ, ok := m["type"]
	if !ok {
		return f, errors.Join(append(bad, errors.New("no type; "+allowed))...)
	}
	// A cache of its own: the shared one would let a field name a type of another schema.
	parsed, err := avro.ParseBytesWithCache(typ, "", &avro.SchemaCache{})
	if err != nil {
		bad = append(bad, fmt.Errorf("type %s: %s; %s", short(typ), strings.TrimPrefix(err.Error(), "avro: "), allowed))
		return f, errors.Join(bad...)
	}
	if f.Type, f.Nullable, ok = typeOf(parsed); !ok {
		bad = append(bad, fmt.Errorf("type %s is not supported; %s", short(typ), allowed))
		return f, errors.Join(bad...)
	}
	if def, ok := m["default"]; ok {
		f.HasDefault = true
		if f.Default, err = parseDefault(def, f.Type, f.Nullable); err != nil {
			bad = append(bad, err)
		}
	}
	return f, errors.Join(bad...)
}

// short is a piece of the schema file as errors show it.
func short(raw []byte) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		b.Reset()
		b.Write(raw)
	}
	const limit = 120
	if text := []rune(b.String()); len(text) > limit {
		return string(text[:limit]) + "…"
	}
	return b.String()
}

// typeOf maps Avro's type to ours; false when there is none.
func typeOf(s avro.Schema) (t Type, nullable, ok bool) {
	if u, isUnion := s.(*avro.UnionSchema); isUnion {
		branches := u.Types()
		if len(branches) != 2 {
			return 0, false, false
		}
		value := branches[0]
		if value.Type() == avro.Null {
			value = branches[1]
		} else if branches[1].Type() != avro.Null {
			return 0, false, false
		}
		t, _, ok = typeOf(value)
		return t, true, ok
	}
	p, isPrimitive := s.(*avro.PrimitiveSchema)
	if !isPrimitive {
		return 0, false, false
	}
	// Avro lets readers ignore logical types they do not know; here that would
	// change what a value means, so that they are refused.
	if p.Prop("logicalType") != nil {
		return 0, false, false
	}
	if l := p.Logical(); l != nil {
		if p.Type() == avro.Long && l.Type() == avro.TimestampMillis {
			return TimestampMillis, false, true
		}
		return 0, false, false
	}
	switch p.Type() {
	case avro.Int:
		return Int, false, true
	case avro.Long:
		return Long, false, true
	case avro.Float:
		return Float, false, true
	case avro.Double:
		return Double, false, true
	case avro.Boolean:
		return Boolean, false, true
	case avro.String:
		return String, false, true
	}
	return 0, false, false
}

// parseDefault reads a default from its text: the Avro library reads all
// numbers as float64, which longs do not fit in.
func parseDefault(raw json.RawMessage, t Type, nullable bool) (Value, error) {
	text := string(bytes.TrimSpace(raw))
	refused := fmt.Errorf("default %s is not of type %s", short(raw), t)
	if text == "null" {
		if !nullable {
			return Value{}, fmt.Errorf("%w; null needs a union with null", refused)
		}
		return Value{Null: true}, nil
	}
	switch t {
	case Int, Long, TimestampMillis:
		bits := 64
		if t == Int {
			bits = 32
		}
		i, err := strconv.ParseInt(text, 10, bits)
		if err != nil {
			return Value{}, refused
		}
		return IntValue(i), nil
	case Float, Double:
		if text[0] != '-' && (text[0] < '0' || text[0] > '9') {
			return Value{}, refused
		}
		bits := 64
		if t == Float {
			bits = 32
		}
		f, err := strconv.ParseFloat(text, bits)
		if err != nil || math.IsInf(f, 0) {
			return Value{}, refused
		}
		return FloatValue(f), nil
	case Boolean:
		switch text {
		case "true":
			return IntValue(1), nil
		case "false":
			return IntValue(0), nil
		}
		return Value{}, refused
	case String:
		var s string
		if text[0] != '"' || json.Unmarshal(raw, &s) != nil {
			return Value{}, refused
		}
		return StringValue([]byte(s)), nil
	}
	return Value{}, refused
}
