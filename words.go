package main

import (
	"regexp"
	"strings"
)

// stepFailed ends what Beam writes before the error of one of the job's steps:
// plan, steps and types, over many lines.
var stepFailed = regexp.MustCompile(`(?s)^.*DoFn\[[^\]]*\] failed:\n`)

// longestWords is how much of an error a screen shows, in characters.
const longestWords = 600

// inWords is an error as people want to read it: that of the job's own step
// where there is one, in one line, and not for ever.
func inWords(message string) string {
	text := strings.Join(strings.Fields(stepFailed.ReplaceAllString(message, "")), " ")
	if r := []rune(text); len(r) > longestWords {
		return string(r[:longestWords-1]) + "…"
	}
	return text
}
