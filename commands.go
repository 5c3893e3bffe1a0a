package main

import (
	"fmt"
	"strings"
)

// aCommand is one of the program's subcommands, for lists of them.
type aCommand struct{ name, doc string }

// commands lists the subcommands in the order of their use.
func commands() []aCommand {
	return []aCommand{
		{"run", "runs the job; the default"},
		{"check", "shows what the job would do, or everything that is wrong with the properties"},
		{"try", "runs the job on your own events, with servers in this process"},
		{"replay", "puts historic events into a stream"},
		{"jar", "builds the job as one jar for any Flink cluster"},
		{"status", "shows the state of a job on a cluster"},
		{"deadletters", "lists, counts and shows dead letters, and resends their events"},
		{"compare", "compares two outputs, record by record"},
		{"savepoint", "takes a savepoint of a job"},
		{"stop", "stops a job with a savepoint"},
		{"cancel", "cancels a job"},
		{"deregister", "deregisters the enhanced fan-out consumer of a job that has ended"},
		{"completion", "writes the completion script for bash, zsh or fish"},
		{"version", "prints the version and commit"},
		{"help", "lists all properties"},
	}
}

// commandNames lists the subcommands for messages.
func commandNames() string {
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// usage lists the subcommands for help.
func usage() string {
	var b strings.Builder
	b.WriteString("streaming-etl [COMMAND] [--Name=value …]\n\nThe commands, each of which takes --help:\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-12s %s\n", c.name, c.doc)
	}
	return b.String()
}
