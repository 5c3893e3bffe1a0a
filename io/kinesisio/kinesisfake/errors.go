package kinesisfake

import (
	"errors"
	"fmt"
	"net/http"
)

// Error is an exception as the service answers it; clients see it as their
// own type of that name. Controls return it to script faults.
type Error struct {
	// Type is the exception's name, such as ProvisionedThroughputExceededException.
	Type string
	// Message is the text beside it.
	Message string
	// Status is the HTTP status; 0 means 500 for InternalFailure and
	// InternalFailureException, 503 for ServiceUnavailable, else 400.
	Status int
}

// Error returns the type and the message.
func (e *Error) Error() string { return e.Type + ": " + e.Message }

func (e *Error) status() int {
	switch {
	case e.Status != 0:
		return e.Status
	case e.Type == "InternalFailure", e.Type == "InternalFailureException":
		return http.StatusInternalServerError
	case e.Type == "ServiceUnavailable":
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// What a control returns to have the connection cut instead of an answer.
var (
	// ErrDrop cuts the connection before the request is served.
	ErrDrop = errors.New("kinesisfake: drop the connection")
	// ErrDropAfter serves the request, then cuts the connection: what was
	// put is stored, and the client cannot know.
	ErrDropAfter = errors.New("kinesisfake: serve, then drop the connection")
)

const (
	typeInvalidArgument = "InvalidArgumentException"
	typeNotFound        = "ResourceNotFoundException"
	typeInUse           = "ResourceInUseException"
	typeLimit           = "LimitExceededException"
	typeThroughput      = "ProvisionedThroughputExceededException"
)

func failf(typ, format string, args ...any) error {
	return &Error{Type: typ, Message: fmt.Sprintf(format, args...)}
}

func invalidArgument(format string, args ...any) error {
	return failf(typeInvalidArgument, format, args...)
}

func serialization(err error) error {
	return failf("SerializationException", "%v", err)
}

func dryRunDone() error {
	return failf("DryRunOperationException", "The request would have succeeded, but the DryRun parameter is set.")
}
