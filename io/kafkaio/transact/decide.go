package transact

import (
	"fmt"
)

// verdict is what is done with a block.
type verdict int

const (
	// write: the block is next.
	write verdict = iota
	// skip: the block was committed before.
	skip
	// accept: the block does not follow, and the policy takes it nevertheless.
	accept
)

// decide compares a block with the lane's last committed marker, nil for none.
// The policy decides where they do not fit. A number that is taken is that of
// the same block only if the same attempt made it: a job that is started from
// an old savepoint makes other blocks of the numbers that follow.
func decide(m *marker, lane int, b Block, policy MarkerPolicy) (verdict, error) {
	var kind error
	switch same := m != nil && m.Job == b.Job; {
	case !same && b.Number == 1, same && b.Number == m.Number+1:
		return write, nil
	case same && m.wrote(b.Number, b.Attempt):
		return skip, nil
	case same && b.Number <= m.Number:
		kind = ErrOlder
	default:
		kind = ErrGap
	}
	if policy == Accept {
		return accept, nil
	}
	e := &OrderError{Kind: kind, Lane: lane, Job: b.Job, Number: b.Number, Attempt: b.Attempt}
	if m != nil {
		e.LastJob, e.LastNumber, e.LastAttempt = m.Job, m.Number, m.attempt()
	}
	return write, e
}

// OrderError is a block that does not follow what its lane's marker says. It
// is permanent: a retry meets the same marker.
type OrderError struct {
	// Kind is ErrGap or ErrOlder, for errors.Is.
	Kind error
	// Lane, Job, Number and Attempt are the block's.
	Lane            int
	Job             string
	Number, Attempt int64
	// LastJob, LastNumber and LastAttempt are the marker's; LastNumber is 0
	// where there is none.
	LastJob                 string
	LastNumber, LastAttempt int64
}

// Unwrap returns the kind.
func (e *OrderError) Unwrap() error { return e.Kind }

// Error tells what is there, what is missing or double, and what can be done.
func (e *OrderError) Error() string {
	block := fmt.Sprintf("lane %d: block %d (attempt %d) of job %s", e.Lane, e.Number, e.Attempt, e.Job)
	switch {
	case e.Kind == ErrOlder:
		return fmt.Sprintf("%s: %v: blocks up to %d were written in attempt %d, "+
			"and those after the savepoint would be written a second time with other contents; "+
			"restore a later savepoint, or let the marker policy be %s to write blocks %d to %d again",
			block, e.Kind, e.LastNumber, e.LastAttempt, Accept, e.Number, e.LastNumber)
	case e.LastNumber == 0:
		return fmt.Sprintf("%s: %v: there is no marker, so blocks 1 to %d, or the marker itself, were lost in Kafka; "+
			"is the marker topic the right one? Let the marker policy be %s to go on without",
			block, e.Kind, e.Number-1, Accept)
	case e.LastJob != e.Job:
		return fmt.Sprintf("%s: %v: the last marker is that of job %s (block %d), so this job's own was lost or overwritten; "+
			"do two jobs share a marker topic? Let the marker policy be %s to go on",
			block, e.Kind, e.LastJob, e.LastNumber, Accept)
	}
	return fmt.Sprintf("%s: %v: the last committed one is %d, so blocks %d to %d were lost in Kafka, "+
		"or come later because the runner has mixed their order, as it does after many restarts without a commit: "+
		"start from a checkpoint or savepoint of before those; with the marker policy %s they are left out for good",
		block, e.Kind, e.LastNumber, e.LastNumber+1, e.Number-1, Accept)
}
