package rest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	dialTimeout = 10 * time.Second
	// callTimeout is for calls that Flink answers out of its memory. With the time to connect it keeps the promise
	// that an unreachable cluster is told within 30 seconds.
	callTimeout = 20 * time.Second
	// runTimeout is for the start of a job: the jar's main class runs within this call, and it may have to fetch
	// things. Our own gives up after three minutes.
	runTimeout = 5 * time.Minute

	pollInterval = 250 * time.Millisecond
	maxAnswer    = 64 << 20
)

// A Client talks to one cluster. It is safe for concurrent use.
type Client struct {
	base    *url.URL
	setting string
	http    *http.Client
}

// New returns a client of the cluster whose JobManager's REST endpoint has this address: a URL, or host:port. The
// setting is where the address comes from, such as "--flink-rest"; errors name it.
func New(address, setting string) (*Client, error) {
	text := address
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		if at := strings.LastIndexByte(address, '@'); at >= 0 {
			address = address[at+1:] // a login is not repeated
		}
		return nil, fmt.Errorf("%s %q is not the address of a Flink REST endpoint, such as http://localhost:8081",
			setting, address)
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	transport.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext
	return &Client{base: base, setting: setting, http: &http.Client{Transport: transport}}, nil
}

// URL is the address of the cluster's REST endpoint, which also serves its web UI, without a login that is in it.
func (c *Client) URL() string {
	shown := *c.base
	shown.User = nil
	return shown.String()
}

// call is one request.
type call struct {
	method      string
	path        []string // escaped and joined with "/"
	query       string   // encoded
	body        any      // sent as JSON, unless it is an io.Reader
	contentType string   // of an io.Reader
	length      int64    // of an io.Reader
	timeout     time.Duration
}

func get(path ...string) call { return call{method: http.MethodGet, path: path, timeout: callTimeout} }

func post(body any, path ...string) call {
	return call{method: http.MethodPost, path: path, body: body, timeout: callTimeout}
}

// do makes a call and decodes the answer into out, if that is not nil.
func (c *Client) do(ctx context.Context, r call, out any) error {
	if r.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, r.timeout, errNoAnswer)
		defer cancel()
	}
	req, err := c.request(ctx, r)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return c.unreachable(ctx, err)
	}
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		// A proxy before a JobManager that is gone, or one that elects a leader.
		return &UnreachableError{URL: c.URL(), Setting: c.setting, Err: answerError(resp.StatusCode, answer)}
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return answerError(resp.StatusCode, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("the answer of %s is not Flink's (%w): is %s the address of its REST endpoint?",
			c.URL(), err, c.setting)
	}
	return nil
}

func (c *Client) request(ctx context.Context, r call) (*http.Request, error) {
	u := c.base.JoinPath(r.path...)
	u.RawQuery = r.query
	var body io.Reader
	switch b := r.body.(type) {
	case nil:
	case io.Reader:
		body = b
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		body, r.contentType = bytes.NewReader(raw), "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), body)
	if err != nil {
		return nil, err
	}
	if r.length > 0 {
		req.ContentLength = r.length
	}
	req.Header.Set("Accept", "application/json")
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	return req, nil
}

var errNoAnswer = errors.New("no answer in time")

// unreachable makes an error of what a call without an answer ended with. The end of the caller's own context is no
// fault of the cluster.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errNoAnswer) {
		return cause
	} else if cause != nil {
		err = cause
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // the URL is told already
	}
	return &UnreachableError{URL: c.URL(), Setting: c.setting, Err: err}
}
