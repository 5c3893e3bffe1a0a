package kinesisio

import (
	"testing"
	"time"
)

func TestCallsAreSpacedByWhatTheyBring(t *testing.T) {
	o := Options{CallInterval: 200 * time.Millisecond, PollInterval: 250 * time.Millisecond, IdlePollInterval: time.Second}
	p := newPacer(&o, 1)
	after := func() time.Duration { return p.next.Sub(p.began) }
	call := func(records, bytes int, behind time.Duration) time.Duration {
		p.began = time.Now()
		p.next = p.began.Add(p.interval)
		p.answered(records, bytes, behind)
		return after()
	}
	if d := call(10_000, 10<<20, time.Hour); d != 200*time.Millisecond {
		t.Errorf("%s to the next call when behind", d)
	}
	if d := call(5, 500, 0); d != 250*time.Millisecond {
		t.Errorf("%s at the tip", d)
	}
	p.busy = p.busy.Add(-idleAfter - time.Second)
	for _, want := range []time.Duration{500 * time.Millisecond, time.Second, time.Second} {
		if d := call(0, 0, 0); d != want {
			t.Errorf("%s where nothing comes, want %s", d, want)
		}
	}
	if d := call(1, 100, 0); d != 250*time.Millisecond {
		t.Errorf("%s when something came again", d)
	}
	p.throttled()
	p.throttled()
	if d := call(10, 1000, time.Second); d < 400*time.Millisecond || d > 450*time.Millisecond {
		t.Errorf("%s after two refusals", d)
	}
	for range 100 {
		call(10, 1000, time.Second)
	}
	if d := call(10, 1000, time.Second); d != 200*time.Millisecond {
		t.Errorf("%s long after", d)
	}
	if d := call(10_000, 10<<20, time.Hour); d != 5*time.Second {
		t.Errorf("%s after 10 MiB of a shard that has refused a call", d)
	}
	for range 100 {
		p.throttled()
	}
	if p.interval != slowest {
		t.Errorf("refusals lead to %s", p.interval)
	}
}
