package main

import (
	"encoding/xml"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSlopeIsOfWhatMoreRecordsCost(t *testing.T) {
	short := endRun{program: ours, work: work{sink: toFiles}, records: 500_000, took: 8 * time.Second, worker: 3 * time.Second, taskManager: 10 * time.Second, jobManager: 9 * time.Second, servers: time.Second}
	long := endRun{program: ours, work: work{sink: toFiles}, records: 2_500_000, took: 18 * time.Second, worker: 9 * time.Second, taskManager: 13 * time.Second, jobManager: 10 * time.Second, servers: 2 * time.Second}
	want := []string{ours, "Parquet, exactly once", "0", "200,000", "3.00", "1.50", "0.50", "5.00", "5.00 to 5.00", "0.50"}
	if got := slopes([]endRun{short, long}); len(got) != 1 || !slices.Equal(got[0].row(), want) {
		t.Errorf("slopes %+v, want %q", got, want)
	}
}

func TestSlopeOfAPeerIsOfOneProcess(t *testing.T) {
	short := endRun{program: peerName, work: work{sink: toTopic}, records: 1_000_000, took: 9 * time.Second, taskManager: 8 * time.Second}
	long := endRun{program: peerName, work: work{sink: toTopic}, records: 2_000_000, took: 8 * time.Second, taskManager: 12 * time.Second}
	want := []string{peerName, "Kafka, exactly once", "0", "-", "", "", "", "4.00", "4.00 to 4.00", "0.00"}
	if got := slopes([]endRun{short, long}); len(got) != 1 || !slices.Equal(got[0].row(), want) {
		t.Errorf("slopes %+v, want %q", got, want)
	}
}

func TestOfSeveralPairsTheMiddleOneIsShown(t *testing.T) {
	var runs []endRun
	for _, cpu := range []time.Duration{1, 2, 3} {
		runs = append(runs, endRun{program: ours, work: work{sink: toFiles, parallelism: 2}, records: 1_000_000, took: time.Second, worker: cpu * time.Second})
		runs = append(runs, endRun{program: peerName, work: work{sink: toFiles, parallelism: 2}, records: 1_000_000, took: time.Second, taskManager: time.Second})
	}
	for _, cpu := range []time.Duration{10, 5, 4} {
		runs = append(runs, endRun{program: ours, work: work{sink: toFiles, parallelism: 2}, records: 2_000_000, took: 3 * time.Second, worker: cpu * time.Second})
		runs = append(runs, endRun{program: peerName, work: work{sink: toFiles, parallelism: 2}, records: 2_000_000, took: 2 * time.Second, taskManager: 11 * time.Second})
	}
	got := slopes(runs)
	if len(got) != 2 {
		t.Fatalf("%d slopes of two programs", len(got))
	}
	for i, want := range [][]string{
		{ours, "Parquet, exactly once", "2", "500,000", "3.00", "0.00", "0.00", "3.00", "1.00 to 9.00", "0.00"},
		{peerName, "Parquet, exactly once", "2", "1,000,000", "", "", "", "10.00", "10.00 to 10.00", "0.00"},
	} {
		if !slices.Equal(got[i].row(), want) {
			t.Errorf("slope %q, want %q", got[i].row(), want)
		}
	}
	svg := picture(got)
	if err := xml.Unmarshal([]byte(svg), new(any)); err != nil {
		t.Errorf("the picture is no XML: %v\n%s", err, svg)
	}
	for _, part := range []string{">3.0<", ">10.0<", colourPeer} {
		if !strings.Contains(svg, part) {
			t.Errorf("the picture has no %q:\n%s", part, svg)
		}
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

func TestATripTellsWhenItWasSent(t *testing.T) {
	before := time.Now().Truncate(time.Millisecond)
	line, err := now([]byte(`{"trip_id":1,"pickup_datetime":"2018-01-01T00:00:00.000Z","type":"yellow"}`))
	if err != nil {
		t.Fatal(err)
	}
	sent, err := sentAt(line)
	if err != nil || sent.Before(before) || sent.After(time.Now()) {
		t.Errorf("sent at %v, %v, not between %v and now", sent, err, before)
	}
	if sent, err := sentAt([]byte(`{"pickup_datetime":"2018`)); err == nil {
		t.Errorf("a line that is cut short was sent at %v", sent)
	}
}

func TestSlopesAreBetweenNeighbours(t *testing.T) {
	var runs []endRun
	for _, n := range []int64{1_000_000, 100_000, 10_000_000} {
		runs = append(runs, endRun{program: ours, records: n, worker: time.Duration(n) * 3 * time.Microsecond})
	}
	got := slopes(runs)
	if len(got) != 2 || got[0].records != 1_000_000 || got[0].short.records != 100_000 || got[1].short.records != 1_000_000 {
		t.Fatalf("%+v", got)
	}
	for _, s := range got {
		if cost := s.per(endRun.cpu); cost < 2.99 || cost > 3.01 {
			t.Errorf("from %d to %d records %v CPU seconds per million, want 3", s.short.records, s.records, cost)
		}
	}
}

func TestGrowthIsTheSlopeOfALine(t *testing.T) {
	if got := growth([]float64{100, 102, 104, 106}); got < 1.99 || got > 2.01 {
		t.Errorf("growth %v of a line that grows by 2", got)
	}
	if got := growth([]float64{100}); got != 0 {
		t.Errorf("growth %v of one value", got)
	}
}
