package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/pipeline/compare"
)

func TestProgressElsewhereThanOnATerminalGetsRarer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		l := newProgressLine(&out)
		for range 1300 { // 130 s
			l.show(pipeline.Progress{Read: 1})
			time.Sleep(100 * time.Millisecond)
		}
		l.end()
		var at []string
		for line := range strings.Lines(out.String()) {
			at = append(at, strings.Fields(line)[0])
		}
		if got, want := strings.Join(at, " "), "0.0 1.0 3.0 7.0 15.0 31.0 63.0 123.0"; got != want {
			t.Errorf("lines at %s s, want %s", got, want)
		}
		if strings.ContainsAny(out.String(), "\r\x1b") {
			t.Errorf("a terminal's sequences: %q", out.String())
		}
	})
}

func TestAComparisonsProgressIsInPlaceOnATerminalOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, terminal := range []bool{true, false} {
			var out strings.Builder
			l := newProgressLine(&out)
			l.terminal = terminal
			for i := range 100 { // 1 s
				l.showComparison(compare.Progress{Files: 2, Records: 1000 * int64(i)})
				time.Sleep(10 * time.Millisecond)
			}
			l.end()
			switch text := out.String(); {
			case !terminal && text != "":
				t.Errorf("elsewhere it writes %q", text)
			case terminal && (strings.Count(text, "\r\033[K") != 10 || strings.Count(text, "\n") != 1 || !strings.Contains(text, "0.9 s  read 90,000 records of 2 files\n")):
				t.Errorf("on a terminal it writes %q", text)
			}
		}
	})
}

func TestFilesAndTheNullDeviceAreNoTerminals(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var b strings.Builder
	if isTerminal(file) || isTerminal(null) || isTerminal(&b) {
		t.Errorf("a file %t, the null device %t, memory %t", isTerminal(file), isTerminal(null), isTerminal(&b))
	}
}

func TestJSONLinesAreWholeWhateverIsWritten(t *testing.T) {
	var out strings.Builder
	j := &jsonLines{w: &out}
	for _, text := range []string{"one\ntw", "o\n\n", "<three>\n", "unfinished"} {
		if n, err := j.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	if want := `{"message":"one"}` + "\n" + `{"message":"two"}` + "\n" + `{"message":"<three>"}` + "\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
