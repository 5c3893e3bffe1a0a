package s3io

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
)

// fakeBucket is the bucket of servers of this process.
const fakeBucket = "trips"

// factory makes a Store as another process would: with a client of its own.
type factory func(t *testing.T, change ...func(*Options)) *Store

// TestContractFake runs the contract against the server in this process.
func TestContractFake(t *testing.T) {
	_, open := fake(t, s3fake.Options{Bucket: fakeBucket})
	testContract(t, open)
}

// TestContractFakeFolder runs it against the server with a folder.
func TestContractFakeFolder(t *testing.T) {
	_, open := fake(t, s3fake.Options{Bucket: fakeBucket, Dir: t.TempDir()})
	testContract(t, open)
}

// TestContractServer runs it against the server that the environment names,
// with credentials from there, if it names one.
func TestContractServer(t *testing.T) {
	endpoint, bucket := os.Getenv("TEST_S3_ENDPOINT"), os.Getenv("TEST_S3_BUCKET")
	if endpoint == "" || bucket == "" {
		t.Skip("TEST_S3_ENDPOINT and TEST_S3_BUCKET name no server")
	}
	testContract(t, func(t *testing.T, change ...func(*Options)) *Store {
		return store(t, append([]func(*Options){func(o *Options) { o.Endpoint, o.Bucket, o.Anonymous = endpoint, bucket, false }}, change...)...)
	})
}

func fake(t *testing.T, o s3fake.Options) (*s3fake.Server, factory) {
	t.Helper()
	srv, err := s3fake.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return srv, func(t *testing.T, change ...func(*Options)) *Store {
		return store(t, append([]func(*Options){func(o *Options) { o.Endpoint = srv.URL() }}, change...)...)
	}
}

// store makes a Store that waits only as long as tests must.
func store(t *testing.T, change ...func(*Options)) *Store {
	t.Helper()
	o := Options{Bucket: fakeBucket, Anonymous: true, PartSize: MinPartSize}
	for _, f := range change {
		f(&o)
	}
	s, err := New(t.Context(), o, func(so *s3.Options) { so.Retryer = newRetryer(s3Attempts(o), time.Millisecond) })
	if err != nil {
		t.Fatal(err)
	}
	s.recheck = []time.Duration{time.Millisecond, time.Millisecond}
	return s
}

func s3Attempts(o Options) int { return o.withDefaults().MaxAttempts }

// testContract is what the job needs of an S3 server and this client together.
func testContract(t *testing.T, open factory) {
	s := open(t)
	// Keys of a run are its own, so that it can be repeated on a server that keeps them.
	run := "contract/" + rand.Text() + "/pickup_location=007/"
	ctx := t.Context()

	t.Run("a finished file is invisible until its commit", func(t *testing.T) {
		for name, size := range map[string]int{"small": 1000, "one full part": MinPartSize, "several parts": 12<<20 + 17} {
			t.Run(name, func(t *testing.T) {
				key, body := run+name+".parquet", content(size)
				tok := write(t, s, key, body)
				if tok.Size != int64(size) || tok.Bucket != s.Bucket() || tok.Key != key {
					t.Errorf("token is %d bytes of %s, want %d of s3://%s/%s", tok.Size, tok, size, s.Bucket(), key)
				}
				if _, ok := fetch(t, s, key); ok {
					t.Error("the object is visible before its commit")
				}
				if got, err := s.Commit(ctx, tok); err != nil || got != Committed {
					t.Fatalf("commit: %v, %v, want %v", got, err, Committed)
				}
				if got, ok := fetch(t, s, key); !ok || !bytes.Equal(got, body) {
					t.Errorf("the object has %d bytes (there: %v) and differs from the %d written", len(got), ok, size)
				}
			})
		}
	})

	t.Run("a commit can be repeated, also by another process", func(t *testing.T) {
		tok := write(t, s, run+"repeated", content(3000))
		tok = transfer(t, tok)
		for i, other := range []*Store{s, s, open(t), open(t)} {
			if got, err := other.Commit(ctx, tok); err != nil || got == 0 || i == 0 && got != Committed {
				t.Fatalf("commit %d: %v, %v", i+1, got, err)
			}
		}
		if _, ok := fetch(t, s, tok.Key); !ok {
			t.Error("the object is not there")
		}
	})

	t.Run("concurrent commits of one token all succeed", func(t *testing.T) {
		body := content(MinPartSize + 100)
		tok := write(t, s, run+"concurrent", body)
		stores := []*Store{open(t), open(t), open(t), open(t)}
		for _, other := range stores {
			// Another process has the pauses of production.
			other.recheck = []time.Duration{100 * time.Millisecond, 500 * time.Millisecond, time.Second}
		}
		var g sync.WaitGroup
		for _, other := range stores {
			g.Go(func() {
				if got, err := other.Commit(ctx, tok); err != nil || got == 0 {
					t.Errorf("commit: %v, %v", got, err)
				}
			})
		}
		g.Wait()
		if got, ok := fetch(t, s, tok.Key); !ok || !bytes.Equal(got, body) {
			t.Errorf("the object has %d bytes (there: %v), want %d", len(got), ok, len(body))
		}
	})

	t.Run("a commit after an abort is a lost upload", func(t *testing.T) {
		tok := write(t, s, run+"aborted", content(500))
		tok.Rows = 42
		for range 2 { // the second abort finds nothing and is fine
			if err := open(t).AbortUpload(ctx, tok.Key, tok.UploadID); err != nil {
				t.Fatal(err)
			}
		}
		_, err := s.Commit(ctx, tok)
		var lost *UploadLostError
		if !errors.As(err, &lost) {
			t.Fatalf("commit: %v, want an UploadLostError", err)
		}
		if want := (UploadLostError{Bucket: s.Bucket(), Key: tok.Key, UploadID: tok.UploadID, Size: 500, Rows: 42}); *lost != want {
			t.Errorf("error is %+v, want %+v", *lost, want)
		}
	})

	t.Run("a commit after which the object was replaced is refused", func(t *testing.T) {
		for what, other := range map[string][]byte{"size": content(501), "CRC32": bytes.Repeat([]byte("x"), 500)} {
			t.Run(what, func(t *testing.T) {
				key := run + "replaced-" + what
				tok := write(t, s, key, content(500))
				if err := s.AbortUpload(ctx, key, tok.UploadID); err != nil {
					t.Fatal(err)
				}
				second := write(t, s, key, other)
				if _, err := s.Commit(ctx, second); err != nil {
					t.Fatal(err)
				}
				_, err := s.Commit(ctx, tok)
				var differs *ObjectDiffersError
				if !errors.As(err, &differs) || differs.What != what {
					t.Errorf("commit: %v, want an ObjectDiffersError of %s", err, what)
				}
				if got, _ := fetch(t, s, key); !bytes.Equal(got, other) {
					t.Error("the other object was changed")
				}
			})
		}
	})

	t.Run("an upload aborted by its writer leaves nothing", func(t *testing.T) {
		key := run + "given-up"
		u, err := s.Create(ctx, key, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.Write(content(MinPartSize + 1)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := u.Abort(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := u.Write([]byte("x")); !errors.Is(err, ErrFinished) {
			t.Errorf("write after abort: %v, want ErrFinished", err)
		}
		if open := uncommitted(t, s, key); len(open) > 0 {
			t.Errorf("the upload is still there: %v", open)
		}
	})

	t.Run("an empty file is refused and its upload aborted", func(t *testing.T) {
		key := run + "empty"
		u, err := s.Create(ctx, key, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.Finish(ctx); !errors.Is(err, ErrEmpty) {
			t.Errorf("finish: %v, want ErrEmpty", err)
		}
		if _, err := u.Finish(ctx); !errors.Is(err, ErrFinished) {
			t.Errorf("second finish: %v, want ErrFinished", err)
		}
		if open := uncommitted(t, s, key); len(open) > 0 {
			t.Errorf("the upload is still there: %v", open)
		}
	})

	t.Run("parts and objects with wrong checksums are refused", func(t *testing.T) {
		key := run + "damaged"
		id, err := s.open(ctx, key, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		once := open(t, func(o *Options) { o.MaxAttempts = 1 })
		body := content(1000)
		if _, err := once.uploadPart(ctx, key, id, 1, bodyOf(body), crc32.ChecksumIEEE(body)+1); err == nil {
			t.Error("a part with a wrong checksum was taken")
		}
		etag, err := s.uploadPart(ctx, key, id, 1, bodyOf(body), crc32.ChecksumIEEE(body))
		if err != nil {
			t.Fatal(err)
		}
		good := Token{Bucket: s.Bucket(), Key: key, UploadID: id, CRC32: crc32.ChecksumIEEE(body), Size: 1000,
			Parts: []Part{{ETag: etag, CRC32: crc32.ChecksumIEEE(body), Size: 1000}}}
		bad := good
		bad.CRC32++
		if got, err := once.Commit(ctx, bad); err == nil {
			t.Errorf("commit of a token with a wrong checksum: %v", got)
		}
		if _, ok := fetch(t, s, key); ok {
			t.Error("the refused object is visible")
		}
		if got, err := s.Commit(ctx, good); err != nil {
			t.Errorf("commit of the good token: %v, %v", got, err)
		}
	})

	t.Run("many uploads of one store go on at once", func(t *testing.T) {
		var g sync.WaitGroup
		for i := range 12 {
			g.Go(func() {
				key, body := fmt.Sprintf("%sparallel-%d", run, i), content(100_000+i)
				u, err := s.Create(ctx, key, "", nil)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := u.Write(body); err != nil {
					t.Error(err)
					return
				}
				tok, err := u.Finish(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := s.Commit(ctx, tok); err != nil {
					t.Error(err)
				}
				if got, _ := fetch(t, s, key); !bytes.Equal(got, body) {
					t.Errorf("%s differs", key)
				}
			})
		}
		g.Wait()
	})

	t.Run("check passes and leaves nothing", func(t *testing.T) {
		prefix := run + "checked/"
		if err := open(t, func(o *Options) { o.Prefix = prefix }).Check(ctx); err != nil {
			t.Fatal(err)
		}
		if open := uncommitted(t, s, prefix); len(open) > 0 {
			t.Errorf("check left %v", open)
		}
	})

	t.Run("check names a bucket that is not there", func(t *testing.T) {
		name := "missing-" + strings.ToLower(rand.Text())
		err := open(t, func(o *Options) { o.Bucket = name }).Check(ctx)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "does not exist") {
			t.Errorf("check: %v, want that %s does not exist", err, name)
		}
	})
}

// transfer sends a token through its coder, as the pipeline does.
func transfer(t *testing.T, tok Token) Token {
	t.Helper()
	out, err := DecodeToken(EncodeToken(tok))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// uncommitted returns the keys under prefix of uploads that were neither
// committed nor aborted.
func uncommitted(t *testing.T, s *Store, prefix string) []string {
	t.Helper()
	var keys []string
	pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{
		Bucket: aws.String(s.Bucket()), Prefix: aws.String(prefix),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page.Uploads {
			keys = append(keys, aws.ToString(u.Key))
		}
	}
	return keys
}

// content is size bytes that differ from part to part.
func content(size int) []byte {
	out := make([]byte, size)
	for i := range out {
		out[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return out
}

// write uploads body in pieces that do not fit the parts.
func write(t *testing.T, s *Store, key string, body []byte) Token {
	t.Helper()
	u, err := s.Create(t.Context(), key, "application/octet-stream", map[string]string{"job": "contract"})
	if err != nil {
		t.Fatal(err)
	}
	for piece := range bytesChunks(body, 700_001) {
		if n, err := u.Write(piece); err != nil || n != len(piece) {
			t.Fatalf("write %d bytes: %d, %v", len(piece), n, err)
		}
	}
	tok, err := u.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// fetch reads an object; false when there is none.
func fetch(t *testing.T, s *Store, key string) ([]byte, bool) {
	t.Helper()
	out, err := s.client.GetObject(context.WithoutCancel(t.Context()), &s3.GetObjectInput{Bucket: aws.String(s.Bucket()), Key: aws.String(key)})
	if notFound(err) {
		return nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body, true
}

func bytesChunks(b []byte, n int) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			k := min(n, len(b))
			if !yield(b[:k]) {
				return
			}
			b = b[k:]
		}
	}
}
