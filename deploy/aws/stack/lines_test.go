package stack

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The patterns are of texts that are in the job's source: it says so here when
// one of them is changed.
func TestCountedLinesAreThoseThatTheJobWrites(t *testing.T) {
	var source strings.Builder
	for _, folder := range []string{"pipeline", "io"} {
		err := filepath.WalkDir(filepath.Join("..", "..", "..", folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			source.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	quoted := regexp.MustCompile(`"[^"]+"`)
	for _, pattern := range []string{linesOfFailures, linesOfRetries, linesOfLetters} {
		words := quoted.FindAllString(pattern, -1)
		if len(words) == 0 {
			t.Errorf("%s has no words", pattern)
		}
		for _, word := range words {
			// In a message of a line that is logged, behind its beginning.
			call := regexp.MustCompile(`(?s)(?:slog\.\w+Context|logging\.Retry)\([^"]*"[^"]*` + regexp.QuoteMeta(strings.Trim(word, `"`)))
			if !call.MatchString(source.String()) {
				t.Errorf("the job logs no line with %s", word)
			}
		}
	}
}
