package property

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Set holds the value of every property and where it came from. Getters may
// be called by several goroutines at once, but not while Add is. A getter that
// is asked for a name that is not in the table, or for another kind than the
// property's, panics: that is a slip in the program, not in its input.
type Set struct {
	table    *table
	values   map[string]value // of given properties only
	mistakes []Mistake
}

// value is what was given for a property.
type value struct {
	text   string
	source string
	valid  bool
}

// defaultSource is what Source returns for properties that were not given.
const defaultSource = "default"

// Given reports whether a value was given, rightly or wrongly; a value equal
// to the default counts.
func (s *Set) Given(name string) bool {
	_, ok := s.values[s.find(name).Name]
	return ok
}

// Valid reports whether the property has a right value, given or default.
// Where it has not the getters return the default, and Err tells the mistake.
func (s *Set) Valid(name string) bool {
	v, ok := s.values[s.find(name).Name]
	return !ok || v.valid
}

// Get returns a value as text, whatever its kind.
func (s *Set) Get(name string) string {
	p := s.find(name)
	if v, ok := s.values[p.Name]; ok && v.valid {
		return v.text
	}
	if p.DefaultOf != "" {
		return s.Get(p.DefaultOf)
	}
	return p.Default
}

// Source returns where a value came from, in words: "default", "flag
// --OutputBucket", "environment STREAMING_ETL_OUTPUT_BUCKET" or "file …".
func (s *Set) Source(name string) string {
	p := s.find(name)
	if v, ok := s.values[p.Name]; ok {
		return v.source
	}
	if p.DefaultOf != "" {
		return s.Source(p.DefaultOf)
	}
	return defaultSource
}

// Bool returns the value of a property of kind Bool.
func (s *Set) Bool(name string) bool { return s.typed(name, Bool) == "true" }

// Int returns the value of a property of kind Int.
func (s *Set) Int(name string) int { return int(s.number(name, Int)) }

// Float returns the value of a property of kind Float.
func (s *Set) Float(name string) float64 {
	f, err := strconv.ParseFloat(s.typed(name, Float), 64)
	if err != nil {
		panic(fmt.Sprintf("property: default of %s: %v", name, err))
	}
	return f
}

// Duration returns the value of a property of kind Millis.
func (s *Set) Duration(name string) time.Duration {
	return time.Duration(s.number(name, Millis)) * time.Millisecond
}

// Size returns the value of a property of kind Megabytes, in bytes.
func (s *Set) Size(name string) int64 { return s.number(name, Megabytes) * megabyte }

// Time returns the value of a property of kind Time in UTC, the zero Time if it was not given.
func (s *Set) Time(name string) time.Time {
	text := s.typed(name, Time)
	if text == "" {
		return time.Time{}
	}
	t, err := parseTime(text)
	if err != nil {
		panic(fmt.Sprintf("property: default of %s: %v", name, err))
	}
	return t
}

// Bucket returns the value of a property of kind Bucket: the bucket's name,
// and the prefix of a URI, which is empty or ends with /.
func (s *Set) Bucket(name string) (bucket, prefix string) {
	bucket, prefix, _ = parseBucket(s.typed(name, Bucket))
	return bucket, prefix
}

// Args returns the given properties as flags, so that a job that is started
// elsewhere gets the values that were found here.
func (s *Set) Args() []string {
	var args []string
	for _, p := range s.table.list {
		if v, ok := s.values[p.Name]; ok && !p.option {
			args = append(args, "--"+p.Name+"="+v.text)
		}
	}
	return args
}

// Add adds a mistake that was found between properties, such as two sources,
// to those of the values. Value and Source of a known Property that was given
// are filled in where they are empty.
func (s *Set) Add(m Mistake) {
	if p, ok := s.table.named[m.Property]; ok {
		if v, given := s.values[p.Name]; given && m.Source == "" {
			m.Source = v.source
			if m.Value == "" {
				m.Value = p.show(v.text)
			}
		}
	}
	s.mistakes = append(s.mistakes, m)
}

// Err returns nil, or an *Invalid with all mistakes found so far.
func (s *Set) Err() error {
	if len(s.mistakes) == 0 {
		return nil
	}
	return &Invalid{Mistakes: slices.Clone(s.mistakes)}
}

func (s *Set) find(name string) *Property {
	p, ok := s.table.named[name]
	if !ok {
		panic(fmt.Sprintf("property: %s is not in the table", name))
	}
	return p
}

func (s *Set) typed(name string, kind Kind) string {
	if p := s.find(name); p.Kind != kind {
		panic(fmt.Sprintf("property: %s is of kind %d, not %d", name, p.Kind, kind))
	}
	return s.Get(name)
}

func (s *Set) number(name string, kind Kind) int64 {
	n, err := strconv.ParseInt(s.typed(name, kind), 10, 64)
	if err != nil {
		panic(fmt.Sprintf("property: default of %s: %v", name, err))
	}
	return n
}
