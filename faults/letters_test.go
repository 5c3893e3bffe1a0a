//go:build linux

package faults

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/transforms/decode"
	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// A letterVerdict compares dead letters with the trips that are poison: each is to be one, once, with its reason.
type letterVerdict struct {
	trips *trips
	sent  int64
	poison
	seen    seen
	reasons map[string]int
	faults
}

// check takes the next dead letter.
func (v *letterVerdict) check(letter []byte) {
	var l struct{ Reason, Payload string }
	if err := json.Unmarshal(letter, &l); err != nil {
		v.fault("%q is no dead letter: %v", letter, err)
		return
	}
	id, err := tripNumber([]byte(l.Payload))
	if err != nil || id < 0 || id >= v.sent || v.kind(id) == wholesome {
		v.fault("dead letter %s was not sent, or is no poison (%v)", letter, err)
		return
	}
	if v.seen.add(id) > 1 {
		v.fault("dead letter %s is there again", letter)
	}
	if l.Payload != string(v.line(v.trips, id)) || l.Reason != v.kind(id) {
		v.fault("dead letter %s, want reason %s and payload\n%s", letter, v.kind(id), v.line(v.trips, id))
	}
	if v.reasons == nil {
		v.reasons = make(map[string]int)
	}
	v.reasons[l.Reason]++
}

// verdict returns all that is wrong when nothing is to come any more.
func (v *letterVerdict) verdict() []string {
	if want := v.poisoned(v.sent); v.seen.delivered != want {
		v.always("%d trips are dead letters, want %d", v.seen.delivered, want)
	}
	return v.told()
}

func (v *letterVerdict) report(t *testing.T) {
	t.Helper()
	for _, told := range v.verdict() {
		t.Error(told)
	}
	t.Logf("dead letters by reason: %v", v.reasons)
}

// TestVerdictOnLetters shows that the comparison of dead letters finds what the other tests are there to find.
func TestVerdictOnLetters(t *testing.T) {
	sample, err := loadTrips()
	if err != nil {
		t.Fatal(err)
	}
	letter := func(reason string, payload []byte) []byte {
		text, err := json.Marshal(map[string]string{"reason": reason, "payload": string(payload)})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	bad := func(id int64) []byte { return letter(badJSON, badRecords.line(sample, id)) }
	for _, test := range []struct {
		name    string
		poison  poison
		letters [][]byte
		want    string
	}{
		{"all there", badRecords, [][]byte{bad(100), bad(0)}, ""},
		{"none, where there is no poison", nil, nil, ""},
		{"one, where there is no poison", nil, [][]byte{bad(0)}, "is no poison"},
		{"lost", badRecords, [][]byte{bad(0)}, "1 trips are dead letters, want 2"},
		{"doubled", badRecords, [][]byte{bad(0), bad(100), bad(100)}, "is there again"},
		{"doubled and lost", badRecords, [][]byte{bad(0), bad(0)}, "1 trips are dead letters, want 2"},
		{"with another reason", badRecords, [][]byte{bad(0), letter("trailing_data", badRecords.line(sample, 100))}, "want reason malformed_json"},
		{"with another payload", badRecords, [][]byte{bad(0), letter(badJSON, sample.line(100))}, "and payload"},
		{"of a wholesome trip", badRecords, [][]byte{bad(0), bad(100), letter(badJSON, sample.line(1))}, "is no poison"},
		{"never sent", badRecords, [][]byte{bad(0), bad(100), bad(200)}, "was not sent"},
		{"no letter", badRecords, [][]byte{bad(0), bad(100), []byte("{")}, "is no dead letter"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := &letterVerdict{trips: sample, sent: 101, poison: test.poison}
			for _, l := range test.letters {
				v.check(l)
			}
			got := strings.Join(v.verdict(), "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("verdict %q, want %q", got, test.want)
			}
		})
	}
}

// TestVerdictOnPoison shows that what is sent as poison can be told apart, its number be read, and that the job's own
// decoder says of it what the comparison expects.
func TestVerdictOnPoison(t *testing.T) {
	sample, err := loadTrips()
	if err != nil {
		t.Fatal(err)
	}
	decoder := decode.New(event.TaxiTrip())
	for _, p := range []poison{nil, badDocuments, badRecords} {
		poisoned := int64(0)
		for id := range int64(3 * poisonPeriod) {
			if got := p.poisoned(id); got != poisoned {
				t.Fatalf("%v: %d trips below %d are poison, want %d", p, got, id, poisoned)
			}
			line := p.line(sample, id)
			if number, err := tripNumber(line); err != nil || number != id {
				t.Fatalf("%v: trip %d has number %d (%v)", p, id, number, err)
			}
			kind := p.kind(id)
			if kind != wholesome {
				poisoned++
			}
			if changed := string(line) != string(sample.line(id)); changed != (kind != wholesome) || json.Valid(line) != (kind != badJSON) {
				t.Fatalf("%v: trip %d of kind %q is %s", p, id, kind, line)
			}
			var refused *decode.Error
			err := decoder.Decode(line, make(event.Row, tripColumns))
			if errors.As(err, &refused) != (kind == badJSON) || refused != nil && string(refused.Reason) != kind {
				t.Fatalf("%v: trip %d of kind %q is decoded with error %v", p, id, kind, err)
			}
		}
		if poisoned != 3*int64(len(p)) {
			t.Errorf("%v: %d of %d trips are poison", p, poisoned, 3*poisonPeriod)
		}
	}
}
