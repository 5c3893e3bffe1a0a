package deadletter_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
)

func letter() deadletter.Letter {
	return deadletter.Letter{
		Reason: "out_of_range", Field: "vendor_id", Detail: "3000000000 is no 32-bit integer", Output: "kafka",
		Source: "trips", Shard: "shardId-000000000001",
		Seq: "49590338271490256608559692538361571095921575989136588898", Sub: 7,
		Arrival: time.Date(2018, 3, 1, 12, 30, 15, 250e6, time.UTC).UnixMilli(),
		Payload: []byte(`{"vendor_id":3000000000}`),
	}
}

func TestLetterText(t *testing.T) {
	l := letter()
	want := `before {"reason":"out_of_range","field":"vendor_id","detail":"3000000000 is no 32-bit integer","output":"kafka",` +
		`"source":"trips","shard":"shardId-000000000001",` +
		`"sequence_number":"49590338271490256608559692538361571095921575989136588898","sub_sequence_number":7,` +
		`"arrival_time":"2018-03-01T12:30:15.250Z","payload":"{\"vendor_id\":3000000000}"}` + "\n"
	if got := string(l.AppendJSON([]byte("before "))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	l.Payload = []byte{0xff, 0x00, 'a'}
	if got := l.AppendJSON(nil); !bytes.HasSuffix(got, []byte(`,"payload_base64":"/wBh"}`+"\n")) {
		t.Errorf("got %s", got)
	}
}

func TestLettersComeBackEqual(t *testing.T) {
	for name, payload := range map[string][]byte{
		"text":               []byte("plain"),
		"nothing":            {},
		"line ends":          []byte("a\nb\r\n"),
		"control characters": []byte("\x00\x01\x1f\x7f"),
		"other scripts":      []byte("日本語 🚕 \u2028"),
		"invalid UTF-8":      {0xc3, 0x28},
		"lone surrogate":     {0xed, 0xa0, 0x80},
		"base64 itself":      []byte("/wBh"),
	} {
		t.Run(name, func(t *testing.T) {
			l := letter()
			l.Payload = payload
			roundTrip(t, l)
		})
	}
}

func TestLetterWithInvalidTextIsStillJSON(t *testing.T) {
	l := letter()
	l.Detail = "unexpected \xff"
	got := roundTripJSON(t, l)
	if got.Detail != "unexpected \ufffd" {
		t.Errorf("detail %q", got.Detail)
	}
}

// roundTripJSON checks the line's form and returns what Parse makes of it.
func roundTripJSON(t *testing.T, l deadletter.Letter) deadletter.Letter {
	t.Helper()
	line := l.AppendJSON(nil)
	if !json.Valid(line) || !utf8.Valid(line) {
		t.Fatalf("no valid JSON: %q", line)
	}
	if n := bytes.Count(line, []byte("\n")); n != 1 || line[len(line)-1] != '\n' {
		t.Fatalf("not one line: %q", line)
	}
	got, err := deadletter.Parse(line)
	if err != nil {
		t.Fatalf("%v: %q", err, line)
	}
	return got
}

func roundTrip(t *testing.T, l deadletter.Letter) {
	t.Helper()
	got := roundTripJSON(t, l)
	if !bytes.Equal(got.Payload, l.Payload) {
		t.Fatalf("payload %q, want %q", got.Payload, l.Payload)
	}
	got.Payload, l.Payload = nil, nil
	if !reflect.DeepEqual(got, l) {
		t.Fatalf("got  %+v\nwant %+v", got, l)
	}
}

func TestParseRefuses(t *testing.T) {
	l := letter()
	good := strings.TrimSuffix(string(l.AppendJSON(nil)), "\n")
	if _, err := deadletter.Parse([]byte(good)); err != nil {
		t.Fatalf("without a line end: %v", err)
	}
	if _, err := deadletter.Parse([]byte(strings.Replace(good, "{", `{"added_later":[{}],`, 1))); err != nil {
		t.Fatalf("with an unknown name: %v", err)
	}
	for name, line := range map[string]string{
		"nothing":                "",
		"invalid UTF-8":          strings.Replace(good, "trips", "tr\xffps", 1),
		"another value":          `["reason"]`,
		"a cut line":             good[:len(good)-1],
		"two letters":            good + "\n" + good,
		"a byte behind":          good + "A",
		"no reason":              strings.Replace(good, `"reason"`, `"other"`, 1),
		"no payload":             strings.Replace(good, `"payload"`, `"other"`, 1),
		"no sequence number":     strings.Replace(good, `"sequence_number"`, `"other"`, 1),
		"a name twice":           strings.Replace(good, `"field"`, `"reason"`, 1),
		"two payloads":           strings.Replace(good, `"field"`, `"payload_base64"`, 1),
		"a number as text":       strings.Replace(good, `"out_of_range"`, "1", 1),
		"a negative sub-number":  strings.Replace(good, `number":7`, `number":-7`, 1),
		"a date without a time":  strings.Replace(good, "T12:30:15.250Z", "", 1),
		"base64 that is cut off": strings.Replace(good, `"payload":"{`, `"payload_base64":"{`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			if l, err := deadletter.Parse([]byte(line)); err == nil {
				t.Errorf("accepted as %+v: %s", l, line)
			}
		})
	}
}

func FuzzRoundTrip(f *testing.F) {
	l := letter()
	f.Add(l.Reason, l.Field, l.Detail, l.Source, l.Shard, l.Seq, l.Sub, l.Arrival, l.Payload)
	f.Add("", "\x00", "\"\\", "\u2028", "<>&", "", uint32(0), int64(0), []byte{0xff})
	f.Fuzz(func(t *testing.T, reason, field, detail, source, shard, seq string, sub uint32, arrival int64, payload []byte) {
		l := deadletter.Letter{
			Reason: strings.ToValidUTF8(reason, "?"), Field: strings.ToValidUTF8(field, "?"),
			Detail: strings.ToValidUTF8(detail, "?"), Source: strings.ToValidUTF8(source, "?"),
			Shard: strings.ToValidUTF8(shard, "?"), Seq: strings.ToValidUTF8(seq, "?"),
			// Years 0 to 9999, as ISO-8601 has them.
			Sub: sub, Arrival: arrival % 62_135_596_800_000, Payload: payload,
		}
		roundTrip(t, l)
	})
}

func FuzzParse(f *testing.F) {
	l := letter()
	f.Add(l.AppendJSON(nil))
	l.Payload = []byte{0xff}
	f.Add(l.AppendJSON(nil))
	f.Fuzz(func(t *testing.T, line []byte) {
		l, err := deadletter.Parse(line)
		if err != nil {
			return
		}
		roundTrip(t, l)
	})
}

func TestAShortLetterHasAsMuchPayloadAsFits(t *testing.T) {
	l := letter()
	l.Payload = bytes.Repeat([]byte("x"), 10_000)
	out := l.AppendShort([]byte("before "), 2000)
	got, err := deadletter.Parse(out[len("before "):])
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.Payload); len(out) > 2000+len("before ") || n < 500 || !bytes.HasPrefix(l.Payload, got.Payload) || !strings.Contains(got.Detail, "of 10000 bytes") || !got.Cut() {
		t.Errorf("%d bytes with a payload of %d, detail %q", len(out), n, got.Detail)
	}
	l.Payload = l.Payload[:10]
	if out := l.AppendShort(nil, 2000); string(out)+"\n" != string(l.AppendJSON(nil)) || l.Cut() {
		t.Errorf("a letter that fits became %s", out)
	}
}

func TestALetterInBase64IsReadBack(t *testing.T) {
	for _, payload := range []string{"2026-01-01", "", `{"a":1}`, "\xff"} {
		l := letter()
		l.Payload = []byte(payload)
		out := l.AppendShortBase64([]byte("before "), 2000)[len("before "):]
		got, err := deadletter.Parse(out)
		if err != nil || string(got.Payload) != payload || !bytes.Contains(out, []byte(`"payload_base64":`)) {
			t.Errorf("%q became %s, error %v", payload, out, err)
		}
		got.Payload, l.Payload = nil, nil
		if !reflect.DeepEqual(got, l) {
			t.Errorf("got %+v, want %+v", got, l)
		}
	}
	l := letter()
	l.Payload = bytes.Repeat([]byte("x"), 10_000)
	out := l.AppendShortBase64(nil, 2000)
	if got, err := deadletter.Parse(out); err != nil || len(out) > 2000 || len(got.Payload) < 500 || !got.Cut() {
		t.Errorf("%d bytes with a payload of %d, error %v", len(out), len(got.Payload), err)
	}
}

// What is said of an event may repeat what is in it, of any length.
func TestAShortLetterFitsWhateverIsSaidOfTheEvent(t *testing.T) {
	for name, change := range map[string]func(*deadletter.Letter){
		"a long detail":      func(l *deadletter.Letter) { l.Detail = strings.Repeat(`"`, 5000) },
		"a long field":       func(l *deadletter.Letter) { l.Field = strings.Repeat("é", 5000) },
		"both":               func(l *deadletter.Letter) { l.Field, l.Detail = strings.Repeat("f", 5000), strings.Repeat("d", 5000) },
		"without an event":   func(l *deadletter.Letter) { l.Detail, l.Payload = strings.Repeat("\x00", 5000), nil },
		"with a large event": func(l *deadletter.Letter) { l.Detail, l.Payload = strings.Repeat("é", 5000), make([]byte, 5000) },
	} {
		t.Run(name, func(t *testing.T) {
			l := letter()
			change(&l)
			const limit = 600
			out := l.AppendShort([]byte("before "), limit)
			got, err := deadletter.Parse(out[len("before "):])
			if err != nil {
				t.Fatal(err)
			}
			if n := len(out) - len("before "); n > limit || n < limit/2 || strings.ContainsRune(got.Detail+got.Field, utf8.RuneError) {
				t.Errorf("%d bytes: %s", n, out)
			}
			if got.Cut() != (len(l.Payload) > 0) || got.Seq != l.Seq || got.Reason != l.Reason {
				t.Errorf("the letter became %s", out)
			}
		})
	}
}

func TestClippedTextEndsWithARune(t *testing.T) {
	l := letter()
	before := l
	l.Clip()
	if !reflect.DeepEqual(l, before) {
		t.Errorf("a short letter became %+v", l)
	}
	l.Field, l.Detail = strings.Repeat("f", 1024), "x"+strings.Repeat("🚕", 1000)
	l.Clip()
	if l.Field != strings.Repeat("f", 1024) || l.Detail != "x"+strings.Repeat("🚕", 255)+"…" {
		t.Errorf("field %q, detail %q", l.Field, l.Detail)
	}
	l.Detail = strings.Repeat("\x80", 5000) // no text at all
	if l.Clip(); len(l.Detail) > 1024 {
		t.Errorf("detail of %d bytes", len(l.Detail))
	}
}
