package s3io

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/streaming-etl/streaming-etl/io/internal/awsregion"
	"github.com/streaming-etl/streaming-etl/io/internal/plainbody"
)

// Store uploads and commits files of one bucket. It is safe for use by many
// goroutines.
type Store struct {
	opts   Options // with defaults
	client *s3.Client
	memory chunks
	counts counters

	// recheck are the pauses before an object that should be there is looked
	// for again.
	recheck []time.Duration
}

// New makes a Store. It finds region and credentials as the AWS SDK does, but
// sends no request to S3: Check does. fns change the client's options last,
// for tests and special transports.
func New(ctx context.Context, o Options, fns ...func(*s3.Options)) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("S3 options: %w", err)
	}
	o = o.withDefaults()
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(o.AttemptTimeout).WithTransportOptions(func(t *http.Transport) {
			// Every open upload has parts under way: the default of ten
			// would close and open connections all the time.
			t.MaxIdleConnsPerHost = 64
		})),
	}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	if o.Anonymous {
		load = append(load, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	if cfg.Region == "" && o.Endpoint != "" {
		cfg.Region = defaultRegion
	}
	if cfg.Region, err = awsregion.Of(ctx, cfg); err != nil {
		return nil, fmt.Errorf("bucket %q: %w", o.Bucket, err)
	}
	s := &Store{
		opts:    o,
		recheck: []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second},
	}
	// NewFromConfig, unlike s3.New, has requests and answers checksummed.
	s.client = s3.NewFromConfig(cfg, append(append([]func(*s3.Options){func(so *s3.Options) {
		if o.Endpoint != "" {
			so.BaseEndpoint = aws.String(o.Endpoint)
		}
		so.UsePathStyle = o.PathStyle || o.Endpoint != ""
		so.HTTPClient = plainbody.Client{Doer: so.HTTPClient}
		so.Retryer = newRetryer(o.MaxAttempts, maxBackoff)
		so.DisableLogOutputChecksumValidationSkipped = true
	}}, fns...), s.counts.retried)...)
	return s, nil
}

// Bucket returns the name of the store's bucket.
func (s *Store) Bucket() string { return s.opts.Bucket }

// operation bounds all attempts of one operation.
func (s *Store) operation(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.opts.OperationTimeout)
}

// maxBackoff is the longest pause between two attempts; the first is at most a
// second long, each next one at most twice that.
const maxBackoff = 20 * time.Second

// newRetryer is the SDK's standard one (connection errors, timeouts, 5xx,
// throttling; growing pauses with jitter) with two changes: no quota of
// retries over all requests, which would fail one upload for the troubles of
// others, since time bounds every operation here; and more errors that mean
// "again".
func newRetryer(attempts int, backoff time.Duration) aws.Retryer {
	return retry.NewStandard(func(so *retry.StandardOptions) {
		so.MaxAttempts = attempts
		so.Backoff = retry.NewExponentialJitterBackoff(backoff)
		so.RateLimiter = ratelimit.None
		so.Retryables = append(so.Retryables,
			retry.RetryableErrorCode{Codes: passingCodes},
			retry.IsErrorRetryableFunc(cutShort),
		)
	})
}

// cutShort has answers that end in the middle retried: the SDK does that only
// for connections that break before an answer.
func cutShort(err error) aws.Ternary {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

// validText tells whether s is UTF-8 without NUL, which no server keeps whole.
func validText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for i := range len(s) {
		if s[i] == 0 {
			return false
		}
	}
	return true
}
