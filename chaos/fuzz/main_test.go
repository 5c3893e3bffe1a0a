//go:build unix

package main

import (
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestEveryFuzzFunctionIsATarget(t *testing.T) {
	got, err := fuzzFunctions("x_test.go", `package x
import "testing"
func FuzzOne(f *testing.F) {}
func TestFuzz(t *testing.T) {}
func (s suite) FuzzMethod(f *testing.F) {}
func FuzzTwo(f *testing.F) {}
`)
	if want := []string{"FuzzOne", "FuzzTwo"}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("fuzzFunctions: %v, %v, want %v", got, err, want)
	}
	targets, err := find(t.Context(), filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, target := range targets {
		names[target.name()] = true
	}
	for _, want := range []string{"io/batch FuzzDecode", "transforms/decode FuzzDecode", "io/kafkaio FuzzUnpack"} {
		if !names[want] {
			t.Errorf("%s is not among %v", want, names)
		}
	}
}

func TestAccountAddsUpOverRunsAndForgetsTargetsThatAreGone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "account")
	a, err := readAccount(file)
	if err != nil || len(a) != 0 {
		t.Fatalf("an account that is not there: %v, %v", a, err)
	}
	a.add("one FuzzA", spending{cpu: 90 * time.Second, inputs: 7})
	a.add("gone FuzzB", spending{cpu: time.Second, inputs: 1})
	if err := a.write(file); err != nil {
		t.Fatal(err)
	}
	if a, err = readAccount(file); err != nil {
		t.Fatal(err)
	}
	a.keep([]target{{pkg: "m/one", module: "m", function: "FuzzA"}})
	a.add("one FuzzA", spending{cpu: 30 * time.Second, inputs: 3})
	if want := (account{"one FuzzA": {cpu: 2 * time.Minute, inputs: 10}}); !reflect.DeepEqual(a, want) {
		t.Errorf("%v, want %v", a, want)
	}
}

func TestTargetThatHadLeastIsNextUntilEachHadEnough(t *testing.T) {
	targets := []target{{pkg: "m/one", module: "m", function: "FuzzA"}, {pkg: "m/two", module: "m", function: "FuzzB"}}
	a := account{"one FuzzA": {cpu: 3 * time.Second}, "two FuzzB": {cpu: 2 * time.Second}}
	all := regexp.MustCompile("")
	if got, ok := a.next(targets, all, 4*time.Second); !ok || got != targets[1] {
		t.Errorf("next: %v %v", got, ok)
	}
	if got, ok := a.next(targets, regexp.MustCompile("FuzzA"), 4*time.Second); !ok || got != targets[0] {
		t.Errorf("next of those chosen: %v %v", got, ok)
	}
	if got, ok := a.next(targets, all, 2*time.Second); ok {
		t.Errorf("next when each had enough: %v", got)
	}
}

func TestTurnIsNoLongerThanWhatIsMissingTakes(t *testing.T) {
	for _, c := range []struct{ missing, slice, want time.Duration }{
		{24 * time.Minute, 4 * time.Minute, 4 * time.Minute},
		{3 * time.Minute, 4 * time.Minute, 90 * time.Second},
		{time.Millisecond, 4 * time.Minute, shortestTurn},
		{time.Millisecond, time.Second, time.Second},
	} {
		if got := turn(c.missing, c.slice, 2); got != c.want {
			t.Errorf("%v are missing: a turn of %v, want %v", c.missing, got, c.want)
		}
	}
}

func TestInputsAreThoseOfTheLastLine(t *testing.T) {
	out := "fuzz: elapsed: 3s, execs: 100 (33/sec), new interesting: 1 (total: 5)\nfuzz: elapsed: 6s, execs: 250 (50/sec), new interesting: 1 (total: 5)\nPASS\n"
	if n, err := inputsOf(out); err != nil || n != 250 {
		t.Errorf("inputsOf: %d, %v", n, err)
	}
	if _, err := inputsOf("PASS"); err == nil || !strings.Contains(err.Error(), "PASS") {
		t.Errorf("inputsOf without a number: %v", err)
	}
}

// A target of another module, with a finding: the error is what a person needs.
func TestFindingIsAnErrorAndHoldsUpNoOtherTarget(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a module")
	}
	dir := t.TempDir()
	writeModule(t, dir, `package broken
import "testing"
func FuzzBroken(f *testing.F) { f.Add([]byte("x")); f.Fuzz(func(t *testing.T, b []byte) { if len(b) > 0 { t.Fatal("has a byte") } }) }
func FuzzWhole(f *testing.F) { f.Add(1); f.Fuzz(func(t *testing.T, n int) {}) }
`)
	t.Chdir(dir)
	account := filepath.Join(dir, "account")
	err := command(t.Context(), []string{"-cpu", "1ms", "-slice", "1s", "-account", account}, t.Output())
	if err == nil || !strings.Contains(err.Error(), "has a byte") {
		t.Errorf("a finding: %v", err)
	}
	// The other target, which is found later, has had its turn all the same.
	a, err := readAccount(account)
	if err != nil || a[". FuzzWhole"].cpu <= 0 || a[". FuzzWhole"].inputs == 0 {
		t.Errorf("the account: %v, %v", a, err)
	}
}
