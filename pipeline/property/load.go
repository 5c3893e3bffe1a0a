package property

import (
	"errors"
	"flag"
)

// ErrHelp is returned by Load when --help, -help or -h is among the flags: the
// caller prints Help and exits with code 0. It is the flag package's own.
var ErrHelp = flag.ErrHelp

// Sources says where Load finds values. In the order of file, environment,
// flags the later one wins.
type Sources struct {
	// File is the properties file that is read when it exists and the flag
	// --properties names no other; usually DefaultFile, empty for none.
	File string
	// Env is the environment as os.Environ returns it.
	Env []string
	// Args are the command line's arguments without the names of program and
	// subcommand: flags only.
	Args []string
	// Options are the flags of the command itself, such as --runner. They are
	// read and checked like properties, from flags only. Their names are lower
	// case, so that they cannot meet a property's.
	Options []Property
}

// level orders the sources: the higher one wins.
type level int

const (
	levelFile level = iota
	levelEnv
	levelFlag
)

// given is one value as a source has it.
type given struct {
	property *Property
	text     string
	source   string // in words, for messages
	level    level
}

// Load reads and checks all values. It returns ErrHelp and no Set, or always a
// Set: with a nil error, or with an *Invalid that tells all mistakes at once.
// The Set then holds defaults where values are wrong, so that the caller can
// look for mistakes between properties, add them with Set.Add, and report
// everything together with Set.Err.
//
// A value is checked if no later source replaces it. Unknown names are
// mistakes in the file, among the flags and, with the application's prefix, in
// the environment.
func Load(sources Sources) (*Set, error) {
	return load(sources, properties())
}

func load(sources Sources, props []Property) (*Set, error) {
	if wantsHelp(sources.Args) {
		return nil, ErrHelp
	}
	t := newTable(append(commandOptions(), sources.Options...), props)
	s := &Set{table: t, values: make(map[string]value)}

	flags := readFlags(t, sources.Args, s.Add)
	path, named := sources.File, false
	for _, g := range flags {
		if g.property.Name == optionFile {
			path, named = g.text, true
		}
	}
	all := readFile(t, path, named, s.Add)
	all = append(all, readEnv(t, sources.Env, s.Add)...)
	all = append(all, flags...)

	s.take(all)
	return s, s.Err()
}

// take keeps the last value of each property and checks it.
func (s *Set) take(all []given) {
	last := make(map[string]given)
	for _, g := range all {
		before, again := last[g.property.Name]
		// Flags are in order, so the later one is meant to win; names of a file
		// or of the environment are in none.
		if again && before.level == g.level && g.level != levelFlag && before.text != g.text {
			m := Mistake{Property: g.property.Name, Value: g.property.show(g.text), Source: g.source}
			m.Problem = "contradicts " + before.source
			if before.source == g.source {
				m.Problem = "is given twice, with different values"
			}
			s.Add(m)
		}
		last[g.property.Name] = g
	}
	for _, p := range s.table.list { // the table's order makes messages stable
		g, ok := last[p.Name]
		if !ok {
			continue
		}
		v := p.check(g.text)
		s.values[p.Name] = value{text: v.canonical, source: g.source, valid: v.problem == ""}
		if v.problem != "" {
			s.mistakes = append(s.mistakes, Mistake{
				Property: p.Name, Value: p.show(g.text), Source: g.source,
				Problem: v.problem, Allowed: p.allowed(), Suggestion: v.suggestion,
			})
		}
	}
}

// cause is an error's last reason: the path and the operation are told already.
func cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
