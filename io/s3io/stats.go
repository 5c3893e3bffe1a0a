package s3io

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/streaming-etl/streaming-etl/io/internal/awsfault"
)

// Stats counts what a store did.
type Stats struct {
	// Opened are the uploads that were begun, Aborted those that were ended
	// without an object. What Commit made of the others, its outcome tells.
	Opened, Aborted int64
	// Parts were uploaded.
	Parts int64
	// Retries are the requests that were made again, Throttles those of them
	// that S3 had refused because they came too fast (503 SlowDown, 429).
	Retries, Throttles int64
}

// counters are updated by the uploads.
type counters struct{ opened, aborted, parts, retries, throttles atomic.Int64 }

// Stats returns the present counts. It may be called at any time.
func (s *Store) Stats() Stats {
	return Stats{
		Opened: s.counts.opened.Load(), Aborted: s.counts.aborted.Load(), Parts: s.counts.parts.Load(),
		Retries: s.counts.retries.Load(), Throttles: s.counts.throttles.Load(),
	}
}

// retried has the client's retries counted.
func (c *counters) retried(so *s3.Options) {
	if r, ok := so.Retryer.(aws.RetryerV2); ok {
		so.Retryer = countingRetryer{r, c}
	}
}

// countingRetryer counts the requests that are made again. The SDK asks for
// the delay of those alone.
type countingRetryer struct {
	aws.RetryerV2
	counts *counters
}

func (r countingRetryer) RetryDelay(attempt int, err error) (time.Duration, error) {
	r.counts.retries.Add(1)
	if throttled(err) {
		r.counts.throttles.Add(1)
	}
	return r.RetryerV2.RetryDelay(attempt, err)
}

func throttled(err error) bool {
	response := errorResponse(err)
	return response != nil && response.StatusCode == http.StatusTooManyRequests || awsfault.Throttled(err)
}
