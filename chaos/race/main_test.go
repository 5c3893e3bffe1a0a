package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary be go test's -exec, as the command is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == partsCommand {
		if err := parts(context.Background(), os.Args[2:], os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const library = `
import "testing"

// Racy writes to n without anything between the two.
func Racy(n *int) {
	done := make(chan bool)
	go func() { *n = 1; close(done) }()
	*n = 2
	<-done
}
`

// module writes a module that uses another one, each with code that races, and goes there.
func module(t *testing.T, tests string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a module under the race detector")
	}
	dir := t.TempDir()
	racy := strings.Replace(library, `import "testing"`, "", 1)
	for name, text := range map[string]string{
		"go.mod":         "module example.test/own\n\ngo 1.26\n\nrequire example.test/library v0.0.0\n\nreplace example.test/library => ./library\n",
		"own.go":         "package own\n" + racy,
		"own_test.go":    "package own\nimport (\"testing\"; \"example.test/library\")\nvar _ = library.Racy\n" + tests,
		"library/go.mod": "module example.test/library\n\ngo 1.26\n",
		"library/l.go":   "package library\n" + racy,
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

func TestRacesOfLibrariesFailNothing(t *testing.T) {
	module(t, `
func TestPart(t *testing.T) { t.Run("of it", func(t *testing.T) { n := 0; library.Racy(&n) }) }
func TestWhole(t *testing.T) {}
`)
	var out strings.Builder
	if err := command(t.Context(), []string{"./..."}, &out); err != nil {
		t.Errorf("%v", err)
	}
	for _, want := range []string{"a race of libraries, 1 times: example.test/library.Racy", "1 tests passed, 0 races of the project, 1 of libraries"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
}

func TestSomeTestsRunInAProcessOfTheirOwn(t *testing.T) {
	var tests strings.Builder
	tests.WriteString("var before int\n")
	for i := range 2*partTests + 1 {
		fmt.Fprintf(&tests, "func Test%d(t *testing.T) { if before++; before > %d { t.Error(before) } }\n", i, partTests)
	}
	module(t, tests.String())
	var out strings.Builder
	if err := command(t.Context(), []string{"./..."}, &out); err != nil {
		t.Error(err)
	}
	if want := fmt.Sprintf("%d tests passed", 2*partTests+1); !strings.Contains(out.String(), want) {
		t.Errorf("%q is not in:\n%s", want, out.String())
	}
}

func TestRaceOfTheProjectIsAnError(t *testing.T) {
	module(t, `func TestOwn(t *testing.T) { n := 0; Racy(&n) }`)
	err := command(t.Context(), []string{"./..."}, t.Output())
	if err == nil || !strings.Contains(err.Error(), "example.test/own.Racy") {
		t.Errorf("a race of its own: %v", err)
	}
}

func TestOtherFailuresAreErrors(t *testing.T) {
	for name, c := range map[string]struct{ tests, want string }{
		"of a test":   {`func TestFails(t *testing.T) { n := 0; t.Run("racy", func(t *testing.T) { library.Racy(&n) }); t.Run("wrong", func(t *testing.T) { t.Error("one and one is three") }) }`, "one and one is three"},
		"of a build":  {`func TestFails(t *testing.T) { nothing() }`, "undefined: nothing"},
		"of a binary": {`func TestMain(m *testing.M) { panic("at the start") }`, "at the start"},
	} {
		t.Run(name, func(t *testing.T) {
			module(t, c.tests)
			err := command(t.Context(), []string{"./..."}, t.Output())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q in it", err, c.want)
			}
		})
	}
}

func TestAccessIsOfTheInnermostFunctionBeyondTheStandardLibrary(t *testing.T) {
	const report = `==================
WARNING: DATA RACE
Read at 0x00c000012345 by goroutine 8:
  runtime.slicecopy()
      /go/src/runtime/slice.go:355 +0x0
  example.test/own/part.(*Reader).Read()
      /own/part/read.go:12 +0x1d8

Previous write at 0x00c000012345 by goroutine 7:
  example.test/library.fill.func1()
      /library/fill.go:7 +0x1d8
  example.test/own.call()
      /own/call.go:7 +0x1d8

Goroutine 8 (running) created at:
  example.test/library.Start()
      /library/start.go:9 +0x1d8
==================
`
	races := racesIn("before\n" + report + report + "after\n")
	if len(races) != 2 {
		t.Fatalf("%d races, want 2", len(races))
	}
	if got, want := strings.Join(races[0].accesses, " "), "example.test/own/part.(*Reader).Read example.test/library.fill.func1"; got != want {
		t.Errorf("accesses %s, want %s", got, want)
	}
	if !races[0].of("example.test/own") || races[0].of("example.test/ow") {
		t.Error("it is not told whose race it is")
	}
	lost := racesIn("WARNING: DATA RACE\nWrite at 0x1 by goroutine 1:\n  example.test/library.F()\n      /l.go:1\n\nPrevious write at 0x1 by goroutine 2:\n  [failed to restore the stack]\n\n==================\n")
	if len(lost) != 1 || lost[0].of("example.test/own") {
		t.Errorf("a lost stack: %+v", lost)
	}
}
