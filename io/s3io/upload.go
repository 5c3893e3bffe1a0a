package s3io

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// abortTimeout bounds the best effort to abort an upload that failed.
const abortTimeout = 10 * time.Second

// Upload is a file on its way to S3: an io.Writer whose parts are uploaded in
// the background. It ends with Finish or Abort, and one of them must be
// called. Its methods are for one goroutine at a time.
type Upload struct {
	store  *Store
	key    string
	id     string
	ctx    context.Context // of the parts' requests
	cancel context.CancelFunc

	part   *body  // what is not yet sent; nil when empty
	sent   int    // parts given to the background
	crc    uint32 // of all sent bytes
	closed bool   // by Finish or Abort
	gone   bool   // aborted at the server

	slots chan struct{} // parts under way
	wg    sync.WaitGroup

	mu    sync.Mutex
	parts []Part
	err   error // first failure of a part
}

// Create opens an upload of the file key, a whole key. The content type and
// the metadata (US-ASCII) become the object's. The parts' requests end when
// ctx does.
func (s *Store) Create(ctx context.Context, key, contentType string, metadata map[string]string) (*Upload, error) {
	if err := checkKey(key); err != nil {
		return nil, fmt.Errorf("create upload %q: %w", key, err)
	}
	id, err := s.open(ctx, key, contentType, metadata)
	if err != nil {
		return nil, err
	}
	s.counts.opened.Add(1)
	u := &Upload{store: s, key: key, id: id, slots: make(chan struct{}, s.opts.UploadConcurrency)}
	u.ctx, u.cancel = context.WithCancel(ctx)
	return u, nil
}

// open starts a multipart upload and returns its id. CRC32 of the full object
// is the one checksum that is cheap here, can be summed up part by part, and
// is compared by whoever downloads the object with an SDK.
func (s *Store) open(ctx context.Context, key, contentType string, metadata map[string]string) (string, error) {
	ctx, cancel := s.operation(ctx)
	defer cancel()
	in := &s3.CreateMultipartUploadInput{
		Bucket:            aws.String(s.opts.Bucket),
		Key:               aws.String(key),
		Metadata:          metadata,
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
		ChecksumType:      types.ChecksumTypeFullObject,
	}
	if contentType != "" {
		in.ContentType = aws.String(contentType)
	}
	out, err := s.client.CreateMultipartUpload(ctx, in)
	if err != nil {
		return "", s.fail("CreateMultipartUpload", s.opts.Bucket, key, err)
	}
	if aws.ToString(out.UploadId) == "" {
		return "", s.fail("CreateMultipartUpload", s.opts.Bucket, key, errors.New("the answer has no upload id"))
	}
	return *out.UploadId, nil
}

// Key returns the key the object will have.
func (u *Upload) Key() string { return u.key }

// Write takes p and sends what fills a part. It waits when
// Options.UploadConcurrency parts are under way. After an error, which may be
// that of an earlier part, the upload is aborted, as far as S3 can be reached,
// and is of no more use.
func (u *Upload) Write(p []byte) (int, error) {
	if u.closed {
		return 0, ErrFinished
	}
	n := 0
	for len(p) > 0 {
		if u.part == nil {
			u.part = &body{memory: &u.store.memory}
		}
		k := u.part.append(p, int(u.store.opts.PartSize))
		p, n = p[k:], n+k
		if int64(u.part.size) == u.store.opts.PartSize {
			if err := u.send(); err != nil {
				u.giveUp()
				return n, err
			}
		}
	}
	return n, nil
}

// send gives what was written to the background as the next part.
func (u *Upload) send() error {
	if u.sent == MaxParts {
		return fmt.Errorf("upload s3://%s/%s: larger than %d parts of %d bytes: use larger parts",
			u.store.opts.Bucket, u.key, MaxParts, u.store.opts.PartSize)
	}
	select {
	case u.slots <- struct{}{}:
	case <-u.ctx.Done():
	}
	// The select may have taken a slot although the upload had failed.
	if err := u.failure(); err != nil {
		return err
	}
	content := u.part
	part := Part{CRC32: content.sum(0), Size: int64(content.size)}
	u.crc = content.sum(u.crc)
	u.mu.Lock()
	u.parts = append(u.parts, part)
	u.mu.Unlock()
	u.sent++
	u.part = nil
	number := u.sent
	u.wg.Go(func() {
		defer func() { <-u.slots }()
		etag, err := u.store.uploadPart(u.ctx, u.key, u.id, number, content, part.CRC32)
		// No attempt reads it any more: the SDK waits for its transport, which
		// is done with a body before it returns or closes it.
		content.release()
		if err != nil {
			u.fail(err)
			return
		}
		u.mu.Lock()
		u.parts[number-1].ETag = etag
		u.mu.Unlock()
	})
	return nil
}

func (s *Store) uploadPart(ctx context.Context, key, id string, number int, content *body, crc uint32) (string, error) {
	ctx, cancel := s.operation(ctx)
	defer cancel()
	out, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket:        aws.String(s.opts.Bucket),
		Key:           aws.String(key),
		UploadId:      aws.String(id),
		PartNumber:    aws.Int32(int32(number)),
		Body:          content,
		ContentLength: aws.Int64(int64(content.size)),
		ChecksumCRC32: aws.String(formatCRC32(crc)),
	})
	if err != nil {
		return "", fmt.Errorf("upload part %d: %w", number, s.fail("UploadPart", s.opts.Bucket, key, err))
	}
	if aws.ToString(out.ETag) == "" {
		return "", fmt.Errorf("upload part %d: %w", number,
			s.fail("UploadPart", s.opts.Bucket, key, errors.New("the answer has no ETag")))
	}
	s.counts.parts.Add(1)
	return *out.ETag, nil
}

// fail keeps the first failure and stops the other parts.
func (u *Upload) fail(err error) {
	u.mu.Lock()
	if u.err == nil {
		u.err = err
	}
	u.mu.Unlock()
	u.cancel()
}

// failure returns why the upload cannot go on, or nil.
func (u *Upload) failure() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil && u.ctx.Err() != nil {
		u.err = fmt.Errorf("upload s3://%s/%s: %w", u.store.opts.Bucket, u.key, context.Cause(u.ctx))
	}
	return u.err
}

// Finish sends the last part, waits for all and returns the token by which the
// file can be committed; until then nothing is visible. An empty file is
// ErrEmpty. After an error the upload is aborted, as far as S3 can be reached.
// When ctx ends before the parts are done, so does the upload.
func (u *Upload) Finish(ctx context.Context) (Token, error) {
	if u.closed {
		return Token{}, ErrFinished
	}
	stop := context.AfterFunc(ctx, func() {
		u.fail(fmt.Errorf("finish upload s3://%s/%s: %w", u.store.opts.Bucket, u.key, context.Cause(ctx)))
	})
	defer stop()
	var err error
	if u.part != nil && u.part.size > 0 {
		err = u.send()
	}
	u.wg.Wait()
	if err == nil {
		err = u.failure()
	}
	if err == nil && u.sent == 0 {
		err = fmt.Errorf("finish upload s3://%s/%s: %w", u.store.opts.Bucket, u.key, ErrEmpty)
	}
	if err != nil {
		u.giveUp()
		return Token{}, err
	}
	u.close()
	t := Token{Bucket: u.store.opts.Bucket, Key: u.key, UploadID: u.id, Parts: u.parts, CRC32: u.crc}
	for i := range t.Parts {
		t.Size += t.Parts[i].Size
	}
	return t, nil
}

// Abort stops the upload and takes its parts away, before Finish or after it,
// if its token is not used. It may be called again, also after an error.
func (u *Upload) Abort(ctx context.Context) error {
	u.close()
	if u.gone {
		return nil
	}
	if err := u.store.AbortUpload(ctx, u.key, u.id); err != nil {
		return err
	}
	u.gone = true
	return nil
}

// close stops all requests and waits for them; nothing can be written any more.
func (u *Upload) close() {
	u.closed = true
	u.cancel()
	u.wg.Wait() // a part that arrives after the abort would stay for ever
	if u.part != nil {
		u.part.release()
		u.part = nil
	}
}

// giveUp aborts an upload that failed, even if its context has ended. The
// failure is what the caller hears of; if the abort fails too, the bucket's
// lifecycle rule takes the parts away.
func (u *Upload) giveUp() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), abortTimeout)
	defer cancel()
	_ = u.Abort(ctx)
}

// formatCRC32 is the form that S3 has checksums in.
func formatCRC32(sum uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}
