// Package property knows every property of the application: one table says
// its name, kind, default, range and meaning. Values are loaded from a
// properties file, the environment and flags, are checked all together, and
// are read through a Set; the help text and the README's table are written
// from the same table.
//
// A value passes through here once, at start: file.go, env.go and flag.go find
// it, load.go lets the later source win, kind.go checks it, set.go hands it out.
// To add a property is to add one entry to table.go.
package property

import (
	"strings"

	"github.com/streaming-etl/streaming-etl/internal/nearest"
)

// Kind says how a property's text is read and checked.
type Kind uint8

// The kinds of properties.
const (
	// String is any text without control characters.
	String Kind = iota + 1
	// Int is a decimal whole number, Min to Max.
	Int
	// Float is a decimal number, Min to Max; no NaN, no infinity.
	Float
	// Bool is true or false, in any case.
	Bool
	// Millis is a duration as a whole number of milliseconds, Min to Max.
	Millis
	// Megabytes is a size as a whole number of units of 1,048,576 bytes, Min to Max.
	Megabytes
	// Enum is one of Values, case exact.
	Enum
	// Time is an ISO-8601 point in time with its zone (RFC 3339), 1970 or later.
	Time
	// URL is an http or https URL with a host and no user, query or fragment.
	URL
	// Bucket is a bucket's name or s3://bucket/prefix/.
	Bucket
	// Template is text with {field} placeholders; they are checked against the
	// event schema by whoever compiles it, not here.
	Template
	// Path is the path of a file; whether it exists is found out by its reader.
	Path
)

// Property is one entry of the table.
type Property struct {
	// Name is the property's name, case exact: CamelCase for properties,
	// lower case for options of the command line.
	Name string
	// Aliases are other spellings that are taken for Name.
	Aliases []string
	// Group is the heading under which help and README list the property.
	Group string
	Kind  Kind
	// Default is the value's text when none is given; it need not pass the check when it is empty.
	Default string
	// DefaultOf names the property whose value is taken when none is given.
	DefaultOf string
	// DefaultNote says in a few words what the default means, where the bare value does not.
	DefaultNote string
	// Values are what an Enum allows.
	Values []string
	// Min and Max bound Int, Float, Millis and Megabytes; both are allowed themselves.
	Min, Max int64
	// AllowEmpty lets an empty value be given, to undo one of an earlier source.
	AllowEmpty bool
	// Check returns what is wrong with a value ("" for nothing), beyond what the kind checks.
	Check func(value string) string
	// Allowed says what Check allows, for messages and help; "" takes the kind's own words.
	Allowed string
	// Doc tells in one to three sentences what the property sets, why one
	// would change it and what it interacts with.
	Doc string

	// option marks a flag of the command itself: not a property of files and environment.
	option bool
}

// table is a list of properties that can be looked up by name.
type table struct {
	list  []*Property
	named map[string]*Property // by name and alias
}

// newTable joins options and properties.
func newTable(options, properties []Property) *table {
	t := &table{named: make(map[string]*Property)}
	for _, o := range options {
		o.option = true
		t.add(o)
	}
	for _, p := range properties {
		t.add(p)
	}
	return t
}

func (t *table) add(p Property) {
	t.list = append(t.list, &p)
	t.named[p.Name] = &p
	for _, a := range p.Aliases {
		t.named[a] = &p
	}
}

// property returns the property of that name or alias; options are none.
func (t *table) property(name string) (*Property, bool) {
	p, ok := t.named[name]
	if !ok || p.option {
		return nil, false
	}
	return p, true
}

// groups returns the groups' names in the order of the table.
func (t *table) groups() []string {
	var groups []string
	seen := make(map[string]bool)
	for _, p := range t.list {
		if !seen[p.Group] {
			seen[p.Group] = true
			groups = append(groups, p.Group)
		}
	}
	return groups
}

// nearestName returns the known name most like name, or "".
func (t *table) nearestName(name string, options bool) string {
	var names []string
	for _, p := range t.list {
		if p.option && !options {
			continue
		}
		names = append(names, p.Name)
		names = append(names, p.Aliases...)
	}
	near := nearest.Of(name, names)
	if p, ok := t.named[near]; ok {
		return p.Name // a misspelt alias leads to the real name
	}
	return ""
}

// show returns a value as it may be shown to people.
func (p *Property) show(value string) string {
	// Whoever gives a secret where its place is asked for has given a secret.
	if p.Allowed == allowedSecretPlace && checkSecretPlace(value) != "" {
		return "***"
	}
	// Credentials in an address are refused by its check, and must not be told by the refusal.
	if p.Kind == URL || p.Kind == Bucket || p.Allowed == allowedURLs || p.Allowed == allowedBrokers || strings.Contains(value, "://") {
		return maskLogin(value)
	}
	return value
}

// maskLogin masks what an address, or a list of them, has before its last @, but for the scheme.
func maskLogin(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address
	}
	start := 0
	if i := strings.Index(address[:at], "://"); i >= 0 {
		start = i + len("://")
	}
	return address[:start] + "***" + address[at:]
}
