package replay

import (
	"strings"
	"testing"
	"time"
)

func TestScanFindsTimeAndKey(t *testing.T) {
	at := time.Date(2018, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		name, line string
		at         time.Time
		key        string // "": a hash
	}{
		{name: "UTC", line: `{"t":"2018-01-02T03:04:05Z","k":"a"}`, at: at, key: "a"},
		{name: "milliseconds", line: `{"t":"2018-01-02T03:04:05.678Z","k":"a"}`, at: at.Add(678 * time.Millisecond), key: "a"},
		{name: "microseconds", line: `{"t":"2018-01-02T03:04:05.678901Z","k":"a"}`, at: at.Add(678901 * time.Microsecond), key: "a"},
		{name: "offset", line: `{"t":"2018-01-02T05:04:05+02:00","k":"a"}`, at: at, key: "a"},
		{name: "no zone", line: `{"t":"2018-01-02T03:04:05.5","k":"a"}`, at: at.Add(500 * time.Millisecond), key: "a"},
		{name: "blank for T", line: `{"t":"2018-01-02 03:04:05","k":"a"}`, at: at, key: "a"},
		{name: "date", line: `{"t":"2018-01-02","k":"a"}`, at: at.Truncate(24 * time.Hour), key: "a"},
		{name: "epoch milliseconds", line: `{"t":1514862245000,"k":"a"}`, at: at, key: "a"},
		{name: "epoch with a point", line: `{"t":1514862245000.5,"k":"a"}`, at: at.Add(500 * time.Microsecond), key: "a"},
		{name: "before 1970", line: `{"t":-1000,"k":"a"}`, at: time.Unix(-1, 0), key: "a"},
		{name: "white space", line: `{ "k" : "a" , "t" : "2018-01-02T03:04:05Z" }`, at: at, key: "a"},
		{name: "key is a number", line: `{"k":4294967296,"t":"2018-01-02T03:04:05Z"}`, at: at, key: "4294967296"},
		{name: "key is a boolean", line: `{"k":true,"t":"2018-01-02T03:04:05Z"}`, at: at, key: "true"},
		{name: "key with escapes", line: `{"k":"a\"\u00e9","t":"2018-01-02T03:04:05Z"}`, at: at, key: `a"é`},
		{name: "key of 256 characters", line: `{"k":"` + strings.Repeat("é", 256) + `","t":"2018-01-02T03:04:05Z"}`, at: at, key: strings.Repeat("é", 256)},
		{name: "key too long", line: `{"k":"` + strings.Repeat("é", 257) + `","t":"2018-01-02T03:04:05Z"}`, at: at},
		{name: "key that is no UTF-8", line: "{\"k\":\"a\xff\",\"t\":\"2018-01-02T03:04:05Z\"}", at: at},
		{name: "no key", line: `{"t":"2018-01-02T03:04:05Z"}`, at: at},
		{name: "empty key", line: `{"k":"","t":"2018-01-02T03:04:05Z"}`, at: at},
		{name: "null key", line: `{"k":null,"t":"2018-01-02T03:04:05Z"}`, at: at},
		{name: "object key", line: `{"k":{"k":"b"},"t":"2018-01-02T03:04:05Z"}`, at: at},
		{name: "fields of the same name further down", line: `{"x":{"t":1,"k":"b"},"k":"a","t":"2018-01-02T03:04:05Z","y":[{"t":2}]}`, at: at, key: "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScanner("t", "k")
			at, key, err := s.scan([]byte(test.line))
			if err != nil {
				t.Fatal(err)
			}
			if got := time.UnixMicro(at); !got.Equal(test.at) {
				t.Errorf("time is %v, want %v", got.UTC(), test.at)
			}
			if test.key != "" && string(key) != test.key {
				t.Errorf("key is %q, want %q", key, test.key)
			}
			if test.key == "" {
				if len(key) != 16 {
					t.Errorf("key is %q, want a hash of 16 digits", key)
				}
				_, again, _ := newScanner("t", "k").scan([]byte(test.line))
				if string(again) != string(key) {
					t.Errorf("the hash is %s, then %s", key, again)
				}
			}
		})
	}
}

func TestScanRefusesWhatHasNoTime(t *testing.T) {
	for _, test := range []struct{ name, line, want string }{
		{"text", `hello`, "not a JSON object"},
		{"array", `[{"t":1}]`, "not a JSON object"},
		{"cut short", `{"t":1,"k":"a"`, "not a JSON object"},
		{"broken behind the time", `{"t":1,"k":}`, "not a JSON object"},
		{"two objects", `{"t":1} {"t":2}`, "more text follows"},
		{"trailing text", `{"t":1}x`, "more text follows"},
		{"no time", `{"k":"a"}`, "has no t"},
		{"null time", `{"t":null}`, "t is not a time: null"},
		{"boolean time", `{"t":true}`, "t is not a time"},
		{"empty time", `{"t":""}`, "t is not a time"},
		{"no such day", `{"t":"2018-02-30T00:00:00Z"}`, "t is not a time"},
		{"number beyond all time", `{"t":1e300}`, "t is not a time"},
		{"number beyond microseconds", `{"t":9223372036854775807}`, "t is not a time"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := newScanner("t", "k").scan([]byte(test.line)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q", err, test.want)
			}
		})
	}
}

// The trips are scanned, kept and sorted by the million.
func TestScanDoesNotAllocate(t *testing.T) {
	s := newScanner("dropoff_datetime", "trip_id")
	trip := []byte(`{"vendor_id":2,"pickup_datetime":"2018-01-01T00:09:41.000Z","dropoff_datetime":"2018-01-01T00:12:08.000Z","fare_amount":4.0,"trip_id":4294967296,"type":"yellow"}`)
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := s.scan(trip); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a line", n)
	}
}

func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		`{"t":"2018-01-02T03:04:05Z","k":"a"}`, `{"t":1514862245000,"k":12}`, `{"t":"","k":"\u0000\""}`, `{"t":1}{`, `{`, `{"k":"\ud800","t":1.5e3}`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		_, key, err := newScanner("t", "k").scan(line)
		if err == nil && (len(key) == 0 || len([]rune(string(key))) > maxKey) {
			t.Errorf("key %q of %q is not one that the stream takes", key, line)
		}
	})
}
