package deadletters

import (
	"context"
	"crypto/rand"
	"strings"
	"time"
)

// state is what a ledger knows of a letter; a higher one wins.
type state int

const (
	// unknown letters were never sent.
	unknown state = iota
	// claimed ones somebody has set out to send. If that ended in between,
	// nobody knows whether the source has them.
	claimed
	// sent ones are in the source.
	sent
)

var states = map[string]state{"claimed": claimed, "sent": sent}

func (s state) String() string {
	switch s {
	case claimed:
		return "claimed"
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
	// confirm writes down that letters were sent.
	confirm(ctx context.Context, ids []string) error
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
