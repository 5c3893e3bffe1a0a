// Package plainbody mends what the AWS SDK's HTTP requests do to connections.
package plainbody

import (
	"io"
	"net/http"
)

// Doer sends requests: an *http.Client, or the SDK's own.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Client keeps net/http from the request body's WriteTo. The SDK closes the
// body when the answer's header is there, which may be before net/http has
// looked whether the body ends where it should; a closed body's WriteTo then
// returns io.EOF (smithy-go v1.28.8), which counts as a failure to write, and
// the connection is closed under the answer that is being read. The call was
// served and looks failed: records would be put twice, uploads completed
// twice. Read is right.
type Client struct{ Doer }

// Do sends the request, as http.Client does.
func (c Client) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = plain{r.Body}
	}
	return c.Doer.Do(r)
}

// plain has the two methods of its interface and no other.
type plain struct{ io.ReadCloser }
