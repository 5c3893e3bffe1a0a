package elasticsearchio

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"

	"github.com/streaming-etl/streaming-etl/io/secret"
	"github.com/streaming-etl/streaming-etl/logging"
)

// connectTimeout is for a connection and for its TLS handshake.
const connectTimeout = 5 * time.Second

// Stats counts what a client did.
type Stats struct {
	// Documents were settled by the cluster; Conflicts are those of them that
	// it had already, or had newer. Rejections were refused for good.
	Documents, Conflicts, Rejections int64
	// Requests were sent, with BytesSent of bodies as sent; Retries are
	// documents that were sent again. Throttles are the requests that were
	// answered 429, as a whole or for the first document to be sent again.
	Requests, BytesSent, Retries, Throttles int64
}

// Client writes to one cluster. Make one per process and Options: it holds the
// connections and the lanes. It is safe for concurrent use.
type Client struct {
	opts  Options
	link  *link
	ctx   context.Context
	close context.CancelFunc
	wg    sync.WaitGroup
	lanes []*lane
	seed  maphash.Seed
	// maxBytes is Options.MaxBytes, or less, by what the cluster refused.
	maxBytes atomic.Int64
	// answered is set once the cluster has taken a request.
	answered atomic.Bool
	written  written
	counts   struct {
		documents, conflicts, rejections, requests, bytesSent, retries, throttles atomic.Int64
	}
}

// New returns a client with its lanes running. It reads secrets, the AWS
// configuration and certificates, for which ctx is, but sends nothing to the
// cluster: see Options.Check.
func New(ctx context.Context, o Options) (*Client, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("write to Elasticsearch: %w", err)
	}
	o = o.withDefaults()
	l, err := newLink(ctx, o, o.Endpoints)
	if err != nil {
		return nil, fmt.Errorf("write to Elasticsearch: %w", err)
	}
	c := &Client{opts: o, link: l, seed: maphash.MakeSeed()}
	c.maxBytes.Store(int64(o.MaxBytes))
	c.ctx, c.close = context.WithCancel(logging.Copy(context.Background(), ctx))
	for range o.Concurrency {
		lane := newLane(c)
		c.lanes = append(c.lanes, lane)
		c.wg.Go(lane.run)
	}
	return c, nil
}

// Close ends the lanes and waits for them. What they hold is dropped, and the
// bundles that wait for it fail with ErrClosed: Flush first.
func (c *Client) Close() {
	c.close()
	c.wg.Wait()
	c.link.closeIdle()
}

// Stats returns the present counts.
func (c *Client) Stats() Stats {
	return Stats{
		Documents: c.counts.documents.Load(), Conflicts: c.counts.conflicts.Load(), Rejections: c.counts.rejections.Load(),
		Requests: c.counts.requests.Load(), BytesSent: c.counts.bytesSent.Load(), Retries: c.counts.retries.Load(),
		Throttles: c.counts.throttles.Load(),
	}
}

// hash is a document's identity; it chooses the lane.
func (c *Client) hash(index, id []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	h.Write(index)
	h.WriteByte(0)
	h.Write(id)
	return h.Sum64()
}

// link is the way to the endpoints: go-elasticsearch's low-level transport,
// which chooses one, under it the authorisation, under that the connections.
// The product check is in a higher layer of go-elasticsearch: this one speaks
// to OpenSearch too.
type link struct {
	*elastictransport.Client
	auth      Auth
	signer    *signer // nil without SigV4
	closeIdle func()
}

func newLink(ctx context.Context, o Options, endpoints []string) (*link, error) {
	var urls []*url.URL
	for _, e := range endpoints {
		u, err := parseEndpoint(e)
		if err != nil {
			return nil, err
		}
		urls = append(urls, u)
	}
	base := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   connectTimeout,
		ResponseHeaderTimeout: o.RequestTimeout,
		MaxIdleConnsPerHost:   o.Concurrency,
		IdleConnTimeout:       30 * time.Second, // shorter than load balancers have it
		WriteBufferSize:       64 << 10,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("certificate authority: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("certificate authority: %s holds no PEM certificate", o.CAFile)
		}
		base.TLSClientConfig.RootCAs = roots
	}
	l := &link{auth: o.Auth, closeIdle: base.CloseIdleConnections}
	var top http.RoundTripper = base
	switch o.Auth {
	case SigV4:
		s, err := newSigner(ctx, o, base)
		if err != nil {
			return nil, err
		}
		l.signer, top = s, s
	case Basic:
		if _, err := o.Password.Read(); err != nil {
			return nil, fmt.Errorf("password: %w", err)
		}
		top = &login{next: base, secret: o.Password, set: func(req *http.Request, password string) { req.SetBasicAuth(o.Username, password) }}
	case APIKey:
		if _, err := o.APIKey.Read(); err != nil {
			return nil, fmt.Errorf("API key: %w", err)
		}
		top = &login{next: base, secret: o.APIKey, set: func(req *http.Request, key string) { req.Header.Set("Authorization", "ApiKey "+key) }}
	}
	var err error
	l.Client, err = elastictransport.NewClient(
		elastictransport.WithURLs(urls...),
		elastictransport.WithHeader(http.Header{"User-Agent": {"streaming-etl"}}),
		elastictransport.WithTransport(located{top}),
		elastictransport.WithConnectionPoolFunc(newPool),
		elastictransport.WithDisableRetry(), // ours count time, and leave out what succeeded
	)
	return l, err
}

// login is a round tripper that adds a login whose secret is read each time, so
// that it may be replaced under a running job.
type login struct {
	next   http.RoundTripper
	secret secret.Secret
	set    func(req *http.Request, secret string)
}

// RoundTrip sends a copy of the request with the login.
func (l *login) RoundTrip(req *http.Request) (*http.Response, error) {
	text, err := l.secret.Read()
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, fmt.Errorf("log in: %w", err)
	}
	req = req.Clone(req.Context())
	l.set(req, text)
	return l.next.RoundTrip(req)
}

// located says of requests without an answer where they went.
type located struct{ http.RoundTripper }

// RoundTrip sends the request; its errors are *unreachableError.
func (l located) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := l.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, &unreachableError{endpoint: endpointOf(req.URL), err: err}
	}
	res.Request = req
	return res, nil
}

// unreachableError is a request that got no answer.
type unreachableError struct {
	endpoint string
	err      error
}

func (e *unreachableError) Error() string { return e.endpoint + ": " + e.err.Error() }

func (e *unreachableError) Unwrap() error { return e.err }

// endpointOf is the part of a request's URL that was configured, about.
func endpointOf(u *url.URL) string { return u.Scheme + "://" + u.Host }

// unanswered makes the error of a request that got no answer.
func (l *link) unanswered(op string, err error) *Error {
	e := &Error{Op: op, Err: err, auth: l.auth}
	var where *unreachableError
	if errors.As(err, &where) {
		e.Endpoint, e.Err = where.endpoint, where.err
	}
	return e
}
