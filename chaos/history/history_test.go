package history

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	name := filepath.Join(t.TempDir(), "history.jsonl")
	w, err := Create(name)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := []Event{
		{Time: at, Kind: Started, Start: &Start{Seed: 7, Kills: 3, Jobs: []string{"kafka"}}},
		{Time: at, Kind: Progress, Sent: map[string]int64{"kafka": 9}, Reached: map[string]Reach{"kafka/s3": {Front: 2, Seen: 5}}},
		{Time: at, Kind: Damaged, Step: 1, Damage: &Damage{ID: 1, Kind: "kill-broker", What: "broker 2"}},
	}
	for _, e := range want {
		w.Add(e)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := Read(name)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, want %+v", got, want)
	}
	if _, err := Create(name); err == nil {
		t.Error("a history was written over")
	}
}

func TestACutOffLineIsLeftOut(t *testing.T) {
	events, err := read(strings.NewReader(`{"kind":"note","text":"a"}` + "\n" + `{"kind":"no`))
	if err != nil || len(events) != 1 || events[0].Text != "a" {
		t.Errorf("%+v, %v", events, err)
	}
}

func TestADamagedLineIsTold(t *testing.T) {
	name := filepath.Join(t.TempDir(), "h")
	if err := os.WriteFile(name, []byte("{\"kind\":\"note\"}\n{\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(name); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("error %v", err)
	}
}
