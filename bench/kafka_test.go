package main

import "testing"

func TestNumbered(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{`{"a":1,"trip_id":77,"type":"yellow"}`, `{"a":1,"trip_id":5,"type":"yellow"}`},
		{`{"trip_id":77}`, `{"trip_id":5}`},
	} {
		got, err := numbered([]byte(tt.line), 5)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s with another id is %s, %v, want %s", tt.line, got, err, tt.want)
		}
	}
	for _, line := range []string{`{"id":77}`, `{"trip_id":77`} {
		if got, err := numbered([]byte(line), 5); err == nil {
			t.Errorf("%s with another id is %s, want an error", line, got)
		}
	}
}
