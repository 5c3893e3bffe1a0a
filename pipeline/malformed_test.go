package pipeline

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// malformation makes a good line bad, and says how it is to be refused.
type malformation struct {
	name   string
	make   func(line string) []byte
	reason string
	field  string
}

// set returns a function that replaces the field's value.
func set(field, value string) func(string) []byte {
	return func(line string) []byte {
		before, rest, _ := strings.Cut(line, `"`+field+`":`)
		end := strings.IndexAny(rest, ",}")
		return []byte(before + `"` + field + `":` + value + rest[end:])
	}
}

func fixed(text string) func(string) []byte { return func(string) []byte { return []byte(text) } }

// open returns the line without its closing brace.
func opened(line string) string { return strings.TrimSuffix(line, "}") }

var malformations = []malformation{
	{"white space", fixed(" \t\n"), "empty", ""},
	{"no event, but null", fixed("null"), "not_an_object", ""},
	{"a list", func(l string) []byte { return []byte("[" + l + "]") }, "not_an_object", ""},
	{"CSV", fixed("1,2018-01-01 00:21:05,2"), "not_an_object", ""},
	{"a word", fixed("hello"), "malformed_json", ""},
	{"XML", fixed("<trip/>"), "malformed_json", ""},
	{"gzip", fixed("\x1f\x8b\x08\x00\x01"), "malformed_json", ""},
	{"an aggregate's magic alone", fixed("\xf3\x89\x9a\xc2 not aggregated"), "invalid_utf8", ""},
	{"no closing brace", func(l string) []byte { return []byte(opened(l)) }, "malformed_json", ""},
	{"single quotes", func(l string) []byte { return []byte(strings.ReplaceAll(l, `"`, `'`)) }, "malformed_json", ""},
	{"a comma too many", func(l string) []byte { return []byte(opened(l) + ",}") }, "malformed_json", ""},
	{"two events", func(l string) []byte { return []byte(l + l) }, "trailing_data", ""},
	{"a byte behind", func(l string) []byte { return []byte(l + ";") }, "trailing_data", ""},
	{"Latin-1", set("store_and_fwd_flag", "\"\xe4\""), "invalid_utf8", "store_and_fwd_flag"},
	{"half a surrogate pair", set("store_and_fwd_flag", `"\ud800"`), "invalid_utf8", "store_and_fwd_flag"},
	{"a raw line end in text", set("type", "\"yel\nlow\""), "malformed_json", "type"},
	{"nested for ever", func(l string) []byte {
		return []byte(opened(l) + `,"x":` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + "}")
	}, "too_deep", ""},
	{"text for an int", set("vendor_id", `"2"`), "wrong_type", "vendor_id"},
	{"text for a double", set("fare_amount", `"12.5"`), "wrong_type", "fare_amount"},
	{"a number for text", set("type", "1"), "wrong_type", "type"},
	{"a boolean for an int", set("payment_type", "true"), "wrong_type", "payment_type"},
	{"an object for a double", set("tip_amount", `{"usd":1}`), "wrong_type", "tip_amount"},
	{"a fraction in an int", set("passenger_count", "1.5"), "wrong_type", "passenger_count"},
	{"an int of 33 bits", set("ratecode_id", "2147483648"), "out_of_range", "ratecode_id"},
	{"a long of 65 bits", set("trip_id", "9223372036854775808"), "out_of_range", "trip_id"},
	{"a double too large", set("total_amount", "1e400"), "out_of_range", "total_amount"},
	{"no time", set("pickup_datetime", `"yesterday"`), "invalid_timestamp", "pickup_datetime"},
	{"the 30th of February", set("dropoff_datetime", `"2018-02-30T00:00:00.000Z"`), "invalid_timestamp", "dropoff_datetime"},
	{"null for a required field", set("trip_distance", "null"), "null_value", "trip_distance"},
	{"an empty object", fixed("{}"), "missing_field", "vendor_id"},
	{"another event", fixed(`{"vendor_id":1,"clicks":3}`), "missing_field", "pickup_datetime"},
	{"a field twice", func(l string) []byte { return []byte(opened(l) + `,"extra":0.5}`) }, "duplicate_field", "extra"},
	{"a place that has no folder", set("pickup_location_id", "-1"), "value_out_of_range", "pickup_location_id"},
}

// refused is a record that must become a dead letter.
type refused struct {
	place
	sub            uint32
	payload        []byte
	reason, field  string
	name           string
	earliest, last time.Time
}

// position is what tells records apart.
type position struct {
	shard, seq string
	sub        uint32
}

// letterLine is a dead letter's line as its documentation has it.
type letterLine struct {
	Reason            string  `json:"reason"`
	Field             string  `json:"field"`
	Detail            string  `json:"detail"`
	Output            string  `json:"output"`
	Source            string  `json:"source"`
	Shard             string  `json:"shard"`
	SequenceNumber    string  `json:"sequence_number"`
	SubSequenceNumber uint32  `json:"sub_sequence_number"`
	ArrivalTime       string  `json:"arrival_time"`
	Payload           *string `json:"payload"`
	PayloadBase64     *string `json:"payload_base64"`
}

// deadLetters checks that each refused record is in exactly one line of the
// objects, as it came and with all that is known of it, and nothing else is.
func deadLetters(t testing.TB, objects []object, want []refused) {
	t.Helper()
	missing := make(map[position]refused, len(want))
	for _, r := range want {
		missing[position{r.shard, r.seq, r.sub}] = r
	}
	if len(missing) != len(want) {
		t.Fatalf("%d places of %d refused records", len(missing), len(want))
	}
	for _, o := range objects {
		_, reason, _ := strings.Cut(o.key, "/reason=")
		reason, _, _ = strings.Cut(reason, "/")
		lines := linesOf(o.body)
		if got := o.metadata["rows"]; got != strconv.Itoa(len(lines)) || len(lines) == 0 {
			t.Errorf("%s has %d lines, its metadata say %q", o.key, len(lines), got)
		}
		if !strings.HasSuffix(o.key, ".jsonl") {
			t.Errorf("%s does not end in .jsonl", o.key)
		}
		for _, line := range lines {
			d := json.NewDecoder(bytes.NewReader(line))
			d.DisallowUnknownFields()
			var l letterLine
			if err := d.Decode(&l); err != nil {
				t.Errorf("%s: %s: %v", o.key, line, err)
				continue
			}
			at := position{l.Shard, l.SequenceNumber, l.SubSequenceNumber}
			r, ok := missing[at]
			if !ok {
				t.Errorf("%s: %s was not sent, or is there again", o.key, line)
				continue
			}
			delete(missing, at)
			if l.Reason != r.reason || l.Field != r.field || reason != r.reason {
				t.Errorf("%s: refused as %s of field %q under reason=%s, want %s of %q: %s", r.name, l.Reason, l.Field, reason, r.reason, r.field, l.Detail)
			}
			if l.Source != testStream {
				t.Errorf("%s: source %q", r.name, l.Source)
			}
			arrival, err := time.Parse("2006-01-02T15:04:05.000Z", l.ArrivalTime)
			if err != nil || arrival.Before(r.earliest.Truncate(time.Millisecond)) || arrival.After(r.last) {
				t.Errorf("%s: arrived at %q, want between %s and %s", r.name, l.ArrivalTime, r.earliest, r.last)
			}
			var payload []byte
			switch {
			case l.Payload != nil && l.PayloadBase64 == nil && utf8.Valid(r.payload):
				payload = []byte(*l.Payload)
			case l.Payload == nil && l.PayloadBase64 != nil && !utf8.Valid(r.payload):
				if payload, err = base64.StdEncoding.DecodeString(*l.PayloadBase64); err != nil {
					t.Errorf("%s: %v", r.name, err)
				}
			default:
				t.Errorf("%s: payload as text or base64, of the two the wrong: %s", r.name, line)
				continue
			}
			if !bytes.Equal(payload, r.payload) {
				t.Errorf("%s: payload is %q, was %q", r.name, payload, r.payload)
			}
		}
	}
	for _, r := range missing {
		t.Errorf("%s: %q at %s is no dead letter", r.name, r.payload, r.seq)
	}
}
