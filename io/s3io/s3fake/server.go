// Package s3fake is an S3 server in this process, spoken to over real HTTP by
// real clients: the embedded output of the first command, and the server that
// the tests run against. The protocol is gofakes3's; objects and multipart
// uploads are kept here, so that what the job depends on behaves as S3 does:
//
//   - an upload's parts are invisible until it is completed, and completing or
//     aborting it ends its id (NoSuchUpload);
//   - parts are at least 5 MiB but for the last one (EntityTooSmall), ETags,
//     CRC32 checksums and the object's size are compared when they are sent
//     (BadDigest, InvalidPart, InvalidRequest);
//   - HeadObject tells size, metadata, the multipart ETag and the CRC32 of the
//     whole object.
//
// Objects are kept in memory, or, for one bucket, as plain files in a folder
// whose layout is the keys'. Nothing else is left in that folder; metadata and
// uploads not completed live as long as the Server, their parts in a folder of
// the system's for temporary files (left behind by a process that is killed).
//
// Faults are put in front of the server with Inject.
//
// Limits: plain HTTP, path-style addresses, no versions, no access control:
// signatures are not looked at. Checksums other than CRC32 are ignored.
// Bodies in aws-chunked encoding, which clients send for streams of unknown
// length and over TLS, are refused (NotImplemented) and never stored raw. Keys
// that cannot be a file's path ("a//b", "../a", "a/") are refused by a bucket
// that is a folder.
package s3fake

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// Options configure a Server. The zero value is a server without buckets.
type Options struct {
	// Bucket is created at start. More can be made by CreateBucket requests;
	// those are kept in memory. Required when Dir is set.
	Bucket string
	// Dir, when set, is the folder in which Bucket's objects are plain files.
	// It is made if missing; files found in it are objects of the bucket.
	Dir string
}

// Server is a running server. Its methods may be called at any time from any
// goroutine.
type Server struct {
	url     string
	http    *http.Server
	done    chan error
	backend *backend
	fault   atomic.Pointer[Fault]
	// silent are connections that have brought no request.
	silent sync.Map
}

// New starts a server on a free port of 127.0.0.1. Close stops it.
func New(o Options) (*Server, error) {
	b, err := newBackend(o)
	if err != nil {
		return nil, fmt.Errorf("start S3 server: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start S3 server: %w", err), b.close())
	}
	s := &Server{
		url:     "http://" + l.Addr().String(),
		done:    make(chan error, 1),
		backend: b,
	}
	s3 := guard(b, gofakes3.New(b, gofakes3.WithTimeSkewLimit(0)).Server())
	s.http = &http.Server{
		ReadHeaderTimeout: time.Minute,
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateNew {
				s.silent.Store(c, nil)
			} else {
				s.silent.Delete(c)
			}
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if f := s.fault.Load(); f != nil {
				(*f)(w, r, s3)
				return
			}
			s3.ServeHTTP(w, r)
		}),
	}
	go func() { s.done <- s.http.Serve(l) }()
	return s, nil
}

// URL is the server's endpoint, "http://127.0.0.1:port".
func (s *Server) URL() string { return s.url }

// CreateBucket makes an empty bucket in memory. It is an error if the bucket
// exists or its name is not a valid one.
func (s *Server) CreateBucket(name string) error {
	if err := gofakes3.ValidateBucketName(name); err != nil {
		return fmt.Errorf("create bucket %q: %w", name, err)
	}
	if err := s.backend.CreateBucket(name); err != nil {
		return fmt.Errorf("create bucket %q: %w", name, err)
	}
	return nil
}

// Close stops the server: requests under way get ten seconds to end. Uploads
// that were not completed are gone; files in Options.Dir stay.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// Clients open connections ahead; Shutdown would wait five seconds for
	// one that was never used.
	s.silent.Range(func(c, _ any) bool {
		_ = c.(net.Conn).Close()
		return true
	})
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	if e := <-s.done; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	if err = errors.Join(err, s.backend.close()); err != nil {
		return fmt.Errorf("stop S3 server: %w", err)
	}
	return nil
}
