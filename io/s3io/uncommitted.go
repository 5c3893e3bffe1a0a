package s3io

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Uncommitted is an upload that was neither committed nor aborted.
type Uncommitted struct {
	Key       string
	UploadID  string
	Initiated time.Time
}

// ListUncommitted returns the uploads under prefix that were begun before a
// time, for AbortUpload. It cannot tell an abandoned upload from one whose
// token waits in a checkpoint or savepoint, and aborting the latter loses its
// rows: so the time must lie before the oldest checkpoint or savepoint that
// may still be restored, and mine must be true only for keys of this very job,
// by a mark in them that no other job has, such as its start time.
func (s *Store) ListUncommitted(ctx context.Context, prefix string, before time.Time, mine func(key string) bool) ([]Uncommitted, error) {
	ctx, cancel := s.operation(ctx)
	defer cancel()
	var list []Uncommitted
	pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{
		Bucket: aws.String(s.opts.Bucket),
		Prefix: aws.String(prefix),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s.fail("ListMultipartUploads", s.opts.Bucket, prefix, err)
		}
		for _, u := range page.Uploads {
			key, begun := aws.ToString(u.Key), aws.ToTime(u.Initiated)
			// An upload that does not say when it was begun is not touched.
			if u.Initiated != nil && begun.Before(before) && mine(key) {
				list = append(list, Uncommitted{Key: key, UploadID: aws.ToString(u.UploadId), Initiated: begun})
			}
		}
	}
	return list, nil
}
