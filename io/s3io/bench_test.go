package s3io

import (
	"testing"

	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
)

// BenchmarkUploadAndCommit is a file of 32 MiB, client and server (in memory)
// in this process together; over plain HTTP the client also makes a SHA-256 of
// each part where it signs, which it does not here.
func BenchmarkUploadAndCommit(b *testing.B) {
	srv, err := s3fake.New(s3fake.Options{Bucket: fakeBucket})
	if err != nil {
		b.Fatal(err)
	}
	defer srv.Close()
	s, err := New(b.Context(), Options{Bucket: fakeBucket, Endpoint: srv.URL(), Anonymous: true})
	if err != nil {
		b.Fatal(err)
	}
	body := content(32 << 20)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		u, err := s.Create(b.Context(), "bench", "", nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := u.Write(body); err != nil {
			b.Fatal(err)
		}
		t, err := u.Finish(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Commit(b.Context(), t); err != nil {
			b.Fatal(err)
		}
	}
}
