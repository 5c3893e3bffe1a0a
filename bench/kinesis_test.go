package main

import (
	"encoding/json"
	"testing"
	"time"
)

func TestNowReplacesThePickupOfEverySampleTripAndNothingElse(t *testing.T) {
	lines, err := sampleTrips()
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) != 20_000 {
		t.Fatalf("%d trips", len(lines))
	}
	const name = "pickup_datetime"
	from := time.Now().Truncate(time.Millisecond)
	for _, line := range lines {
		stamped, err := now(line)
		if err != nil {
			t.Fatal(err)
		}
		var was, is map[string]any
		if err := json.Unmarshal(line, &was); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(stamped, &is); err != nil {
			t.Fatalf("%s: %v", stamped, err)
		}
		at, err := time.Parse(time.RFC3339Nano, is[name].(string))
		if err != nil || at.Before(from) || at.After(time.Now()) {
			t.Fatalf("pickup %v, error %v, want between %v and now", at, err, from)
		}
		if len(is) != len(was) {
			t.Fatalf("%s has other fields than %s", stamped, line)
		}
		for field, value := range was {
			if field != name && is[field] != value {
				t.Fatalf("%s is %v, was %v", field, is[field], value)
			}
		}
	}
}

func TestNowRefusesALineWithoutPickup(t *testing.T) {
	if line, err := now([]byte(`{"trip_id":1}`)); err == nil {
		t.Errorf("got %s", line)
	}
}
