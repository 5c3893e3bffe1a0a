package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/parquet-go/parquet-go"
)

// A content is what a part of the bucket holds.
type content struct {
	objects int
	folders int // that have objects
	rows    int64
	bytes   int64
	// last is when the last object was made.
	last time.Time
}

// content counts the rows by the files' own footers. It reads the server's directory, where each object is a file.
func (l *lab) content(prefix string) (content, error) {
	return filesContent(filepath.Join(l.s3.Data(), bucketName, filepath.FromSlash(prefix)))
}

// filesContent counts the rows of the Parquet files in a directory and below.
func filesContent(dir string) (content, error) {
	var c content
	folders := make(map[string]bool)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rows, err := rowsOf(path, info.Size())
		if err != nil {
			return err
		}
		folders[filepath.Dir(path)] = true
		c.objects++
		c.rows += rows
		c.bytes += info.Size()
		if info.ModTime().After(c.last) {
			c.last = info.ModTime()
		}
		return nil
	})
	c.folders = len(folders)
	return c, err
}

// rowsOf returns how many rows a Parquet file has by its footer.
func rowsOf(name string, size int64) (int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	p, err := parquet.OpenFile(f, size)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return p.NumRows(), nil
}

// clear removes a part of the bucket, past the server.
func (l *lab) clear(prefix string) {
	if err := os.RemoveAll(filepath.Join(l.s3.Data(), bucketName, filepath.FromSlash(prefix))); err != nil {
		l.say("remove %s: %v", prefix, err)
	}
}

// An object is one that appeared in the bucket.
type object struct {
	seen           time.Time   // when the listing that first had it was asked for
	sent           []time.Time // its records, by the time at which they were sent
	oldest, newest time.Time
}

// A watch reads each object of a prefix as it appears.
type watch struct {
	lab    *lab
	prefix string
	stop   context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	known   map[string]bool
	objects []object
	rows    int64
	newest  time.Time // record
	err     error     // of the last look
}

// watchInterval is the time between two listings, and so how exactly an object's appearance is known.
const watchInterval = 100 * time.Millisecond

func (l *lab) watch(ctx context.Context, prefix string) *watch {
	ctx, stop := context.WithCancel(ctx)
	w := &watch{lab: l, prefix: prefix, stop: stop, done: make(chan struct{}), known: make(map[string]bool)}
	go func() {
		defer close(w.done)
		tick := time.NewTicker(watchInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			err := w.look(ctx)
			w.mu.Lock()
			w.err = err
			w.mu.Unlock()
		}
	}()
	return w
}

func (w *watch) look(ctx context.Context) error {
	pages := s3.NewListObjectsV2Paginator(w.lab.bucket, &s3.ListObjectsV2Input{Bucket: aws.String(bucketName), Prefix: &w.prefix})
	for pages.HasMorePages() {
		asked := time.Now()
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, o := range page.Contents {
			if w.known[*o.Key] {
				continue
			}
			sent, err := w.read(ctx, *o.Key)
			if err != nil {
				return fmt.Errorf("read %s: %w", *o.Key, err)
			}
			w.known[*o.Key] = true
			w.add(object{seen: asked, sent: sent})
		}
	}
	return nil
}

func (w *watch) add(o object) {
	for _, t := range o.sent {
		if o.oldest.IsZero() || t.Before(o.oldest) {
			o.oldest = t
		}
		if t.After(o.newest) {
			o.newest = t
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.objects = append(w.objects, o)
	w.rows += int64(len(o.sent))
	if o.newest.After(w.newest) {
		w.newest = o.newest
	}
}

// pickup is the column that has the time at which a record was sent, in milliseconds since 1970.
type pickup struct {
	Datetime int64 `parquet:"pickup_datetime,timestamp(millisecond)"`
}

func (w *watch) read(ctx context.Context, key string) ([]time.Time, error) {
	o, err := w.lab.bucket.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: &key})
	if err != nil {
		return nil, err
	}
	defer o.Body.Close()
	body, err := io.ReadAll(o.Body)
	if err != nil {
		return nil, err
	}
	r := parquet.NewGenericReader[pickup](bytes.NewReader(body))
	defer r.Close()
	rows := make([]pickup, r.NumRows())
	n, err := r.Read(rows)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if n != len(rows) {
		return nil, fmt.Errorf("%d of %d rows", n, len(rows))
	}
	sent := make([]time.Time, n)
	for i, row := range rows {
		sent[i] = time.UnixMilli(row.Datetime)
	}
	return sent, nil
}

// rowsSeen, newestSeen and objectsSeen tell what has appeared so far, and why nothing more does.
func (w *watch) rowsSeen() (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rows, w.err
}

func (w *watch) objectsSeen() []object {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]object(nil), w.objects...)
}

// appeared waits for an object with a record that was sent after a moment, and returns when it was seen.
func (w *watch) appeared(ctx context.Context, after time.Time) (at time.Time, err error) {
	err = wait(ctx, "an object with new records", func() (bool, error) {
		for _, o := range w.objectsSeen() {
			if o.newest.After(after) && (at.IsZero() || o.seen.Before(at)) {
				at = o.seen
			}
		}
		return !at.IsZero(), nil
	})
	return at, err
}

// next returns when the first object after a moment was seen, if there is one.
func (w *watch) next(after time.Time) (at time.Time) {
	for _, o := range w.objectsSeen() {
		if o.seen.After(after) && (at.IsZero() || o.seen.Before(at)) {
			at = o.seen
		}
	}
	return at
}

// end stops the watch.
func (w *watch) end() {
	w.stop()
	<-w.done
}
