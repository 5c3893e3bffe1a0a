package kinesisio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/streaming-etl/streaming-etl/io/internal/awsfault"
)

// Error is a call to Kinesis that failed for good. It wraps the service's or
// the network's error, for errors.Is and errors.As.
type Error struct {
	// Op is the API's name of the call, e.g. "GetRecords".
	Op string
	// Stream is the stream's name or ARN, Shard the shard's id if the call was for one.
	Stream, Shard string
	// Region and Endpoint are where the call went; an empty Endpoint is AWS's own.
	Region, Endpoint string
	// Attempts is how often the call was tried, 0 if it was not counted.
	Attempts int
	Err      error
}

// verb says what a call is for.
func verb(op string) string {
	switch op {
	case "ListShards":
		return "list shards"
	case "GetShardIterator":
		return "get an iterator"
	case "GetRecords":
		return "read records"
	case "PutRecords":
		return "put records"
	case "SubscribeToShard":
		return "subscribe to records"
	case "RegisterStreamConsumer", "DescribeStreamConsumer":
		return "register a consumer"
	case "DeregisterStreamConsumer":
		return "deregister the consumer"
	case "DescribeStreamSummary":
		return "describe"
	}
	return op
}

// Error tells what was being done, to what, why it failed and what may help.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(verb(e.Op))
	if e.Shard != "" {
		b.WriteString(" of shard " + e.Shard)
	}
	fmt.Fprintf(&b, " of stream %s", e.Stream)
	if e.Region != "" {
		b.WriteString(" in " + e.Region)
	}
	if e.Endpoint != "" {
		b.WriteString(" at " + e.Endpoint)
	}
	if e.Attempts > 1 {
		fmt.Fprintf(&b, " (tried %d times)", e.Attempts)
	}
	b.WriteString(": " + Cause(e.Err))
	if h := e.hint(); h != "" {
		b.WriteString(" (" + h + ")")
	}
	return b.String()
}

// Unwrap returns the error of the call itself.
func (e *Error) Unwrap() error { return e.Err }

// Cause is the service's own code and message where there are any: the SDK's
// text around them repeats what Error says already. Those of who gives
// credentials are told with it.
func Cause(err error) string {
	if api := smithy.APIError(nil); errors.As(err, &api) && !awsfault.WithoutCredentials(err) {
		if api.ErrorMessage() == "" {
			return api.ErrorCode()
		}
		return api.ErrorCode() + ": " + api.ErrorMessage()
	}
	return err.Error()
}

func (e *Error) hint() string {
	var (
		api      smithy.APIError
		missing  *types.ResourceNotFoundException
		noAnswer net.Error
	)
	switch {
	case awsfault.WithoutCredentials(e.Err):
		return "are there AWS credentials in the environment, profile or instance, and may the role be assumed?"
	case errors.As(e.Err, &missing):
		return "does the stream exist in this account and region?"
	case errors.As(e.Err, &api):
		switch code := api.ErrorCode(); {
		case strings.HasPrefix(code, "KMSAccessDenied"):
			return "the identity needs the permission kms:Decrypt, to write kms:GenerateDataKey, on the stream's key"
		case strings.HasPrefix(code, "AccessDenied"):
			return "the identity needs the IAM permission kinesis:" + e.Op + " on the stream"
		case invalidCredentials(code):
			return "are the AWS credentials valid, and meant for this region or endpoint?"
		}
	case errors.Is(e.Err, context.DeadlineExceeded), errors.As(e.Err, &noAnswer):
		if e.Endpoint == "" {
			return "no answer: are region and network right?"
		}
		return "no answer: is the endpoint right, and reachable from here?"
	}
	return ""
}

// invalidCredentials tells of codes by which who asks is not known.
func invalidCredentials(code string) bool {
	switch code {
	case "UnrecognizedClientException", "InvalidSignatureException", "MissingAuthenticationTokenException", "IncompleteSignatureException":
		return true
	}
	return strings.HasPrefix(code, "ExpiredToken")
}

// Denied reports whether the service has answered that the credentials may not.
// That there are none, as where STS refuses a role, is no answer of its.
func Denied(err error) bool {
	var api smithy.APIError
	return !awsfault.WithoutCredentials(err) && errors.As(err, &api) && strings.Contains(api.ErrorCode(), "AccessDenied")
}

// denied tells of errors that are about who asks: credentials that are missing
// or not known, and what they may not.
func denied(err error) bool {
	if awsfault.WithoutCredentials(err) {
		return true
	}
	api := smithy.APIError(nil)
	if !errors.As(err, &api) {
		return false
	}
	code := api.ErrorCode()
	return strings.HasPrefix(code, "AccessDenied") || strings.HasPrefix(code, "KMSAccessDenied") || invalidCredentials(code)
}

// class is what an error means for the next step.
type class int

const (
	// permanent errors would come again: a retry only hides them.
	permanent class = iota
	// transient errors pass by themselves.
	transient
	// throttled calls came too often, or read too much at once.
	throttled
	// expired iterators are replaced by new ones.
	expired
	// canceled calls were given up by us.
	canceled
)

// classify sorts the errors of all calls of this package.
func classify(ctx context.Context, err error) class {
	if ctx.Err() != nil {
		return canceled
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		if c := classifyCode(api.ErrorCode()); c != permanent {
			return c
		}
	}
	if c := classifyStatus(err); c != permanent {
		return c
	}
	var (
		cut    *smithy.DeserializationError
		unsent *smithyhttp.RequestSendError
		noNet  net.Error
	)
	switch {
	// The body ended early or was no JSON: a proxy's page, a broken connection.
	case errors.As(err, &cut), errors.Is(err, io.ErrUnexpectedEOF):
		return transient
	case errors.As(err, &unsent), errors.As(err, &noNet), errors.Is(err, context.DeadlineExceeded):
		return transient
	}
	return permanent
}

// classifyStatus sorts errors by the status of an answer.
func classifyStatus(err error) class {
	switch status := awsfault.Status(err); {
	case status == 429:
		return throttled
	case status >= 500, status == 408:
		return transient
	}
	return permanent
}

// classifyCode sorts the codes of whole answers and of PutRecords entries.
func classifyCode(code string) class {
	switch code {
	case "ExpiredIteratorException":
		return expired
	case "KMSThrottlingException":
		return throttled
	// Credentials of a session are renewed by the SDK; the next call has new ones.
	case "ExpiredTokenException", "ExpiredToken",
		// The stream is still being made.
		"ResourceInUseException",
		"InternalFailure", "InternalFailureException", "InternalServerError", "InternalError", "ServiceUnavailable", "ServiceUnavailableException",
		"RequestTimeout", "RequestTimeoutException":
		return transient
	}
	if awsfault.ThrottleCode(code) {
		return throttled
	}
	return permanent
}
