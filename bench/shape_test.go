package main

import (
	"encoding/json"
	"testing"

	"github.com/streaming-etl/streaming-etl/transforms/decode"
	"github.com/streaming-etl/streaming-etl/transforms/event"
)

func TestRecordsAreOfTheirShape(t *testing.T) {
	for _, s := range []shape{{}, {places: 1}, {places: 5000}, {bytes: smallRecord}, {bytes: 2 << 10}, {bytes: 20 << 10, places: 260}} {
		t.Run(s.String(), func(t *testing.T) {
			schema := event.TaxiTrip()
			if s.bytes == smallRecord {
				var err error
				if schema, err = event.Parse([]byte(smallSchema)); err != nil {
					t.Fatal(err)
				}
			}
			decoder, row := decode.New(schema), make(event.Row, len(schema.Fields))
			record, err := s.records()
			if err != nil {
				t.Fatal(err)
			}
			const n = 6000
			places, ids, size := map[int]bool{}, map[int64]bool{}, 0
			for i := range int64(n) {
				line, err := record(i)
				if err != nil {
					t.Fatal(err)
				}
				if err := decoder.Decode(line, row); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				var trip struct {
					ID    int64 `json:"trip_id"`
					Place int   `json:"pickup_location_id"`
				}
				if err := json.Unmarshal(line, &trip); err != nil {
					t.Fatal(err)
				}
				places[trip.Place], ids[trip.ID] = true, true
				size += len(line)
			}
			if len(ids) != n {
				t.Errorf("%d ids of %d records", len(ids), n)
			}
			if s.places > 1 && len(places) != s.places {
				t.Errorf("%d places, want %d", len(places), s.places)
			}
			want := s.bytes
			if want == 0 {
				want = tripBytes
			}
			if mean := size / n; mean < want*85/100 || mean > want*115/100 {
				t.Errorf("a record has %d bytes on average, want about %d", mean, want)
			}
		})
	}
}

func TestNumbered(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{`{"a":1,"trip_id":77,"type":"yellow"}`, `{"a":1,"trip_id":5,"type":"yellow"}`},
		{`{"trip_id":77}`, `{"trip_id":5}`},
	} {
		got, err := numbered([]byte(tt.line), idField, 5)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s with another id is %s, %v, want %s", tt.line, got, err, tt.want)
		}
	}
	for _, line := range []string{`{"id":77}`, `{"trip_id":77`} {
		if got, err := numbered([]byte(line), idField, 5); err == nil {
			t.Errorf("%s with another id is %s, want an error", line, got)
		}
	}
}
