package s3io

import (
	"testing"

	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
)

func TestStatsCountUploadsPartsAndRetries(t *testing.T) {
	srv, open := fake(t, s3fake.Options{Bucket: fakeBucket})
	s := open(t)
	srv.Inject(first(3, "UploadPart", refuse(503, "SlowDown")))
	tok := write(t, s, "stats/a", content(2*MinPartSize+10))
	srv.Inject(first(2, "CompleteMultipartUpload", refuse(500, "InternalError")))
	if _, err := s.Commit(t.Context(), tok); err != nil {
		t.Fatal(err)
	}
	up, err := s.Create(t.Context(), "stats/b", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := up.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := up.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := Stats{Opened: 2, Aborted: 1, Parts: 3, Retries: 5, Throttles: 3}
	if got := s.Stats(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
