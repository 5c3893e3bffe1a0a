// Package elasticsearchio writes documents to Elasticsearch and OpenSearch:
// many in one bulk request, only the failed ones again, those of one id in
// their order. A Client is shared by a process; a Bulk is one bundle's view of
// it, which learns what became of the bundle's own documents.
//
//	document → Bulk.Add → lane (by index and id) → _bulk → answer → Bulk.Flush
//
// A lane is a queue with one request at a time: the next one leaves when every
// document of the one before is settled. So two documents of one id, which are
// in the same lane, never overtake each other, in whichever bundles they are,
// and Options.Concurrency lanes write side by side. A lane holds one request
// that is filled and one that is sent, and no more: Add waits.
//
// A document is settled when the cluster has it (a version conflict says so
// too, see Document), or when it was refused for good: then it is a Rejection,
// which holds back nothing else. A document that the cluster answers with a fault
// of its own (500) is taken for refused once Options.ItemDeadline has passed in
// which others of its index were written: an ingest pipeline may fail on it
// each time. So is one that has chosen an index which is read-only. What the
// cluster cannot take now (429, other 5xx, a block such as the one of a full
// disk, no connection) is sent again with growing random pauses until
// Options.RetryDeadline has passed without progress; then Flush returns the
// reason, and the bundle is to be done anew. So is a refused login (401, 403),
// once one was taken: it may be being replaced. A first one, or a certificate
// that is not trusted, fails at once.
//
// Delivery is at least once, and a document's id and version make that exactly
// one document, the newest: without versions, a request whose answer got lost
// may still be worked on by the cluster while its documents, or later ones,
// are sent again.
package elasticsearchio

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/streaming-etl/streaming-etl/io/secret"
)

// Auth is how requests are authorised.
type Auth string

// The ways to authorise requests.
const (
	// AuthByHost is the default: API_KEY where the options have a key, BASIC
	// where they have a user name, SIGV4 for hosts of Amazon OpenSearch
	// Service and OpenSearch Serverless, else NONE.
	AuthByHost Auth = ""
	// SigV4 signs with AWS credentials, from the environment, the shared
	// files, the container or the instance, renewed before they expire.
	SigV4 Auth = "SIGV4"
	// Basic sends Username and Password.
	Basic Auth = "BASIC"
	// APIKey sends APIKey.
	APIKey Auth = "API_KEY"
	// NoAuth sends nothing.
	NoAuth Auth = "NONE"
)

// The services that SigV4 signs for.
const (
	// ServiceDomain is Amazon OpenSearch Service: clusters of one's own.
	ServiceDomain = "es"
	// ServiceServerless is Amazon OpenSearch Serverless.
	ServiceServerless = "aoss"
)

// Defaults of Options.
const (
	// DefaultMaxBytes and DefaultMaxActions are where a bulk request is full:
	// its size before compression, and its documents.
	DefaultMaxBytes   = 5 << 20
	DefaultMaxActions = 1000
	// DefaultInterval is how long a request may wait for more documents.
	DefaultInterval = time.Second
	// DefaultConcurrency is the number of lanes, of bulk requests at one time.
	DefaultConcurrency = 4
	// DefaultRequestTimeout is for one request with its answer. The cluster
	// itself waits up to a minute for a missing primary shard.
	DefaultRequestTimeout = 90 * time.Second
	// DefaultRetryDeadline is how long a request may go on without progress
	// before its bundles fail.
	DefaultRetryDeadline = 5 * time.Minute
	// DefaultItemDeadline is how long a document may be answered with a fault
	// of its own before it is refused.
	DefaultItemDeadline = 2 * time.Minute
	// DefaultRetryBackoff bounds the wait before the first retry; the bound
	// doubles with each one, and the wait is a random part of it.
	DefaultRetryBackoff = 100 * time.Millisecond
	// DefaultRetryBackoffMax is where the bound stops doubling.
	DefaultRetryBackoffMax = 5 * time.Second
)

// Limits of Options. Amazon's smallest instances take requests of 10 MiB,
// Elasticsearch's default is 100 MB.
const (
	maxMaxBytes    = 100 << 20
	maxConcurrency = 256
)

// Options say where documents go and how. Zero values of all but Endpoints
// stand for defaults. Options marshal to JSON and back without loss, so that
// they can travel to the workers; they hold no secrets but where those are read.
type Options struct {
	// Endpoints are URLs of the cluster's nodes, or of what stands before
	// them, e.g. https://search-trips.eu-west-1.es.amazonaws.com. Requests go
	// to them in turn; one that does not answer is left out for a while.
	Endpoints []string

	// Auth is how requests are authorised; see AuthByHost.
	Auth Auth
	// Region is the one SigV4 signs for. Default: the one in the endpoint's
	// name, else that of the AWS configuration.
	Region string
	// Service is what SigV4 signs for, ServiceDomain or ServiceServerless.
	// Default: by the endpoint's name, ServiceDomain for names of one's own.
	Service string
	// Username and Password go with BASIC. The password is read again at each
	// request, and so is APIKey: either may be replaced under a running job.
	Username string
	Password secret.Secret
	// APIKey goes with API_KEY: the key as Elasticsearch calls it "encoded".
	APIKey secret.Secret
	// CAFile is a file of PEM certificates that the endpoints' are checked
	// against, on the worker. Default: the system's.
	CAFile string

	// MaxBytes overrides DefaultMaxBytes. A larger document goes alone. The
	// client takes less by itself when a request is answered as too large.
	MaxBytes int
	// MaxActions overrides DefaultMaxActions.
	MaxActions int
	// Interval overrides DefaultInterval: a request that is not full is sent
	// this long after its first document, and at Flush, so at the latest at
	// the end of the bundle.
	Interval time.Duration
	// Concurrency overrides DefaultConcurrency. The client holds at most
	// twice Concurrency times MaxBytes of documents, and what the requests
	// under way take compressed.
	Concurrency int
	// Uncompressed sends requests as they are. Default: gzip, level 1.
	Uncompressed bool

	// RequestTimeout overrides DefaultRequestTimeout.
	RequestTimeout time.Duration
	// RetryDeadline overrides DefaultRetryDeadline.
	RetryDeadline time.Duration
	// ItemDeadline overrides DefaultItemDeadline: how long a document is sent
	// again that the cluster answers with a fault of its own (500) while it
	// takes others of the same index, or that has chosen a read-only index.
	ItemDeadline time.Duration
	// RetryBackoff overrides DefaultRetryBackoff.
	RetryBackoff time.Duration
	// RetryBackoffMax overrides DefaultRetryBackoffMax.
	RetryBackoffMax time.Duration
}

// Validate reports all faults of the options in one error, nil if there are
// none. It reads no secret and sends nothing; Check does.
func (o Options) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if len(o.Endpoints) == 0 {
		fault("no endpoint is named")
	}
	services := map[string]bool{}
	secured := false
	for _, e := range o.Endpoints {
		u, err := parseEndpoint(e)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		service, _ := amazonHost(u.Hostname())
		services[service] = true
		secured = secured || u.Scheme == "https"
		if service != "" && o.Service != "" && o.Service != service && o.auth() == SigV4 {
			fault("the signing service is %s, and the endpoint is one of %s: %s", o.Service, service, e)
		}
	}
	if o.CAFile != "" && len(services) > 0 && !secured {
		fault("a certificate authority goes with https, which no endpoint has")
	}
	if len(services) > 1 && (o.Auth == SigV4 || o.Auth == AuthByHost) {
		fault("the endpoints are of different services: one cluster is written to")
	}
	switch auth := o.auth(); auth {
	case Basic:
		if o.Username == "" {
			fault("%s needs a user name", auth)
		}
		if err := o.Password.Validate(); err != nil {
			fault("password: %w", err)
		}
	case APIKey:
		if err := o.APIKey.Validate(); err != nil {
			fault("API key: %w", err)
		}
	case SigV4, NoAuth:
	default:
		fault("authorisation %q is none of %s, %s, %s, %s", auth, SigV4, Basic, APIKey, NoAuth)
	}
	if auth := o.auth(); auth != Basic && (o.Username != "" || o.Password != secret.Secret{}) {
		fault("a user name or a password goes with %s, not with %s", Basic, auth)
	}
	if auth := o.auth(); auth != APIKey && o.APIKey != (secret.Secret{}) {
		fault("an API key goes with %s, not with %s", APIKey, auth)
	}
	if o.Service != "" && o.Service != ServiceDomain && o.Service != ServiceServerless {
		fault("the signing service %q is neither %s nor %s", o.Service, ServiceDomain, ServiceServerless)
	} else if auth := o.auth(); o.Service != "" && auth != SigV4 {
		fault("the signing service %s goes with %s, not with %s", o.Service, SigV4, auth)
	}
	if o.MaxBytes < 0 || o.MaxBytes > maxMaxBytes {
		fault("%d bytes in a bulk request: from 1 to %d", o.MaxBytes, maxMaxBytes)
	}
	if o.MaxActions < 0 {
		fault("%d documents in a bulk request: at least 1", o.MaxActions)
	}
	if o.Concurrency < 0 || o.Concurrency > maxConcurrency {
		fault("%d bulk requests at one time: from 1 to %d", o.Concurrency, maxConcurrency)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"interval", o.Interval},
		{"request timeout", o.RequestTimeout},
		{"retry deadline", o.RetryDeadline},
		{"item deadline", o.ItemDeadline},
		{"retry backoff", o.RetryBackoff},
		{"highest retry backoff", o.RetryBackoffMax},
	} {
		if d.value < 0 {
			fault("the %s %s is negative", d.name, d.value)
		}
	}
	return errors.Join(faults...)
}

// withDefaults returns the options with defaults in place of zero values.
func (o Options) withDefaults() Options {
	o.MaxBytes = cmp.Or(o.MaxBytes, DefaultMaxBytes)
	o.MaxActions = cmp.Or(o.MaxActions, DefaultMaxActions)
	o.Interval = cmp.Or(o.Interval, DefaultInterval)
	o.Concurrency = cmp.Or(o.Concurrency, DefaultConcurrency)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, DefaultRequestTimeout)
	o.RetryDeadline = cmp.Or(o.RetryDeadline, DefaultRetryDeadline)
	o.ItemDeadline = cmp.Or(o.ItemDeadline, DefaultItemDeadline)
	o.RetryBackoff = cmp.Or(o.RetryBackoff, DefaultRetryBackoff)
	o.RetryBackoffMax = cmp.Or(o.RetryBackoffMax, DefaultRetryBackoffMax)
	o.Auth = o.auth()
	if o.Auth != SigV4 {
		return o
	}
	for _, e := range o.Endpoints {
		u, err := parseEndpoint(e)
		if err != nil {
			continue
		}
		service, region := amazonHost(u.Hostname())
		o.Service = cmp.Or(o.Service, service)
		o.Region = cmp.Or(o.Region, region)
	}
	o.Service = cmp.Or(o.Service, ServiceDomain)
	return o
}

// auth is Auth, by host name where it is open.
func (o Options) auth() Auth {
	switch {
	case o.Auth != AuthByHost:
		return o.Auth
	case o.APIKey != secret.Secret{}:
		return APIKey
	case o.Username != "":
		return Basic
	}
	for _, e := range o.Endpoints {
		if u, err := parseEndpoint(e); err == nil {
			if service, _ := amazonHost(u.Hostname()); service != "" {
				return SigV4
			}
		}
	}
	return NoAuth
}

// parseEndpoint returns an endpoint's URL, without a slash at its end. Its
// errors do not show the URL where it holds a password.
func parseEndpoint(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	switch {
	case err == nil && u.User != nil:
		return nil, fmt.Errorf("endpoint %q holds a user name or a password: they have options of their own", u.Redacted())
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
		if strings.Contains(endpoint, "@") {
			return nil, errors.New("an endpoint is not an http or https URL")
		}
		return nil, fmt.Errorf("endpoint %q is not an http or https URL", endpoint)
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("endpoint %q has a query or a fragment", endpoint)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

// amazonHost returns the service and the region that a host's name tells, ""
// for those that are not Amazon's: trips-x1.eu-west-1.es.amazonaws.com,
// x1.eu-west-1.aoss.amazonaws.com, trips-x1.aos.eu-west-1.on.aws.
func amazonHost(host string) (service, region string) {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if rest, ok := strings.CutSuffix(host, ".on.aws"); ok {
		parts := strings.Split(rest, ".")
		if n := len(parts); n >= 3 && parts[n-2] == "aos" {
			return ServiceDomain, parts[n-1]
		}
		return "", ""
	}
	rest, ok := strings.CutSuffix(host, ".amazonaws.com")
	if !ok {
		rest, ok = strings.CutSuffix(host, ".amazonaws.com.cn")
	}
	parts := strings.Split(rest, ".")
	if n := len(parts); ok && n >= 3 && (parts[n-1] == ServiceDomain || parts[n-1] == ServiceServerless) {
		return parts[n-1], parts[n-2]
	}
	return "", ""
}
