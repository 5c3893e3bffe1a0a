// Package awsfault tells what errors of the AWS SDK mean for which it has no type.
package awsfault

import (
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// withoutCredentials is in the SDK's errors of calls for which there are none.
const withoutCredentials = "get identity: get credentials"

// WithoutCredentials tells of calls for which there were no credentials: none are
// configured, or who gives them (STS, an agent, the instance) did not.
func WithoutCredentials(err error) bool {
	return err != nil && strings.Contains(err.Error(), withoutCredentials)
}

// ThrottleCode tells of codes of errors that mean "more slowly" whatever their
// status, which for some services, such as STS, is 400: those that the SDK tries
// again.
func ThrottleCode(code string) bool {
	_, known := retry.DefaultThrottleErrorCodes[code]
	return known
}

// Throttled tells of errors with such a code.
func Throttled(err error) bool {
	var coded interface{ ErrorCode() string }
	return errors.As(err, &coded) && ThrottleCode(coded.ErrorCode())
}

// Status is that of an answer in HTTP, 0 without one: the service's, or of the
// agent that gives a container its credentials, whose errors have no other type
// that is known, and often no code.
func Status(err error) int {
	var answer interface{ HTTPStatusCode() int }
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}
