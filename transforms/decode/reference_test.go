package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// reference decodes by the package's rules with encoding/json, time and
// strconv only: slow, and built in another way than the decoder.
func reference(s *event.Schema, payload []byte) (event.Row, error) {
	if !utf8.Valid(payload) {
		return nil, errors.New("not UTF-8")
	}
	if !json.Valid(payload) {
		return nil, errors.New("not one JSON value")
	}
	if err := noLoneSurrogates(payload); err != nil {
		return nil, err
	}
	if err := notTooDeep(payload); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	if first, err := dec.Token(); err != nil || first != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	row, have := make(event.Row, len(s.Fields)), map[string]bool{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value any
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		i, known := s.Index(name.(string))
		if !known {
			continue
		}
		if have[name.(string)] {
			return nil, fmt.Errorf("%s twice", name)
		}
		have[name.(string)] = true
		if row[i], err = referenceValue(&s.Fields[i], value); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for i, f := range s.Fields {
		switch {
		case have[f.Name]:
		case f.HasDefault:
			row[i] = f.Default
		default:
			return nil, fmt.Errorf("%s missing", f.Name)
		}
	}
	return row, nil
}

func referenceValue(f *event.Field, value any) (event.Value, error) {
	wrong := fmt.Errorf("%v is no %s", value, f.Type)
	switch v := value.(type) {
	case nil:
		if f.Nullable {
			return event.Value{Null: true}, nil
		}
	case bool:
		if f.Type == event.Boolean && v {
			return event.IntValue(1), nil
		} else if f.Type == event.Boolean {
			return event.IntValue(0), nil
		}
	case string:
		switch f.Type {
		case event.String:
			return event.StringValue([]byte(v)), nil
		case event.TimestampMillis:
			ms, err := referenceTime(v)
			return event.IntValue(ms), err
		}
	case json.Number:
		switch f.Type {
		case event.Int:
			i, err := strconv.ParseInt(v.String(), 10, 32)
			return event.IntValue(i), err
		case event.Long:
			i, err := strconv.ParseInt(v.String(), 10, 64)
			return event.IntValue(i), err
		case event.TimestampMillis:
			i, err := strconv.ParseInt(v.String(), 10, 64)
			if year := time.UnixMilli(i).UTC().Year(); err == nil && (year < 1 || year > 9999) {
				err = wrong
			}
			return event.IntValue(i), err
		case event.Float:
			x, err := strconv.ParseFloat(v.String(), 32)
			return event.FloatValue(x), err
		case event.Double:
			x, err := strconv.ParseFloat(v.String(), 64)
			return event.FloatValue(x), err
		}
	}
	return event.Value{}, wrong
}

var timestampShape = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?$`)

// referenceTime leaves the calendar to package time, which is laxer in the form.
func referenceTime(s string) (int64, error) {
	wrong := fmt.Errorf("%q is no timestamp", s)
	m := timestampShape.FindStringSubmatch(s)
	if m == nil {
		return 0, wrong
	}
	zone := m[3]
	if zone == "" {
		zone = "Z"
	}
	if zone != "Z" && zone[1:] > "23:59" { // the package takes an offset of 24 hours
		return 0, wrong
	}
	t, err := time.Parse("2006-01-02T15:04:05Z07:00", m[1]+zone)
	if err != nil {
		return 0, err
	}
	ms, err := strconv.ParseInt((m[2] + "000")[:3], 10, 64)
	if err != nil {
		return 0, err
	}
	ms += t.UnixMilli()
	if year := time.UnixMilli(ms).UTC().Year(); m[1][:4] == "0000" || year < 1 || year > 9999 {
		return 0, wrong
	}
	return ms, nil
}

// noLoneSurrogates looks at the escapes of a valid JSON text: a backslash is
// found in strings only.
func noLoneSurrogates(p []byte) error {
	unit := func(i int) rune {
		if i+6 > len(p) || p[i] != '\\' || p[i+1] != 'u' {
			return -1
		}
		u, err := strconv.ParseUint(string(p[i+2:i+6]), 16, 16)
		if err != nil {
			return -1
		}
		return rune(u)
	}
	for i := 0; i < len(p); i++ {
		if p[i] != '\\' {
			continue
		}
		if u := unit(i); u >= 0 && utf16.IsSurrogate(u) {
			if utf16.DecodeRune(u, unit(i+6)) == utf8.RuneError {
				return errors.New("lone surrogate")
			}
			i += 10
		}
		i++
	}
	return nil
}

func notTooDeep(p []byte) error {
	dec := json.NewDecoder(bytes.NewReader(p))
	dec.UseNumber()
	for depth := 0; ; {
		token, err := dec.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > MaxDepth {
				return errors.New("too deep")
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// compare decodes payload by both ways and tells where they differ.
func compare(s *event.Schema, d *Decoder, row event.Row, payload []byte) error {
	want, wantErr := reference(s, payload)
	before := string(payload)
	err := d.Decode(payload, row)
	if before != string(payload) {
		return errors.New("the payload was changed")
	}
	if (err == nil) != (wantErr == nil) {
		return fmt.Errorf("error %v, the reference has %v", err, wantErr)
	}
	if err != nil {
		var e *Error
		if !errors.As(err, &e) || e.Reason == "" || e.Detail == "" || len(e.Detail) > 200 || e.Offset < 0 || e.Offset > len(payload) {
			return fmt.Errorf("error %#v", err)
		}
		return nil
	}
	for i := range row {
		if !same(row[i], want[i]) {
			return fmt.Errorf("%s is %+v, the reference has %+v", s.Fields[i].Name, row[i], want[i])
		}
	}
	return nil
}

// trip is a trip as encoding/json reads it.
type trip struct {
	VendorID             int32   `json:"vendor_id"`
	PickupDatetime       string  `json:"pickup_datetime"`
	DropoffDatetime      string  `json:"dropoff_datetime"`
	PassengerCount       int32   `json:"passenger_count"`
	TripDistance         float64 `json:"trip_distance"`
	RatecodeID           int32   `json:"ratecode_id"`
	StoreAndFwdFlag      string  `json:"store_and_fwd_flag"`
	PickupLocationID     int32   `json:"pickup_location_id"`
	DropoffLocationID    int32   `json:"dropoff_location_id"`
	PaymentType          int32   `json:"payment_type"`
	FareAmount           float64 `json:"fare_amount"`
	Extra                float64 `json:"extra"`
	MtaTax               float64 `json:"mta_tax"`
	TipAmount            float64 `json:"tip_amount"`
	TollsAmount          float64 `json:"tolls_amount"`
	ImprovementSurcharge float64 `json:"improvement_surcharge"`
	TotalAmount          float64 `json:"total_amount"`
	TripID               int64   `json:"trip_id"`
	Type                 string  `json:"type"`
	Padding              string  `json:"padding"`
}

func (x *trip) row() (event.Row, error) {
	pickup, err1 := referenceTime(x.PickupDatetime)
	dropoff, err2 := referenceTime(x.DropoffDatetime)
	integer := func(i int32) event.Value { return event.IntValue(int64(i)) }
	text := func(s string) event.Value { return event.StringValue([]byte(s)) }
	return event.Row{
		integer(x.VendorID), event.IntValue(pickup), event.IntValue(dropoff), integer(x.PassengerCount),
		event.FloatValue(x.TripDistance), integer(x.RatecodeID), text(x.StoreAndFwdFlag),
		integer(x.PickupLocationID), integer(x.DropoffLocationID), integer(x.PaymentType),
		event.FloatValue(x.FareAmount), event.FloatValue(x.Extra), event.FloatValue(x.MtaTax), event.FloatValue(x.TipAmount),
		event.FloatValue(x.TollsAmount), event.FloatValue(x.ImprovementSurcharge), event.FloatValue(x.TotalAmount),
		event.IntValue(x.TripID), text(x.Type), text(x.Padding),
	}, errors.Join(err1, err2)
}

func TestTripsAreDecodedAsEncodingJSONDoes(t *testing.T) {
	s := event.TaxiTrip()
	d, row := New(s), make(event.Row, len(s.Fields))
	all := sample(t)
	for _, payload := range all {
		var x trip
		if err := json.Unmarshal(payload, &x); err != nil {
			t.Fatalf("%s is no trip: %v", payload, err)
		}
		want, err := x.row()
		if err != nil {
			t.Fatalf("%s is no trip: %v", payload, err)
		}
		if err := d.Decode(payload, row); err != nil {
			t.Fatalf("%s: %v", payload, err)
		}
		for i := range row {
			if !same(row[i], want[i]) {
				t.Fatalf("%s: %s is %+v, want %+v", payload, s.Fields[i].Name, row[i], want[i])
			}
		}
	}
	t.Logf("%d trips", len(all))
}

// TestTripsCutAndBentAreDecodedAsEncodingJSONDoes cuts a trip at each byte and
// puts each of some bytes in place of each of its bytes.
func TestTripsCutAndBentAreDecodedAsEncodingJSONDoes(t *testing.T) {
	s := event.TaxiTrip()
	d, row := New(s), make(event.Row, len(s.Fields))
	whole := trips[2]
	for i := range len(whole) {
		if err := compare(s, d, row, []byte(whole[:i])); err != nil {
			t.Errorf("cut at %d: %v", i, err)
		}
		for _, c := range []byte("\x00 \"\\/0-+.,:eE{}[]azZT9\x7f\xff\n") {
			bent := []byte(whole)
			bent[i] = c
			if err := compare(s, d, row, bent); err != nil {
				t.Errorf("%s: %v", bent, err)
			}
		}
	}
}

// FuzzDecode holds the decoder against the reference, with the schema of all
// kinds of fields and with the taxi trip's.
func FuzzDecode(f *testing.F) {
	for _, trip := range trips {
		f.Add([]byte(trip))
	}
	for _, seed := range []string{
		good, "", "{}", "[]", "null", good + " ", good + "x",
		with("s", `"\"\\\/\b\f\n\r\t\u0041\ud83d\ude00"`), with("s", `"\ud83d"`), with("s", "\"\xff\""),
		with("d", "-1.5e-10"), with("d", "1e400"), with("d", "123456789012345678901234567890"), with("f", "3.4e38"),
		with("i", "2147483648"), with("i", "-0"), with("i", "01"), with("l", "9223372036854775808"),
		with("t", "1514765381000"), with("t", `"2018-02-30T00:00:00Z"`), with("t", `"2018-01-01T05:39:41.123456789+05:30"`), with("t", `"2018-01-01T00:09:41"`),
		with("n", "null"), with("u", "null"), with("p", "null"), with("b", "null"),
		with("x", `[null,true,{"a":[-0.5e7,"\u0041"]},{}]`), with(`\u0078`, "{}"), with("i", `{"a":[]}`),
		strings.Replace(good, `"i":1`, `"\u0069":1`, 1), strings.Replace(good, `"i":1`, `"i":1,"i":1`, 1),
	} {
		f.Add([]byte(seed))
	}
	type target struct {
		s   *event.Schema
		d   *Decoder
		row event.Row
	}
	var targets []target
	for _, s := range []*event.Schema{schema(f, kinds), event.TaxiTrip()} {
		targets = append(targets, target{s, New(s), make(event.Row, len(s.Fields))})
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, x := range targets {
			if err := compare(x.s, x.d, x.row, payload); err != nil {
				t.Errorf("%s: %q: %v", x.s.Name, payload, err)
			}
		}
	})
}
