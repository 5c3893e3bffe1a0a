package property

import "strings"

// Flag describes a property or an option as a flag, for the completion of a shell.
type Flag struct {
	Name string
	// Doc is the first sentence of what it means.
	Doc string
	// Values are all that it takes, where these can be listed; Path says that
	// it takes a file's name.
	Values []string
	Path   bool
}

// Flags lists all properties, and the options before them, as flags.
func Flags(options ...Property) []Flag {
	var out []Flag
	for _, p := range newTable(append(commandOptions(), options...), properties()).list {
		doc, _, _ := strings.Cut(p.Doc, ". ")
		f := Flag{Name: p.Name, Doc: strings.TrimSuffix(doc, "."), Values: p.Values, Path: p.Kind == Path}
		if p.Kind == Bool {
			f.Values = []string{"true", "false"}
		}
		out = append(out, f)
	}
	return out
}
