package s3io

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Keys yields the keys of the objects under prefix, in their order by bytes.
// An error is the last that is yielded.
func (s *Store) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{
			Bucket: aws.String(s.opts.Bucket), Prefix: aws.String(prefix),
		})
		for pages.HasMorePages() {
			octx, cancel := s.operation(ctx)
			page, err := pages.NextPage(octx)
			cancel()
			if err != nil {
				yield("", s.fail("ListObjectsV2", s.opts.Bucket, "", err))
				return
			}
			for _, o := range page.Contents {
				if !yield(aws.ToString(o.Key), nil) {
					return
				}
			}
		}
	}
}

// readChunk is how much of an object is asked for at a time: each chunk is
// tried again by itself, and whoever reads may take as long as is needed.
const readChunk = 8 << 20

// Read returns the content of an object, which must not change meanwhile. One
// goroutine at a time may read.
func (s *Store) Read(ctx context.Context, key string) io.Reader {
	return &objectReader{ctx: ctx, store: s, key: key, size: -1}
}

type objectReader struct {
	ctx   context.Context
	store *Store
	key   string
	next  int64 // offset of the next chunk
	size  int64 // -1 until it is known
	chunk bytes.Reader
}

func (r *objectReader) Read(p []byte) (int, error) {
	for r.chunk.Len() == 0 {
		if r.size >= 0 && r.next >= r.size {
			return 0, io.EOF
		}
		if err := r.fetch(); err != nil {
			return 0, err
		}
	}
	return r.chunk.Read(p)
}

func (r *objectReader) fetch() error {
	ctx, cancel := r.store.operation(r.ctx)
	defer cancel()
	out, err := r.store.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: aws.String(r.store.opts.Bucket), Key: aws.String(r.key),
		Range: aws.String(fmt.Sprintf("bytes=%d-%d", r.next, r.next+readChunk-1)),
	})
	if errorCode(err) == "InvalidRange" && r.next == 0 {
		r.size = 0 // an empty object has no first byte
		return nil
	}
	if err != nil {
		return r.store.fail("GetObject", r.store.opts.Bucket, r.key, err)
	}
	defer out.Body.Close()
	data, err := io.ReadAll(out.Body)
	if err != nil {
		return r.store.fail("GetObject", r.store.opts.Bucket, r.key, err)
	}
	r.size = r.next + int64(len(data))
	if text := aws.ToString(out.ContentRange); text != "" {
		var first, last int64
		if _, err := fmt.Sscanf(text, "bytes %d-%d/%d", &first, &last, &r.size); err != nil || first != r.next {
			return fmt.Errorf("read s3://%s/%s from byte %d: the answer is of %q", r.store.opts.Bucket, r.key, r.next, text)
		}
	}
	if len(data) == 0 && r.next < r.size {
		return fmt.Errorf("read s3://%s/%s from byte %d: %w", r.store.opts.Bucket, r.key, r.next, io.ErrUnexpectedEOF)
	}
	r.next += int64(len(data))
	r.chunk.Reset(data)
	return nil
}

// PutNew writes an object where there is none of that key, and says whether it
// did: of several that try at once, one does. An answer that was lost may have
// this call find its own object, and say no.
func (s *Store) PutNew(ctx context.Context, key string, body []byte) (written bool, err error) {
	ctx, cancel := s.operation(ctx)
	defer cancel()
	_, err = s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(s.opts.Bucket), Key: aws.String(key), Body: bytes.NewReader(body), IfNoneMatch: aws.String("*"),
	})
	if r := errorResponse(err); r != nil && r.StatusCode == http.StatusPreconditionFailed {
		return false, nil
	}
	if err != nil {
		return false, s.fail("PutObject", s.opts.Bucket, key, err)
	}
	return true, nil
}
