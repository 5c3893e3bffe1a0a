package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// ErrNotFound is in errors about a job, a jar or a savepoint operation that the cluster does not know: after a restart
// of a JobManager without high availability it knows none of before.
var ErrNotFound = errors.New("the cluster does not know it")

// An UnreachableError is returned if the cluster could not be asked, did not answer in time, or has no JobManager that
// leads (HTTP 502, 503, 504). Asking again later may
// help: a JobManager that is restarted is unreachable for some seconds.
type UnreachableError struct {
	URL     string
	Setting string // where the URL comes from
	Err     error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("Flink cannot be reached at %s (%s): %v; is its JobManager running there?", e.URL, e.Setting, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// An Error is Flink's answer that it will not, or cannot.
type Error struct {
	Status  int    // of HTTP
	Message string // what was thrown first, without stack frames
	Details string // the whole answer, with its stack traces
}

func (e *Error) Error() string { return e.Message }

// Is makes a 404 an ErrNotFound.
func (e *Error) Is(target error) bool {
	return target == ErrNotFound && e.Status == http.StatusNotFound
}

// A JobEndedError is returned if a job ended before it was in the state that was waited for.
type JobEndedError struct {
	Job     Job
	Failure Failure // why, if it failed and that is known
}

func (e *JobEndedError) Error() string {
	if e.Failure.Message == "" {
		return fmt.Sprintf("job %s has ended: it is %s", e.Job.ID, e.Job.State)
	}
	return fmt.Sprintf("job %s has ended: it is %s: %s", e.Job.ID, e.Job.State, e.Failure)
}

// A NotEnoughSlotsError is returned if a job has waited for slots for a while. It goes on waiting, and starts when there
// are enough.
type NotEnoughSlotsError struct {
	JobID                    string
	Needed, Total, Available int // slots; those that this job holds are not available
	TaskManagers             int
}

func (e *NotEnoughSlotsError) Error() string {
	waits := fmt.Sprintf("job %s waits for slots: it needs %d, and the cluster has %d in %d TaskManagers",
		e.JobID, e.Needed, e.Total, e.TaskManagers)
	if e.Needed > e.Total {
		// What is free does not matter, and looks odd: the job holds what there is, so that is none.
		return fmt.Sprintf("%s: add %d, or cancel the job and submit it with less parallelism", waits, e.Needed-e.Total)
	}
	return fmt.Sprintf("%s, too many of which other jobs hold: free are %d, besides any that this job holds already",
		waits, e.Available)
}

// answerError reads {"errors": ["…", …]}, where one of the texts is a stack trace with its causes.
func answerError(status int, body []byte) error {
	var answer struct{ Errors []string }
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Errors) == 0 {
		text := strings.TrimSpace(string(body))
		if text == "" {
			text = http.StatusText(status)
		}
		return &Error{Status: status, Message: fmt.Sprintf("Flink answers %d: %s", status, firstLine(text)), Details: text}
	}
	// Before the text that tells there may be one that does not: "Internal server error."
	details := strings.Join(answer.Errors, "\n")
	message := rootCause(answer.Errors[len(answer.Errors)-1])
	if message == "" {
		message = strings.TrimSpace(details)
	}
	return &Error{Status: status, Message: message, Details: details}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// wrap says what was being done.
func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
