// Package esfake is an Elasticsearch (or OpenSearch) in the process: real HTTP
// on a loopback port, documents in memory. It answers as Elasticsearch 8.19
// does to what a writer sends: bulk requests with index, create, update and
// delete, external versions, names and ids that are not allowed, mappings,
// templates and data streams, blocked indices; and to enough reading for tests
// to see what is there. Faults are scripted, per request (Server.OnRequest)
// and per action of a bulk (Server.OnItem).
//
//	request → gzip → limits → OnRequest → authorisation → handler → answer
//
// It has one shard, shows every write at once, maps of the fields that nobody has
// mapped the strings alone (a first one that looks like a date makes a date of
// its field), and runs no ingest pipeline: an action that names one is refused,
// as if there were none. What it does not know, it refuses.
package esfake

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// DefaultMaxBodyBytes is Elasticsearch's own limit, http.max_content_length.
const DefaultMaxBodyBytes = 100 << 20

// Options say what the server is like. The zero value is an Elasticsearch
// that anybody may use.
type Options struct {
	// OpenSearch makes it one: another answer to GET /, and no product header.
	OpenSearch bool
	// Address is where it listens; default a free port of 127.0.0.1.
	Address string
	// MaxBodyBytes is the size, before compression, above which a request is
	// answered with 413; default DefaultMaxBodyBytes.
	MaxBodyBytes int64
	// Authorize returns the status of a refusal, 401 or 403, with its reason,
	// or 0. The request's body is as it was sent, compressed. Default: all may.
	Authorize func(r *http.Request, body []byte) (status int, reason string)
}

// Server is a running server. Its methods are safe for concurrent use.
type Server struct {
	// URL is where it is, http://127.0.0.1:port.
	URL string

	opts Options
	http http.Server
	wg   sync.WaitGroup

	// hooks is apart from mu: hooks may ask the server.
	hooks     sync.Mutex
	requests  int
	onRequest func(Request) *Fault
	onItem    func(Item) *ItemFault

	mu         sync.Mutex
	indices    map[string]*index
	streams    map[string]bool
	templates  map[string]*indexTemplate
	components map[string]*component
	autoID     int
	// createBlocked is OpenSearch's setting cluster.blocks.create_index.
	createBlocked bool
}

// Request is what OnRequest sees.
type Request struct {
	// Number counts all requests, from 1.
	Number       int
	Method, Path string
	Header       http.Header
	// Body is uncompressed.
	Body []byte
}

// Fault is what happens to a request in the place of, or besides, its work.
type Fault struct {
	// Status and Body are the answer; 0 has the request worked on.
	Status int
	Body   string
	// Cut closes the connection in the place of an answer: with Status 0
	// after the work is done, else before.
	Cut bool
}

// ItemFault is what an action of a bulk is answered with; nothing is done.
type ItemFault struct {
	Status       int
	Type, Reason string
}

// Start returns a server that listens.
func Start(o Options) (*Server, error) {
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	if o.MaxBodyBytes == 0 {
		o.MaxBodyBytes = DefaultMaxBodyBytes
	}
	listener, err := net.Listen("tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("esfake: %w", err)
	}
	s := &Server{
		URL: "http://" + listener.Addr().String(), opts: o,
		indices: map[string]*index{}, streams: map[string]bool{},
		templates: map[string]*indexTemplate{}, components: map[string]*component{},
	}
	s.http.Handler = s.handler()
	s.wg.Go(func() { s.http.Serve(listener) })
	return s, nil
}

// Close ends the server and its connections.
func (s *Server) Close() {
	s.http.Close()
	s.wg.Wait()
}

// OnRequest has f asked about every request before it is worked on; nil from f
// lets it be, and a nil f asks nobody. f may wait, and with it the request.
func (s *Server) OnRequest(f func(Request) *Fault) {
	s.hooks.Lock()
	defer s.hooks.Unlock()
	s.onRequest = f
}

// OnItem has f asked about every action of a bulk; nil from f lets it be.
// Actions of one request are asked in their order.
func (s *Server) OnItem(f func(Item) *ItemFault) {
	s.hooks.Lock()
	defer s.hooks.Unlock()
	s.onItem = f
}

// Requests returns how many requests there were.
func (s *Server) Requests() int {
	s.hooks.Lock()
	defer s.hooks.Unlock()
	return s.requests
}

// answer is a status and what is written as JSON.
type answer struct {
	status int
	body   any
}

// fault is an answer as Elasticsearch's errors are.
func fault(status int, kind, format string, args ...any) answer {
	cause := map[string]any{"type": kind, "reason": fmt.Sprintf(format, args...)}
	return answer{status, map[string]any{
		"error":  map[string]any{"root_cause": []any{cause}, "type": cause["type"], "reason": cause["reason"]},
		"status": status,
	}}
}

// errTooLarge is a body over the limit.
var errTooLarge = errors.New("too large")

// serve is what all requests go through.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, f func(*http.Request, []byte) answer) {
	sent, err := readAll(r.Body, s.opts.MaxBodyBytes)
	var body []byte
	if err == nil {
		body, err = s.decompress(r, sent)
	}
	switch {
	case errors.Is(err, errTooLarge):
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		s.write(w, r, fault(http.StatusBadRequest, "illegal_argument_exception", "read the body: %v", err))
		return
	}
	s.hooks.Lock()
	s.requests++
	number, hook := s.requests, s.onRequest
	s.hooks.Unlock()
	var scripted *Fault
	if hook != nil {
		scripted = hook(Request{Number: number, Method: r.Method, Path: r.URL.Path, Header: r.Header, Body: body})
	}
	if scripted != nil && scripted.Status != 0 {
		if scripted.Cut {
			panic(http.ErrAbortHandler) // net/http's way to close a connection
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(scripted.Status)
		io.WriteString(w, scripted.Body)
		return
	}
	if s.opts.Authorize != nil {
		if status, reason := s.opts.Authorize(r, sent); status != 0 {
			s.write(w, r, fault(status, "security_exception", "%s", reason))
			return
		}
	}
	out := f(r, body)
	if scripted != nil && scripted.Cut {
		panic(http.ErrAbortHandler)
	}
	s.write(w, r, out)
}

func (s *Server) decompress(r *http.Request, sent []byte) ([]byte, error) {
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return sent, nil
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(sent))
		if err != nil {
			return nil, err
		}
		return readAll(z, s.opts.MaxBodyBytes)
	default:
		return nil, fmt.Errorf("content encoding %q", encoding)
	}
}

func readAll(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = errTooLarge
	}
	return data, err
}

func (s *Server) write(w http.ResponseWriter, r *http.Request, a answer) {
	data, err := json.Marshal(a.body)
	if filter := r.URL.Query().Get("filter_path"); err == nil && filter != "" && a.status < 300 {
		data, err = filterPath(data, filter)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if !s.opts.OpenSearch {
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
	}
	w.WriteHeader(a.status)
	w.Write(data)
}

// filterPath leaves what a comma separated list of paths names; "*" stands for
// a part of a path, and arrays are no part of it.
func filterPath(data []byte, filter string) ([]byte, error) {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	var paths [][]string
	for path := range strings.SplitSeq(filter, ",") {
		paths = append(paths, strings.Split(path, "."))
	}
	left, ok := filterValue(value, paths)
	if !ok {
		left = map[string]any{}
	}
	return json.Marshal(left)
}

func filterValue(value any, paths [][]string) (any, bool) {
	for _, path := range paths {
		if len(path) == 0 {
			return value, true
		}
	}
	switch value := value.(type) {
	case []any:
		var left []any
		for _, v := range value {
			if v, ok := filterValue(v, paths); ok {
				left = append(left, v)
			}
		}
		return left, len(left) > 0
	case map[string]any:
		left := map[string]any{}
		for key, v := range value {
			var rest [][]string
			for _, path := range paths {
				if path[0] == "*" || path[0] == key {
					rest = append(rest, path[1:])
				}
			}
			if len(rest) == 0 {
				continue
			}
			if v, ok := filterValue(v, rest); ok {
				left[key] = v
			}
		}
		return left, len(left) > 0
	}
	return nil, false
}

func (s *Server) info(*http.Request, []byte) answer {
	version := map[string]any{"number": "8.19.0", "build_flavor": "default"}
	tagline := "You Know, for Search"
	if s.opts.OpenSearch {
		version = map[string]any{"number": "2.19.0", "distribution": "opensearch"}
		tagline = "The OpenSearch Project: https://opensearch.org/"
	}
	return answer{http.StatusOK, map[string]any{"name": "esfake", "cluster_name": "esfake", "version": version, "tagline": tagline}}
}

func (s *Server) health(*http.Request, []byte) answer {
	return answer{http.StatusOK, map[string]any{"cluster_name": "esfake", "status": "green", "timed_out": false, "number_of_nodes": 1}}
}
