package decode

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// kinds has a field of each type, all required but the last three.
const kinds = `{"type":"record","name":"Kinds","fields":[
	{"name":"i","type":"int"},
	{"name":"l","type":"long"},
	{"name":"f","type":"float"},
	{"name":"d","type":"double"},
	{"name":"b","type":"boolean"},
	{"name":"s","type":"string"},
	{"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},
	{"name":"n","type":["null","int"],"default":null},
	{"name":"u","type":["string","null"],"default":"none"},
	{"name":"p","type":"string","default":""}]}`

// good is a payload of kinds; tests replace one value of it.
const good = `{"i":1,"l":2,"f":0.5,"d":2.5,"b":true,"s":"x","t":"2018-01-01T00:09:41.000Z"}`

func schema(tb testing.TB, avsc string) *event.Schema {
	tb.Helper()
	s, err := event.Parse([]byte(avsc))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// with is good with the value of field replaced.
func with(field, value string) string {
	old := map[string]string{"i": "1", "l": "2", "f": "0.5", "d": "2.5", "b": "true", "s": `"x"`, "t": `"2018-01-01T00:09:41.000Z"`}
	if o, ok := old[field]; ok {
		return strings.Replace(good, `"`+field+`":`+o, `"`+field+`":`+value, 1)
	}
	return strings.TrimSuffix(good, "}") + `,"` + field + `":` + value + "}"
}

func TestDecodeRefuses(t *testing.T) {
	deep := strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)
	tests := []struct {
		name, payload string
		reason        Reason
		field         string
	}{
		// Not one JSON object.
		{"no bytes", "", Empty, ""},
		{"white space", " \t\r\n", Empty, ""},
		{"null", "null", NotAnObject, ""},
		{"a number", "17", NotAnObject, ""},
		{"text in quotes", `"` + strings.Repeat("x", 20) + `"`, NotAnObject, ""},
		{"a list of trips", "[" + good + "]", NotAnObject, ""},
		{"a word", "hello", MalformedJSON, ""},
		{"a CSV line", "1,2018-01-01 00:09:41,2", NotAnObject, ""},
		{"XML", "<trip/>", MalformedJSON, ""},
		{"a zero byte", "\x00", MalformedJSON, ""},
		{"gzip", "\x1f\x8b\x08\x00", MalformedJSON, ""},
		{"byte order mark", "\ufeff" + good, MalformedJSON, ""},
		{"UTF-16", "\xff\xfe{\x00}\x00", InvalidUTF8, ""},
		{"two objects", good + good, TrailingData, ""},
		{"two lines", good + "\n" + good, TrailingData, ""},
		{"a brace too many", good + "}", TrailingData, ""},
		{"a comma behind", good + ",", TrailingData, ""},
		{"a zero byte behind", good + "\x00", TrailingData, ""},
		{"non-breaking space behind", good + "\u00a0", TrailingData, ""},

		// Broken structure.
		{"cut in a name", good[:3], MalformedJSON, ""},
		{"cut behind a name", good[:4], MalformedJSON, ""},
		{"cut behind a colon", good[:5], MalformedJSON, "i"},
		{"cut behind a value", good[:6], MalformedJSON, ""},
		{"cut behind a comma", good[:7], MalformedJSON, ""},
		{"cut in a string", good[:len(good)-6], MalformedJSON, "t"},
		{"no closing brace", good[:len(good)-1], MalformedJSON, ""},
		{"only a brace", "{", MalformedJSON, ""},
		{"comma before the brace", strings.TrimSuffix(good, "}") + ",}", MalformedJSON, ""},
		{"comma first", "{," + good[1:], MalformedJSON, ""},
		{"two commas", strings.Replace(good, ",", ",,", 1), MalformedJSON, ""},
		{"no comma", strings.Replace(good, ",", " ", 1), MalformedJSON, ""},
		{"semicolon", strings.Replace(good, ",", ";", 1), MalformedJSON, ""},
		{"no colon", strings.Replace(good, ":", " ", 1), MalformedJSON, ""},
		{"equals for a colon", strings.Replace(good, ":", "=", 1), MalformedJSON, ""},
		{"two colons", strings.Replace(good, ":", "::", 1), MalformedJSON, "i"},
		{"name without quotes", strings.Replace(good, `"i"`, "i", 1), MalformedJSON, ""},
		{"name in single quotes", strings.Replace(good, `"i"`, "'i'", 1), MalformedJSON, ""},
		{"a comment", "{/* trip */" + good[1:], MalformedJSON, ""},
		{"bracket for the brace", strings.TrimSuffix(good, "}") + "]", MalformedJSON, ""},
		{"value missing", with("i", ""), MalformedJSON, "i"},
		{"control character between", "{\x01" + good[1:], MalformedJSON, ""},
		{"form feed as white space", "{\f" + good[1:], MalformedJSON, ""},

		// Numbers.
		{"int: text", with("i", `"1"`), WrongType, "i"},
		{"int: true", with("i", "true"), WrongType, "i"},
		{"int: list", with("i", "[1]"), WrongType, "i"},
		{"int: object", with("i", `{"v":1}`), WrongType, "i"},
		{"int: null", with("i", "null"), NullValue, "i"},
		{"int: 1.0", with("i", "1.0"), WrongType, "i"},
		{"int: 1.5", with("i", "1.5"), WrongType, "i"},
		{"int: 1e0", with("i", "1e0"), WrongType, "i"},
		{"int: 1E2", with("i", "1E2"), WrongType, "i"},
		{"int: above 32 bits", with("i", "2147483648"), OutOfRange, "i"},
		{"int: below 32 bits", with("i", "-2147483649"), OutOfRange, "i"},
		{"int: above 64 bits", with("i", "99999999999999999999"), OutOfRange, "i"},
		{"int: leading zero", with("i", "01"), MalformedJSON, "i"},
		{"int: two zeros", with("i", "00"), MalformedJSON, "i"},
		{"int: minus and leading zero", with("i", "-01"), MalformedJSON, "i"},
		{"int: plus", with("i", "+1"), MalformedJSON, "i"},
		{"int: minus alone", with("i", "-"), MalformedJSON, "i"},
		{"int: two minuses", with("i", "--1"), MalformedJSON, "i"},
		{"int: hexadecimal", with("i", "0x1"), MalformedJSON, ""},
		{"int: digits and letters", with("i", "1x"), MalformedJSON, ""},
		{"int: underscore", with("i", "1_000"), MalformedJSON, ""},
		{"int: no digits behind the point", with("i", "1."), MalformedJSON, "i"},
		{"int: no digits in the exponent", with("i", "1e"), MalformedJSON, "i"},
		{"int: cut number word", with("i", "nul"), MalformedJSON, "i"},
		{"int: broken list", with("i", "[1"), MalformedJSON, "i"},
		{"long: above 64 bits", with("l", "9223372036854775808"), OutOfRange, "l"},
		{"long: below 64 bits", with("l", "-9223372036854775809"), OutOfRange, "l"},
		{"long: twenty digits", with("l", "18446744073709551617"), OutOfRange, "l"},
		{"long: fraction", with("l", "2.0"), WrongType, "l"},
		{"long: null", with("l", "null"), NullValue, "l"},
		{"double: text", with("d", `"2.5"`), WrongType, "d"},
		{"double: null", with("d", "null"), NullValue, "d"},
		{"double: beyond range", with("d", "1e400"), OutOfRange, "d"},
		{"double: below range", with("d", "-1e400"), OutOfRange, "d"},
		{"double: exponent beyond int", with("d", "1e99999999999999999999"), OutOfRange, "d"},
		{"double: NaN", with("d", "NaN"), MalformedJSON, "d"},
		{"double: Infinity", with("d", "Infinity"), MalformedJSON, "d"},
		{"double: -Infinity", with("d", "-Infinity"), MalformedJSON, "d"},
		{"double: no digits before the point", with("d", ".5"), MalformedJSON, "d"},
		{"double: no digits behind the point", with("d", "2."), MalformedJSON, "d"},
		{"double: no digits between point and exponent", with("d", "2.e3"), MalformedJSON, "d"},
		{"double: no digits in the exponent", with("d", "2.5e+"), MalformedJSON, "d"},
		{"double: leading zero", with("d", "02.5"), MalformedJSON, "d"},
		{"double: two points", with("d", "2.5.1"), MalformedJSON, ""},
		{"double: comma as the point", with("d", "2,5"), MalformedJSON, ""},
		{"float: beyond single precision", with("f", "3.5e38"), OutOfRange, "f"},
		{"float: text", with("f", `"1"`), WrongType, "f"},
		{"float: malformed", with("f", "1."), MalformedJSON, "f"},

		// Booleans.
		{"boolean: number", with("b", "1"), WrongType, "b"},
		{"boolean: text", with("b", `"true"`), WrongType, "b"},
		{"boolean: null", with("b", "null"), NullValue, "b"},
		{"boolean: upper case", with("b", "True"), MalformedJSON, "b"},
		{"boolean: cut", with("b", "tru"), MalformedJSON, "b"},
		{"boolean: longer", with("b", "truex"), MalformedJSON, ""},

		// Strings.
		{"string: number", with("s", "1"), WrongType, "s"},
		{"string: null", with("s", "null"), NullValue, "s"},
		{"string: list", with("s", `["x"]`), WrongType, "s"},
		{"string: single quotes", with("s", "'x'"), MalformedJSON, "s"},
		{"string: raw line feed", with("s", "\"a\nb\""), MalformedJSON, "s"},
		{"string: raw tab far inside", with("s", "\"abcdefghijklmnop\tq\""), MalformedJSON, "s"},
		{"string: raw zero byte", with("s", "\"\x00\""), MalformedJSON, "s"},
		{"string: raw control behind an escape", with("s", "\"\\n\x1f\""), MalformedJSON, "s"},
		{"string: unknown escape", with("s", `"\x41"`), MalformedJSON, "s"},
		{"string: escaped single quote", with("s", `"\'"`), MalformedJSON, "s"},
		{"string: short \\u", with("s", `"\u12"`), MalformedJSON, "s"},
		{"string: \\u with a letter", with("s", `"\u12g4"`), MalformedJSON, "s"},
		{"string: upper-case \\U", with("s", `"\U0041"`), MalformedJSON, "s"},
		{"string: lone high surrogate", with("s", `"\ud83d"`), InvalidUTF8, "s"},
		{"string: lone low surrogate", with("s", `"\ude00"`), InvalidUTF8, "s"},
		{"string: surrogates swapped", with("s", `"\ude00\ud83d"`), InvalidUTF8, "s"},
		{"string: high surrogate and a letter", with("s", `"\ud83dx"`), InvalidUTF8, "s"},
		{"string: high surrogate and another escape", with("s", `"\ud83d\u0041"`), InvalidUTF8, "s"},
		{"string: high surrogate and a cut one", with("s", `"\ud83d\ude"`), InvalidUTF8, "s"},
		{"string: byte 0xff", with("s", "\"a\xffb\""), InvalidUTF8, "s"},
		{"string: Latin-1", with("s", "\"caf\xe9\""), InvalidUTF8, "s"},
		{"string: cut UTF-8", with("s", "\"\xe2\x82\""), InvalidUTF8, "s"},
		{"string: overlong UTF-8", with("s", "\"\xc0\xaf\""), InvalidUTF8, "s"},
		{"string: surrogate in UTF-8", with("s", "\"\xed\xa0\x80\""), InvalidUTF8, "s"},
		{"string: beyond Unicode", with("s", "\"\xf4\x90\x80\x80\""), InvalidUTF8, "s"},
		{"a mistake before invalid UTF-8", strings.Replace(with("s", "\"\xff\""), `"i":1`, `"i":true`, 1), WrongType, "i"},
		{"invalid UTF-8 as a value", with("i", "\xff"), InvalidUTF8, "i"},
		{"invalid UTF-8 behind the object", good + "\xff", InvalidUTF8, ""},
		{"invalid UTF-8 before the object", "\xff" + good, InvalidUTF8, ""},

		// Timestamps.
		{"timestamp: null", with("t", "null"), NullValue, "t"},
		{"timestamp: true", with("t", "true"), WrongType, "t"},
		{"timestamp: number with a fraction", with("t", "1514765381.5"), WrongType, "t"},
		{"timestamp: number above 64 bits", with("t", "99999999999999999999"), OutOfRange, "t"},
		{"timestamp: number beyond year 9999", with("t", "253402300800000"), OutOfRange, "t"},
		{"timestamp: number before year 1", with("t", "-62135596800001"), OutOfRange, "t"},
		{"timestamp: empty", with("t", `""`), InvalidTimestamp, "t"},
		{"timestamp: a word", with("t", `"yesterday"`), InvalidTimestamp, "t"},
		{"timestamp: number in quotes", with("t", `"1514765381000"`), InvalidTimestamp, "t"},
		{"timestamp: date alone", with("t", `"2018-01-01"`), InvalidTimestamp, "t"},
		{"timestamp: no seconds", with("t", `"2018-01-01T00:09Z"`), InvalidTimestamp, "t"},
		{"timestamp: space for T", with("t", `"2018-01-01 00:09:41Z"`), InvalidTimestamp, "t"},
		{"timestamp: lower-case t", with("t", `"2018-01-01t00:09:41Z"`), InvalidTimestamp, "t"},
		{"timestamp: lower-case z", with("t", `"2018-01-01T00:09:41z"`), InvalidTimestamp, "t"},
		{"timestamp: day 30 of February", with("t", `"2018-02-30T00:00:00Z"`), InvalidTimestamp, "t"},
		{"timestamp: day 29 of February in a common year", with("t", `"2018-02-29T00:00:00Z"`), InvalidTimestamp, "t"},
		{"timestamp: day 29 of February in 1900", with("t", `"1900-02-29T00:00:00Z"`), InvalidTimestamp, "t"},
		{"timestamp: day 31 of April", with("t", `"2018-04-31T00:00:00Z"`), InvalidTimestamp, "t"},
		{"timestamp: day 0", with("t", `"2018-01-00T00:00:00Z"`), InvalidTimestamp, "t"},
		{"timestamp: day 32", with("t", `"2018-01-32T00:00:00Z"`), InvalidTimestamp, "t"},
		{"timestamp: month 0", with("t", `"2018-00-01T00:00:00Z"`), InvalidTimestamp, "t"},
		{"timestamp: month 13", with("t", `"2018-13-01T00:00:00Z"`), InvalidTimestamp, "t"},
		{"timestamp: year 0", with("t", `"0000-01-01T00:00:00Z"`), InvalidTimestamp, "t"},
		{"timestamp: hour 24", with("t", `"2018-01-01T24:00:00Z"`), InvalidTimestamp, "t"},
		{"timestamp: minute 60", with("t", `"2018-01-01T00:60:00Z"`), InvalidTimestamp, "t"},
		{"timestamp: leap second", with("t", `"2016-12-31T23:59:60Z"`), InvalidTimestamp, "t"},
		{"timestamp: no digits behind the point", with("t", `"2018-01-01T00:09:41.Z"`), InvalidTimestamp, "t"},
		{"timestamp: ten digits of fraction", with("t", `"2018-01-01T00:09:41.0123456789Z"`), InvalidTimestamp, "t"},
		{"timestamp: letter in the fraction", with("t", `"2018-01-01T00:09:41.0x1Z"`), InvalidTimestamp, "t"},
		{"timestamp: comma before the fraction", with("t", `"2018-01-01T00:09:41,000Z"`), InvalidTimestamp, "t"},
		{"timestamp: offset without a colon", with("t", `"2018-01-01T00:09:41+0100"`), InvalidTimestamp, "t"},
		{"timestamp: offset of hours", with("t", `"2018-01-01T00:09:41+01"`), InvalidTimestamp, "t"},
		{"timestamp: offset of 24 hours", with("t", `"2018-01-01T00:09:41+24:00"`), InvalidTimestamp, "t"},
		{"timestamp: offset of 60 minutes", with("t", `"2018-01-01T00:09:41+01:60"`), InvalidTimestamp, "t"},
		{"timestamp: name of a zone", with("t", `"2018-01-01T00:09:41 CET"`), InvalidTimestamp, "t"},
		{"timestamp: something behind", with("t", `"2018-01-01T00:09:41Z "`), InvalidTimestamp, "t"},
		{"timestamp: before year 1 by the offset", with("t", `"0001-01-01T00:00:00+00:01"`), InvalidTimestamp, "t"},
		{"timestamp: beyond year 9999 by the offset", with("t", `"9999-12-31T23:59:59-00:01"`), InvalidTimestamp, "t"},
		{"timestamp: five digits of year", with("t", `"12018-01-01T00:09:41Z"`), InvalidTimestamp, "t"},
		{"timestamp: letters for digits", with("t", `"2O18-01-01T00:09:41Z"`), InvalidTimestamp, "t"},
		{"timestamp: broken string", with("t", `"2018-01-01T00:09:41\q"`), MalformedJSON, "t"},

		// Fields.
		{"nothing in it", "{}", MissingField, "i"},
		{"first field missing", strings.Replace(good, `"i":1,`, "", 1), MissingField, "i"},
		{"field in the middle missing", strings.Replace(good, `"d":2.5,`, "", 1), MissingField, "d"},
		{"two missing: the first is told", strings.Replace(strings.Replace(good, `"d":2.5,`, "", 1), `"b":true,`, "", 1), MissingField, "d"},
		{"name in upper case", strings.Replace(good, `"i"`, `"I"`, 1), MissingField, "i"},
		{"name with a space", strings.Replace(good, `"i"`, `"i "`, 1), MissingField, "i"},
		{"twice, in a row", strings.Replace(good, `"i":1`, `"i":1,"i":1`, 1), DuplicateField, "i"},
		{"twice, far apart", with("i2", "0")[:len(with("i2", "0"))-1] + `,"i":2}`, DuplicateField, "i"},
		{"twice, once escaped", strings.TrimSuffix(good, "}") + `,"\u0069":2}`, DuplicateField, "i"},
		{"optional field twice", strings.TrimSuffix(good, "}") + `,"p":"","p":""}`, DuplicateField, "p"},
		{"nullable field of a wrong type", with("n", `"1"`), WrongType, "n"},
		{"nullable field cut", with("n", "nulx"), MalformedJSON, "n"},
		{"null for a field with a default", with("p", "null"), NullValue, "p"},

		// Fields that the schema does not have.
		{"unknown: cut word", with("x", "nul"), MalformedJSON, ""},
		{"unknown: leading zero", with("x", "[0, 01]"), MalformedJSON, ""},
		{"unknown: word", with("x", "undefined"), MalformedJSON, ""},
		{"unknown: comma before the bracket", with("x", "[1,]"), MalformedJSON, ""},
		{"unknown: comma before the brace", with("x", `{"a":1,}`), MalformedJSON, ""},
		{"unknown: no name", with("x", `{1:1}`), MalformedJSON, ""},
		{"unknown: no colon", with("x", `{"a" 1}`), MalformedJSON, ""},
		{"unknown: crossed brackets", with("x", `[{"a":1]}`), MalformedJSON, ""},
		{"unknown: raw control character", with("x", "[\"\x02\"]"), MalformedJSON, ""},
		{"unknown: raw control character in a name", with("x", "{\"\x02\":1}"), MalformedJSON, ""},
		{"unknown: invalid escape", with("x", `["\a"]`), MalformedJSON, ""},
		{"unknown: invalid UTF-8", with("x", "[\"\xff\"]"), InvalidUTF8, ""},
		{"unknown: invalid UTF-8 in a name", with("\xff", "1"), InvalidUTF8, ""},
		{"unknown: lone surrogate", with("x", `{"a":"\udfff"}`), InvalidUTF8, ""},
		{"unknown: lone surrogate in a name", with(`\udfff`, "1"), InvalidUTF8, ""},
		{"unknown: too deep", with("x", deep), TooDeep, ""},
		{"unknown: too deep, of objects", with("x", strings.Repeat(`{"a":`, MaxDepth)+"1"+strings.Repeat("}", MaxDepth)), TooDeep, ""},
		{"unknown: deep and cut", with("x", deep[:MaxDepth-1]), MalformedJSON, ""},
		{"a known field too deep", with("i", deep), TooDeep, "i"},
	}
	s := schema(t, kinds)
	d, row := New(s), make(event.Row, len(s.Fields))
	if err := d.Decode([]byte(good), row); err != nil {
		t.Fatalf("the payload that the others are made from: %v", err)
	}
	seen := map[string]string{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if other, taken := seen[tt.payload]; taken {
				t.Fatalf("has the payload of %q", other)
			}
			seen[tt.payload] = tt.name
			err := d.Decode([]byte(tt.payload), row)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%q: error %v, want an *Error", tt.payload, err)
			}
			if e.Reason != tt.reason || e.Field != tt.field {
				t.Errorf("%q: %v, want reason %s and field %q", tt.payload, err, tt.reason, tt.field)
			}
			if e.Offset < 0 || e.Offset > len(tt.payload) {
				t.Errorf("%q: offset %d of %d bytes", tt.payload, e.Offset, len(tt.payload))
			}
			if e.Detail == "" || len(e.Detail) > 120 {
				t.Errorf("%q: detail %q", tt.payload, e.Detail)
			}
			// A payload that is refused leaves no trace in the next.
			if err := d.Decode([]byte(good), row); err != nil {
				t.Errorf("%q spoils the next payload: %v", tt.payload, err)
			}
		})
	}
}

func TestDecodeAccepts(t *testing.T) {
	s := schema(t, kinds)
	null := event.Value{Null: true}
	text := func(s string) event.Value { return event.StringValue([]byte(s)) }
	tests := []struct {
		name, payload, field string
		want                 event.Value
	}{
		{"zero", with("i", "0"), "i", event.IntValue(0)},
		{"minus zero as int", with("i", "-0"), "i", event.IntValue(0)},
		{"largest int", with("i", "2147483647"), "i", event.IntValue(math.MaxInt32)},
		{"smallest int", with("i", "-2147483648"), "i", event.IntValue(math.MinInt32)},
		{"largest long", with("l", "9223372036854775807"), "l", event.IntValue(math.MaxInt64)},
		{"smallest long", with("l", "-9223372036854775808"), "l", event.IntValue(math.MinInt64)},
		{"double without fraction", with("d", "27"), "d", event.FloatValue(27)},
		{"double: minus zero", with("d", "-0"), "d", event.FloatValue(math.Copysign(0, -1))},
		{"double: minus zero with fraction", with("d", "-0.0"), "d", event.FloatValue(math.Copysign(0, -1))},
		{"double: 0.1", with("d", "0.1"), "d", event.FloatValue(0.1)},
		{"double: exponent", with("d", "12.5e-3"), "d", event.FloatValue(0.0125)},
		{"double: upper-case exponent and plus", with("d", "1E+22"), "d", event.FloatValue(1e22)},
		{"double: beyond the fast path", with("d", "9007199254740993"), "d", event.FloatValue(9007199254740992)},
		{"double: many digits", with("d", "0.10000000000000000555111512312578270211815834045410156251"), "d", event.FloatValue(0.1)},
		{"double: largest", with("d", "1.7976931348623157e308"), "d", event.FloatValue(math.MaxFloat64)},
		{"double: smallest", with("d", "4.9406564584124654e-324"), "d", event.FloatValue(math.SmallestNonzeroFloat64)},
		{"double: below the smallest", with("d", "1e-400"), "d", event.FloatValue(0)},
		{"double: zero with a huge exponent", with("d", "0e999999999999"), "d", event.FloatValue(0)},
		{"float is rounded once", with("f", "1.00000017881393432617187499"), "f", event.FloatValue(float64(float32(1.00000011920928955078125)))},
		{"float: 0.1", with("f", "0.1"), "f", event.FloatValue(float64(float32(0.1)))},
		{"false", with("b", "false"), "b", event.IntValue(0)},
		{"true", with("b", "true"), "b", event.IntValue(1)},
		{"empty string", with("s", `""`), "s", text("")},
		{"UTF-8", with("s", `"Zürich 東京 😀"`), "s", text("Zürich 東京 😀")},
		{"all escapes", with("s", `"\"\\\/\b\f\n\r\t\u0041\u00e9\u6771\ud83d\ude00\u0000"`), "s", text("\"\\/\b\f\n\r\tAé東😀\x00")},
		{"upper-case digits of an escape", with("s", `"\u00E9\uD83D\uDE00"`), "s", text("é😀")},
		{"escape at the end of long text", with("s", `"abcdefghijklmnopqrstuvwxyz\n"`), "s", text("abcdefghijklmnopqrstuvwxyz\n")},
		{"text over escapes", with("s", `"\nabcdefghijklmnop\nqrstuvwxyz"`), "s", text("\nabcdefghijklmnop\nqrstuvwxyz")},
		{"noncharacters", with("s", `"\ufffe\uffff"`), "s", text("\ufffe\uffff")},
		{"replacement character", with("s", "\"\ufffd\\ufffd\""), "s", text("\ufffd\ufffd")},
		{"delete is no control character of JSON", with("s", "\"\x7f\u0080\""), "s", text("\x7f\u0080")},
		{"timestamp", with("t", `"2018-01-01T00:09:41.000Z"`), "t", event.IntValue(1514765381000)},
		{"timestamp without fraction", with("t", `"2018-01-01T00:09:41Z"`), "t", event.IntValue(1514765381000)},
		{"timestamp without offset is UTC", with("t", `"2018-01-01T00:09:41"`), "t", event.IntValue(1514765381000)},
		{"timestamp with fraction, without offset", with("t", `"2018-01-01T00:09:41.5"`), "t", event.IntValue(1514765381500)},
		{"one digit of fraction", with("t", `"2018-01-01T00:09:41.5Z"`), "t", event.IntValue(1514765381500)},
		{"nine digits of fraction are cut", with("t", `"2018-01-01T00:09:41.123999999Z"`), "t", event.IntValue(1514765381123)},
		{"before 1970 the fraction counts forward", with("t", `"1969-12-31T23:59:59.999Z"`), "t", event.IntValue(-1)},
		{"offset east", with("t", `"2018-01-01T05:39:41+05:30"`), "t", event.IntValue(1514765381000)},
		{"offset west", with("t", `"2017-12-31T19:09:41.250-05:00"`), "t", event.IntValue(1514765381250)},
		{"offset of minus zero", with("t", `"2018-01-01T00:09:41-00:00"`), "t", event.IntValue(1514765381000)},
		{"leap day", with("t", `"2020-02-29T00:00:00Z"`), "t", event.IntValue(1582934400000)},
		{"leap day of 2000", with("t", `"2000-02-29T00:00:00Z"`), "t", event.IntValue(951782400000)},
		{"first moment", with("t", `"0001-01-01T00:00:00Z"`), "t", event.IntValue(minMillis)},
		{"last moment", with("t", `"9999-12-31T23:59:59.999Z"`), "t", event.IntValue(maxMillis)},
		{"timestamp with escapes", with("t", `"2018\u002d01-01T00:09:41Z"`), "t", event.IntValue(1514765381000)},
		{"milliseconds", with("t", "1514765381000"), "t", event.IntValue(1514765381000)},
		{"milliseconds before 1970", with("t", "-1"), "t", event.IntValue(-1)},
		{"nullable is null", with("n", "null"), "n", null},
		{"nullable has a value", with("n", "5"), "n", event.IntValue(5)},
		{"nullable string is null", with("u", "null"), "u", null},
		{"null by default", good, "n", null},
		{"value by default", good, "u", text("none")},
		{"default is not used for a given value", with("p", `"q"`), "p", text("q")},
		{"white space", " {\n\t\"i\" : 1 , \"l\":\r2,\"f\": 0.5,\"d\":2.5 ,\"b\":true,\"s\":\"x\",\"t\" :1 } \n", "t", event.IntValue(1)},
		{"other order", `{"t":1,"s":"x","b":true,"d":2.5,"f":0.5,"l":2,"i":9}`, "i", event.IntValue(9)},
		{"name with escapes", strings.Replace(good, `"i":1`, `"\u0069":8`, 1), "i", event.IntValue(8)},
		{"unknown fields of all kinds", with("x", `[null,true,false,-0.5e-7,"\u0041\ud83d\ude00",{},[],{"a":{"b":[1 , 2]},"c":""}, 1e999]`), "i", event.IntValue(1)},
		{"unknown field first", `{"":0,` + good[1:], "i", event.IntValue(1)},
		{"unknown field twice", `{"x":0,"x":0,` + good[1:], "i", event.IntValue(1)},
		{"as deep as allowed", with("x", strings.Repeat("[", MaxDepth-1)+strings.Repeat("]", MaxDepth-1)), "i", event.IntValue(1)},
	}
	d, row := New(s), make(event.Row, len(s.Fields))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for i := range row { // what the row held before must not show
				row[i] = event.Value{Bits: 77, Str: []byte("old"), Null: true}
			}
			if err := d.Decode([]byte(tt.payload), row); err != nil {
				t.Fatalf("%q: %v", tt.payload, err)
			}
			i, _ := s.Index(tt.field)
			if !same(row[i], tt.want) {
				t.Errorf("%q: %s is %+v, want %+v", tt.payload, tt.field, row[i], tt.want)
			}
		})
	}
}

// same compares values; a nil and an empty string are the same.
func same(a, b event.Value) bool {
	return a.Bits == b.Bits && a.Null == b.Null && bytes.Equal(a.Str, b.Str)
}

func TestStringsOfARowDoNotOverwriteEachOther(t *testing.T) {
	s := schema(t, `{"type":"record","name":"E","fields":[{"name":"a","type":"string"},{"name":"b","type":"string"},{"name":"c","type":"string"}]}`)
	d, row := New(s), make(event.Row, 3)
	for size := 1; size < 3000; size = size*2 + 1 { // the decoder's memory has to grow on the way
		a, b, c := strings.Repeat("a", size), strings.Repeat("b", size), strings.Repeat("c", size)
		payload := fmt.Sprintf(`{"a":"\n%s","b":"%s\t","\u0063":"%s\r%s"}`, a, b, c, c)
		if err := d.Decode([]byte(payload), row); err != nil {
			t.Fatal(err)
		}
		got := []string{string(row[0].Str), string(row[1].Str), string(row[2].Str)}
		if want := []string{"\n" + a, b + "\t", c + "\r" + c}; !reflect.DeepEqual(got, want) {
			t.Fatalf("size %d: %q, want %q", size, got, want)
		}
		// Appending to one value must not reach the next.
		_ = append(row[0].Str, "zzz"...)
		if string(row[1].Str) != b+"\t" {
			t.Fatalf("size %d: a value has room that belongs to the next", size)
		}
	}
}

func TestSchemasOfMoreThan64Fields(t *testing.T) {
	var fields, values []string
	for i := range 130 {
		fields = append(fields, fmt.Sprintf(`{"name":"f%d","type":"int"}`, i))
		values = append(values, fmt.Sprintf(`"f%d":%d`, i, i))
	}
	s := schema(t, `{"type":"record","name":"E","fields":[`+strings.Join(fields, ",")+"]}")
	d, row := New(s), make(event.Row, len(s.Fields))
	if err := d.Decode([]byte("{"+strings.Join(values, ",")+"}"), row); err != nil {
		t.Fatal(err)
	}
	for i := range row {
		if row[i].Int() != int64(i) {
			t.Errorf("f%d is %d", i, row[i].Int())
		}
	}
	for _, missing := range []int{0, 63, 64, 127, 128, 129} {
		rest := append(append([]string{}, values[:missing]...), values[missing+1:]...)
		err := d.Decode([]byte("{"+strings.Join(rest, ",")+"}"), row)
		var e *Error
		if !errors.As(err, &e) || e.Reason != MissingField || e.Field != fmt.Sprintf("f%d", missing) {
			t.Errorf("without f%d: %v", missing, err)
		}
		err = d.Decode([]byte("{"+strings.Join(append(values, values[missing]), ",")+"}"), row)
		if !errors.As(err, &e) || e.Reason != DuplicateField || e.Field != fmt.Sprintf("f%d", missing) {
			t.Errorf("with f%d twice: %v", missing, err)
		}
	}
}

func TestErrorTellsFieldValueAndOffset(t *testing.T) {
	s := event.TaxiTrip()
	payload := strings.Replace(trips[0], `"passenger_count":1`, `"passenger_count":2147483648`, 1)
	err := New(s).Decode([]byte(payload), make(event.Row, len(s.Fields)))
	want := fmt.Sprintf("decode: out_of_range: field passenger_count: want int, found number 2147483648 at offset %d", strings.Index(payload, "2147483648"))
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestErrorsDoNotRepeatThePayload(t *testing.T) {
	s := schema(t, kinds)
	long := strings.Repeat("ü", 5000)
	for _, payload := range []string{with("t", `"`+long+`"`), with("i", `"`+long+`"`), with("i", strings.Repeat("9", 5000)), with("i", `"`+long)} {
		err := New(s).Decode([]byte(payload), make(event.Row, len(s.Fields)))
		if err == nil || len(err.Error()) > 200 {
			t.Errorf("error %v", err)
		}
	}
}

func TestRowOfAnotherSchemaIsRefused(t *testing.T) {
	err := New(event.TaxiTrip()).Decode([]byte(trips[0]), make(event.Row, 3))
	var e *Error
	if err == nil || errors.As(err, &e) {
		t.Errorf("error %v, want one that is not about the payload", err)
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	s := event.TaxiTrip()
	d, row := New(s), make(event.Row, len(s.Fields))
	escaped := strings.Replace(trips[0], `"yellow"`, `"\u0079ellow","padding":"a\nb"`, 1)
	unknown := strings.Replace(trips[0], `"extra"`, `"x":[1,{"a":"\n"}],"extra"`, 1)
	slow := strings.Replace(trips[0], "8.92", "8.9200000000000001234567890123456789012345", 1)
	for _, payload := range append([]string{escaped, unknown, slow}, trips...) {
		p := []byte(payload)
		n := testing.AllocsPerRun(100, func() {
			if err := d.Decode(p, row); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%v allocations for %s", n, payload)
		}
	}
}
