package plan

import (
	"reflect"
	"testing"
	"time"
)

var options = Options{Damages: 500, Pause: 6 * time.Second, Longest: 12 * time.Second, Parallelism: 3}

func TestASeedIsAPlan(t *testing.T) {
	if !reflect.DeepEqual(Draw(42, options), Draw(42, options)) {
		t.Error("the same seed gives two plans")
	}
	if reflect.DeepEqual(Draw(42, options), Draw(43, options)) {
		t.Error("two seeds give the same plan")
	}
}

func TestAPlanHasAllKinds(t *testing.T) {
	want := 0
	for _, d := range deck {
		want += d.times
	}
	counts := make(map[Kind]int)
	o := options
	o.Damages = want
	for _, s := range Draw(7, o) {
		for _, d := range s.Damages {
			counts[d.Kind]++
		}
	}
	for _, k := range Kinds() {
		if counts[k] == 0 {
			t.Errorf("no %s among %d", k, want)
		}
	}
}

func TestDamagesAreNumberedAndWithinBounds(t *testing.T) {
	next, pairs := 1, 0
	for _, s := range Draw(1, options) {
		if s.Pause < 0 || s.Pause >= options.Pause {
			t.Errorf("pause %v", s.Pause)
		}
		if len(s.Damages) == 2 {
			pairs++
			if groupOf(s.Damages[0].Kind) == groupOf(s.Damages[1].Kind) {
				t.Errorf("%v and %v at once", s.Damages[0], s.Damages[1])
			}
		}
		for _, d := range s.Damages {
			if d.ID != next {
				t.Fatalf("damage %d, want %d", d.ID, next)
			}
			next++
			if d.For < shortest || d.For >= options.Longest {
				t.Errorf("%v", d)
			}
			if (d.Kind == Network) != (d.Server != "" && d.Mode != "") {
				t.Errorf("%v", d)
			}
			if (d.Kind == Savepoint) != (d.Parallelism >= 1 && d.Parallelism <= options.Parallelism) {
				t.Errorf("%v", d)
			}
		}
	}
	if next != options.Damages+1 {
		t.Errorf("%d damages, want %d", next-1, options.Damages)
	}
	if pairs == 0 {
		t.Error("never two at once")
	}
}

func TestOnlyKindsThatAreAskedForAreDrawn(t *testing.T) {
	o := options
	o.Kinds = []Kind{KillS3, KillBroker}
	for _, s := range Draw(3, o) {
		for _, d := range s.Damages {
			if d.Kind != KillS3 && d.Kind != KillBroker {
				t.Errorf("%v", d)
			}
		}
	}
}
