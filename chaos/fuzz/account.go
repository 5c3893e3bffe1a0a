//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A spending is what a target has had.
type spending struct {
	cpu    time.Duration
	inputs int64
}

// An account tells what each target has had, by its name. In the file a line is a target, its processor seconds and the
// inputs that were tried, between tabs.
type account map[string]spending

const heading = "target\tCPU seconds\tinputs\n"

// readAccount reads an account. There need not be one yet.
func readAccount(file string) (account, error) {
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	a := make(account)
	for i, line := range strings.Split(strings.TrimPrefix(string(text), heading), "\n") {
		if line == "" {
			continue
		}
		name, figures, _ := strings.Cut(line, "\t")
		var seconds float64
		var s spending
		if _, err := fmt.Sscanf(figures, "%f\t%d", &seconds, &s.inputs); err != nil {
			return nil, fmt.Errorf("%s, line %d below the heading: %q: %w", file, i+1, line, err)
		}
		s.cpu = time.Duration(seconds * float64(time.Second))
		a[name] = s
	}
	return a, nil
}

// write puts the account into the file, whole or not at all.
func (a account) write(file string) error {
	var b strings.Builder
	b.WriteString(heading)
	for _, name := range slices.Sorted(maps.Keys(a)) {
		fmt.Fprintf(&b, "%s\t%.1f\t%d\n", name, a[name].cpu.Seconds(), a[name].inputs)
	}
	if err := os.WriteFile(file+".new", []byte(b.String()), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// keep forgets targets that are no more.
func (a account) keep(targets []target) {
	names := make(map[string]bool)
	for _, t := range targets {
		names[t.name()] = true
	}
	maps.DeleteFunc(a, func(name string, _ spending) bool { return !names[name] })
}

// next returns the target that has had the least, unless each has had enough.
func (a account) next(targets []target, chosen *regexp.Regexp, enough time.Duration) (least target, ok bool) {
	for _, t := range targets {
		had := a[t.name()].cpu
		if had < enough && chosen.MatchString(t.name()) && (!ok || had < a[least.name()].cpu) {
			least, ok = t, true
		}
	}
	return least, ok
}

// add adds what a target has had once more, and returns the sum.
func (a account) add(name string, s spending) spending {
	sum := spending{cpu: a[name].cpu + s.cpu, inputs: a[name].inputs + s.inputs}
	a[name] = sum
	return sum
}
