package pipeline

import (
	"reflect"
	"slices"
	"testing"
)

func TestProgressOfAClustersCounters(t *testing.T) {
	by := map[string]int64{
		"source/records": 100, "s3/rows_committed": 90, "s3/files_committed": 7, "s3/dead_letters_committed": 2,
		"kafka/records_committed": 80, "kafka/dead_letters_committed": 3, "dead_letters/written": 1,
		"source/positions_passed": 5, "source/shards_lost": 6,
	}
	for name := range by {
		if !slices.Contains(Counters(), name) {
			t.Errorf("%s is not asked for", name)
		}
	}
	want := Progress{Read: 100, Delivered: 80, DeadLetters: 6, Files: 7, PositionsPassed: 5, ShardsLost: 6, Sinks: map[string]int64{"s3": 90, "kafka": 80}}
	if got := Counted(by); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
