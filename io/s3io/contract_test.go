package s3io

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"os"
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
	endpoint, bucket := os.Getenv("STREAMING_ETL_S3_ENDPOINT"), os.Getenv("STREAMING_ETL_S3_BUCKET")
	if endpoint == "" || bucket == "" {
		t.Skip("STREAMING_ETL_S3_ENDPOINT and STREAMING_ETL_S3_BUCKET name no server")
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
	s, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s.recheck = []time.Duration{time.Millisecond, time.Millisecond}
	return s
}

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
