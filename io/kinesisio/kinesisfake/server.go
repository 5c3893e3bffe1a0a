package kinesisfake

import (
	"fmt"
	"net"
	"net/http"
	"time"
)

// Server is a Handler that listens on a port of its own. Its methods may be
// called from several goroutines.
type Server struct {
	*Handler
	url    string
	http   *http.Server
	served chan error
}

// New starts a server on a free port of 127.0.0.1. The caller closes it.
func New(opts ...Option) (*Server, error) {
	h, err := NewHandler(opts...)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("kinesisfake: listen: %w", err)
	}
	s := &Server{
		Handler: h,
		url:     "http://" + listener.Addr().String(),
		http:    &http.Server{Handler: h, ReadHeaderTimeout: time.Minute},
		served:  make(chan error, 1),
	}
	go func() { s.served <- s.http.Serve(listener) }()
	return s, nil
}

// URL returns the endpoint to give to clients, such as http://127.0.0.1:41234.
func (s *Server) URL() string { return s.url }

// Close stops listening, cuts all connections and waits until no new request
// can come in. Requests that a control holds up see their context done.
// A second Close does nothing.
func (s *Server) Close() error {
	if err := s.http.Close(); err != nil {
		return fmt.Errorf("kinesisfake: close: %w", err)
	}
	if err, open := <-s.served; open {
		close(s.served)
		if err != http.ErrServerClosed {
			return fmt.Errorf("kinesisfake: serve: %w", err)
		}
	}
	return nil
}
