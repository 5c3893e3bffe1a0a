package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// writtenFile lists what a try has written, a path below its folder a line: the
// next one into the same folder deletes it, so that what lies there is of one
// try. Whatever reads the files beside it leaves out names that begin with "_".
const writtenFile = "_written.txt"

// forgetTry deletes what the last try has written into a folder, and nothing else.
func forgetTry(out string) error {
	text, err := os.ReadFile(filepath.Join(out, writtenFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	for name := range strings.Lines(string(text)) {
		name = strings.TrimSuffix(name, "\n")
		if !filepath.IsLocal(name) {
			return fmt.Errorf("--out: %s names %q, which is not below it", filepath.Join(out, writtenFile), name)
		}
		if err := os.Remove(filepath.Join(out, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("--out: %w", err)
		}
		for dir := filepath.Dir(name); dir != "." && os.Remove(filepath.Join(out, dir)) == nil; dir = filepath.Dir(dir) {
		}
	}
	return nil
}

// filesOf lists the files below a folder, which need not exist, sorted.
func filesOf(out string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(out, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == out {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(out, path)
		names = append(names, name)
		return err
	})
	slices.Sort(names)
	return names, err
}

// noteTry lists for the next try the files that were not there before this one.
func noteTry(out string, before []string) error {
	after, err := filesOf(out)
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	var text strings.Builder
	for _, name := range append(after, writtenFile) {
		if _, was := slices.BinarySearch(before, name); !was {
			text.WriteString(name + "\n")
		}
	}
	if err := os.WriteFile(filepath.Join(out, writtenFile), []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	return nil
}
