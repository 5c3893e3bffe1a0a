package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/chaos/check"
	"github.com/streaming-etl/streaming-etl/chaos/history"
)

// events are those of a small run, with a damage that recovered and one that did not.
func events() []history.Event {
	begin := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }
	all := []history.Event{{Time: begin, Kind: history.Started, Start: &history.Start{Seed: 9, Kills: 2, Rate: 300, Jobs: []string{"kafka"}, Sinks: []string{"s3"}}}}
	for s := 1; s < 60; s++ {
		all = append(all, history.Event{Time: at(s), Kind: history.Progress, Sent: map[string]int64{"kafka": int64(300 * s)},
			Reached: map[string]history.Reach{"kafka/s3": {Front: int64(290 * s), Seen: int64(290 * s)}}})
	}
	return append(all,
		history.Event{Time: at(5), Kind: history.Checkpoint, Job: "kafka", Snapshot: &history.Snapshot{ID: 1, Triggered: at(4), Millis: 120, Bytes: 5000}},
		history.Event{Time: at(10), Kind: history.Damaged, Step: 1, Damage: &history.Damage{ID: 1, Kind: "kill-broker", What: "kill -9 of broker 2"}},
		history.Event{Time: at(12), Kind: history.Restart, Job: "kafka", Restored: &history.Restored{Since: at(4), Times: 1, Cause: "a cause with <b>marks</b>"}},
		history.Event{Time: at(20), Kind: history.Repaired, Step: 1, Damage: &history.Damage{ID: 1, Kind: "kill-broker", What: "kill -9 of broker 2"}},
		history.Event{Time: at(25), Kind: history.Recovered, Step: 1, Seconds: 15},
		history.Event{Time: at(30), Kind: history.Damaged, Step: 2, Damage: &history.Damage{ID: 2, Kind: "full-disk", What: "no room"}},
		history.Event{Time: at(31), Kind: history.Repaired, Step: 2, Damage: &history.Damage{ID: 2, Kind: "full-disk", What: "no room", Skipped: "not done: no mount"}},
		history.Event{Time: at(60), Kind: history.Ended, Sent: map[string]int64{"kafka": 18000}},
	)
}

func TestReportSumsUp(t *testing.T) {
	r := Make(events(), &check.Result{OK: true, Verdicts: []check.Verdict{{Outlet: "kafka/s3", Expected: 18000, Seen: 18000}}})
	if r.Done() != 1 || r.Seconds != 60 || r.Restarts["kafka"] != 1 {
		t.Errorf("%d done, %v s, restarts %v", r.Done(), r.Seconds, r.Restarts)
	}
	if d := r.Damages[0]; d.From != 10 || d.Repaired != 20 || d.Recovered != 25 {
		t.Errorf("damage %+v", d)
	}
	want := []Kind{{Kind: "full-disk", Skipped: 1}, {Kind: "kill-broker", Done: 1, Middle: 15, Longest: 15}}
	if len(r.Kinds) != 2 || r.Kinds[0] != want[0] || r.Kinds[1] != want[1] {
		t.Errorf("kinds %+v, want %+v", r.Kinds, want)
	}
	if c := r.Checkpoints["kafka"]; c != (Checkpoints{Completed: 1, Millis: 120, Longest: 120, Bytes: 5000}) {
		t.Errorf("checkpoints %+v", c)
	}
}

func TestReportIsWritten(t *testing.T) {
	dir := t.TempDir()
	r := Make(events(), &check.Result{Faults: []string{"the job from kafka is FAILED"}, Verdicts: []check.Verdict{
		{Outlet: "kafka/s3", Expected: 18000, Seen: 17999, Lost: 1, Examples: []string{"record 5 is lost"}},
	}})
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, HTMLFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"something is wrong", "record 5 is lost", "the job from kafka is FAILED", "kill -9 of broker 2", "&lt;b&gt;marks", "<polyline points=\"1", "</html>"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	for _, other := range []string{"http://", "https://", "<script", "<link"} {
		if strings.Contains(string(page), other) {
			t.Errorf("the page is not self-contained: it has %q", other)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, JSONFile))
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		OK       bool `json:"ok"`
		Verdicts []check.Verdict
	}
	if err := json.Unmarshal(text, &read); err != nil || read.OK || len(read.Verdicts) != 1 || read.Verdicts[0].Lost != 1 {
		t.Errorf("%+v, %v", read, err)
	}
	if said := r.Text(); !strings.Contains(said, "SOMETHING IS WRONG") || !strings.Contains(said, "record 5 is lost") {
		t.Errorf("said %s", said)
	}
}

func TestReportOfNothing(t *testing.T) {
	if _, err := Make(nil, &check.Result{}).HTML(); err != nil {
		t.Error(err)
	}
}
