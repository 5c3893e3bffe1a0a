//go:build unix

package main

import (
	"errors"
	"testing"
)

func TestErrorTellsWhatWasWrongBefore(t *testing.T) {
	var f faults
	last := errors.New("connection refused")
	if err := f.after(last); err != last {
		t.Errorf("error %v without a fault", err)
	}
	f.add("step 1: Elasticsearch does not start")
	f.add("records do not arrive")
	if err := f.after(nil); err != nil {
		t.Errorf("error %v of a run that came to its end", err)
	}
	err := f.after(last)
	if want := "connection refused\nwhat was wrong before that:\nstep 1: Elasticsearch does not start\nrecords do not arrive"; !errors.Is(err, last) || err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}
