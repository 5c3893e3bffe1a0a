package s3io

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/streaming-etl/streaming-etl/internal/pause"
)

// Outcome tells what a commit found.
type Outcome uint8

const (
	// Committed: this call made the object visible. A server that answers a
	// second completion like the first, as some do, gives Committed again.
	Committed Outcome = iota + 1
	// AlreadyCommitted: the object was there, by an earlier call, in this
	// process or another, or by this one's request whose answer was lost.
	AlreadyCommitted
)

// String returns the outcome in words.
func (o Outcome) String() string {
	switch o {
	case Committed:
		return "committed"
	case AlreadyCommitted:
		return "already committed"
	}
	return "Outcome(" + strconv.Itoa(int(o)) + ")"
}

// Commit makes a finished upload visible as its object. It may be called any
// number of times, by several processes at once, and is done after the first
// success. When S3 says that the upload is gone, the object is looked for: one
// of the token's size and checksum means that the token was committed before;
// none is an *UploadLostError, another an *ObjectDiffersError. Any other error
// is an *Error, after all attempts: the token can be committed later.
//
// The token's bucket counts, not the store's.
func (s *Store) Commit(ctx context.Context, t Token) (Outcome, error) {
	if t.Bucket == "" || t.Key == "" || t.UploadID == "" || len(t.Parts) == 0 {
		return 0, fmt.Errorf("commit %s: the token is not one of a finished upload", t)
	}
	ctx, cancel := s.operation(ctx)
	defer cancel()

	out, err := s.complete(ctx, &t)
	answered := err == nil && aws.ToString(out.ETag) != ""
	if answered && aws.ToString(out.ChecksumCRC32) == formatCRC32(t.CRC32) {
		return Committed, nil
	}
	if err != nil && !refused(err) {
		return 0, s.fail("CompleteMultipartUpload", t.Bucket, t.Key, err)
	}
	// The upload is gone, or the answer does not prove that this very upload
	// is the object: some servers answer 200 to a second completion while the
	// first still runs, and for any object of that key (versitygw 1.8.0), and
	// some know no checksums. The object tells.
	found, e := s.await(ctx, &t)
	switch {
	case e != nil && (err == nil || noSuchUpload(err)):
		return 0, e
	case e != nil, !found && err != nil && !noSuchUpload(err):
		return 0, s.fail("CompleteMultipartUpload", t.Bucket, t.Key, err)
	case !found:
		return 0, &UploadLostError{Bucket: t.Bucket, Key: t.Key, UploadID: t.UploadID, Size: t.Size, Rows: t.Rows}
	case answered:
		return Committed, nil
	}
	return AlreadyCommitted, nil
}

func (s *Store) complete(ctx context.Context, t *Token) (*s3.CompleteMultipartUploadOutput, error) {
	parts := make([]types.CompletedPart, len(t.Parts))
	for i, p := range t.Parts {
		parts[i] = types.CompletedPart{
			PartNumber:    aws.Int32(int32(i + 1)),
			ETag:          aws.String(p.ETag),
			ChecksumCRC32: aws.String(formatCRC32(p.CRC32)),
		}
	}
	return s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket:          aws.String(t.Bucket),
		Key:             aws.String(t.Key),
		UploadId:        aws.String(t.UploadID),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		ChecksumCRC32:   aws.String(formatCRC32(t.CRC32)),
		ChecksumType:    types.ChecksumTypeFullObject,
		MpuObjectSize:   aws.Int64(t.Size),
	})
}

// refused tells whether the server answered no, and would again: a request
// that can be tried later is not refused.
func refused(err error) bool {
	r := errorResponse(err)
	return r != nil && r.StatusCode >= 400 && r.StatusCode < 500
}

// await looks for the token's object, several times when it is not there: a
// request that completes the upload may still be under way elsewhere.
func (s *Store) await(ctx context.Context, t *Token) (found bool, err error) {
	for i := 0; ; i++ {
		found, err = s.find(ctx, t)
		if found || err != nil || i == len(s.recheck) {
			return found, err
		}
		if err := pause.Sleep(ctx, s.recheck[i]); err != nil {
			return false, fmt.Errorf("commit %s: %w", t, err)
		}
	}
}

// find tells whether the token's object is there. An object of other content
// is an *ObjectDiffersError.
func (s *Store) find(ctx context.Context, t *Token) (bool, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket:       aws.String(t.Bucket),
		Key:          aws.String(t.Key),
		ChecksumMode: types.ChecksumModeEnabled,
	})
	if notFound(err) {
		return false, nil
	}
	if err != nil {
		return false, s.fail("HeadObject", t.Bucket, t.Key, err)
	}
	differs := &ObjectDiffersError{Bucket: t.Bucket, Key: t.Key, UploadID: t.UploadID}
	if size := aws.ToInt64(out.ContentLength); size != t.Size {
		differs.What, differs.Want, differs.Got = "size", strconv.FormatInt(t.Size, 10), strconv.FormatInt(size, 10)
		return false, differs
	}
	// ETags are not compared: for encrypted objects they are no function of
	// the content. A server without checksums leaves the size to go by.
	if sum := aws.ToString(out.ChecksumCRC32); sum != "" {
		want := formatCRC32(t.CRC32)
		if strings.Contains(sum, "-") {
			want = compositeCRC32(t.Parts)
		}
		if sum != want {
			differs.What, differs.Want, differs.Got = "CRC32", want, sum
			return false, differs
		}
	}
	return true, nil
}

// compositeCRC32 is the checksum of type COMPOSITE: that of the parts'
// checksums, and their number. Servers that do not know types give it.
func compositeCRC32(parts []Part) string {
	var sums []byte
	for _, p := range parts {
		sums = binary.BigEndian.AppendUint32(sums, p.CRC32)
	}
	return formatCRC32(crc32.ChecksumIEEE(sums)) + "-" + strconv.Itoa(len(parts))
}

// AbortUpload ends a multipart upload of the store's bucket and has its parts
// taken away; one that is gone is fine. Its token can never be committed after.
func (s *Store) AbortUpload(ctx context.Context, key, uploadID string) error {
	if key == "" || uploadID == "" {
		return errors.New("abort upload: key or upload id is missing")
	}
	ctx, cancel := s.operation(ctx)
	defer cancel()
	_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket:   aws.String(s.opts.Bucket),
		Key:      aws.String(key),
		UploadId: aws.String(uploadID),
	})
	if err != nil && !noSuchUpload(err) {
		return s.fail("AbortMultipartUpload", s.opts.Bucket, key, err)
	}
	s.counts.aborted.Add(1)
	return nil
}
