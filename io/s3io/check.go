package s3io

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	// checkTimeout ends Check, so that a wrong setting is known soon.
	checkTimeout = 25 * time.Second
	// checkAttempts is for Check alone: what does not answer is more likely
	// wrong than busy.
	checkAttempts = 3
	// checkKeyName is part of the key of the upload that Check opens and aborts.
	checkKeyName = "streaming-etl-check-"
)

// Check finds out, for a start-up, whether the job could work: credentials are
// there, the bucket exists, and files can be uploaded under Options.Prefix,
// which it tries with an upload that it aborts. It ends within 30 seconds; the
// error says which operation failed at which endpoint, and what to do.
func (s *Store) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	c := &Store{opts: s.opts, client: s3.New(s.client.Options(), func(o *s3.Options) {
		o.Retryer = retry.AddWithMaxAttempts(o.Retryer, min(checkAttempts, s.opts.MaxAttempts))
	})}
	if err := c.check(ctx); err != nil {
		return fmt.Errorf("check bucket %s: %w", s.opts.Bucket, err)
	}
	return nil
}

func (s *Store) check(ctx context.Context) error {
	if !s.opts.Anonymous {
		if _, err := s.client.Options().Credentials.Retrieve(ctx); err != nil {
			return s.fail(credentialsOp, s.opts.Bucket, "", fmt.Errorf("no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role of the instance: %w", err))
		}
	}
	if _, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String(s.opts.Bucket)}); err != nil {
		return s.fail("HeadBucket", s.opts.Bucket, "", err)
	}
	// The name differs each time: jobs that start together must not abort
	// each other's.
	key := s.opts.Prefix + checkKeyName + rand.Text()
	id, err := s.open(ctx, key, "", nil)
	if err != nil {
		return err
	}
	return s.AbortUpload(ctx, key, id)
}
