package main

import (
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const times = " S 7 1 1 0 -1 4194560 100 0 0 0 250 50 3 4 20 0 1 0 100"
	for _, tt := range []struct {
		name, text string
		want       processInfo
		ok         bool
	}{
		{"an ordinary process", "42 (versitygw)" + times, processInfo{"versitygw", 7, 3 * time.Second}, true},
		{"a name with spaces and brackets", "42 (a) b (c" + ")" + times, processInfo{"a) b (c", 7, 3 * time.Second}, true},
		{"cut short", "42 (java) S 7 1 1", processInfo{}, false},
		{"no name", "42 java S 7", processInfo{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := parseStat([]byte(tt.text))
			if ok != tt.ok || ok && got != tt.want {
				t.Errorf("got %+v, %v, want %+v, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestDescends(t *testing.T) {
	all := map[int]processInfo{
		10: {parent: 1}, 20: {parent: 10}, 30: {parent: 20}, 40: {parent: 1},
		50: {parent: 60}, 60: {parent: 50}, // a circle
	}
	for pid, want := range map[int]bool{10: true, 20: true, 30: true, 40: false, 50: false, 99: false} {
		if got := descends(all, pid, 10); got != want {
			t.Errorf("process %d comes from 10: %v, want %v", pid, got, want)
		}
	}
}
