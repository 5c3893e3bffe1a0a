//go:build unix

package main

import (
	"os"
	"path/filepath"
	"testing"
)

// writeModule writes a module of one package, with one file of tests.
func writeModule(t *testing.T, dir, tests string) {
	t.Helper()
	for name, text := range map[string]string{"go.mod": "module broken\n\ngo 1.26\n", "broken.go": "package broken\n", "broken_test.go": tests} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
