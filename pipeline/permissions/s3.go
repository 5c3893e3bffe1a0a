package permissions

import (
	"context"
	"errors"

	"github.com/streaming-etl/streaming-etl/io/s3io"
)

// S3 tries to upload to a bucket.
func S3(property string, o s3io.Options) Probe {
	return func(ctx context.Context) Report {
		o.MaxAttempts = 2 // what does not answer is more likely wrong than busy
		store, err := s3io.New(ctx, o)
		if err != nil {
			return Report{Permissions: []Permission{{
				Property: property, System: IAM, Action: "s3:ListBucket", Resource: "arn:aws:s3:::" + o.Bucket, Outcome: Failed, Why: err.Error(),
			}}}
		}
		var r Report
		for _, t := range store.Probe(ctx) {
			p := Permission{Property: property, System: IAM, Action: t.Action, Resource: t.Resource, Outcome: Granted}
			switch {
			case t.Err == nil:
			case errors.Is(t.Err, s3io.ErrNotTried):
				p.Outcome, p.Why = Untried, t.Err.Error()
			case s3io.Denied(t.Err):
				p.Outcome, p.Why = Refused, "access denied"
			default:
				p.Outcome, p.Why = Failed, t.Err.Error()
			}
			r.Permissions = append(r.Permissions, p)
		}
		return r
	}
}
