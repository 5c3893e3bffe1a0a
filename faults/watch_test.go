//go:build linux

package faults

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// A watch reads each object of a prefix as it appears and compares its rows with the trips that were sent. It goes on
// while the server is away.
type watch struct {
	bucket *s3.Client
	prefix string
	trips  *trips
	feed   *feed

	mu        sync.Mutex
	etags     map[string]string // of the objects that were read
	seen      []bool            // by trip
	delivered int64             // different trips
	newest    int64             // the highest number that was seen
	columns   map[int]int64     // trips by the number of their file's columns
	jobStart  string
	faults
}

const lookInterval = 300 * time.Millisecond

func startWatch(t *testing.T, l *lab, prefix string, f *feed) *watch {
	t.Helper()
	w := &watch{bucket: l.bucket, prefix: prefix, trips: l.trips, feed: f, etags: make(map[string]string), newest: -1, columns: make(map[int]int64)}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { stop(); <-done })
	go func() {
		defer close(done)
		tick := time.NewTicker(lookInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = w.look(ctx) // the server is away, or the test is over
			}
		}
	}()
	return w
}

func (w *watch) tally() tally {
	w.mu.Lock()
	defer w.mu.Unlock()
	return tally{w.delivered, w.newest}
}

// look reads the objects that are new.
func (w *watch) look(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	pages := s3.NewListObjectsV2Paginator(w.bucket, &s3.ListObjectsV2Input{Bucket: aws.String(bucketName), Prefix: &w.prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, o := range page.Contents {
			etag, known := w.etags[*o.Key]
			if known && etag != *o.ETag {
				w.fault("%s was replaced", *o.Key)
			}
			if known {
				continue
			}
			body, err := w.read(ctx, *o.Key)
			if err != nil {
				return err
			}
			w.etags[*o.Key] = *o.ETag
			w.check(*o.Key, body)
		}
	}
	return nil
}

func (w *watch) read(ctx context.Context, key string) ([]byte, error) {
	o, err := w.bucket.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: &key})
	if err != nil {
		return nil, err
	}
	defer o.Body.Close()
	return io.ReadAll(o.Body)
}

// check compares the rows of an object with what was sent.
func (w *watch) check(key string, body []byte) {
	folder, ok := strings.CutPrefix(key, w.prefix+"job_start=")
	start, _, _ := strings.Cut(folder, "/")
	if !ok || !strings.HasSuffix(key, ".parquet") {
		w.fault("%s is no file of trips", key)
		return
	}
	if w.jobStart == "" {
		w.jobStart = start
	} else if w.jobStart != start {
		w.fault("%s has another job_start than %s", key, w.jobStart)
	}
	rows, columns, err := readParquet(body)
	if err != nil {
		w.fault("%s: %v", key, err)
		return
	}
	if columns != tripColumns && columns != moreColumns {
		w.fault("%s has %d columns", key, columns)
	}
	sent := w.feed.sent.Load()
	for len(w.seen) < int(sent) {
		w.seen = append(w.seen, false)
	}
	for i := range rows {
		row := &rows[i]
		id := row.TripID
		if id < 0 || id >= sent {
			w.fault("%s: trip %d was not sent", key, id)
			continue
		}
		if w.seen[id] {
			w.fault("%s: trip %d is there again", key, id)
			continue
		}
		w.seen[id] = true
		w.delivered++
		w.columns[columns]++
		w.newest = max(w.newest, id)
		if want := w.trips.row(id); *row != want {
			w.fault("%s: trip %d is\n%+v, was sent as\n%+v", key, id, *row, want)
		}
		if want := folderOf(row, w.jobStart); !strings.HasPrefix(key, w.prefix+want) {
			w.fault("%s: trip %d belongs to %s", key, id, want)
		}
	}
}

// report tells all that is wrong when all has been sent and the job is over.
func (w *watch) report(t *testing.T) {
	t.Helper()
	if err := w.look(t.Context()); err != nil {
		t.Fatalf("read the bucket: %v", err)
	}
	for _, f := range w.verdict() {
		t.Error(f)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t.Logf("%d trips in %d objects", w.delivered, len(w.etags))
}

// verdict returns all that is wrong when nothing is to come any more.
func (w *watch) verdict() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if sent := w.feed.sent.Load(); w.delivered != sent {
		first := slices.Index(w.seen, false)
		if first < 0 {
			first = len(w.seen)
		}
		w.always("%d of %d trips are in no object, the first of them is %d", sent-w.delivered, sent, first)
	}
	return w.told()
}

// uploads returns the uploads that were neither completed nor aborted.
func (w *watch) uploads(t *testing.T) []types.MultipartUpload {
	t.Helper()
	out, err := w.bucket.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String(bucketName), Prefix: &w.prefix})
	if err != nil {
		t.Fatalf("list uploads: %v", err)
	}
	return out.Uploads
}
