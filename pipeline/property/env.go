package property

import (
	"strings"
	"unicode"

	"github.com/streaming-etl/streaming-etl/internal/nearest"
)

// envPrefix begins the environment's names of properties: STREAMING_ETL_OUTPUT_BUCKET.
const envPrefix = "STREAMING_ETL_"

// readEnv takes two spellings of a property: its exact name (OutputBucket),
// and its name in upper snake case after STREAMING_ETL_. Who uses the prefix
// means this application, so a name unknown behind it is a mistake; everything
// else in the environment is somebody else's.
func readEnv(t *table, env []string, add func(Mistake)) []given {
	byEnv := make(map[string]*Property, len(t.named))
	var names []string
	for name, p := range t.named {
		if !p.option {
			byEnv[envName(name)] = p
		}
	}
	for _, p := range t.list {
		if !p.option {
			names = append(names, strings.TrimPrefix(envName(p.Name), envPrefix))
		}
	}
	var all []given
	for _, entry := range env {
		name, text, _ := strings.Cut(entry, "=")
		source := "environment " + quoteName(name)
		p, ok := t.property(name)
		if !ok {
			p, ok = byEnv[name]
		}
		switch {
		case ok:
			all = append(all, given{property: p, text: text, source: source, level: levelEnv})
		case len(name) >= len(envPrefix) && strings.EqualFold(name[:len(envPrefix)], envPrefix):
			suggestion := nearest.Of(name[len(envPrefix):], names)
			if suggestion != "" {
				suggestion = envPrefix + suggestion
			}
			add(unknown(name, "environment", suggestion))
		}
	}
	return all
}

// envName returns a property's name in upper snake case after the prefix:
// OutputPartSizeMb is STREAMING_ETL_OUTPUT_PART_SIZE_MB.
func envName(name string) string {
	var b strings.Builder
	b.WriteString(envPrefix)
	var before rune
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) && !unicode.IsUpper(before) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToUpper(r))
		before = r
	}
	return b.String()
}
