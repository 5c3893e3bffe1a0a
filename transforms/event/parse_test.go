package event

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

func record1(fields string) []byte {
	return []byte(`{"type":"record","name":"E","fields":[` + fields + `]}`)
}

func TestParseAccepts(t *testing.T) {
	tests := []struct {
		name, field string
		want        Field
	}{
		{"int", `{"name":"a","type":"int"}`, Field{Name: "a", Type: Int}},
		{"long", `{"name":"a","type":"long"}`, Field{Name: "a", Type: Long}},
		{"float", `{"name":"a","type":"float"}`, Field{Name: "a", Type: Float}},
		{"double", `{"name":"a","type":"double"}`, Field{Name: "a", Type: Double}},
		{"boolean", `{"name":"a","type":"boolean"}`, Field{Name: "a", Type: Boolean}},
		{"string", `{"name":"a","type":"string"}`, Field{Name: "a", Type: String}},
		{"primitive as an object", `{"name":"a","type":{"type":"int"}}`, Field{Name: "a", Type: Int}},
		{"timestamp", `{"name":"a","type":{"type":"long","logicalType":"timestamp-millis"}}`, Field{Name: "a", Type: TimestampMillis}},
		{"null first", `{"name":"a","type":["null","long"]}`, Field{Name: "a", Type: Long, Nullable: true}},
		{"null last", `{"name":"a","type":["long","null"]}`, Field{Name: "a", Type: Long, Nullable: true}},
		{"nullable timestamp", `{"name":"a","type":["null",{"type":"long","logicalType":"timestamp-millis"}]}`, Field{Name: "a", Type: TimestampMillis, Nullable: true}},
		{"default null", `{"name":"a","type":["null","int"],"default":null}`, Field{Name: "a", Type: Int, Nullable: true, HasDefault: true, Default: Value{Null: true}}},
		{"default of the second branch", `{"name":"a","type":["null","int"],"default":7}`, Field{Name: "a", Type: Int, Nullable: true, HasDefault: true, Default: IntValue(7)}},
		{"default of the first branch", `{"name":"a","type":["int","null"],"default":-7}`, Field{Name: "a", Type: Int, Nullable: true, HasDefault: true, Default: IntValue(-7)}},
		{"default long beyond float64", `{"name":"a","type":"long","default":9223372036854775807}`, Field{Name: "a", Type: Long, HasDefault: true, Default: IntValue(math.MaxInt64)}},
		{"default float", `{"name":"a","type":"float","default":0.1}`, Field{Name: "a", Type: Float, HasDefault: true, Default: FloatValue(float64(float32(0.1)))}},
		{"default double", `{"name":"a","type":"double","default":1}`, Field{Name: "a", Type: Double, HasDefault: true, Default: FloatValue(1)}},
		{"default true", `{"name":"a","type":"boolean","default":true}`, Field{Name: "a", Type: Boolean, HasDefault: true, Default: IntValue(1)}},
		{"default false", `{"name":"a","type":"boolean","default":false}`, Field{Name: "a", Type: Boolean, HasDefault: true, Default: IntValue(0)}},
		{"default string", `{"name":"a","type":"string","default":"ü\n"}`, Field{Name: "a", Type: String, HasDefault: true, Default: StringValue([]byte("ü\n"))}},
		{"default timestamp", `{"name":"a","type":{"type":"long","logicalType":"timestamp-millis"},"default":1}`, Field{Name: "a", Type: TimestampMillis, HasDefault: true, Default: IntValue(1)}},
		{"doc, order and own properties", `{"name":"a","type":"int","doc":"d","order":"ignore","unit":"mi"}`, Field{Name: "a", Type: Int}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Parse(record1(tt.field))
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Fields) != 1 || !reflect.DeepEqual(s.Fields[0], tt.want) {
				t.Errorf("fields %+v, want %+v", s.Fields, tt.want)
			}
			again, err := Parse([]byte(s.Text()))
			if err != nil {
				t.Fatalf("parse of the text %s: %v", s.Text(), err)
			}
			if !reflect.DeepEqual(again, s) {
				t.Errorf("the text %s gives %+v, want %+v", s.Text(), again, s)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	const types = "allowed are int, long"
	tests := []struct {
		name, avsc string
		want       []string
	}{
		{"empty", ``, []string{"not JSON"}},
		{"cut short", `{"type":"record"`, []string{"not JSON"}},
		{"not UTF-8", "{\"type\":\"record\",\"name\":\"\xff\"}", []string{"UTF-8"}},
		{"trailing text", `{"type":"record","name":"E","fields":[{"name":"a","type":"int"}]} x`, []string{"follows"}},
		{"a primitive", `"int"`, []string{"want a record"}},
		{"null", `null`, []string{"want a record"}},
		{"a list", `[]`, []string{"want a record"}},
		{"an enum", `{"type":"enum","name":"E","symbols":["A"]}`, []string{"want a record", `"enum"`}},
		{"an error record", `{"type":"error","name":"E","fields":[]}`, []string{"want a record"}},
		{"no name", `{"type":"record","fields":[]}`, []string{"no name"}},
		{"bad record name", `{"type":"record","name":"1E","fields":[{"name":"a","type":"int"}]}`, []string{"name of the record"}},
		{"record aliases", `{"type":"record","name":"E","aliases":["F"],"fields":[{"name":"a","type":"int"}]}`, []string{"aliases"}},
		{"namespace of a wrong type", `{"type":"record","name":"E","namespace":1,"fields":[]}`, []string{"namespace"}},
		{"no fields key", `{"type":"record","name":"E"}`, []string{"list of fields"}},
		{"no fields", `{"type":"record","name":"E","fields":[]}`, []string{"no fields"}},
		{"field is text", string(record1(`"a"`)), []string{"number 1", "not an object"}},
		{"field is null", string(record1(`null`)), []string{"number 1", "not an object"}},
		{"field without a name", string(record1(`{"type":"int"}`)), []string{"number 1", "no name"}},
		{"field without a type", string(record1(`{"name":"a"}`)), []string{`"a"`, "no type", types}},
		{"bad field name", string(record1(`{"name":"a b","type":"int"}`)), []string{`"a b"`, "letters"}},
		{"duplicate field", string(record1(`{"name":"a","type":"int"},{"name":"a","type":"int"}`)), []string{`"a"`, "taken"}},
		{"names that differ in case", string(record1(`{"name":"a","type":"int"},{"name":"A","type":"int"}`)), []string{`"A"`, "case only"}},
		{"aliases", string(record1(`{"name":"a","type":"int","aliases":["b"]}`)), []string{`"a"`, "aliases"}},
		{"logicalType beside the type", string(record1(`{"name":"a","type":"long","logicalType":"timestamp-millis"}`)), []string{`"a"`, "belongs into the type"}},
		{"unknown type", string(record1(`{"name":"a","type":"text"}`)), []string{`"a"`, `"text"`, types}},
		{"null", string(record1(`{"name":"a","type":"null"}`)), []string{`"a"`, types}},
		{"bytes", string(record1(`{"name":"a","type":"bytes"}`)), []string{`"a"`, types}},
		{"array", string(record1(`{"name":"a","type":{"type":"array","items":"int"}}`)), []string{`"a"`, types}},
		{"map", string(record1(`{"name":"a","type":{"type":"map","values":"int"}}`)), []string{`"a"`, types}},
		{"enum", string(record1(`{"name":"a","type":{"type":"enum","name":"X","symbols":["A"]}}`)), []string{`"a"`, types}},
		{"fixed", string(record1(`{"name":"a","type":{"type":"fixed","name":"X","size":4}}`)), []string{`"a"`, types}},
		{"nested record", string(record1(`{"name":"a","type":{"type":"record","name":"X","fields":[]}}`)), []string{`"a"`, types}},
		{"reference to the record", string(record1(`{"name":"a","type":"E"}`)), []string{`"a"`, types}},
		{"union of two values", string(record1(`{"name":"a","type":["int","string"]}`)), []string{`"a"`, types}},
		{"union of three", string(record1(`{"name":"a","type":["null","int","string"]}`)), []string{`"a"`, types}},
		{"union of null alone", string(record1(`{"name":"a","type":["null"]}`)), []string{`"a"`, types}},
		{"empty union", string(record1(`{"name":"a","type":[]}`)), []string{`"a"`, types}},
		{"union with an array", string(record1(`{"name":"a","type":["null",{"type":"array","items":"int"}]}`)), []string{`"a"`, types}},
		{"date", string(record1(`{"name":"a","type":{"type":"int","logicalType":"date"}}`)), []string{`"a"`, types}},
		{"timestamp-micros", string(record1(`{"name":"a","type":{"type":"long","logicalType":"timestamp-micros"}}`)), []string{`"a"`, types}},
		{"timestamp-millis on int", string(record1(`{"name":"a","type":{"type":"int","logicalType":"timestamp-millis"}}`)), []string{`"a"`, types}},
		{"unknown logical type", string(record1(`{"name":"a","type":{"type":"string","logicalType":"colour"}}`)), []string{`"a"`, types}},
		{"type is a number", string(record1(`{"name":"a","type":5}`)), []string{`"a"`, types}},
		{"default null without a union", string(record1(`{"name":"a","type":"int","default":null}`)), []string{`"a"`, "default null"}},
		{"default of a wrong type", string(record1(`{"name":"a","type":"int","default":"1"}`)), []string{`"a"`, `default "1"`}},
		{"default with a fraction", string(record1(`{"name":"a","type":"int","default":1.0}`)), []string{`"a"`, "default 1.0"}},
		{"default beyond int", string(record1(`{"name":"a","type":"int","default":2147483648}`)), []string{`"a"`, "2147483648"}},
		{"default beyond long", string(record1(`{"name":"a","type":"long","default":9223372036854775808}`)), []string{`"a"`}},
		{"default beyond float", string(record1(`{"name":"a","type":"float","default":1e39}`)), []string{`"a"`, "1e39"}},
		{"default double as text", string(record1(`{"name":"a","type":"double","default":"NaN"}`)), []string{`"a"`, "NaN"}},
		{"default boolean as number", string(record1(`{"name":"a","type":"boolean","default":1}`)), []string{`"a"`}},
		{"default string as number", string(record1(`{"name":"a","type":"string","default":1}`)), []string{`"a"`}},
		{"all mistakes at once", string(record1(`{"name":"a","type":"bytes"},{"name":"b","type":"int","default":"x","aliases":[]},{"type":"int"}`)),
			[]string{`"a"`, "bytes", `"b"`, `default "x"`, "aliases", "number 3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Parse([]byte(tt.avsc))
			if err == nil {
				t.Fatalf("accepted as %+v", s)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not tell %q", err, want)
				}
			}
		})
	}
}

func TestNameIncludesTheNamespace(t *testing.T) {
	for avsc, want := range map[string]string{
		`{"type":"record","name":"E","fields":[{"name":"a","type":"int"}]}`:                      "E",
		`{"type":"record","name":"E","namespace":"n.m","fields":[{"name":"a","type":"int"}]}`:    "n.m.E",
		`{"type":"record","name":"x.y.E","namespace":"n","fields":[{"name":"a","type":"int"}]}`:  "x.y.E",
		`{"type":"record","name":"x.y.E","namespace":"n.","fields":[{"name":"a","type":"int"}]}`: "x.y.E",
	} {
		s, err := Parse([]byte(avsc))
		if err != nil {
			t.Errorf("%s: %v", avsc, err)
			continue
		}
		if s.Name != want {
			t.Errorf("%s: name %q, want %q", avsc, s.Name, want)
		}
		if again, err := Parse([]byte(s.Text())); err != nil || again.Name != want {
			t.Errorf("%s: the text gives %+v, %v", avsc, again, err)
		}
	}
}

// What is kept in saved state is bounded, and so is what is read.
func TestASchemaTooLargeIsRefused(t *testing.T) {
	const around = `{"type":"record","name":"E","fields":[{"name":"a","type":"string","default":""}]}`
	with := func(fill string, n int) []byte {
		return []byte(strings.Replace(around, `""`, `"`+strings.Repeat(fill, n)+`"`, 1))
	}
	if _, err := Parse(with("x", MaxText-len(around))); err != nil {
		t.Errorf("a schema of MaxText bytes: %v", err)
	}
	for name, avsc := range map[string][]byte{
		"a file too large": with("x", MaxText-len(around)+1),
		"a text too large": with("<", MaxText/4),
	} {
		if _, err := Parse(avsc); err == nil || !strings.Contains(err.Error(), "1048576") {
			t.Errorf("%s of %d bytes: error %v", name, len(avsc), err)
		}
	}
}

func TestTaxiTripIsTheReplayedTrip(t *testing.T) {
	want := "vendor_id int, pickup_datetime timestamp-millis, dropoff_datetime timestamp-millis, passenger_count int, " +
		"trip_distance double, ratecode_id int, store_and_fwd_flag string, pickup_location_id int, dropoff_location_id int, " +
		"payment_type int, fare_amount double, extra double, mta_tax double, tip_amount double, tolls_amount double, " +
		"improvement_surcharge double, total_amount double, trip_id long, type string, padding string"
	var got []string
	for i, f := range TaxiTrip().Fields {
		got = append(got, f.Name+" "+f.Type.String())
		if f.Nullable || f.HasDefault != (f.Name == "padding") {
			t.Errorf("%s: nullable %v, has a default %v", f.Name, f.Nullable, f.HasDefault)
		}
		if j, ok := TaxiTrip().Index(f.Name); !ok || j != i {
			t.Errorf("Index(%q) = %d, %v, want %d", f.Name, j, ok, i)
		}
	}
	if strings.Join(got, ", ") != want {
		t.Errorf("fields %s, want %s", strings.Join(got, ", "), want)
	}
	if i, ok := TaxiTrip().Index("Vendor_id"); ok {
		t.Errorf("Index finds a name that no field has at %d", i)
	}
}

func TestIndexOfASchemaMadeByHand(t *testing.T) {
	s := &Schema{Fields: []Field{{Name: "a", Type: Int}, {Name: "b", Type: Int}}}
	if i, ok := s.Index("b"); !ok || i != 1 {
		t.Errorf("Index(b) = %d, %v, want 1", i, ok)
	}
	if _, ok := s.Index("c"); ok {
		t.Error("Index(c) finds a field")
	}
}

func TestFingerprintTellsLayoutsApart(t *testing.T) {
	a, b := Field{Name: "a", Type: Int}, Field{Name: "b", Type: Int}
	base := Schema{Name: "E", Fields: []Field{a, b}}
	same := Schema{Name: "F", Fields: []Field{{Name: "a", Type: Int, HasDefault: true, Default: IntValue(3)}, b}}
	if base.Fingerprint() != same.Fingerprint() {
		t.Error("the record's name or a default changes the fingerprint")
	}
	seen := map[uint64]string{base.Fingerprint(): "base"}
	for name, fields := range map[string][]Field{
		"order":     {b, a},
		"shorter":   {a},
		"type":      {a, {Name: "b", Type: Long}},
		"nullable":  {a, {Name: "b", Type: Int, Nullable: true}},
		"name":      {a, {Name: "c", Type: Int}},
		"timestamp": {a, {Name: "b", Type: TimestampMillis}},
	} {
		s := Schema{Fields: fields}
		if other, taken := seen[s.Fingerprint()]; taken {
			t.Errorf("%s has the fingerprint of %s", name, other)
		}
		seen[s.Fingerprint()] = name
	}
}

// TestFingerprintStays: state that was saved holds it, so that it must be the
// same in every version of the program.
func TestFingerprintStays(t *testing.T) {
	if got, want := TaxiTrip().Fingerprint(), uint64(0x1016ee4d7252b1eb); got != want {
		t.Errorf("fingerprint %#x, want %#x", got, want)
	}
}

// FuzzParse checks that no schema file panics, and that the text of one that
// is accepted stands for the same schema.
func FuzzParse(f *testing.F) {
	f.Add(taxiTrip)
	for _, fields := range []string{
		`{"name":"a","type":["null","long"],"default":null}`, `{"name":"a","type":["float","null"],"default":-1.5e-3}`,
		`{"name":"a","type":{"type":"long","logicalType":"timestamp-millis"},"default":1}`, `{"name":"a","type":{"type":"array","items":"int"}}`,
		`{"name":"a","type":"string","default":"\u00fc\ud83d"},{"name":"A","type":"boolean"}`, `{"name":"a","type":{"type":["null","int"]}}`,
		`{"name":"a","type":"bytes","aliases":[1]}`, `{"name":1}`, `null`, `{"name":"a","type":{"type":"E"}}`,
	} {
		f.Add(record1(fields))
	}
	f.Fuzz(func(t *testing.T, avsc []byte) {
		s, err := Parse(avsc)
		if err != nil {
			return
		}
		again, err := Parse([]byte(s.Text()))
		if err != nil {
			t.Fatalf("parse of the text %s: %v", s.Text(), err)
		}
		if !reflect.DeepEqual(again, s) || again.Text() != s.Text() || again.Fingerprint() != s.Fingerprint() {
			t.Errorf("the text %s gives %+v, want %+v", s.Text(), again, s)
		}
	})
}
