package stack

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/streaming-etl/streaming-etl/stack/process"
)

const (
	// readyTimeout is long: Elasticsearch, whose start takes 20 to 50 CPU-seconds, may have a third of a processor.
	readyTimeout = 5 * time.Minute
	stopGrace    = 5 * time.Second
	portAttempts = 3
)

// A Server is a server process on a port of the loopback interface that it keeps over restarts. Its methods are safe
// for concurrent use.
type Server struct {
	name   string
	port   int
	host   *process.Host
	spec   process.Spec
	health string // the path that is asked until the server is ready
	onePut bool   // a front is before it: see RunKinesis
	front  *front // or nil

	mu      sync.Mutex
	process *process.Process
}

// startServer starts a server on a free port. The function makes the process of a port.
func startServer(ctx context.Context, name, dir, health string, make func(port int) process.Spec) (*Server, error) {
	return startFirst(ctx, &Server{name: name, health: health}, dir, func(port, _ int) (process.Spec, error) {
		return make(port), nil
	})
}

// startFirst finds a port for a server, and a second one, and starts it there.
func startFirst(ctx context.Context, s *Server, dir string, make func(port, second int) (process.Spec, error)) (*Server, error) {
	s.host = process.NewHost()
	var failure error
	for range portAttempts { // somebody else may be faster to take the port
		ports, err := process.FreePorts(2)
		if err != nil {
			s.host.Close()
			return nil, err
		}
		s.port = ports[0]
		if s.onePut {
			s.front = newFront(ports[1], s.port)
		}
		if s.spec, err = make(s.port, ports[1]); err != nil {
			s.host.Close()
			return nil, err
		}
		s.spec.Name = s.name
		s.spec.Dir = dir
		s.spec.Output = filepath.Join(dir, s.name+".log")
		if failure = s.Start(ctx); failure == nil {
			return s, nil
		}
		if s.process == nil || s.process.Ended() == nil {
			break
		}
	}
	s.Stop()
	s.host.Close()
	return nil, failure
}

// Endpoint is the server's URL.
func (s *Server) Endpoint() string {
	if s.front != nil {
		return "http://" + s.front.address
	}
	return "http://" + loopback(s.port)
}

// loopback is a port's address on the loopback interface.
func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// Start starts the server again on its port after Stop or Kill, and waits until it is ready.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil && s.process.Ended() == nil {
		return fmt.Errorf("start %s: it is running", s.name)
	}
	p, err := s.host.Start(s.spec)
	if err != nil {
		return err
	}
	s.process = p
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := process.Await(ctx, s.name, process.Answers("http://"+loopback(s.port)+s.health), p); err != nil {
		p.Kill()
		return err
	}
	// Another server that has the port would answer too.
	if err := p.Ended(); err != nil || s.front == nil {
		return err
	}
	if err := s.front.start(p.Done()); err != nil {
		p.Kill()
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	return nil
}

// Ended returns nil while the server runs. After that it says how it ended, and how its log ends.
func (s *Server) Ended() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.Ended()
}

// Stop stops the server. It can be called again.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	process.StopAll(stopGrace, s.process)
	s.front.wait()
}

// Kill ends the server by SIGKILL.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.process.Kill()
	}
	s.front.wait()
}

// Pause halts the server by SIGSTOP, until Resume: it does not answer, and its connections stay open.
func (s *Server) Pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.Pause()
}

// Resume lets the server go on after Pause.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.Resume()
}

// close stops the server for good.
func (s *Server) close() {
	s.Stop()
	s.host.Close()
}

// end kills the server for good, as a test does not need its data.
func (s *Server) end() {
	s.Kill()
	s.host.Close()
}
