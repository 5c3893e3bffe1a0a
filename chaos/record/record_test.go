package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"testing"

	"github.com/streaming-etl/streaming-etl/transforms/decode"
	"github.com/streaming-etl/streaming-etl/transforms/event"
)

func sample(t *testing.T) *Sample {
	t.Helper()
	s, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSequenceCountsTheRecordsOfAKey(t *testing.T) {
	next := make(map[string]int64)
	for n := range int64(20 * hotKeys * coldKeys) {
		key := Key(n)
		if got := Sequence(n); got != next[key] {
			t.Fatalf("record %d has sequence %d of %s, want %d", n, got, key, next[key])
		}
		next[key]++
	}
	if len(next) != hotKeys+coldKeys {
		t.Errorf("there are %d keys", len(next))
	}
}

func TestBadCountsWhatHasAReason(t *testing.T) {
	bad := int64(0)
	for n := range int64(5 * badEvery) {
		if got := Bad(n); got != bad {
			t.Fatalf("%d bad ones among the first %d, want %d", got, n, bad)
		}
		if Reason(n) != "" {
			bad++
		}
	}
	if bad != 5 {
		t.Errorf("%d are bad", bad)
	}
}

func TestLineHoldsTheRow(t *testing.T) {
	s := sample(t)
	for n := range int64(500) {
		if Reason(n) != "" {
			continue
		}
		line := s.Line("kafka", n)
		var got Row
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		if want := s.Row("kafka", n); got != want {
			t.Fatalf("record %d is %+v, want %+v", n, got, want)
		}
		if !Intact(line) {
			t.Fatalf("%s is not intact", line)
		}
	}
}

func TestCouponsAreNullAndZeroAndOther(t *testing.T) {
	seen := make(map[Coupon]int)
	for n := range int64(15) {
		seen[CouponOf(n)]++
	}
	want := map[Coupon]int{{}: 5}
	for number := range int64(5) {
		want[Coupon{number, true}] = 2
	}
	if !maps.Equal(seen, want) {
		t.Errorf("coupons %v, want %v", seen, want)
	}
}

func TestNumberIsReadFromEveryLine(t *testing.T) {
	s := sample(t)
	for n := range int64(8 * badEvery) {
		if got, err := Number(s.Line("kinesis", n)); err != nil || got != n {
			t.Fatalf("number %d, %v, want %d", got, err, n)
		}
	}
}

func TestChangedLinesAreNotIntact(t *testing.T) {
	line := sample(t).Line("kafka", 0)
	for i := range line {
		changed := bytes.Clone(line)
		changed[i] ^= 1
		if Intact(changed) {
			t.Errorf("%s is taken for intact", changed)
		}
	}
}

// TestReasonsAreTheDecoders has the job's own decoder say what it makes of the lines.
func TestReasonsAreTheDecoders(t *testing.T) {
	s := sample(t)
	d := decoder(t)
	seen := make(map[string]bool)
	for n := range int64(8 * badEvery) {
		want := Reason(n)
		if got := reason(d, s.Line("kafka", n)); got != want {
			t.Fatalf("record %d has reason %q, want %q: %s", n, got, want, s.Line("kafka", n))
		}
		seen[want] = true
	}
	if len(seen) != len(spoilers)+1 {
		t.Errorf("reasons %v", seen)
	}
}

func decoder(t *testing.T) *decode.Decoder {
	t.Helper()
	schema, err := event.Parse([]byte(Schema))
	if err != nil {
		t.Fatal(err)
	}
	return decode.New(schema)
}

func reason(d *decode.Decoder, line []byte) string {
	var refused *decode.Error
	err := d.Decode(line, make(event.Row, reflect.TypeFor[Row]().NumField()-1))
	if errors.As(err, &refused) {
		return string(refused.Reason)
	}
	return ""
}
