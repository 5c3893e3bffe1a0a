package flink

import (
	"os"
	"testing"
)

// TestMain lets the test program be started again as a worker, which the tests of WorkerMain do.
func TestMain(m *testing.M) {
	if handled, code := WorkerMain(os.Args[1:]); handled {
		os.Exit(code)
	}
	if handled, code := EmitMain(os.Args[1:], buildTestJob); handled {
		os.Exit(code)
	}
	os.Exit(m.Run())
}
