package s3io

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/streaming-etl/streaming-etl/io/internal/awsfault"
)

// Errors of uploads.
var (
	// ErrEmpty is returned by Upload.Finish when nothing was written: S3
	// knows no upload without parts, and an empty file helps nobody. The
	// upload is aborted.
	ErrEmpty = errors.New("s3io: the file is empty")
	// ErrFinished is returned for a second Finish, or a Write after Finish or
	// Abort: a mistake of the caller.
	ErrFinished = errors.New("s3io: the upload is finished or aborted")
)

// Error is a request that S3 refused, or that did not reach it, after all
// attempts.
type Error struct {
	// Op is S3's name of the operation, such as "UploadPart".
	Op string
	// Bucket and Key are what it was about; Key is empty for the bucket itself.
	Bucket, Key string
	// Endpoint is Options.Endpoint, or AWS and the region.
	Endpoint string
	// Hint is the likely cause and what to do about it, where it is known.
	Hint string
	// Err is the SDK's error.
	Err error
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of s3://%s", e.Op, e.Bucket)
	if e.Key != "" {
		b.WriteString("/" + e.Key)
	}
	fmt.Fprintf(&b, " (%s): ", e.Endpoint)
	if e.Hint != "" {
		b.WriteString(e.Hint + ": ")
	}
	b.WriteString(e.Err.Error())
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// UploadLostError says that a token can be committed no more: its upload is
// gone and there is no object. The upload was aborted by hand or by a lifecycle
// rule of the bucket (AbortIncompleteMultipartUpload, whose days must be more
// than any downtime or age of a savepoint), or the object was deleted after it
// had been committed. The rows exist only in the source: start again from
// positions before them, or, if the object was deleted on purpose, from a
// checkpoint after the commit.
type UploadLostError struct {
	Bucket, Key, UploadID string
	// Size in bytes and Rows are the token's.
	Size, Rows int64
}

func (e *UploadLostError) Error() string {
	return fmt.Sprintf("commit s3://%s/%s: upload %s is gone and the object is not there: "+
		"%d rows (%d bytes) are lost unless they are read again from the source; "+
		"the upload was aborted (by hand, or by a lifecycle rule shorter than the downtime) or the object was deleted after its commit",
		e.Bucket, e.Key, e.UploadID, e.Rows, e.Size)
}

// ObjectDiffersError says that a token's upload is gone and that another
// object has its key: something else writes under the job's prefix, or the
// object was changed after its commit.
type ObjectDiffersError struct {
	Bucket, Key, UploadID string
	// What differs: "size" or "CRC32", with the token's and the object's value.
	What, Want, Got string
}

func (e *ObjectDiffersError) Error() string {
	return fmt.Sprintf("commit s3://%s/%s: upload %s is gone and another object has the key: its %s is %s, the upload's %s",
		e.Bucket, e.Key, e.UploadID, e.What, e.Got, e.Want)
}

// fail wraps the SDK's error of an operation.
func (s *Store) fail(op, bucket, key string, err error) error {
	endpoint := s.opts.Endpoint
	if endpoint == "" {
		endpoint = "AWS region " + s.client.Options().Region
	}
	return &Error{Op: op, Bucket: bucket, Key: key, Endpoint: endpoint, Hint: s.hint(op, bucket, key, err), Err: err}
}

// actions are what a policy must allow for an operation, on the object or, for
// those of the bucket, on the bucket.
var actions = map[string]string{
	"HeadBucket":              "s3:ListBucket",
	"ListObjectsV2":           "s3:ListBucket",
	"GetObject":               "s3:GetObject",
	"PutObject":               "s3:PutObject",
	"CreateMultipartUpload":   "s3:PutObject",
	"UploadPart":              "s3:PutObject",
	"CompleteMultipartUpload": "s3:PutObject",
	"AbortMultipartUpload":    "s3:AbortMultipartUpload",
	// Without s3:ListBucket a missing object is answered as denied.
	"HeadObject": "s3:GetObject, and s3:ListBucket on the bucket,",
}

// hint tells the likely cause of an error, or nothing. Status codes are looked
// at too: answers to HEAD requests have no code.
func (s *Store) hint(op, bucket, key string, err error) string {
	code, response := errorCode(err), errorResponse(err)
	status := 0
	var bucketRegion string
	if response != nil {
		status = response.StatusCode
		bucketRegion = response.Header.Get("X-Amz-Bucket-Region")
	}
	region := s.client.Options().Region
	var timeout net.Error
	switch {
	case op == credentialsOp:
		return "" // it says what to do
	// Before all codes: they are of who gives credentials, such as STS.
	case awsfault.WithoutCredentials(err):
		return "there are no AWS credentials: are there any in the environment, profile or instance, and may the role be assumed?"
	case bucketRegion != "" && bucketRegion != region:
		return fmt.Sprintf("the bucket is in region %s, the request went to %s: set the region", bucketRegion, region)
	case status == http.StatusMovedPermanently, code == "PermanentRedirect", code == "AuthorizationHeaderMalformed":
		return fmt.Sprintf("the bucket is not in region %s: set the region", region)
	case code == "NoSuchBucket", op == "HeadBucket" && status == http.StatusNotFound:
		return "the bucket does not exist"
	case code == "InvalidAccessKeyId", code == "SignatureDoesNotMatch", code == "ExpiredToken", code == "InvalidToken":
		return "the AWS credentials are wrong or expired"
	case code == "RequestTimeTooSkewed":
		return "this machine's clock is wrong"
	case code == "AccessDenied", code == "Forbidden", status == http.StatusForbidden:
		resource := "arn:aws:s3:::" + bucket
		if key != "" {
			resource += "/" + key
		}
		return fmt.Sprintf("access denied: the credentials' policy must allow %s on %s (and the key's use, if the bucket is encrypted by KMS)", actions[op], resource)
	case response == nil && errors.Is(err, context.Canceled):
		return ""
	case response == nil && errors.As(err, &timeout) && timeout.Timeout(), response == nil && errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case response == nil && isNetwork(err):
		return "the endpoint cannot be reached"
	}
	return ""
}

// Passing reports whether an error is one that may pass by itself: S3 cannot be
// reached, breaks the connection off, does not answer in time, is overloaded or
// fails within, or who gives credentials does. The end of the caller's own
// context is none.
func Passing(err error) bool {
	var e *Error
	if !errors.As(err, &e) || errors.Is(err, context.Canceled) {
		return false
	}
	if _, ok := passingCodes[errorCode(e.Err)]; ok || awsfault.Throttled(e.Err) {
		return true
	}
	response := errorResponse(e.Err)
	// That nobody gives credentials is no fault of S3's: of the services that are asked for them all but one are not there.
	if !withoutCredentials(e) && (response == nil || response.StatusCode == http.StatusOK) {
		var timeout net.Error
		if isNetwork(e.Err) || brokenOff(e.Err) || errors.As(e.Err, &timeout) && timeout.Timeout() || errors.Is(e.Err, context.DeadlineExceeded) {
			return true
		}
	}
	status := awsfault.Status(e.Err)
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}

// passingCodes are those of S3's errors that mean "again" whatever their status,
// beside those of throttling.
var passingCodes = map[string]struct{}{
	"InternalError":      {}, // also in the body of an answer 200 to CompleteMultipartUpload
	"ServiceUnavailable": {},
	"RequestTimeout":     {}, // the status is 400: the body came too slowly
	"OperationAborted":   {}, // a conflicting operation is under way
	"BadDigest":          {}, // damaged on its way: the body in memory is whole
	"IncompleteBody":     {},
}

// credentialsOp is the operation of Check that asks for credentials.
const credentialsOp = "GetCredentials"

func withoutCredentials(e *Error) bool {
	return e.Op == credentialsOp || awsfault.WithoutCredentials(e.Err)
}

// Unauthorized reports whether S3 has refused who asks: credentials that it
// does not take, or that may not do this; or whether none were given. (A HEAD of an object that is not there
// is answered so too, where the bucket may not be listed: that is none.)
func Unauthorized(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	if withoutCredentials(e) {
		return true
	}
	if e.Op == "HeadObject" {
		return false
	}
	switch errorCode(e.Err) {
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken":
		return true
	}
	return Denied(e.Err)
}

// brokenOff tells of connections that ended before the answer did.
func brokenOff(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func isNetwork(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) || errors.As(err, &dns)
}

// errorCode is S3's code of an error, such as "NoSuchUpload", or "".
func errorCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// errorResponse is the HTTP response that an error came with, or nil when
// there was none.
func errorResponse(err error) *smithyhttp.Response {
	var re *smithyhttp.ResponseError
	// The SDK makes up a response of status 0 for requests without an answer.
	if !errors.As(err, &re) || re.Response == nil || re.Response.Response == nil || re.Response.StatusCode == 0 {
		return nil
	}
	return re.Response
}

// Two answers that are not failures everywhere.
func noSuchUpload(err error) bool { return errorCode(err) == "NoSuchUpload" }

func notFound(err error) bool {
	// HEAD answers have no code; the SDK makes it from the status.
	code := errorCode(err)
	return code == "NotFound" || code == "NoSuchKey"
}
