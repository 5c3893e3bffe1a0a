package deadletters

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"time"
)

// state is what a ledger knows of a letter.
type state int

const (
	// unknown letters were never sent.
	unknown state = iota
	// claimed ones somebody has set out to send. If that ended in between,
	// nobody knows whether the source has them.
	claimed
	// refused ones were claimed, and the source did not take them: they can be
	// claimed again, and are unknown till then.
	refused
	// sent ones are in the source.
	sent
)

var states = map[string]state{"claimed": claimed, "refused": refused, "sent": sent}

func (s state) String() string {
	switch s {
	case claimed:
		return "claimed"
	case refused:
		return "refused"
	case sent:
		return "sent"
	}
	return "unknown"
}

// ledger is the record of what was sent, beside the letters.
type ledger interface {
	// place is where it is, for people.
	place() string
	load(ctx context.Context) (map[string]state, error)
	// claim writes down that letters are about to be sent, and returns for
	// each whether it did: others had not.
	claim(ctx context.Context, ids []string) ([]bool, error)
	// confirm writes down that letters were sent, refuse that the source did
	// not take them, after this call has claimed them.
	confirm(ctx context.Context, ids []string) error
	refuse(ctx context.Context, ids []string) error
	close()
}

// note is what a ledger has of a claim, for people who look.
type note struct {
	Time time.Time `json:"time"`
	// Run tells one call of resend from another.
	Run string `json:"run"`
}

func newNote(run string) note { return note{time.Now().UTC(), run} }

func newRun() string { return strings.ToLower(rand.Text()) }

// tries are of a ledger that only ever makes notes, and changes none: how often
// the source has refused each letter. Each claim has a note of its own, so that
// of several who claim a letter that was refused one does, as with others.
type tries map[string]int

// names returns the names of the notes of the present tries.
func (t tries) names(ids []string) []string {
	names := make([]string, len(ids))
	for i, id := range ids {
		if names[i] = id; t[id] > 0 {
			names[i] += "." + strconv.Itoa(t[id])
		}
	}
	return names
}

// read takes over what notes there are, and returns what they say.
func (t tries) read(notes map[state][]string) map[string]state {
	clear(t)
	known, over := map[string]state{}, map[string]bool{}
	letter := func(name string) string {
		id, _, _ := strings.Cut(name, ".")
		return id
	}
	for _, name := range notes[refused] {
		over[name] = true
		t[letter(name)]++
	}
	for _, name := range notes[claimed] {
		if !over[name] {
			known[letter(name)] = claimed
		}
	}
	for _, name := range notes[sent] {
		known[letter(name)] = sent
	}
	return known
}

// refused counts letters that the source did not take.
func (t tries) refused(ids []string) {
	for _, id := range ids {
		t[id]++
	}
}
