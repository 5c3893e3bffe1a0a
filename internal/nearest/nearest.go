// Package nearest finds the name that a mistyped one most likely means, for
// messages that ask "did you mean".
package nearest

import "strings"

// Of returns the candidate that a mistyped name most likely means, or ""
// when none is near. Case counts for nothing; of equals the first wins.
func Of(name string, candidates []string) string {
	const longest = 100 // no known name is longer: comparing more is wasted
	if name == "" || len(name) > longest {
		return ""
	}
	best, bestDistance := "", 2+len(name)/4 // one typing error, and one more per four letters
	for _, c := range candidates {
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the Levenshtein distance of a and b in bytes: how many bytes
// must be inserted, deleted or replaced to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1) // distances of the part of a so far to each prefix of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
