package property

import (
	"slices"
	"strings"
)

// wantsHelp reports whether help is asked for; then nothing else matters.
func wantsHelp(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return a == "--help" || a == "-help" || a == "-h" })
}

// readFlags reads --Name=value, --Name value and, for booleans, --Name. The
// flag's value is the next argument unless that looks like a flag itself: such
// a value needs the form with "=". A boolean takes the next argument only if
// it is true or false.
func readFlags(t *table, args []string, add func(Mistake)) []given {
	var all []given
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !looksLikeFlag(arg) {
			add(stray(t, arg))
			continue
		}
		name, text, hasText := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
		next, hasNext := "", i+1 < len(args) && !looksLikeFlag(args[i+1])
		if hasNext {
			next = args[i+1]
		}
		p, known := t.named[name]
		isSwitch := known && p.Kind == Bool
		switch {
		case hasText:
		case isSwitch && hasNext && isBool(next), !isSwitch && hasNext:
			text, hasText = next, true
			i++
		case isSwitch:
			text, hasText = "true", true
		}

		dashed := "--" + quoteName(name)
		source := "flag " + dashed
		switch {
		case !known:
			// The text is not told: it may be a secret behind a mistyped name.
			add(unknown(name, source, t.nearestName(name, true)))
		case !strings.HasPrefix(arg, "--"):
			add(Mistake{Property: name, Source: "flag -" + name, Problem: "flags begin with two dashes", Suggestion: dashed})
		case !hasText:
			add(Mistake{Property: name, Source: source, Problem: "has no value", Allowed: p.allowed()})
		default:
			all = append(all, given{property: p, text: text, source: source, level: levelFlag})
		}
	}
	return all
}

// looksLikeFlag tells -x and --x from values such as -5, - and plain text.
func looksLikeFlag(arg string) bool {
	if strings.HasPrefix(arg, "--") {
		return len(arg) > 2
	}
	return len(arg) > 1 && arg[0] == '-' && (arg[1] < '0' || arg[1] > '9') && arg[1] != '.'
}

// stray is the mistake of an argument that belongs to no flag.
func stray(t *table, arg string) Mistake {
	name, _, isAssignment := strings.Cut(arg, "=")
	if p, ok := t.named[name]; ok && isAssignment {
		return Mistake{Property: p.Name, Source: "argument", Problem: "flags begin with two dashes", Suggestion: "--" + name}
	}
	return Mistake{Property: quote(arg), Source: "argument", Problem: "belongs to no flag", Allowed: "flags as --Name=value"}
}
