package kinesisio

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/streaming-etl/streaming-etl/io/internal/awsfault"
)

// Passing reports whether an error of Check may be gone when it is asked again:
// the service cannot be reached, does not answer, fails within or throttles.
// Refused or missing credentials, permissions and streams are none.
func Passing(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	if api := smithy.APIError(nil); errors.As(e.Err, &api) && strings.HasPrefix(api.ErrorCode(), "ExpiredToken") {
		return false
	}
	if awsfault.WithoutCredentials(e.Err) {
		// Where nobody gives any there is no answer either.
		return classifyStatus(e.Err) != permanent || awsfault.Throttled(e.Err)
	}
	c := classify(context.Background(), e.Err)
	return c == transient || c == throttled
}
