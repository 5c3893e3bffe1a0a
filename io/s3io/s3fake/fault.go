package s3fake

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// Fault answers a request in the server's stead; next is the server, for
// requests that are to be served, wholly or in part.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Inject puts f in front of all requests from now on; nil takes it away. f is
// called by many goroutines at once.
func (s *Server) Inject(f Fault) {
	if f == nil {
		s.fault.Store(nil)
		return
	}
	s.fault.Store(&f)
}

// Operation is the S3 name of what a path-style request asks for, such as
// "UploadPart"; "" for operations that this server does not know.
func Operation(r *http.Request) string {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	q := r.URL.Query()
	name := r.Method
	switch {
	case q.Get("uploadId") != "":
		name += " uploadId"
	case q.Has("uploads"):
		name += " uploads"
	case q.Has("delete"):
		name += " delete"
	}
	if key != "" {
		name += " key"
	}
	return operations[name]
}

// operations maps method, sub-resource and whether there is a key.
var operations = map[string]string{
	"PUT":                 "CreateBucket",
	"HEAD":                "HeadBucket",
	"GET":                 "ListObjects",
	"DELETE":              "DeleteBucket",
	"GET uploads":         "ListMultipartUploads",
	"POST delete":         "DeleteObjects",
	"PUT key":             "PutObject",
	"HEAD key":            "HeadObject",
	"GET key":             "GetObject",
	"DELETE key":          "DeleteObject",
	"POST uploads key":    "CreateMultipartUpload",
	"PUT uploadId key":    "UploadPart",
	"GET uploadId key":    "ListParts",
	"POST uploadId key":   "CompleteMultipartUpload",
	"DELETE uploadId key": "AbortMultipartUpload",
}

// Refuse answers as S3 does when it says no: status and an error document
// with code, such as 503 and "SlowDown".
func Refuse(w http.ResponseWriter, r *http.Request, status int, code string) {
	Drain(r)
	var doc strings.Builder
	doc.WriteString(xml.Header + "<Error><Code>")
	_ = xml.EscapeText(&doc, []byte(code))
	doc.WriteString("</Code><Message>")
	_ = xml.EscapeText(&doc, []byte(code))
	doc.WriteString("</Message></Error>")
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(doc.Len()))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, doc.String())
	}
}

// Drain reads a request's body to its end: one left unread may have the client
// see a broken connection instead of the answer.
func Drain(r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }

// Reset reads at most n bytes of the request's body and then breaks the
// connection (TCP RST), as a network or a dying server does.
func Reset(w http.ResponseWriter, r *http.Request, n int64) {
	_, _ = io.CopyN(io.Discard, r.Body, n)
	breakConn(w)
}

// LoseResponse has next serve the request and then breaks the connection, so
// that the client does not learn that it was served.
func LoseResponse(w http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(&nowhere{header: http.Header{}}, r)
	breakConn(w)
}

func breakConn(w http.ResponseWriter) {
	conn, _, err := hijack(w)
	if err != nil {
		panic(http.ErrAbortHandler) // net/http closes the connection, without a word in the log
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func hijack(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
	h, ok := w.(http.Hijacker)
	if !ok {
		return nil, nil, fmt.Errorf("%T cannot be hijacked", w)
	}
	return h.Hijack()
}

// nowhere is a ResponseWriter whose response is dropped.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(int)             {}
