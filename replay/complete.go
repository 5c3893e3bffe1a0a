package replay

// Flag describes a flag of the command, for the completion of a shell.
type Flag struct {
	Name, Usage string
	// Value says that the flag has one.
	Value bool
}

// Flags lists the flags of the command.
func Flags() []Flag {
	var out []Flag
	for _, f := range flags() {
		out = append(out, Flag{Name: f.name, Usage: f.usage, Value: f.value != ""})
	}
	return out
}
