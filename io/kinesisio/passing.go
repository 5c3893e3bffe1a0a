package kinesisio

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/smithy-go"
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
	if withoutCredentials(e.Err) {
		// Where nobody gives any there is no answer either.
		return classifyStatus(e.Err) != permanent
	}
	c := classify(context.Background(), e.Err)
	return c == transient || c == throttled
}
