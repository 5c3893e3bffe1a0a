package main

import (
	"slices"
	"testing"
	"time"
)

func TestSlopeIsOfWhatMoreRecordsCost(t *testing.T) {
	short := endRun{program: ours, sink: toFiles, records: 500_000, took: 8 * time.Second, worker: 3 * time.Second, taskManager: 10 * time.Second, jobManager: 9 * time.Second, servers: time.Second}
	long := endRun{program: ours, sink: toFiles, records: 2_500_000, took: 18 * time.Second, worker: 9 * time.Second, taskManager: 13 * time.Second, jobManager: 10 * time.Second, servers: 2 * time.Second}
	want := []string{ours, "Parquet, exactly once", "200,000", "3.00", "1.50", "0.50", "5.00", "0.50"}
	if got := slope(short, long); !slices.Equal(got, want) {
		t.Errorf("slope %q, want %q", got, want)
	}
}

func TestSlopeOfAPeerIsOfOneProcess(t *testing.T) {
	short := endRun{program: peerName, sink: toTopic, records: 1_000_000, took: 9 * time.Second, taskManager: 8 * time.Second}
	long := endRun{program: peerName, sink: toTopic, records: 2_000_000, took: 8 * time.Second, taskManager: 12 * time.Second}
	want := []string{peerName, "Kafka, exactly once", "-", "", "", "", "4.00", "0.00"}
	if got := slope(short, long); !slices.Equal(got, want) {
		t.Errorf("slope %q, want %q", got, want)
	}
}

func TestRecordsThatDidNotArriveAreAnError(t *testing.T) {
	r := endRun{records: 5}
	if err := r.counted(content{rows: 4}, nil); err == nil {
		t.Error("4 of 5 records are no error")
	}
	if err := r.counted(content{rows: 5}, nil); err != nil {
		t.Errorf("all records have arrived, but: %v", err)
	}
}
