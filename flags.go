package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"
)

// newFlags are the flags of a subcommand that is not about properties. The
// arguments are what it takes beside them, for its help.
func newFlags(name, arguments string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.Usage = func() { writeUsage(f, arguments) }
	return f
}

// newFlagsJSON are such flags with the one for JSON among them.
func newFlagsJSON(name, arguments string) (f *flag.FlagSet, asJSON *bool) {
	f = newFlags(name, arguments)
	return f, f.Bool(jsonFlag, false, "write the result and errors as JSON, one object per line")
}

// writeUsage writes a subcommand's help to the output of its flags.
func writeUsage(f *flag.FlagSet, arguments string) {
	w := f.Output()
	words := []string{programName, f.Name()}
	if len(listed(f)) > 0 {
		words = append(words, "[flags]")
	}
	if arguments != "" {
		words = append(words, arguments)
	}
	fmt.Fprintln(w, strings.Join(words, " "))
	if i := slices.IndexFunc(commands(), func(c aCommand) bool { return c.name == f.Name() }); i >= 0 {
		fmt.Fprintf(w, "\n%s.\n", capital(commands()[i].doc))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := "\nFlags:\n"
	f.VisitAll(func(x *flag.Flag) {
		fmt.Fprintf(t, "%s  --%s\t%s", head, x.Name, x.Usage)
		if head = ""; x.DefValue != "" && x.DefValue != "false" {
			fmt.Fprintf(t, " (default: %s)", x.DefValue)
		}
		fmt.Fprintln(t)
	})
	_ = t.Flush() // what it writes to reports an error to nobody either
}

// capital begins a text with a capital letter.
func capital(text string) string {
	first, n := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[n:]
}

// parse reads the flags of a subcommand that takes no other arguments; ok is
// false when the command is to end with code.
func parse(f *flag.FlagSet, args []string, stdout, stderr io.Writer) (code int, ok bool) {
	if code, ok = parseFlags(f, args, stdout, stderr); ok && f.NArg() > 0 {
		return misuse(stderr, "%s takes no argument %q", f.Name(), f.Arg(0)), false
	}
	return code, ok
}

func parseFlags(f *flag.FlagSet, args []string, stdout, stderr io.Writer) (code int, ok bool) {
	f.SetOutput(io.Discard) // the error is told below
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		f.SetOutput(stdout)
		f.Usage()
		return exitOK, false
	case err != nil:
		return misuse(stderr, "%s: %v", f.Name(), err), false
	}
	return exitOK, true
}

// parseMixed reads flags that stand before, between and behind other
// arguments, which it returns.
func parseMixed(f *flag.FlagSet, args []string, stdout, stderr io.Writer) (rest []string, code int, ok bool) {
	for {
		if code, ok = parseFlags(f, args, stdout, stderr); !ok {
			return nil, code, false
		}
		if f.NArg() == 0 {
			return rest, exitOK, true
		}
		rest, args = append(rest, f.Arg(0)), f.Args()[1:]
	}
}
