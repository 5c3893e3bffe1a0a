package s3io

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/streaming-etl/streaming-etl/io/internal/awsfault"
)

// Tried is one permission that Probe has tried.
type Tried struct {
	// Action is what a policy allows, such as "s3:PutObject"; Resource the ARN
	// that it is allowed on.
	Action, Resource string
	// Err is why it did not work; ErrNotTried where something that comes before
	// it did not.
	Err error
}

// ErrNotTried is in what Probe could not try.
var ErrNotTried = errors.New("not tried, since what comes before it does not work")

// Probe tries what a job does, permission by permission, and leaves nothing
// behind: it looks at the bucket, opens an upload under Options.Prefix, uploads
// a part, looks for the object, which is not there, and aborts the upload. It
// ends within 30 seconds. Completing an upload needs what uploading does.
func (s *Store) Probe(ctx context.Context) []Tried {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	bucket := "arn:aws:s3:::" + s.opts.Bucket
	objects := bucket + "/" + s.opts.Prefix + "*"
	key := s.opts.Prefix + checkKeyName + rand.Text()

	_, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String(s.opts.Bucket)})
	if err != nil {
		err = s.fail("HeadBucket", s.opts.Bucket, "", err)
	}
	out := []Tried{{"s3:ListBucket", bucket, err}}

	// Of an object that is not there a 404 tells that it may be read.
	_, err = s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String(s.opts.Bucket), Key: aws.String(key)})
	if notFound(err) {
		err = nil
	}
	if err != nil {
		err = s.fail("HeadObject", s.opts.Bucket, key, err)
	}
	get := Tried{"s3:GetObject", objects, err}

	id, err := s.open(ctx, key, "", nil)
	if err != nil {
		return append(out, Tried{"s3:PutObject", objects, err}, get, Tried{"s3:AbortMultipartUpload", objects, ErrNotTried})
	}
	_, err = s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: aws.String(s.opts.Bucket), Key: aws.String(key), UploadId: aws.String(id), PartNumber: aws.Int32(1), Body: bytes.NewReader([]byte("a part")),
	})
	if err != nil {
		err = s.fail("UploadPart", s.opts.Bucket, key, err)
	}
	put := Tried{"s3:PutObject", objects, err}
	return append(out, put, get, Tried{"s3:AbortMultipartUpload", objects, s.AbortUpload(ctx, key, id)})
}

// Denied reports whether S3 has answered that the credentials may not. That
// there are none, as where STS refuses a role, is no answer of S3's.
func Denied(err error) bool {
	var e *Error
	if awsfault.WithoutCredentials(err) || errors.As(err, &e) && withoutCredentials(e) {
		return false
	}
	code := errorCode(err)
	if code == "AccessDenied" || code == "Forbidden" {
		return true
	}
	r := errorResponse(err)
	return r != nil && r.StatusCode == 403 && code != "InvalidAccessKeyId" && code != "SignatureDoesNotMatch" && code != "ExpiredToken" &&
		code != "InvalidToken" && code != "RequestTimeTooSkewed"
}
