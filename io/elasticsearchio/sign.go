package elasticsearchio

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/streaming-etl/streaming-etl/io/internal/awsregion"
)

// emptyHash is the SHA-256 of no bytes.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// signer is a round tripper that signs requests as they leave: with the host
// that was chosen, over the body as it is sent.
type signer struct {
	next            http.RoundTripper
	credentials     aws.CredentialsProvider
	service, region string
	sdk             *v4.Signer
	now             func() time.Time
}

// newSigner resolves region and credentials. The region of the instance is
// asked for where nothing else tells one.
func newSigner(ctx context.Context, o Options, next http.RoundTripper) (*signer, error) {
	var load []func(*config.LoadOptions) error
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	if cfg.Region, err = awsregion.Of(ctx, cfg); err != nil {
		return nil, fmt.Errorf("sign requests: %w", err)
	}
	return &signer{
		next: next, credentials: cfg.Credentials, service: o.Service, region: cfg.Region,
		sdk: v4.NewSigner(), now: time.Now,
	}, nil
}

// RoundTrip signs a copy of the request and sends it.
func (s *signer) RoundTrip(req *http.Request) (*http.Response, error) {
	signed, err := s.sign(req)
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, &unsignedError{err}
	}
	return s.next.RoundTrip(signed)
}

// unsignedError is a request that could not be signed.
type unsignedError struct{ err error }

func (e *unsignedError) Error() string { return "sign the request: " + e.err.Error() }

func (e *unsignedError) Unwrap() error { return e.err }

func (s *signer) sign(req *http.Request) (*http.Request, error) {
	hash, err := bodyHash(req)
	if err != nil {
		return nil, err
	}
	creds, err := s.credentials.Retrieve(req.Context())
	if err != nil {
		return nil, fmt.Errorf("AWS credentials: %w", err)
	}
	signed := req.Clone(req.Context())
	if s.service == ServiceServerless {
		// Serverless wants the hash as a header, also of an empty body, and
		// refuses a signed length.
		signed.Header.Set("X-Amz-Content-Sha256", hash)
		signed.ContentLength = 0
	}
	err = s.sdk.SignHTTP(req.Context(), creds, signed, hash, s.service, s.region, s.now())
	signed.ContentLength = req.ContentLength
	return signed, err
}

// expire has the next request signed with renewed credentials.
func (s *signer) expire() {
	if cache, ok := s.credentials.(*aws.CredentialsCache); ok {
		cache.Invalidate()
	}
}

// bodyHash reads a second copy of the body.
func bodyHash(req *http.Request) (string, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return emptyHash, nil
	}
	if req.GetBody == nil {
		return "", fmt.Errorf("the body can be read only once")
	}
	body, err := req.GetBody()
	if err != nil {
		return "", err
	}
	defer body.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, body); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
