package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// putTimeout ends a put that the server does not answer.
	putTimeout = time.Minute
	// putBytes is more than the largest PutRecords is in JSON.
	putBytes = 64 << 20
)

// A front is an HTTP proxy on a port of the loopback interface before a Kinesis server that may not get two puts at
// once: see RunKinesis. All other calls pass unhindered. Its methods are not safe for concurrent use.
type front struct {
	proxy   *httputil.ReverseProxy
	address string
	put     chan struct{} // holds a token while a put is in the server
	serving sync.WaitGroup
}

// newFront returns a front for a port, of the server at another.
func newFront(port, server int) *front {
	target := &url.URL{Scheme: "http", Host: loopback(server)}
	return &front{
		address: loopback(port),
		put:     make(chan struct{}, 1),
		proxy: &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(target)
				r.Out.Host = r.In.Host // it is signed
			},
			Transport:     &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true},
			FlushInterval: -1, // SubscribeToShard streams
			// A client must see what it sees of a server that has ended: a broken connection.
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
			ErrorLog:     log.New(io.Discard, "", 0),
		},
	}
}

// start listens until done is closed. It can be called again after that.
func (f *front) start(done <-chan struct{}) error {
	f.wait()
	l, err := net.Listen("tcp", f.address)
	if err != nil {
		return fmt.Errorf("listen before the server: %w", err)
	}
	server := &http.Server{Handler: f, ErrorLog: log.New(io.Discard, "", 0)}
	f.serving.Go(func() { _ = server.Serve(l) }) // http.ErrServerClosed
	f.serving.Go(func() {
		<-done
		_ = server.Close() // of sockets that nobody needs any more
	})
	return nil
}

// wait waits until nobody listens any more, after the server has ended. It can be called on nil.
func (f *front) wait() {
	if f != nil {
		f.serving.Wait()
	}
}

// ServeHTTP passes a request on.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !isPut(r) {
		f.proxy.ServeHTTP(w, r)
		return
	}
	// A put is read before its turn, so that a slow client holds up nobody.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, putBytes))
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, err.Error(), status)
		return
	}
	select {
	case f.put <- struct{}{}:
		defer func() { <-f.put }()
	case <-r.Context().Done():
		return
	}
	// What has entered the server is in it until it has answered, though the client may have gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), putTimeout)
	defer cancel()
	r = r.WithContext(ctx)
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength, r.TransferEncoding = int64(len(body)), nil
	f.proxy.ServeHTTP(w, r)
}

// isPut says whether a request is PutRecord or PutRecords.
func isPut(r *http.Request) bool {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return operation == "PutRecord" || operation == "PutRecords"
}
