package main

import (
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/streaming-etl/streaming-etl/pipeline/property"
	"github.com/streaming-etl/streaming-etl/replay"
)

// programName is what completions are for: the program as make release names it.
const programName = "streaming-etl"

// completion is the subcommand that writes a shell's completion.
func completion(args []string, stdout, stderr io.Writer) int {
	shells := map[string]func(io.Writer) error{"bash": writeBash, "zsh": writeZsh, "fish": writeFish}
	f := newFlags("completion", "bash|zsh|fish")
	if code, ok := parseFlags(f, args, stdout, stderr); !ok {
		return code
	}
	write := shells[f.Arg(0)]
	if write == nil || f.NArg() != 1 {
		return misuse(stderr, "completion takes bash, zsh or fish")
	}
	if err := write(stdout); err != nil {
		return fail(stderr, err)
	}
	return exitOK
}

// flagsOf are the flags that a subcommand takes.
func flagsOf(command string) []property.Flag {
	switch command {
	case "run":
		return property.Flags(options()...)
	case "check":
		return property.Flags(checkOptions()...)
	case "deadletters":
		return property.Flags(letterOptions()...)
	case "replay":
		var out []property.Flag
		for _, f := range replay.Flags() {
			out = append(out, property.Flag{Name: f.Name, Doc: f.Usage})
		}
		return out
	case "try":
		return property.Flags(tryOptions()...)
	case "compare":
		f, _ := compareFlags()
		return listed(f)
	case "jar":
		f, _ := jarFlags()
		return listed(f)
	case "status":
		f, _ := statusFlags()
		own := listed(f)
		for _, p := range property.Flags() {
			if first, _ := utf8.DecodeRuneInString(p.Name); unicode.IsUpper(first) {
				own = append(own, p) // the job's, for samples of dead letters
			}
		}
		return own
	case "savepoint", "stop", "cancel":
		f, _ := controlFlags(command)
		return listed(f)
	case "deregister":
		return property.Flags(deregisterOptions()...)
	case "version":
		f, _ := versionFlags()
		return listed(f)
	}
	return nil
}

func listed(f *flag.FlagSet) []property.Flag {
	var out []property.Flag
	f.VisitAll(func(x *flag.Flag) {
		entry := property.Flag{Name: x.Name, Doc: x.Usage}
		if b, ok := x.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
			entry.Values = []string{"true", "false"}
		}
		out = append(out, entry)
	})
	return out
}

// wordsOf are what a subcommand takes beside flags.
func wordsOf(command string) []string {
	switch command {
	case "deadletters":
		return []string{"list", "count", "show", "resend"}
	case "completion":
		return []string{"bash", "zsh", "fish"}
	}
	return nil
}

func names() []string {
	var out []string
	for _, c := range commands() {
		out = append(out, c.name)
	}
	return out
}

// writeBash writes a function that finds the subcommand and offers its words
// and flags, and the values of a flag behind its "=", which bash takes for a
// word of its own.
func writeBash(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# bash completion of %[1]s: source <(%[1]s completion bash)\n_streaming_etl() {\n", programName)
	fmt.Fprintf(&b, `	local cur=${COMP_WORDS[COMP_CWORD]} command=run flag= words= values= i
	if ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[1]} != -* ]]; then command=${COMP_WORDS[1]}; fi
	if [[ $cur == "=" ]]; then
		flag=${COMP_WORDS[COMP_CWORD-1]} cur=
	elif ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[COMP_CWORD-1]} == "=" ]]; then
		flag=${COMP_WORDS[COMP_CWORD-2]}
	fi
	if ((COMP_CWORD == 1)) && [[ $cur != -* ]]; then
		COMPREPLY=($(compgen -W "%s" -- "$cur"))
		return
	fi
	case $command in
`, strings.Join(names(), " "))
	for _, c := range commands() {
		var flags []string
		values := map[string][]string{} // flags by their values
		for _, f := range flagsOf(c.name) {
			flags = append(flags, "--"+f.Name+"=")
			if f.Values != nil {
				key := strings.Join(f.Values, " ")
				values[key] = append(values[key], "--"+f.Name)
			}
			if f.Path {
				values["<file>"] = append(values["<file>"], "--"+f.Name)
			}
		}
		fmt.Fprintf(&b, "	%s)\n		words=\"%s\"\n", c.name, strings.Join(append(wordsOf(c.name), flags...), " "))
		if len(values) > 0 {
			b.WriteString("		case $flag in\n")
			for _, key := range sortedKeys(values) {
				fmt.Fprintf(&b, "		%s) values=\"%s\" ;;\n", strings.Join(values[key], "|"), key)
			}
			b.WriteString("		esac\n")
		}
		b.WriteString("		;;\n")
	}
	fmt.Fprintf(&b, `	esac
	if [[ $values == "<file>" ]]; then
		COMPREPLY=($(compgen -f -- "$cur"))
	elif [[ -n $flag ]]; then
		COMPREPLY=($(compgen -W "$values" -- "$cur"))
	else
		COMPREPLY=($(compgen -W "$words" -- "$cur"))
		if [[ ${COMPREPLY[0]} == *= ]]; then compopt -o nospace 2>/dev/null; fi
	fi
}
complete -F _streaming_etl %s
`, programName)
	_, err := io.WriteString(w, b.String())
	return err
}

func sortedKeys(m map[string][]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// zshSpecial are the signs that end or begin something in a description of _arguments.
var zshSpecial = regexp.MustCompile(`[][:\\]`)

func writeZsh(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "#compdef %[1]s\n# zsh completion: %[1]s completion zsh > a folder of $fpath/_%[1]s\n_streaming_etl() {\n\tlocal command=run\n", programName)
	b.WriteString("	local -a commands=(\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "		%s\n", quoted(c.name+":"+c.doc))
	}
	b.WriteString("	)\n	if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then _describe command commands; return; fi\n" +
		"	if [[ $words[2] != -* ]]; then command=$words[2]; shift words; (( CURRENT-- )); fi\n	case $command in\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "	%s)\n		_arguments \\\n", c.name)
		for _, f := range flagsOf(c.name) {
			spec := "--" + f.Name + "=[" + zshSpecial.ReplaceAllString(f.Doc, `\$0`) + "]:value:"
			switch {
			case f.Path:
				spec += "_files"
			case f.Values != nil:
				spec += "(" + strings.Join(f.Values, " ") + ")"
			}
			fmt.Fprintf(&b, "			%s \\\n", quoted(spec))
		}
		words := wordsOf(c.name)
		fmt.Fprintf(&b, "			%s\n		;;\n", quoted("*::word:("+strings.Join(words, " ")+")"))
	}
	b.WriteString("	esac\n}\n_streaming_etl \"$@\"\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func writeFish(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# fish completion: %[1]s completion fish > ~/.config/fish/completions/%[1]s.fish\ncomplete -c %[1]s -f\n", programName)
	for _, c := range commands() {
		fmt.Fprintf(&b, "complete -c %s -n __fish_use_subcommand -a %s -d %s\n", programName, c.name, quoted(c.doc))
	}
	for _, c := range commands() {
		when := quoted("__fish_seen_subcommand_from " + c.name)
		if c.name == "run" {
			when = quoted("not __fish_seen_subcommand_from " + strings.Join(slices.DeleteFunc(names(), func(n string) bool { return n == "run" }), " "))
		}
		for _, word := range wordsOf(c.name) {
			fmt.Fprintf(&b, "complete -c %s -n %s -a %s\n", programName, when, word)
		}
		for _, f := range flagsOf(c.name) {
			takes := " -x"
			switch {
			case f.Path:
				takes = " -r -F"
			case f.Values != nil:
				takes = " -x -a " + quoted(strings.Join(f.Values, " "))
			}
			fmt.Fprintf(&b, "complete -c %s -n %s -l %s%s -d %s\n", programName, when, f.Name, takes, quoted(f.Doc))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
