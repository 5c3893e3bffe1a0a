package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const s3Scheme = "s3://"

func isS3(source string) bool { return strings.HasPrefix(source, s3Scheme) }

// splitS3 returns bucket and prefix of s3://bucket/prefix.
func splitS3(source string) (bucket, prefix string) {
	bucket, prefix, _ = strings.Cut(strings.TrimPrefix(source, s3Scheme), "/")
	return bucket, prefix
}

// s3Source reads the objects under a prefix. A name is the object's URI.
type s3Source struct {
	client         *s3.Client
	bucket, prefix string
	// resumeWait is the pause before a broken transfer is taken up again; it
	// doubles with every attempt that brings nothing.
	resumeWait time.Duration
}

func newS3Source(ctx context.Context, o Options) (*s3Source, error) {
	var load []func(*config.LoadOptions) error
	if o.SourceRegion != "" {
		load = append(load, config.WithRegion(o.SourceRegion))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("configure the S3 client: %w", err)
	}
	if cfg.Region == "" {
		return nil, &Mistake{Option: "SourceRegion", Text: "is missing: the environment and the profile name none either"}
	}
	client := s3.NewFromConfig(cfg, func(so *s3.Options) {
		// Objects without a checksum, and all parts of one, would be logged.
		so.DisableLogOutputChecksumValidationSkipped = true
		if o.SourceEndpoint != "" {
			so.BaseEndpoint = aws.String(o.SourceEndpoint)
			so.UsePathStyle = true
		}
	})
	bucket, prefix := splitS3(o.Source)
	return &s3Source{client: client, bucket: bucket, prefix: prefix, resumeWait: 200 * time.Millisecond}, nil
}

func (s *s3Source) uri(key string) string { return s3Scheme + s.bucket + "/" + key }

func (s *s3Source) list(ctx context.Context) ([]string, error) {
	var names []string
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{
		Bucket: aws.String(s.bucket),
		Prefix: aws.String(s.prefix),
	})
	folder := s.prefix[:strings.LastIndexByte(s.prefix, '/')+1]
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", s.uri(s.prefix), err)
		}
		for _, object := range page.Contents {
			// An empty object is a folder that a console made.
			if key := aws.ToString(object.Key); aws.ToInt64(object.Size) > 0 && isData(strings.TrimPrefix(key, folder)) {
				names = append(names, s.uri(key))
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

func (s *s3Source) open(ctx context.Context, name string) (io.ReadCloser, error) {
	r := &s3Reader{ctx: ctx, source: s, key: strings.TrimPrefix(name, s.uri(""))}
	if err := r.get(); err != nil {
		return nil, err
	}
	return r, nil
}

// resumeAttempts is how often in a row a broken transfer is taken up again
// without getting a byte.
const resumeAttempts = 5

// s3Reader reads one object. At a low speed-up hours lie between two reads, and
// the connection is gone by then: it goes on where it was, in the same version
// of the object.
type s3Reader struct {
	ctx    context.Context
	source *s3Source
	key    string
	body   io.ReadCloser
	etag   *string
	offset int64
	failed int
}

func (r *s3Reader) get() error {
	in := &s3.GetObjectInput{Bucket: aws.String(r.source.bucket), Key: aws.String(r.key), IfMatch: r.etag}
	if r.offset > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", r.offset))
	}
	out, err := r.source.client.GetObject(r.ctx, in)
	if err != nil {
		return err
	}
	r.body = out.Body
	if r.etag == nil {
		r.etag = out.ETag
	}
	return nil
}

func (r *s3Reader) Read(p []byte) (int, error) {
	for {
		n, err := r.body.Read(p)
		r.offset += int64(n)
		if n > 0 {
			r.failed = 0
		}
		if err == nil || errors.Is(err, io.EOF) {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
		if err := r.resume(err); err != nil {
			return 0, err
		}
	}
}

// resume asks for the rest of the object after cause broke the transfer.
func (r *s3Reader) resume(cause error) error {
	_ = r.body.Close()
	for r.failed < resumeAttempts {
		wait := r.source.resumeWait << r.failed
		r.failed++
		if err := (systemClock{}).Sleep(r.ctx, wait); err != nil {
			return err
		}
		err := r.get()
		if err == nil {
			return nil
		}
		cause = err
	}
	r.body = io.NopCloser(strings.NewReader(""))
	return fmt.Errorf("%d attempts to go on at byte %d: %w", resumeAttempts, r.offset, cause)
}

func (r *s3Reader) Close() error { return r.body.Close() }
